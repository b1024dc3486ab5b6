"""Longer bars from shorter ones."""

from __future__ import annotations

import numpy as np

from alphapulse.domain.market import Timeframe
from alphapulse.errors import Defect
from alphapulse.quant.window import Window


def resample(window: Window, timeframe: Timeframe) -> Window:
    """``window`` in bars of ``timeframe``: first open, highest high, lowest low, last close, volumes added.

    timeframe: a whole multiple of the window's. A long bar exists where at least one short bar does; short bars
    that are missing are not invented. The newest long bar may be cut short: the caller drops it if it was still
    forming.
    """
    if timeframe is window.timeframe:
        return window
    if timeframe.milliseconds % window.timeframe.milliseconds:
        raise Defect(f"{timeframe} is no whole multiple of {window.timeframe}")
    groups = window.open_ms - window.open_ms % timeframe.milliseconds
    open_ms, starts = np.unique(groups, return_index=True)
    if len(open_ms) == 0:
        return Window(timeframe, open_ms, window.open, window.high, window.low, window.close, window.volume)
    ends = np.append(starts[1:], len(window)) - 1
    return Window(
        timeframe,
        open_ms,
        window.open[starts],
        np.maximum.reduceat(window.high, starts),
        np.minimum.reduceat(window.low, starts),
        window.close[ends],
        np.add.reduceat(window.volume, starts),
    )
