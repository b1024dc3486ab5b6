"""What every format of candle file is read into, and the checks that hold for all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from alphapulse.domain.market import Timeframe
from alphapulse.errors import InvalidInput
from alphapulse.quant.window import Floats, Window

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


def to_window(rows: Rows, timeframe: Timeframe) -> Window:
    """The candles in order of time, equal duplicates once. Raises InvalidInput naming file, place and column."""
    if len(rows.open_ms) == 0:
        raise InvalidInput(f"{rows.file}: no candles in it", field="file", fix="Nothing was imported.")
    _check_values(rows)
    _check_times(rows, timeframe)
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
    body_high = np.maximum(rows.values["open"], rows.values["close"])
    body_low = np.minimum(rows.values["open"], rows.values["close"])
    for name, bad in (("high", rows.values["high"] < body_high), ("low", rows.values["low"] > body_low)):
        if bad.any():
            index = int(np.argmax(bad))
            rows.refuse(index, name, f"{float(rows.values[name][index])!r} does not enclose open and close")


def _check_times(rows: Rows, timeframe: Timeframe) -> None:
    bad = rows.open_ms % timeframe.milliseconds != 0
    if bad.any():
        index = int(np.argmax(bad))
        rows.refuse(index, "time", f"{int(rows.open_ms[index])} ms is not the start of a {timeframe} bar")
