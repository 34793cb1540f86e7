"""The texts that files have for values which Arrow does not write, or not read: intervals, and what is far away.

Dates before the year 1 and after 9999, infinity, and numbers of more digits than their type says are values of
databases; Arrow holds them too.
"""

from __future__ import annotations

import datetime
import re

import pyarrow as pa

TICKS_A_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
DAY_SECS = 86_400
DAYS_OF_400_YEARS = 146_097
MOMENT = re.compile(
    r"(?:(\d{4,})-(\d\d)-(\d\d)( \(BC\))?)?"  # The date,
    r" ?(?:(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:\+00)?)?"  # the time of day.
)


def clock_text(nanoseconds: int) -> str:
    """A span of time: `26:03:04.5`."""
    seconds, fraction = divmod(abs(nanoseconds), 10**9)
    clock = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return ("-" if nanoseconds < 0 else "") + (f"{clock}.{fraction:09}".rstrip("0") if fraction else clock)


def interval_text(months: int, days: int, nanoseconds: int) -> str:
    """An interval: `1 year 2 months -3 days 04:05:06.789`, `00:00:00` for none."""
    sign = -1 if months < 0 else 1
    counts = ((sign * (abs(months) // 12), "year"), (sign * (abs(months) % 12), "month"), (days, "day"))
    parts = [f"{count} {unit}{'' if abs(count) == 1 else 's'}" for count, unit in counts if count]
    if nanoseconds or not parts:
        parts.append(clock_text(nanoseconds))
    return " ".join(parts)


def from_texts(texts: pa.ChunkedArray, wanted: pa.DataType) -> pa.ChunkedArray:
    """Reads values of this type from their texts in files; raises ValueError where there is none."""
    if pa.types.is_decimal(wanted):
        width = wanted.byte_width
        numbers = [
            None if text is None else _digits(text, wanted.scale).to_bytes(width, "little", signed=True)
            for text in texts.to_pylist()
        ]
        array = pa.array(numbers, pa.binary(width))
        return pa.chunked_array([pa.Array.from_buffers(wanted, len(array), array.buffers())])
    storage = pa.int32() if pa.types.is_date32(wanted) else pa.int64()
    counts = [None if text is None else _count(text, wanted) for text in texts.to_pylist()]
    return pa.chunked_array([pa.array(counts, storage).view(wanted)])


def _digits(text: str, scale: int) -> int:
    """A decimal, as many times the smallest step of its type."""
    whole, _, rest = text.partition(".")
    if len(rest) > scale:
        raise ValueError(f"`{text}` has more than {scale} decimal places")
    return int(whole + rest.ljust(scale, "0"))


def _count(text: str, wanted: pa.DataType) -> int:
    """A date as days, a timestamp or time as ticks; the two outermost values stand for infinity."""
    if text in ("infinity", "-infinity"):
        outermost: int = 2 ** (31 if pa.types.is_date32(wanted) else 63) - 1
        return outermost if text == "infinity" else -outermost
    found = MOMENT.fullmatch(text)
    if not found or not text:
        raise ValueError(f"`{text}` is no {wanted}")
    year, month, day, before_christ, hours, minutes, seconds, fraction = found.groups()
    days = _days(1 - int(year) if before_christ else int(year), int(month), int(day)) if year else 0
    if pa.types.is_date32(wanted):
        return days
    ticks_a_second: int = TICKS_A_SECOND[wanted.unit]
    clock = int(hours or 0) * 3600 + int(minutes or 0) * 60 + int(seconds or 0)
    ticks = int((fraction or "").ljust(9, "0")) * ticks_a_second // 10**9
    return (days * DAY_SECS + clock) * ticks_a_second + ticks


def _days(year: int, month: int, day: int) -> int:
    """Days since 1970; after 400 years the calendar begins again."""
    cycles, year = divmod(year, 400)
    ordinal = datetime.date(year + 400, month, day).toordinal() + (cycles - 1) * DAYS_OF_400_YEARS
    return ordinal - datetime.date(1970, 1, 1).toordinal()
