"""A candle file of any supported format as one series' bars. Reads and checks everything before anything is stored."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path, PurePath

from alphapulse.domain.market import Series, Timeframe, parse_symbol, parse_timeframe, parse_venue
from alphapulse.errors import InvalidInput
from alphapulse.market.csv_file import read_csv
from alphapulse.market.rows import to_window
from alphapulse.market.table_file import FEATHER_MAGIC, OLD_FEATHER_MAGIC, PARQUET_MAGIC, read_table
from alphapulse.quant.window import Window

#: For example binance_BTC-USDT_4h.csv
_FILE_NAME = re.compile(
    rf"(?P<venue>.+)_(?P<base>[A-Za-z0-9]+)-(?P<quote>[A-Za-z0-9]+)_(?P<timeframe>{'|'.join(Timeframe)})"
)
_ARCHIVES = {b"PK\x03\x04": "a zip archive", b"\x1f\x8b": "a gzip archive", b"\x28\xb5\x2f\xfd": "a zstd archive"}


def identify(filename: str, venue: str | None, symbol: str | None, timeframe: str | None) -> Series:
    """Which series a file holds: what is given, else what its name says (``venue_BASE-QUOTE_timeframe.ext``).

    In a name, what a venue cannot contain is read as an underscore. Raises InvalidInput naming what is missing.
    """
    match = _FILE_NAME.fullmatch(PurePath(filename).stem)
    if match is not None:
        venue = venue or re.sub(r"[^a-z0-9_]", "_", match["venue"].lower())[:32]
        symbol = symbol or f"{match['base']}/{match['quote']}".upper()
        timeframe = timeframe or match["timeframe"]
    for field, value in (("venue", venue), ("symbol", symbol), ("timeframe", timeframe)):
        if not value:
            raise InvalidInput(
                f"{field}: {filename[:100]!r} does not say which {field} it holds",
                field=field,
                fix=f"Pass the {field}, or name the file like binance_BTC-USDT_4h.csv.",
            )
    return Series(parse_venue(venue or ""), parse_symbol(symbol or ""), parse_timeframe(timeframe or ""))


def read_candles(path: Path, filename: str, series: Series, now: datetime) -> tuple[Window, int]:
    """The file's bars in order, and how many candles it had before duplicates collapsed.

    filename: how errors call the file. now: bars that had not closed by then are refused. Raises InvalidInput naming
    file, line (or row) and column.
    """
    content = path.read_bytes()
    if not content.strip():
        raise InvalidInput(f"{filename} is empty", field="file", fix="Nothing was imported.")
    base = series.symbol.partition("/")[0]
    for magic, kind in _ARCHIVES.items():
        if content.startswith(magic):
            raise InvalidInput(f"{filename} is {kind}", field="file", fix="Unpack it and import what is inside.")
    if content.startswith((PARQUET_MAGIC, FEATHER_MAGIC, OLD_FEATHER_MAGIC)):
        rows = read_table(content, filename, base)
    else:
        rows = read_csv(content, filename, base)
    return to_window(rows, series.timeframe, now), len(rows.open_ms)
