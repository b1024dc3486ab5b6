"""Groups of settings: the tables of the file."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from alphapulse.settings.values import Exact, Fraction, Seconds, is_base_url


class Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PaperRules(Table):
    """How the paper venue fills. Rates are fractions (0.001 = 0.1 %), written as text."""

    fee_rate: Fraction = Field(Decimal("0.001"), description="Fee per fill, as a fraction of its notional.")
    half_spread: Fraction = Field(
        Decimal("0.0005"), description="Half of the assumed spread: how much worse than the close a market order fills."
    )
    slippage: Fraction = Field(
        Decimal("0.0005"), description="Further worsening of a market order, as a fraction of the price."
    )
    volume_share: Annotated[Exact, Field(gt=0, le=1)] = Field(
        Decimal("0.1"),
        description="Largest share of a bar's volume that a fund's orders may take together; the rest waits.",
    )


class InstrumentRule(Table):
    """Trading steps of one symbol where the venue's own are not known."""

    price_increment: Annotated[Exact, Field(gt=0)] = Field(description="Price step, in quote currency.")
    quantity_increment: Annotated[Exact, Field(gt=0)] = Field(description="Quantity step, in base currency.")
    min_quantity: Annotated[Exact, Field(ge=0)] = Field(Decimal(0), description="Smallest order, in base currency.")
    min_notional: Annotated[Exact, Field(ge=0)] = Field(Decimal(0), description="Smallest order, in quote currency.")


class MarketRules(Table):
    """Where candles come from, and instruments that no source describes."""

    sources: dict[str, str] = Field(
        default_factory=dict[str, str],
        description="Venue to market data adapter (ccxt, synthetic, replay). A venue without one has imported candles.",
    )
    source_urls: dict[str, str] = Field(
        default_factory=dict[str, str],
        description="Venue to the scheme and host that its ccxt source calls instead of the venue's own, for a mirror "
        "or a stand-in. https, or http on a loopback address.",
    )
    instruments: dict[str, dict[str, InstrumentRule]] = Field(
        default_factory=dict[str, dict[str, InstrumentRule]],
        description="Venue, then symbol, to trading steps; overrides what the source or the candles suggest.",
    )
    timeout: Seconds = Field(
        timedelta(seconds=10), description="Longest wait for one answer of a live source, seconds."
    )

    @model_validator(mode="after")
    def _calls_only_known_hosts(self) -> MarketRules:
        for venue, url in self.source_urls.items():
            if self.sources.get(venue) != "ccxt":
                msg = f"source_urls.{venue}: only a ccxt source has an address; set sources.{venue} to ccxt as well"
                raise ValueError(msg)
            if not is_base_url(url):
                msg = (
                    f"source_urls.{venue}: write https://HOST, or http:// with a loopback address such as "
                    "http://127.0.0.1:PORT, without a user, a path or a query"
                )
                raise ValueError(msg)
        return self
