"""Candles on disk: one Parquet file per series, ``<venue>/<BASE-QUOTE>/<timeframe>.parquet``.

A file is replaced as a whole or not at all, so a reader never sees half of one. Calls block: the service runs
them in a thread. The columns are ``open_ms`` (int64, UTC milliseconds) and five float64; the footer says how
many gaps there are, where the bars came from and in which steps the symbol trades, so a listing reads no data.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from alphapulse.domain.market import Gap, Instrument, Series, SeriesInfo, Timeframe
from alphapulse.errors import Conflict, InvalidInput, Misconfigured
from alphapulse.market import instruments
from alphapulse.market.files import locked, replace_file
from alphapulse.quant.window import Window, empty_window

COLUMNS = ("open", "high", "low", "close", "volume")
_SCHEMA = pa.schema([("open_ms", pa.int64()), *((name, pa.float64()) for name in COLUMNS)])
_TIMEFRAMES = frozenset(Timeframe)
_NOTES = {"first_ms", "last_ms", "gaps", "source", "instrument"}


@dataclass(frozen=True, slots=True)
class Stamp:
    """Tells one state of a file from the next; every replacement makes a new inode."""

    modified_ns: int
    bytes: int
    inode: int


@dataclass(frozen=True, slots=True)
class Merge:
    """What adding bars did. window: the whole series afterwards; stamp: of the file that holds it, None when there
    is none.
    """

    window: Window
    stamp: Stamp | None
    added: int
    duplicates: int


class Catalogue:
    """The stored candles below ``root``. Raises Misconfigured for a damaged file, StorageFull when there is no room."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._root = str(root)

    def path(self, series: Series) -> Path:
        return self._folder(series.venue, series.symbol) / f"{series.timeframe}.parquet"

    def stamp(self, series: Series) -> Stamp | None:
        """None when the series is not stored."""
        name = f"{self._root}/{series.venue}/{series.symbol.replace('/', '-')}/{series.timeframe.value}.parquet"
        try:
            # On the way of every window: building a Path takes ten times as long as looking it up.
            found = os.stat(name)  # noqa: PTH116 -- see above
        except FileNotFoundError:
            return None
        return Stamp(found.st_mtime_ns, found.st_size, found.st_ino)

    def read(self, series: Series) -> Window | None:
        """Every bar of the series; None when it is not stored."""
        path = self.path(series)
        try:
            table = pq.ParquetFile(pa.BufferReader(path.read_bytes())).read()
        except FileNotFoundError:
            return None
        except (pa.ArrowException, OSError) as error:
            raise _damaged(path, str(error)) from error
        return _to_window(table, series.timeframe, path)

    def merge(self, series: Series, new: Window, source: str, instrument: Instrument | None = None) -> Merge:
        """Add ``new`` bars. source: see SeriesInfo.

        instrument: what the source says of the symbol, or None to derive it from the bars; an instrument that is
        already kept, in whatever timeframe, stands. A bar that is already there must be the same: Conflict
        otherwise, and nothing is added.
        """
        with locked(self._folder(series.venue, series.symbol)):
            old = self.read(series)
            merged, duplicates = combine(old if old is not None else empty_window(series.timeframe), new, series)
            added = len(new) - duplicates
            if added:
                kept = self.instrument(series.venue, series.symbol) or instrument
                kept = kept or instruments.derive(series.venue, series.symbol, merged)
                replace_file(self.path(series), _to_parquet(merged, source, kept))
            return Merge(merged, self.stamp(series), added, duplicates)

    def infos(self) -> list[SeriesInfo]:
        """What is stored, in order of venue, symbol and timeframe. A damaged file raises."""
        return [info for series in self.stored() if (info := self.info(series)) is not None]

    def info(self, series: Series) -> SeriesInfo | None:
        """None when the series is not stored."""
        found = self._notes(series)
        if found is None:
            return None
        bars, notes = found
        first, last = (datetime.fromtimestamp(int(notes[key]) / 1000, UTC) for key in ("first_ms", "last_ms"))
        return SeriesInfo(
            series.venue, series.symbol, series.timeframe, first, last, bars, int(notes["gaps"]), notes["source"]
        )

    def instrument(self, venue: str, symbol: str) -> Instrument | None:
        """What was kept at the symbol's first import; None when it is not stored, or not as one that can be
        traded: the next import derives it anew.
        """
        for timeframe in Timeframe:
            found = self._notes(Series(venue, symbol, timeframe))
            if found is not None:
                with suppress(InvalidInput, ValueError):
                    return instruments.from_json(found[1]["instrument"])
        return None

    def instruments(self, venue: str) -> dict[str, Instrument]:
        """Every kept instrument of the venue, by symbol.

        A symbol whose file is damaged is left out, so that the others can still be traded; its candles, and
        ``infos``, say so. Raises Misconfigured when there is no other.
        """
        found: dict[str, Instrument] = {}
        problem: Misconfigured | None = None
        for symbol in sorted({series.symbol for series in self.stored(venue)}):
            try:
                kept = self.instrument(venue, symbol)
            except Misconfigured as error:
                problem = problem or error
            else:
                found.update({} if kept is None else {symbol: kept})
        if problem is not None and not found:
            raise problem
        return found

    def stored(self, venue: str = "*") -> tuple[Series, ...]:
        """Every stored series, or the venue's, in order."""
        return tuple(
            Series(path.parts[-3], path.parts[-2].replace("-", "/"), Timeframe(path.stem))
            for path in sorted(self.root.glob(f"{venue}/*-*/*.parquet"))
            if path.stem in _TIMEFRAMES
        )

    def _notes(self, series: Series) -> tuple[int, dict[str, str]] | None:
        """How many bars the file has, and its footer's notes; None when it is not there."""
        path = self.path(series)
        try:
            metadata: Any = pq.read_metadata(path)
        except FileNotFoundError:
            return None
        except (pa.ArrowException, OSError) as error:
            raise _damaged(path, str(error)) from error
        raw = cast("dict[bytes, bytes]", metadata.metadata or {})
        notes = {key.decode(): value.decode(errors="replace") for key, value in raw.items()}
        if not set(notes) >= _NOTES:
            raise _damaged(path, "its footer lacks AlphaPulse's notes")
        return int(metadata.num_rows), notes

    def _folder(self, venue: str, symbol: str) -> Path:
        return self.root / venue / symbol.replace("/", "-")


