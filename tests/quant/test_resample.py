from __future__ import annotations

import numpy as np
import pytest

from alphapulse.domain.market import Timeframe
from alphapulse.errors import Defect
from alphapulse.quant.resample import resample
from alphapulse.quant.window import empty_window
from tests.candles import random_walk, window_of, without


def test_hours_become_four_hour_bars() -> None:
    hours = window_of(random_walk(8), timeframe=Timeframe.H1)
    bars = resample(hours, Timeframe.H4)
    assert bars.open_ms.tolist() == hours.open_ms[[0, 4]].tolist()
    assert bars.open.tolist() == hours.open[[0, 4]].tolist()
    assert bars.close.tolist() == hours.close[[3, 7]].tolist()
    assert bars.high.tolist() == [hours.high[:4].max(), hours.high[4:].max()]
    assert bars.low.tolist() == [hours.low[:4].min(), hours.low[4:].min()]
    assert bars.volume.tolist() == [40.0, 40.0]


def test_missing_hours_are_not_invented() -> None:
    hours = without(window_of(random_walk(12), timeframe=Timeframe.H1), 0, 4, 5, 6, 7)
    bars = resample(hours, Timeframe.H4)
    assert len(bars) == 2
    assert bars.volume.tolist() == [30.0, 40.0]
    assert bars.open[0] == hours.open[0]


def test_nothing_stays_nothing_and_the_same_stays_the_same() -> None:
    assert len(resample(empty_window(Timeframe.M1), Timeframe.D1)) == 0
    bars = window_of(random_walk(3))
    assert resample(bars, Timeframe.H4) is bars


def test_a_shorter_timeframe_cannot_be_made() -> None:
    with pytest.raises(Defect):
        resample(window_of(np.ones(2)), Timeframe.H1)
