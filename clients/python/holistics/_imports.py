"""What is sent to import a table: a CSV file, and the types that a frame's columns have."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.csv

from ._download import PIECE_BYTES, PathText


class ImportResult(NamedTuple):
    """What an import has made: the table's columns with their types, and what the job had to say."""

    job_id: str
    import_id: int
    columns: dict[str, str]
    messages: list[str]


class Upload:
    """A form with a file, read piece by piece each time that it is sent: requests' own forms hold all of it."""

    def __init__(self, path: str, fields: Mapping[str, str]) -> None:
        boundary = secrets.token_hex(16)
        name = re.sub(r'[\\"\r\n]', "_", os.path.basename(path))
        head = f"--{boundary}\r\nContent-Disposition: form-data; name="
        self.content_type = f"multipart/form-data; boundary={boundary}"
        self._path = path
        self._before = "".join(f'{head}"{field}"\r\n\r\n{text}\r\n' for field, text in fields.items()).encode()
        self._before += f'{head}"file"; filename="{name}"\r\n\r\n'.encode()
        self._after = f"\r\n--{boundary}--\r\n".encode()

    def __len__(self) -> int:
        return len(self._before) + os.path.getsize(self._path) + len(self._after)

    def __iter__(self) -> Iterator[bytes]:
        yield self._before
        yield from _pieces(self._path)
        yield self._after


@contextmanager
def upload_of(
    data: PathText | pd.DataFrame, table: str, source_id: int, mode: str, schema: Mapping[str, str] | None
) -> Iterator[Upload]:
    """Makes the form; a frame goes through a temporary file."""
    schema_name, _, table_name = table.rpartition(".")
    fields = {"dest_ds_id": str(source_id), "dest_table_name": table_name, "mode": mode}
    if schema_name:
        fields["dest_schema_name"] = schema_name
    with tempfile.TemporaryDirectory() as folder:
        if isinstance(data, pd.DataFrame):
            path = os.path.join(folder, "frame.csv")
            arrow = pa.Table.from_pandas(data, preserve_index=False)
            _write(arrow, path)
            # The frame knows what text looks like a number; for `append` the table's own types hold.
            if mode != "append":
                schema = {**_types(arrow.schema), **(schema or {})}
        else:
            path = os.fspath(data)
        if schema:
            fields["schema"] = ",".join(f"{name}:{kind}" for name, kind in schema.items())
        fields["sha256"] = _sha256(path)
        yield Upload(path, fields)


def _write(table: pa.Table, path: str) -> None:
    for number, field in enumerate(table.schema):
        # Times of a zone are written in UTC, categories as what they stand for.
        if pa.types.is_timestamp(field.type) and field.type.tz:
            table = table.set_column(number, field.name, table[number].cast(pa.timestamp(field.type.unit, "UTC")))
        elif pa.types.is_dictionary(field.type):
            table = table.set_column(number, field.name, table[number].cast(field.type.value_type))
    pyarrow.csv.write_csv(table, path)


def _types(schema: pa.Schema) -> dict[str, str]:
    types = {field.name: _type(field.type) for field in schema}
    # Elsewhere commas part columns, and a colon a name from its type; an open parenthesis would hide both.
    is_plain = {name: "," not in name and ":" not in name and name.count("(") == name.count(")") for name in types}
    return {name: kind for name, kind in types.items() if kind and is_plain[name]}


def _type(arrow_type: pa.DataType) -> str | None:
    kinds = pa.types
    if kinds.is_dictionary(arrow_type):
        arrow_type = arrow_type.value_type
    if kinds.is_boolean(arrow_type):
        return "boolean"
    if kinds.is_integer(arrow_type):
        return "integer"
    if kinds.is_floating(arrow_type):
        return "double"
    if kinds.is_decimal(arrow_type):
        return f"decimal({arrow_type.precision},{arrow_type.scale})"
    if kinds.is_date(arrow_type):
        return "date"
    if kinds.is_timestamp(arrow_type):
        return "timestamptz" if arrow_type.tz else "timestamp"
    return "text" if kinds.is_string(arrow_type) or kinds.is_large_string(arrow_type) else None


def _sha256(path: str) -> str:
    total = hashlib.sha256()
    for piece in _pieces(path):
        total.update(piece)
    return total.hexdigest()


def _pieces(path: str) -> Iterator[bytes]:
    with open(path, "rb") as file:
        while piece := file.read(PIECE_BYTES):
            yield piece
