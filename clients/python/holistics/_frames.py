"""Tables as frames, without changing a value.

What NumPy's types cannot hold (whole numbers with NULLs aside, for which pandas has its own) keeps its Arrow type:
a decimal stays a decimal, a date a date, a list a list.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Callable

import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from ._download import Download, PathText, keep, read_whole
from ._http import has_shape
from ._texts import from_texts, interval_text
from .errors import HolisticsError, IncompleteResult

NULLABLE = {
    pa.int8(): pd.Int8Dtype(),
    pa.int16(): pd.Int16Dtype(),
    pa.int32(): pd.Int32Dtype(),
    pa.int64(): pd.Int64Dtype(),
    pa.uint8(): pd.UInt8Dtype(),
    pa.uint16(): pd.UInt16Dtype(),
    pa.uint32(): pd.UInt32Dtype(),
    pa.uint64(): pd.UInt64Dtype(),
    pa.float32(): pd.Float32Dtype(),
    pa.float64(): pd.Float64Dtype(),
    pa.bool_(): pd.BooleanDtype(),
    pa.string(): pd.StringDtype("pyarrow"),
}
# The names that manifests have for the types of columns.
ARROW_TYPES = {
    "Int8": pa.int8(),
    "Int16": pa.int16(),
    "Int32": pa.int32(),
    "Int64": pa.int64(),
    "UInt8": pa.uint8(),
    "UInt16": pa.uint16(),
    "UInt32": pa.uint32(),
    "UInt64": pa.uint64(),
    "Float32": pa.float32(),
    "Float64": pa.float64(),
    "Boolean": pa.bool_(),
    "Date32": pa.date32(),
}
COLUMNS = [{"name": str, "type": str}]
CSV_BLOCK_BYTES = 16 << 20  # The longest row that can be read.


def check_options(dtype_backend: str, decimals: str) -> None:
    """Finds out before a report is run that nobody knows what frame is wanted."""
    if dtype_backend not in ("numpy_nullable", "pyarrow"):
        raise ValueError(f"dtype_backend must be `numpy_nullable` or `pyarrow`, got `{dtype_backend}`")
    if decimals not in ("arrow", "decimal", "float"):
        raise ValueError(f"decimals must be `arrow`, `decimal` or `float`, got `{decimals}`")


def to_frame(table: pa.Table, dtype_backend: str, decimals: str) -> pd.DataFrame:
    """Makes a frame with exact types."""
    # Numbers for names: two columns may have the same.
    numbered = table.rename_columns([str(number) for number in range(table.num_columns)])
    for number, field in enumerate(numbered.schema):
        wanted = _pandas_type(field.type, decimals)
        if wanted != field.type:
            numbered = numbered.set_column(number, field.name, numbered[number].cast(wanted))
    frame: pd.DataFrame = numbered.to_pandas(types_mapper=_mapper(dtype_backend, decimals))
    frame.columns = table.column_names
    return frame


def _pandas_type(arrow_type: pa.DataType, decimals: str) -> pa.DataType:
    if decimals == "float" and pa.types.is_decimal(arrow_type):
        return pa.float64()
    return pa.binary() if str(arrow_type) == "binary_view" else arrow_type


def _mapper(dtype_backend: str, decimals: str) -> Callable[[pa.DataType], Any]:
    def dtype(arrow_type: pa.DataType) -> Any:
        kind = str(arrow_type)
        if "interval" in kind or (decimals == "decimal" and pa.types.is_decimal(arrow_type)):
            return None  # Objects: pandas has no type for intervals.
        if dtype_backend == "pyarrow":
            return pd.ArrowDtype(arrow_type)
        if kind.startswith(("timestamp", "duration", "dictionary")):
            return None  # Types of pandas' own, which keep unit, zone and NULLs.
        return NULLABLE.get(arrow_type) or pd.ArrowDtype(arrow_type)

    return dtype


def for_polars(table: pa.Table) -> pa.Table:
    """Makes texts of intervals, at which Polars panics."""
    for number, field in enumerate(table.schema):
        if pa.types.is_interval(field.type):
            spans = table[number].to_pylist()
            texts = pa.array([None if span is None else interval_text(*span) for span in spans], pa.string())
            table = table.set_column(number, field.name, texts)
        elif "interval" in str(field.type):
            raise TypeError(f"column `{field.name}` is a {field.type}, which Polars has not: use to_arrow")
    return table


def read_table(kept: bytes | PathText, file_name: str, columns: Any) -> pa.Table:
    """Reads a file that a job made, with the types that its manifest names."""
    if file_name.endswith(".parquet"):
        with _opened(kept) as source:
            return _with_timestamps(pyarrow.parquet.read_table(source), columns)
    if file_name.endswith(".arrow"):
        with _opened(kept) as source, pa.ipc.open_stream(source) as stream:
            return stream.read_all()
    return _read_csv(kept, columns)


def _opened(kept: bytes | PathText) -> pa.NativeFile:
    """Opens a file as Arrow's threads like it: reading one of Python's, they may abort the process at its end."""
    return pa.BufferReader(kept) if isinstance(kept, bytes) else pa.OSFile(os.fspath(kept))


def _with_timestamps(table: pa.Table, columns: list[dict[str, str]]) -> pa.Table:
    """Gives timestamps the unit and the zone's name that they have elsewhere: Parquet lacks seconds, and all zones."""
    for number, column in enumerate(columns):
        wanted = _arrow_type(column["type"])
        if pa.types.is_timestamp(wanted) and table[number].type != wanted:
            table = table.set_column(number, table.schema.names[number], table[number].cast(wanted))
    return table


