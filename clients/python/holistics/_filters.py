"""Values of filters as the API reads them: text, or a list of texts."""

from __future__ import annotations

import datetime
import decimal
import enum
import numbers
import uuid
from collections.abc import Iterable, Mapping
from typing import Any, Union

import numpy as np
import pandas as pd

Texts = dict[str, Union[str, list[str]]]


def as_texts(filters: Mapping[str, Any] | None) -> Texts:
    """Turns values into texts. A filter that is None is left out, which leaves it to its default."""
    if not isinstance(filters, (Mapping, type(None))):
        raise TypeError(f"filters must be values by name, such as {{'status': 'open'}}, got {filters!r}")
    texts: Texts = {}
    for name, value in (filters or {}).items():
        if not isinstance(name, str):
            raise TypeError(f"the name of a filter must be a text, got {name!r}")
        if name.startswith("_") or name == "job_id":
            raise ValueError(f"`{name}` is no filter: names that begin with `_`, and job_id, are the API's own")
        if value is not None:
            texts[name] = _list(name, value) if _is_list(value) else _text(name, value)
    return texts


def as_query(texts: Texts) -> list[tuple[str, str]]:
    """Turns texts into the pairs of a query string; an empty list is, like an empty text, no value."""
    pairs = []
    for name, text in texts.items():
        if isinstance(text, str):
            pairs.append((name, text))
        else:
            pairs += [(name + "[]", each) for each in text] or [(name, "")]
    return pairs


def _is_list(value: Any) -> bool:
    return isinstance(value, Iterable) and not isinstance(value, (str, bytes, Mapping))


def _list(name: str, values: Iterable[Any]) -> list[str]:
    return [_text(name, value) for value in values]


def _text(name: str, value: Any) -> str:
    if isinstance(value, enum.Enum):
        value = value.value
    if isinstance(value, (bytes, Mapping)) or _is_list(value) or pd.isna(value):
        raise ValueError(f"filter `{name}` cannot have {value!r} as a value")
    if isinstance(value, np.datetime64):
        value = pd.Timestamp(value)  # As a number it would count nanoseconds.
    if isinstance(value, np.timedelta64):
        value = pd.Timedelta(value)
    if hasattr(value, "item"):
        value = value.item()  # NumPy's booleans are not Python's.
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (datetime.date, datetime.time)):
        # Pandas has no dates but times at midnight; where a time is wanted, a date is one.
        return value.isoformat().removesuffix("T00:00:00")
    if not isinstance(value, (str, numbers.Real, decimal.Decimal, uuid.UUID)):
        raise TypeError(f"filter `{name}` cannot have {value!r} as a value: make a text of it")
    return str(value)
