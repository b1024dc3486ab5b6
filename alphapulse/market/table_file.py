"""Candles from Parquet and Feather (Arrow) files."""

from __future__ import annotations

from typing import cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pyarrow import feather

from alphapulse.errors import InvalidInput
from alphapulse.market.rows import MOST_ROWS, VALUE_NAMES, Rows, check_size, find_columns, refuse, to_milliseconds

PARQUET_MAGIC = b"PAR1"
FEATHER_MAGIC = b"ARROW1"
OLD_FEATHER_MAGIC = b"FEA1"
#: Bytes of the needed columns once unpacked: 16 for each cell of the largest file, so that plain numbers always fit.
MOST_BYTES = MOST_ROWS * 6 * 16
#: Longest cell that may be a time or a number, characters.
_LONGEST_CELL = 64


def read_table(content: bytes, file: str, base: str) -> Rows:
    """Raises InvalidInput naming file, row (from 1) and column. base: base currency of the symbol."""
    try:
        source = pa.BufferReader(content)
        if content.startswith(PARQUET_MAGIC):
            table = _read_parquet(source, file, base)
        elif content.startswith(FEATHER_MAGIC):
            table = _read_arrow(source, file, base)
        else:
            table = feather.read_table(source)  # the old Feather, whose columns are not compressed
            check_size(table.num_rows, file)
    except (pa.ArrowException, OSError) as error:
        raise InvalidInput(
            f"{file} is damaged: {str(error).splitlines()[0][:200]}",
            field="file",
            fix="Nothing was imported. Fetch or write the file anew.",
        ) from error
    index = find_columns(table.column_names, file, base)
    names = {name: f"{at + 1} ({table.column_names[at]})" for name, at in index.items()}
    for name, at in index.items():
        column = table.column(at)
        if column.null_count:
            row = int(np.argmax(column.is_null().to_numpy()))
            refuse(file, _place(row), names[name], "the cell is empty")
    times = _times(table.column(index["time"]), file, names["time"])
    values = {name: _floats(table.column(index[name]), file, names[name]) for name in VALUE_NAMES}
    return Rows(file, times, values, _place, names)


def _read_parquet(source: pa.BufferReader, file: str, base: str) -> pa.Table:
    """The needed columns. What the file says of itself is checked before anything is unpacked."""
    schema: pa.Schema = pq.read_schema(source)
    names = _needed(schema, file, base)
    # Text as a dictionary: a cell that is repeated five million times is held once.
    reader = pq.ParquetFile(source, read_dictionary=[name for name in names if _is_text(schema.field(name).type)])
    metadata = reader.metadata
    check_size(metadata.num_rows, file)
    groups = [metadata.row_group(index) for index in range(metadata.num_row_groups)]
    columns = [group.column(at) for group in groups for at in range(metadata.num_columns)]
    _check_bytes(sum(column.total_uncompressed_size for column in columns if column.path_in_schema in names), file)
    return _plain(reader.read(columns=names, use_threads=False), file)


def _read_arrow(source: pa.BufferReader, file: str, base: str) -> pa.Table:
    """The needed columns, piece by piece as the file has them."""
    schema = pa.ipc.open_file(source).schema
    names = _needed(schema, file, base)
    fields = [schema.get_field_index(name) for name in names]
    reader = pa.ipc.open_file(source, options=pa.ipc.IpcReadOptions(included_fields=fields))
    check_size(reader.count_rows(), file)
    batches: list[pa.RecordBatch] = []
    for index in range(reader.num_record_batches):
        batches.append(reader.get_batch(index))
        _check_bytes(sum(batch.nbytes for batch in batches), file)
    return _plain(pa.Table.from_batches(batches, reader.schema), file)


def _needed(schema: pa.Schema, file: str, base: str) -> list[str]:
    """Names of the columns to read. Raises InvalidInput for a missing one, one that is there twice, and one whose
    cells are lists or records.
    """
    names = [schema.names[at] for at in sorted(set(find_columns(schema.names, file, base).values()))]
    for name in names:
        if schema.names.count(name) > 1:
            raise InvalidInput(f"{file}: column {name!r} is there twice", field="file", fix="Leave one of them out.")
        if pa.types.is_nested(schema.field(name).type):
            refuse(file, "every row", name, f"{schema.field(name).type} is neither a time nor a number")
    return names


def _check_bytes(size: int, file: str) -> None:
    if size > MOST_BYTES:
        raise InvalidInput(
            f"{file}: its columns take {size} bytes unpacked, at most {MOST_BYTES} are read",
            field="file",
            fix="Nothing was imported. Give times and numbers as numbers, or split the file.",
        )


def _plain(table: pa.Table, file: str) -> pa.Table:
    """``table`` with its dictionaries resolved. Raises InvalidInput for text that is too long to be one value."""
    for at, name in enumerate(table.column_names):
        column = table.column(at)
        if not pa.types.is_dictionary(column.type):
            continue
        for chunk in cast("list[pa.DictionaryArray]", column.chunks):
            longest = max((len(cell) for cell in chunk.dictionary.to_pylist() if isinstance(cell, str)), default=0)
            if longest > _LONGEST_CELL:
                refuse(file, "some row", name, f"a cell has {longest} characters")
        table = table.set_column(at, name, pc.cast(column, column.type.value_type))
    return table


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _place(row: int) -> str:
    return f"row {row + 1}"


def _times(column: pa.ChunkedArray, file: str, name: str) -> NDArray[np.int64]:
    kind = column.type
    try:
        if pa.types.is_string(kind) or pa.types.is_large_string(kind):
            column = pc.cast(column, pa.timestamp("us"))
        if pa.types.is_date(column.type):
            column = pc.cast(column, pa.timestamp("ms"))
        if pa.types.is_timestamp(column.type):
            stamps = pc.cast(pc.cast(column, pa.timestamp("us", column.type.tz), safe=False), pa.int64())
            micros = cast("NDArray[np.int64]", stamps.to_numpy())
            times, bad = micros // 1000, micros % 1000 != 0
        else:
            times, bad = to_milliseconds(cast("NDArray[np.int64]", pc.cast(column, pa.int64()).to_numpy()))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        refuse(file, "every row", name, f"{kind} cannot be read as a time")
    if bad.any():
        refuse(file, _place(int(np.argmax(bad))), name, "the time is no whole number of milliseconds")
    return times


def _floats(column: pa.ChunkedArray, file: str, name: str) -> NDArray[np.float64]:
    try:
        return pc.cast(column, pa.float64()).to_numpy()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        refuse(file, "every row", name, f"{column.type} cannot be read as numbers")