def _read_csv(kept: bytes | PathText, columns: list[dict[str, str]]) -> pa.Table:
    types = [_arrow_type(column["type"]) for column in columns]
    try:
        try:
            table = _read_typed_csv(kept, types)
        except pa.ArrowInvalid:
            # Arrow's own reader is fast, and knows no infinity and no year 10000.
            table = _read_far_csv(kept, types)
    except ValueError as problem:
        raise pd.errors.ParserError(f"the download is no such table as was announced: {problem}") from None
    return table.rename_columns([column["name"] for column in columns])


def _read_far_csv(kept: bytes | PathText, types: list[pa.DataType]) -> pa.Table:
    """Reads what Arrow may not understand as texts first."""
    are_far = [pa.types.is_temporal(wanted) or pa.types.is_decimal(wanted) for wanted in types]
    table = _read_typed_csv(kept, [pa.string() if is_far else wanted for wanted, is_far in zip(types, are_far)])
    for number, wanted in enumerate(types):
        if are_far[number]:
            table = table.set_column(number, table.schema.names[number], from_texts(table[number], wanted))
    return table


def _read_typed_csv(kept: bytes | PathText, types: list[pa.DataType]) -> pa.Table:
    names = [str(number) for number in range(len(types))]
    reading = pyarrow.csv.ReadOptions(column_names=names, skip_rows_after_names=1, block_size=CSV_BLOCK_BYTES)
    parsing = pyarrow.csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False)
    converting = pyarrow.csv.ConvertOptions(
        column_types=dict(zip(names, types)),
        null_values=[""],
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,  # An empty text has quotes, NULL has none.
        true_values=["true"],
        false_values=["false"],
    )
    with _opened(kept) as source:
        return pyarrow.csv.read_csv(source, reading, parsing, converting)


def _arrow_type(name: str) -> pa.DataType:
    if name in ARROW_TYPES:
        return ARROW_TYPES[name]
    if found := re.fullmatch(r"Decimal\d+\((\d+), (-?\d+)\)", name):
        precision, scale = int(found[1]), int(found[2])
        return pa.decimal128(precision, scale) if precision <= 38 else pa.decimal256(precision, scale)
    if found := re.fullmatch(r'(Time64|Timestamp)\((s|ms|µs|ns)(?:, "(.+)")?\)', name):
        unit = found[2].replace("µ", "u")
        return pa.time64(unit) if found[1] == "Time64" else pa.timestamp(unit, found[3])
    return pa.string()  # Lists, structs and bytes are in a CSV as text.


def batches(begin: Callable[[], Download]) -> Iterator[pa.RecordBatch]:
    """Hands out batches as they arrive; at the end, it raises if they were not all, or not the right ones.

    Nothing is begun before the first is asked for, so that nothing goes on that nobody asks for.
    """
    rows = 0
    download = begin()
    with _decoding(download) as stream:
        for batch in stream:
            rows += batch.num_rows
            yield batch
        download.finish(rows)


def table_of(download: Download) -> pa.Table:
    """Reads all of an Arrow stream."""

    def read(download: Download) -> pa.Table:
        with _decoding(download) as stream:
            table = stream.read_all()
            download.finish(table.num_rows)
        return table

    return read_whole(download, read)


@contextmanager
def _decoding(download: Download) -> Iterator[pa.RecordBatchReader]:
    """Decodes an Arrow stream as it arrives."""
    with download:
        try:
            source = pa.PythonFile(download, "r")
            if download.file_name.endswith(".zst"):
                source = pa.CompressedInputStream(source, "zstd")
            yield pa.ipc.open_stream(source)
        except (pa.ArrowException, OSError) as problem:
            if isinstance(problem, HolisticsError):
                raise
            download.finish()  # What cannot be decoded was altered, which says more.
            raise IncompleteResult(f"what arrived cannot be read: {problem}") from None


def frame_of(
    download: Download, path: PathText | None, dtype_backend: str, decimals: str, compatible: bool
) -> pd.DataFrame:
    """Reads a file that a job made, through the disk if it is to be kept."""
    kept = keep(download, path)
    if compatible or not download.manifest:
        return read_guessed(kept)
    columns = download.manifest.get("columns")
    if not has_shape(columns, COLUMNS):
        raise IncompleteResult("the server does not say which columns the file has")
    try:
        table = read_table(kept, download.file_name, columns)
    except pa.ArrowException as problem:
        raise IncompleteResult(f"what arrived cannot be read: {problem}") from None
    download.finish(table.num_rows)
    return to_frame(table, dtype_backend, decimals)


def read_guessed(kept: bytes | PathText) -> pd.DataFrame:
    """Reads a CSV as the older package did: pandas guesses types."""
    return pd.read_csv(io.BytesIO(kept) if isinstance(kept, bytes) else kept, encoding="utf-8")