def combine(old: Window, new: Window, series: Series) -> tuple[Window, int]:
    """Both windows as one, and how many bars of ``new`` were already in ``old``. Raises Conflict where they differ."""
    common, in_old, in_new = np.intersect1d(old.open_ms, new.open_ms, assume_unique=True, return_indices=True)
    for name in COLUMNS:
        before, after = getattr(old, name)[in_old], getattr(new, name)[in_new]
        differs = np.flatnonzero(before != after)
        if len(differs):
            index = int(differs[0])
            raise Conflict(
                f"{series.venue} {series.symbol} {series.timeframe}: the bar of "
                f"{_at(int(common[index])).isoformat()} is stored"
                f" with {name} {float(before[index])!r}, the new data say {float(after[index])!r}",
                fix="Nothing was imported. Correct the file, or import it under another venue name.",
            )
    if len(common) == len(new):
        return old, len(common)
    fresh = np.ones(len(new), dtype=np.bool_)
    fresh[in_new] = False
    open_ms = np.concatenate([old.open_ms, new.open_ms[fresh]])
    order = np.argsort(open_ms, kind="stable")
    joined = [np.concatenate([getattr(old, name), getattr(new, name)[fresh]])[order] for name in COLUMNS]
    return Window(series.timeframe, open_ms[order], *joined), len(common)


def gaps_of(window: Window) -> tuple[Gap, ...]:
    """Runs of bars missing between the first and the last bar."""
    length = window.timeframe.milliseconds
    steps = np.diff(window.open_ms)
    return tuple(
        Gap(_at(int(window.open_ms[i]) + length), _at(int(window.open_ms[i + 1])), int(steps[i]) // length - 1)
        for i in np.flatnonzero(steps > length)
    )


def _to_parquet(window: Window, source: str, instrument: Instrument) -> bytes:
    notes = {
        "first_ms": str(window.open_ms[0]),
        "last_ms": str(window.open_ms[-1]),
        "gaps": str(len(gaps_of(window))),
        "source": source,
        "instrument": instruments.to_json(instrument),
    }
    columns = [window.open_ms, *(getattr(window, name) for name in COLUMNS)]
    table = pa.Table.from_arrays([pa.array(column) for column in columns], schema=_SCHEMA.with_metadata(notes))
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", use_dictionary=False)
    return sink.getvalue().to_pybytes()


def _to_window(table: pa.Table, timeframe: Timeframe, path: Path) -> Window:
    if not table.schema.equals(_SCHEMA):
        raise _damaged(path, "its columns are not the catalogue's")
    arrays = [table.column(name).to_numpy() for name in _SCHEMA.names]
    if any(column.null_count for column in table.columns) or bool(np.any(np.diff(arrays[0]) <= 0)):
        raise _damaged(path, "its bars are not in order")
    return Window(timeframe, *arrays)


def _damaged(path: Path, problem: str) -> Misconfigured:
    return Misconfigured(
        f"{path} is damaged: {problem.splitlines()[0][:200] if problem else 'it cannot be read'}",
        fix="Delete this file and import the candles again; a live venue's are fetched anew.",
    )


def _at(open_ms: int) -> datetime:
    return datetime.fromtimestamp(open_ms / 1000, UTC)
