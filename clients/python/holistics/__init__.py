"""SQL reports as data frames and files: the client of the reports data API."""

from ._imports import ImportResult
from .errors import (
    ApiError,
    DeadlineExceeded,
    HolisticsError,
    IncompleteResult,
    JobFailed,
    NoConnection,
    NotFound,
    TruncatedResult,
    UnexpectedAnswer,
    UnknownFilter,
    WrongKey,
)
from .holistics import HolisticsAPI

__version__ = "0.1.0"

__all__ = [
    "ApiError",
    "DeadlineExceeded",
    "HolisticsAPI",
    "HolisticsError",
    "ImportResult",
    "IncompleteResult",
    "JobFailed",
    "NoConnection",
    "NotFound",
    "TruncatedResult",
    "UnexpectedAnswer",
    "UnknownFilter",
    "WrongKey",
]
