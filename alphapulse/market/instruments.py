"""Instruments of imported markets: steps and minima derived from the data, and their form in a file's footer.

Derived once, at the first import of a symbol, and kept: later files cannot change what a running fund rounds to.
Configuration overrides them. The rules:

- tick: as many decimal places as the prices have, but fine enough that a step is at most a thousandth of the price;
  never finer than the books (12 places).
- lot: as many decimal places as the volumes have, at most 8, but fine enough that a lot of a symbol priced above
  one quote unit is worth at most about one such unit.
- minimum quantity: one lot. Minimum notional: what large venues ask per quote currency, none where unknown.
"""

from __future__ import annotations

import json
from decimal import Decimal
from math import ceil, floor, log10

import numpy as np

from alphapulse.domain.market import Instrument
from alphapulse.domain.money import QUANTUM, ZERO
from alphapulse.domain.wire import decode, encode
from alphapulse.quant.window import Floats, Window

#: What the books keep of any asset.
MOST_DECIMALS = -int(QUANTUM.as_tuple().exponent)
LOT_DECIMALS = 8
_FIVE = Decimal(5)
#: Quote currency -> smallest order, quote currency.
MIN_NOTIONAL = {
    **dict.fromkeys(("USDT", "USDC", "FDUSD", "BUSD", "TUSD", "DAI", "USD", "EUR", "GBP"), _FIVE),
    "BTC": Decimal("0.0001"),
    "ETH": Decimal("0.001"),
    "BNB": Decimal("0.01"),
}


def derive(venue: str, symbol: str, window: Window) -> Instrument:
    """The instrument that ``window`` (not empty) suggests."""
    price = float(np.median(window.close))
    tick = max(
        decimals(np.concatenate([window.open, window.high, window.low, window.close])), 3 - floor(log10(price)), 0
    )
    lot = max(min(decimals(window.volume), LOT_DECIMALS), ceil(log10(max(price, 1.0))))
    increment = Decimal(1).scaleb(-min(lot, MOST_DECIMALS))
    return Instrument(
        venue,
        symbol,
        Decimal(1).scaleb(-min(tick, MOST_DECIMALS)),
        increment,
        increment,
        MIN_NOTIONAL.get(symbol.partition("/")[2], ZERO),
    )


def decimals(values: Floats) -> int:
    """Decimal places that write 95 % of the values exactly, up to float noise (a part in 10^12), at most MOST_DECIMALS.

    The other 5 %: files have stray rows, for example bars pieced together from others, that are finer than any real
    step.
    """
    for places in range(MOST_DECIMALS):
        if np.mean(np.abs(np.round(values, places) - values) <= 1e-12 * np.abs(values)) >= 0.95:
            return places
    return MOST_DECIMALS


def to_json(instrument: Instrument) -> str:
    return json.dumps(encode(instrument))


def from_json(content: str) -> Instrument:
    """Raises ValueError or InvalidInput when ``content`` is not an instrument."""
    return decode(Instrument, json.loads(content))
