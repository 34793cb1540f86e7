"""Imports: a CSV file, or a frame written as one with the types that its columns have, into a table."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from typing import Any, Callable, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from ._download import PathText
from ._http import Body, Deadline, limit_silence
from ._jobs import ID, Job, Jobs
from ._texts import clock_text
from .errors import HolisticsError, add_to

SENT_BYTES = 64 << 10  # Of which all must go before silence is taken for the end.
HASHED_BYTES = 1 << 20
INTEGER_MAX = 2**63 - 1
DIGITS_MAX = 38
MADE = {"table_config": {"columns": [{"column_name": str, "data_type": str}]}}


class ImportResult(NamedTuple):
    """What an import has made: the table's columns with their types, and what the job had to say."""

    job_id: str
    import_id: int
    columns: dict[str, str]
    messages: list[str]


class Upload(Body):
    """A form with a file, read piece by piece each time that it is sent: requests' own forms hold all of it."""

    def __init__(self, path: str, fields: Mapping[str, str], deadline: Deadline) -> None:
        boundary = secrets.token_hex(16)
        name = re.sub(r'[\\"\r\n]', "_", os.path.basename(path))
        head = f"--{boundary}\r\nContent-Disposition: form-data; name="
        self.content_type = f"multipart/form-data; boundary={boundary}"
        self._path, self._deadline = path, deadline
        self.was_sent = False
        self._before = "".join(f'{head}"{field}"\r\n\r\n{text}\r\n' for field, text in fields.items()).encode()
        self._before += f'{head}"file"; filename="{name}"\r\n\r\n'.encode()
        self._after = f"\r\n--{boundary}--\r\n".encode()

    def __len__(self) -> int:
        return len(self._before) + os.path.getsize(self._path) + len(self._after)

    def __iter__(self) -> Iterator[bytes]:
        yield self._before
        for piece in _pieces(self._path, SENT_BYTES):
            limit_silence(self.connection, self._deadline)
            yield piece
        yield self._after
        self.was_sent = True


def run_import(
    jobs: Jobs,
    data: PathText | pd.DataFrame,
    table: str,
    source: int | str,
    mode: str,
    schema: Mapping[str, str] | None,
    deadline: Deadline,
) -> ImportResult:
    """Imports a file or a frame into a table, and waits until it is there."""
    source_id = int(source) if str(source).isdigit() else _source_id(jobs, str(source), deadline)
    with _upload_of(data, table, source_id, mode, schema, deadline) as upload:
        try:
            created = jobs.http.json(
                "POST",
                "/data_imports/import_csv.json",
                data=upload,
                headers={"Content-Type": upload.content_type, "Idempotency-Key": uuid.uuid4().hex},
                about=f"import into `{table}`",
                deadline=deadline,
                shape={"job_id": ID, "import_id": int},
            )
        except HolisticsError as problem:
            # To find its job would take another upload.
            if upload.was_sent and problem.may_go_on:
                add_to(problem, "the import may have begun: jobs(source_type='DataImport') shows it")
            raise
    job = Job(str(created["job_id"]), True)
    with jobs.stopping(job):
        jobs.wait(job, deadline, f"/jobs/{job.id}/get_results.json", "Importing")
    import_id = created["import_id"]
    made = jobs.get(f"/data_imports/{import_id}.json", f"import {import_id}", deadline, shape=MADE)
    columns = {column["column_name"]: column["data_type"] for column in made["table_config"]["columns"]}
    return ImportResult(job.id, import_id, columns, [line["message"] for line in jobs.all_logs(job.id, deadline)])


def _source_id(jobs: Jobs, name: str, deadline: Deadline) -> int:
    sources = jobs.get("/data_sources.json", "list of data sources", deadline, shape=[{"id": int, "name": str}])
    for source in sources:
        if source["name"] == name:
            source_id: int = source["id"]
            return source_id
    known = ", ".join(f"`{source['name']}`" for source in sources)
    raise ValueError(f"there is no data source `{name}`; there are {known}")


@contextmanager
def _upload_of(
    data: PathText | pd.DataFrame,
    table: str,
    source_id: int,
    mode: str,
    schema: Mapping[str, str] | None,
    deadline: Deadline,
) -> Iterator[Upload]:
    """Makes the form; a frame goes through a temporary file."""
    schema_name, _, table_name = table.rpartition(".")
    fields = {"dest_ds_id": str(source_id), "dest_table_name": table_name, "mode": mode}
    if schema_name:
        fields["dest_schema_name"] = schema_name
    with tempfile.TemporaryDirectory() as folder:
        if isinstance(data, pd.DataFrame):
            path = os.path.join(folder, "frame.csv")
            types = _write(data, path)
            # The frame knows what text looks like a number; for `append` the table's own types hold.
            if mode != "append":
                schema = {**types, **(schema or {})}
        else:
            path = os.fspath(data)
            if os.path.exists(path) and not os.path.isfile(path):
                raise ValueError(f"`{path}` is no file that can be read twice: its length and its sum go before it")
        if schema:
            fields["schema"] = ",".join(f"{_sayable(name)}:{kind}" for name, kind in schema.items())
        fields["sha256"] = _sha256(path, deadline)
        yield Upload(path, fields, deadline)


def _sayable(name: str) -> str:
    """Where types are named, commas part columns, but for those in parentheses."""
    outside = name
    while (shorter := re.sub(r"\([^()]*\)", "", outside)) != outside:
        outside = shorter
    if re.search("[,()]", outside):
        raise ValueError(f"the type of column `{name}` cannot be told for its comma or parenthesis: rename it")
    return name


