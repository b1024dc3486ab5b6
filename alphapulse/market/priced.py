"""Prices looked up a moment ago: whoever shows twenty positions a thousand times a second asks the disk a few times."""

from __future__ import annotations

import time
from collections import OrderedDict
from datetime import datetime

from alphapulse.domain.market import Timeframe
from alphapulse.domain.portfolio import Price

#: How long a price is good for before the file of its candles is looked at again, seconds.
GOOD_FOR = 0.25
#: Bar closes that are remembered; a replay asks for each once and goes on.
_REMEMBERED = 32

#: By symbol: until when it is good, and the price; None where the symbol has none.
Known = dict[str, tuple[float, Price | None]]


class Priced:
    """What was found at the closes asked for last."""

    def __init__(self) -> None:
        self._closes: OrderedDict[tuple[str, Timeframe, datetime], Known] = OrderedDict()
        self._changes = -1

    def at(self, venue: str, timeframe: Timeframe, close_at: datetime, changes: int) -> Known:
        """To be read and added to.

        changes: how often this process has written candles; when it moves, all is forgotten.
        """
        if changes != self._changes:
            self._closes.clear()
            self._changes = changes
        key = (venue, timeframe, close_at)
        known = self._closes.get(key)
        if known is None:
            known = self._closes[key] = {}
            if len(self._closes) > _REMEMBERED:
                self._closes.popitem(last=False)
        return known


def good_until() -> float:
    """For what is found now."""
    return time.monotonic() + GOOD_FOR
