"""What every format of candle file is read into, and the checks that hold for all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from alphapulse.domain.market import Timeframe
from alphapulse.domain.money import CEILING, QUANTUM
from alphapulse.errors import InvalidInput
from alphapulse.quant.window import Floats, Window, to_ms

#: Names of the time column in order of trust, as exchanges and data vendors write them (lower case, blanks as
#: underscores).
TIME_NAMES = (
    "open_time_ms",
    "open_time",
    "opentime",
    "open_ms",
    "timestamp",
    "unix",
    "time",
    "date",
    "datetime",
    "start",
    "ts",
    "t",
    "__index_level_0__",
)
#: Candles that one file may hold: as many minutes as nine years have. They take about a gigabyte while they are read.
MOST_ROWS = 5_000_000
#: How far the clock of whoever wrote the file may be ahead of ours.
CLOCK_TOLERANCE = timedelta(seconds=10)
#: With fewer steps between rows than this, a gap and another timeframe cannot be told apart.
_FEWEST_STEPS = 3
#: Share of equal steps from which on they are the rule and no gaps.
_MOSTLY = 0.8
VALUE_NAMES = {
    "open": ("open", "open_price", "o"),
    "high": ("high", "high_price", "h"),
    "low": ("low", "low_price", "l"),
    "close": ("close", "close_price", "c"),
    "volume": ("volume", "vol", "volume_base", "base_volume", "volumefrom", "v"),
}


@dataclass(frozen=True, slots=True)
class Rows:
    """Candles as a file has them, in its order. place: where row i stands, for errors ("line 7"). columns: how each
    is named there.
    """

    file: str
    open_ms: NDArray[np.int64]
    values: dict[str, Floats]
    place: Callable[[int], str]
    columns: dict[str, str]

    def refuse(self, index: int, column: str, problem: str) -> NoReturn:
        refuse(self.file, self.place(index), self.columns[column], problem)


def refuse(file: str, place: str, column: str, problem: str) -> NoReturn:
    raise InvalidInput(
        f"{file}, {place}, column {column}: {problem}",
        field="file",
        fix="Nothing was imported. Correct that cell and import the file again.",
    )


def check_size(rows: int, file: str) -> None:
    """Raises InvalidInput for a file of more rows than MOST_ROWS; asked before they are read."""
    if rows > MOST_ROWS:
        raise InvalidInput(
            f"{file}: {rows} rows, at most {MOST_ROWS} are read from one file",
            field="file",
            fix="Nothing was imported. Split the file and import the parts one after the other.",
        )


def find_columns(header: Sequence[str], file: str, base: str) -> dict[str, int]:
    """Index of each needed column. base: base currency; some vendors name the volume after it. Raises InvalidInput
    for a missing one.
    """
    names = [name.strip().lower().replace(" ", "_") for name in header]
    wanted: dict[str, tuple[str, ...]] = {"time": TIME_NAMES, **VALUE_NAMES}
    wanted["volume"] = (*VALUE_NAMES["volume"], f"volume_{base.lower()}")
    found: dict[str, int] = {}
    for column, dialects in wanted.items():
        index = next((names.index(name) for name in dialects if name in names), None)
        if index is None:
            raise InvalidInput(
                f"{file}: no column for {column}; it has {', '.join(header)[:200] or 'none'}",
                field="file",
                fix=f"Name the column one of {', '.join(dialects[:6])}.",
            )
        found[column] = index
    return found


def to_milliseconds(stamps: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Seconds, milliseconds, microseconds or nanoseconds since 1970, told apart by magnitude, as milliseconds.

    Also where a stamp was no whole number of milliseconds or negative.
    """
    seconds, micros, nanos = stamps < 10**11, stamps >= 10**14, stamps >= 10**17
    divisor = np.where(nanos, 10**6, np.where(micros, 1000, 1))
    factor = np.where(seconds, 1000, 1)
    return stamps // divisor * factor, (stamps % divisor != 0) | (stamps < 0)


