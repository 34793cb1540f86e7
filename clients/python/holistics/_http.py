"""How the server is spoken to: one session, one deadline a call, one way to fail.

Nothing here knows what a report is. The key is held by `_Key` alone, so that no repr, traceback or log shows it.
"""

from __future__ import annotations

import email.utils
import os
import random
import re
import time
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests

from .errors import ApiError, DeadlineExceeded, NoConnection, NotFound, UnexpectedAnswer, WrongKey

DEFAULT_URL = "https://secure.holistics.io"
KEY_HEADER = "X-Holistics-Key"
CONNECT_SECS = 10.0
READ_SECS = 60.0
ATTEMPTS = 5
RETRIED = {429, 500, 502, 503, 504}
UNTRUSTED = "certificate verify failed: "


class Deadline:
    """How much of a call's time is left; without a timeout it never ends."""

    def __init__(self, timeout: float | None) -> None:
        self._timeout = timeout
        self._end = None if timeout is None else time.monotonic() + timeout

    def clip(self, seconds: float) -> float:
        """Returns these seconds, or what is left; raises once nothing is."""
        if self._end is None:
            return seconds
        left = self._end - time.monotonic()
        if left <= 0:
            raise self._exceeded()
        return min(seconds, left)

    def sleep(self, seconds: float, because: Exception | None = None) -> None:
        """Sleeps, unless the deadline comes first: then there is nothing to wait for."""
        if self.clip(seconds) < seconds:
            raise self._exceeded(because) from because
        time.sleep(seconds)

    def _exceeded(self, because: Exception | None = None) -> DeadlineExceeded:
        return DeadlineExceeded(f"not done within {self._timeout:g} s" + (f": {because}" if because else ""))


class Http:
    """A server and a key to it."""

    def __init__(self, api_key: str, url: str | None) -> None:
        url = url or os.environ.get("HOLISTICS_HOST") or DEFAULT_URL
        self.url = (url if "://" in url else "https://" + url).rstrip("/")
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"the address of the server must be like https://reports.example.com, got `{url}`")
        self.is_local = parts.hostname in ("localhost", "127.0.0.1", "::1")
        self._session = _Session()
        self._session.auth = _Key(api_key)

    def request(
        self,
        method: str,
        path: str,
        *,
        about: str,
        deadline: Deadline,
        wait: float = 0.0,
        stream: bool = False,
        attempts: int = ATTEMPTS,
        **options: Any,
    ) -> requests.Response:
        """Sends what is safe to send again, until it is answered. `about` is what an error says was asked for.

        Only downloads are redirected, to where files are kept: elsewhere it would lose the filters.
        """
        for attempt in range(1, attempts + 1):
            pause = 0.125 * 2**attempt * random.uniform(0.5, 1.5)
            timeout = (deadline.clip(CONNECT_SECS), deadline.clip(READ_SECS + wait))
            problem: ApiError
            is_final = False
            try:
                answer = self._session.request(
                    method,
                    self.url + path,
                    timeout=timeout,
                    stream=stream,
                    allow_redirects=stream,
                    **options,
                )
                if answer.status_code >= 300:
                    _ = answer.content  # Of a stream, too: should this break, it is dealt with here.
            except requests.exceptions.RequestException as failure:
                problem = NoConnection(f"cannot reach {self.url}: {_reason(failure)}")
                is_final = UNTRUSTED in str(failure)  # Asked again, it has the same certificate.
            else:
                if answer.status_code < 300:
                    return answer
                problem = _refusal(answer, about)
                if answer.status_code not in RETRIED:
                    raise problem
                pause = max(pause, _retry_after(answer))
            # Raised out here, the error has no context: requests' own errors refer to the key.
            deadline.clip(pause)
            if is_final:
                break
            if attempt < attempts:
                deadline.sleep(pause, problem)
        raise problem

    def json(self, method: str, path: str, **options: Any) -> Any:
        """As `request`, for what answers JSON."""
        answer = self.request(method, path, **options)
        try:
            return answer.json()
        except ValueError:
            pass
        raise unexpected(answer)


class _Key(requests.auth.AuthBase):
    """Puts the key into each request, at the last moment."""

    def __init__(self, api_key: str) -> None:
        if not isinstance(api_key, str) or not api_key:
            raise ValueError("the API key must be a text that is not empty")
        if re.search(r"\s", api_key):
            raise ValueError("the API key has a line break or space in it: strip() what was read from a file")
        if not api_key.isascii() or not api_key.isprintable():
            raise ValueError("the API key has letters that no key has")
        self._api_key = api_key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers[KEY_HEADER] = self._api_key
        return request

    def __repr__(self) -> str:
        return "<API key>"


class _Session(requests.Session):
    """Follows redirects without handing the key to another host, which requests does only for its own header."""

    def rebuild_auth(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
        another_host = self.should_strip_auth(response.request.url, prepared_request.url)  # type: ignore[no-untyped-call]
        if another_host:
            prepared_request.headers.pop(KEY_HEADER, None)


def unexpected(answer: requests.Response) -> UnexpectedAnswer:
    """What to say of an answer that is not the API's."""
    _forget_key(answer)
    kind = answer.headers.get("Content-Type", "something").split(";")[0]
    kind = "a web page" if kind == "text/html" else kind
    host = urlsplit(answer.url).netloc
    if answer.is_redirect:
        goal = urlsplit(urljoin(answer.url, answer.headers["Location"]))
        return UnexpectedAnswer(
            f"{host} redirects to {goal.scheme}://{goal.netloc}{goal.path}: a log-in page, or the address to use?",
            response=answer,
        )
    return UnexpectedAnswer(
        f"{host} answers with {kind} instead of data (status {answer.status_code}): a proxy, or not the API?",
        response=answer,
    )


def _refusal(answer: requests.Response, about: str) -> ApiError:
    _forget_key(answer)
    status = answer.status_code
    if answer.is_redirect or "text/html" in answer.headers.get("Content-Type", ""):
        return unexpected(answer)
    try:
        body = answer.json()
        message = "; ".join(body.get("errors") or [body["error"]])
    except (ValueError, AttributeError, KeyError, TypeError):
        message = answer.text.strip()[:500] or answer.reason
    if status == 401 or "InvalidAuthenticationToken" in message:
        return WrongKey("the API key is unknown or revoked, or its user has no API access", response=answer)
    if status == 404:
        return NotFound(f"there is no {about}, or this key may not see it", response=answer)
    return ApiError(f"{about}: {message} (status {status})", response=answer)


def _forget_key(answer: requests.Response) -> None:
    for each in (answer, *answer.history):
        each.request.headers.pop(KEY_HEADER, None)


def _reason(failure: requests.exceptions.RequestException) -> str:
    """Says in a few words what requests says in many, which would name the whole address with its filters."""
    if isinstance(failure, requests.exceptions.Timeout):
        return "no answer in time"
    if isinstance(failure, requests.exceptions.TooManyRedirects):
        return "it redirects in circles"
    if found := re.search(UNTRUSTED + r"([^'\"()]+)", str(failure)):
        why = found.group(1).strip()
        return f"its certificate is not trusted ({why}); REQUESTS_CA_BUNDLE may name a file of those that are"
    found = re.search(r"\[(?:Errno -?\d+|SSL: \w+)\] ([^'\"()]+)", str(failure))
    return found.group(1).strip() if found else "the connection broke"


def _retry_after(answer: requests.Response) -> float:
    text = answer.headers.get("Retry-After", "")
    if text.isdigit():
        return float(text)
    moment = email.utils.parsedate_tz(text)
    return max(0.0, email.utils.mktime_tz(moment) - time.time()) if moment else 0.0
