"""What can go wrong, by what a caller can do about it.

Every class derives from `HolisticsError` and from the class that callers of the older package already catch.
None of them holds the API key.
"""

from __future__ import annotations

import inspect
import warnings

import requests


class HolisticsError(Exception):
    """The base of all errors of this package."""

    may_go_on = False  # Whether a job may go on that this is about.


class ApiError(HolisticsError, requests.exceptions.HTTPError):
    """The server refused a request; `response` has its answer, where there was one."""

    @property
    def status(self) -> int | None:
        """What the server answered with, if it did."""
        return None if self.response is None else self.response.status_code


class WrongKey(ApiError):
    """The key is unknown or revoked, or its user has no API access."""


class NotFound(ApiError):
    """There is no such report or job, or this key may not know of it."""


class UnexpectedAnswer(ApiError):
    """What answered is not the API: a proxy's page, a log-in page, another service."""


class NoConnection(ApiError, requests.exceptions.ConnectionError):
    """The server cannot be reached, or does not answer."""


class JobFailed(HolisticsError, RuntimeError):
    """The job failed or was cancelled; the message is the database's own."""

    def __init__(self, message: str, job_id: str = "") -> None:
        super().__init__(message)
        self.job_id = job_id


class IncompleteResult(HolisticsError, RuntimeError):
    """What arrived is not what the server made: it is short, or was altered on its way."""


class DeadlineExceeded(HolisticsError, TimeoutError):
    """The call took longer than its `timeout`; a job that it had begun was told to stop."""


class TruncatedResult(UserWarning):
    """The result was cut at the limit of rows, and nobody had asked for that."""


class UnknownFilter(UserWarning):
    """The report has no such filter: it was ignored, as the older package did."""


def add_to(problem: BaseException, hint: str) -> None:
    """Has an error of this package say what else there is to know."""
    if hint and isinstance(problem, HolisticsError):
        problem.args = (f"{problem}; {hint}", *problem.args[1:])


def warn(message: str, category: type[Warning]) -> None:
    """Warns of the line that called this package, however deep in it the reason was found."""
    depth, level, frame = 0, 1, inspect.currentframe()
    while frame is not None:
        depth += 1
        if frame.f_globals.get("__package__") == __package__:
            level = depth + 1
        frame = frame.f_back
    warnings.warn(message, category, stacklevel=level)
