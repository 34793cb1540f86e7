"""Formats of files, by name and by the ending of a path."""

from __future__ import annotations

import os
from typing import Any, Literal

from ._download import PathText
from .errors import warn

Format = Literal["csv", "json", "ndjson", "xlsx", "parquet", "arrow"]
FORMATS = ("csv", "json", "ndjson", "xlsx", "parquet", "arrow")


def check_format(format: str | None) -> None:
    if format not in (None, *FORMATS):
        raise ValueError(f"format must be one of {', '.join(FORMATS)}, got {format!r}")


def warn_of_ending(path: PathText) -> None:
    """Warns of a path that says another format than CSV, which is what will be there."""
    ending = os.path.splitext(path)[1][1:].lower()
    if ending in FORMATS[1:]:
        warn(f"`{os.fspath(path)}` will hold CSV: format={ending!r} would make what it is called", UserWarning)


def format_of(path: PathText) -> Any:
    """The format that a path ends in, CSV if it has no ending."""
    ending = os.path.splitext(path)[1]
    if ending and ending[1:].lower() not in FORMATS:
        raise ValueError(f"`{ending}` names no format of files: give format, which is one of {', '.join(FORMATS)}")
    return ending[1:].lower() or "csv"