def _write(frame: pd.DataFrame, path: str) -> dict[str, str]:
    """Writes a frame as CSV, and returns the types that its columns are to have, where it knows them."""
    columns: dict[str, pa.ChunkedArray] = {}
    types: dict[str, str] = {}
    for label, values, places in _columns(frame):
        name = str(label)
        if name in columns:
            raise ValueError(f"two columns are called `{name}`: a table has one of each name")
        try:
            columns[name], kind = _written(_arrow(values, places))
        except (pa.ArrowException, ValueError, TypeError, OverflowError) as problem:
            raise ValueError(f"column `{name}` cannot be imported: {_why(values, problem)}") from None
        if kind:
            types[name] = kind
    pyarrow.csv.write_csv(pa.table(columns), path)
    return types


def _columns(frame: pd.DataFrame) -> Iterator[tuple[Any, pd.Series, np.ndarray | None]]:
    """Hands out columns by name: first those of an index that has a name; one of whole numbers may only count rows."""
    index = frame.index
    names = list(index.names)
    if None in names and not (len(names) == 1 and (frame.empty or pd.api.types.is_integer_dtype(index.dtype))):
        raise ValueError("the index has values and no name: name it, or leave it out with reset_index(drop=True)")
    others = {str(name).lower() for name in frame.columns}
    for number, name in enumerate(names):
        if name is None:
            continue
        if str(name).lower() in others:
            raise ValueError(f"the index and a column are both called `{name}`: a table has one of each name")
        if isinstance(index, pd.MultiIndex):
            yield name, index.levels[number].to_series(), index.codes[number]
        else:
            yield name, index.to_series(), None
    for name, values in frame.items():
        yield name, values, None


def _arrow(values: pd.Series, places: np.ndarray | None) -> pa.ChunkedArray:
    """Makes a column of values, or of those at these places; those below 0 are missing."""
    column = pa.Table.from_pandas(values.to_frame("x"), preserve_index=False)["x"]
    return column if places is None else column.take(pa.array(places, mask=places < 0))


def _why(values: pd.Series, problem: Exception) -> str:
    if any(isinstance(value, Decimal) and value.is_infinite() for value in values):
        return "no decimal of a database is infinite"  # Arrow says of it what nobody understands.
    return str(problem.args[0])


def _written(array: pa.ChunkedArray) -> tuple[pa.ChunkedArray, str | None]:
    """Returns a column as it is written exactly, and its type for the import."""
    kinds, arrow_type = pa.types, array.type
    if kinds.is_dictionary(arrow_type):
        return _written(array.cast(arrow_type.value_type))
    if kinds.is_null(arrow_type):
        return array, None
    if kinds.is_boolean(arrow_type):
        return array, "boolean"
    if kinds.is_integer(arrow_type):
        is_long = kinds.is_uint64(arrow_type) and (pc.max(array).as_py() or 0) > INTEGER_MAX
        return array, "decimal(20,0)" if is_long else "integer"
    if kinds.is_floating(arrow_type):
        return _doubles(array), "double"
    if kinds.is_decimal(arrow_type):
        return _decimals(array), f"decimal({_digits(arrow_type)},{max(arrow_type.scale, 0)})"
    if kinds.is_date(arrow_type):
        return array.cast(pa.date32()), "date"
    if kinds.is_timestamp(arrow_type):
        zone = arrow_type.tz and "UTC"
        return array.cast(pa.timestamp("us", zone)), "timestamptz" if zone else "timestamp"
    if kinds.is_duration(arrow_type):
        return _as_texts(array.cast(pa.duration("ns")).cast(pa.int64()), clock_text), "text"
    if kinds.is_time(arrow_type) or str(arrow_type) in ("string", "large_string", "string_view"):
        return array.cast(pa.large_string()), "text"
    raise ValueError(f"no type of a table is {arrow_type}: make texts of its values first")


def _doubles(array: pa.ChunkedArray) -> pa.ChunkedArray:
    if pc.any(pc.invert(pc.is_finite(array))).as_py():
        raise ValueError("it has infinite numbers or NaN, which an import does not take: put None in their place")
    texts = array.cast(pa.float64()).cast(pa.string())  # As a shorter number, 0.1 would be another one.
    # With a point zero keeps its sign.
    return pc.if_else(pc.equal(texts, "-0"), "-0.0", texts)


def _decimals(array: pa.ChunkedArray) -> pa.ChunkedArray:
    if _digits(array.type) > DIGITS_MAX:
        raise ValueError(f"it needs {_digits(array.type)} digits, and a decimal has {DIGITS_MAX}: make texts of it")
    texts = array.cast(pa.string())
    is_plain = not pc.any(pc.match_substring(texts, "E")).as_py()
    return texts if is_plain else _as_texts(array, "{:f}".format)


def _digits(decimals: pa.DataType) -> int:
    """How many digits a number has that is written out: a scale below zero means zeros at its end."""
    digits: int = decimals.precision - min(decimals.scale, 0)
    return digits


def _as_texts(array: pa.ChunkedArray, text: Callable[[Any], str]) -> pa.ChunkedArray:
    texts = [None if value is None else text(value) for value in array.to_pylist()]
    return pa.chunked_array([pa.array(texts, pa.string())])


def _sha256(path: str, deadline: Deadline) -> str:
    total = hashlib.sha256()
    for piece in _pieces(path, HASHED_BYTES):
        deadline.left()
        total.update(piece)
    return total.hexdigest()


def _pieces(path: str, size: int) -> Iterator[bytes]:
    with open(path, "rb") as file:
        while piece := file.read(size):
            yield piece