def to_window(rows: Rows, timeframe: Timeframe, now: datetime) -> Window:
    """The candles in order of time, equal duplicates once. Raises InvalidInput naming file, place and column.

    now: a bar that had not closed by then is refused.
    """
    if len(rows.open_ms) == 0:
        raise InvalidInput(f"{rows.file}: no candles in it", field="file", fix="Nothing was imported.")
    _check_values(rows)
    _check_spacing(rows, timeframe)
    _check_times(rows, timeframe)
    _check_closed(rows, timeframe, now)
    open_ms, first, group = np.unique(rows.open_ms, return_index=True, return_inverse=True)
    for name, values in rows.values.items():
        differs = np.flatnonzero(values != values[first][group])
        if len(differs):
            index = int(differs[0])
            rows.refuse(index, name, f"differs from {rows.place(int(first[group[index]]))}, which has the same time")
    return Window(timeframe, open_ms, **{name: values[first] for name, values in rows.values.items()})


def _check_values(rows: Rows) -> None:
    for name, values in rows.values.items():
        bad = ~np.isfinite(values) | (values < 0.0 if name == "volume" else values <= 0.0)
        if bad.any():
            index = int(np.argmax(bad))
            floor = "zero or more" if name == "volume" else "above zero"
            rows.refuse(index, name, f"{float(values[index])!r} is not a number {floor}")
        bad = (values >= float(CEILING)) | ((values < float(QUANTUM)) if name != "volume" else False)
        if bad.any():
            index = int(np.argmax(bad))
            floor = "" if name == "volume" else "at least 1e-12 and "
            rows.refuse(index, name, f"{float(values[index])!r} is out of range: the books hold {floor}less than 1e15")
    body_high = np.maximum(rows.values["open"], rows.values["close"])
    body_low = np.minimum(rows.values["open"], rows.values["close"])
    for name, bad in (("high", rows.values["high"] < body_high), ("low", rows.values["low"] > body_low)):
        if bad.any():
            index = int(np.argmax(bad))
            rows.refuse(index, name, f"{float(rows.values[name][index])!r} does not enclose open and close")


def _check_spacing(rows: Rows, timeframe: Timeframe) -> None:
    """Gaps are no contradiction, but a file whose rows are mostly another length apart is of another timeframe."""
    steps = np.diff(np.unique(rows.open_ms))
    if len(steps) < _FEWEST_STEPS:
        return
    lengths, counts = np.unique(steps, return_counts=True)
    usual, count = int(lengths[np.argmax(counts)]), int(counts.max())
    if usual == timeframe.milliseconds or count < _MOSTLY * len(steps):
        return
    found = next((known for known in Timeframe if known.milliseconds == usual), None)
    spacing = found or timedelta(milliseconds=usual)
    raise InvalidInput(
        f"{rows.file}: most rows are {spacing} apart, which contradicts the timeframe {timeframe}",
        field="timeframe",
        fix="Nothing was imported. "
        + (f"If these are {found} bars, import it with --timeframe {found}." if found else "Give bars of a timeframe."),
    )


def _check_times(rows: Rows, timeframe: Timeframe) -> None:
    bad = (rows.open_ms % timeframe.milliseconds != 0) | (rows.open_ms < 0)
    if bad.any():
        index = int(np.argmax(bad))
        rows.refuse(index, "time", f"{int(rows.open_ms[index])} ms is not the start of a {timeframe} bar")


def _check_closed(rows: Rows, timeframe: Timeframe, now: datetime) -> None:
    """A bar that is still open would be stored with values it does not end with, and one to come is invented."""
    bad = rows.open_ms > to_ms(now + CLOCK_TOLERANCE) - timeframe.milliseconds
    if bad.any():
        index = int(np.argmax(bad))
        problem = f"the {timeframe} bar of {int(rows.open_ms[index])} ms had not closed at {now:%Y-%m-%dT%H:%M:%SZ}"
        rows.refuse(index, "time", f"{problem}; leave out bars that are still open")
