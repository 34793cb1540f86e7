"""How the server is spoken to: one session, one deadline a call, one way to fail.

Nothing here knows what a report is. The key is held by `_Key` alone, so that no repr, traceback or log shows it.
"""

from __future__ import annotations

import email.utils
import http.client
import io
import numbers
import os
import random
import re
import socket
import time
from contextlib import suppress
from contextvars import ContextVar
from functools import partial
from typing import Any
from urllib.parse import SplitResult, urljoin, urlsplit

import requests
import urllib3

from .errors import ApiError, DeadlineExceeded, NoConnection, NotFound, UnexpectedAnswer, WrongKey

DEFAULT_URL = "https://secure.holistics.io"
KEY_HEADER = "X-Holistics-Key"
CONNECT_SECS = 10.0
READ_SECS = 60.0
ATTEMPTS = 5
PAUSE_SECS_MAX = 8.0
BUSY_SECS = 300.0  # A key that may be used so many times a minute is kept waiting for less than one.
BUSY = 429
NO_ROUTE = "no such route"
NOT_FOUND = "Resource not found"  # What the API says of a report or a job, in JSON or, of some files, as text.
RETRIED = {500, 502, 503, 504}
AWAY = {502, 503, 504}
AWAY_SECS = 30.0  # Of a server that is being restarted.
UNTRUSTED = "certificate verify failed: "
# What Linux, macOS and Windows say of a name that nobody has; what may be so for a moment is none of these.
UNKNOWN_NAMES = ("Name or service not known", "nodename nor servname provided", "getaddrinfo failed")


class Deadline:
    """How much of a call's time is left; without a timeout it never ends."""

    def __init__(self, timeout: float | None) -> None:
        if timeout is not None and (not isinstance(timeout, numbers.Real) or isinstance(timeout, bool)):
            raise TypeError(f"timeout must be a number of seconds, or None for no deadline, got {timeout!r}")
        if timeout is not None and not timeout >= 0:
            raise ValueError(f"timeout must be a number of seconds from 0, got {timeout!r}")
        self._timeout = timeout
        self._end = None if timeout is None else time.monotonic() + timeout

    def left(self, because: Exception | None = None) -> float | None:
        """Returns the seconds that are left, None for no end of them; raises once there are none."""
        if self._end is None:
            return None
        left = self._end - time.monotonic()
        if left <= 0:
            raise self._exceeded(because) from because
        return left

    def clip(self, seconds: float) -> float:
        """Returns these seconds, or what is left; raises once nothing is."""
        left = self.left()
        return seconds if left is None else min(seconds, left)

    def sleep(self, seconds: float, because: Exception | None = None) -> None:
        """Sleeps, unless the deadline comes first: then there is nothing to wait for."""
        if self.clip(seconds) < seconds:
            raise self._exceeded(because) from because
        time.sleep(seconds)

    def _exceeded(self, because: Exception | None = None) -> DeadlineExceeded:
        over = DeadlineExceeded(f"not done within {self._timeout:g} s" + (f": {because}" if because else ""))
        over.may_go_on = getattr(because, "may_go_on", False)
        return over


class Http:
    """A server and a key to it."""

    def __init__(self, api_key: str, url: str | None) -> None:
        url = url or os.environ.get("HOLISTICS_HOST") or DEFAULT_URL
        self.url = (url if "://" in url else "https://" + url).rstrip("/")
        parts = _address(self.url)
        if parts is None:
            shown = url.rpartition("@")[2]  # Before it may be a password.
            raise ValueError(f"the address of the server must be like https://reports.example.com, got `{shown}`")
        self.shown = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()  # Without a password.
        self.is_local = parts.hostname in ("localhost", "127.0.0.1", "::1")
        self._key = _Key(api_key)
        self._has_answered = False
        self._begin_session()

    def _begin_session(self) -> None:
        self._process = os.getpid()
        self._session = _Session()
        self._session.auth = self._key
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, _Adapter())

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

        What was refused because the server is busy was not accepted, and is sent again whatever it is.
        Only downloads are redirected, to where files are kept: elsewhere it would lose the filters.
        """
        if os.getpid() != self._process:
            self._begin_session()  # Over one connection two processes would take each other's answers.
        tries, failures, waited = 0, 0, 0.0
        may_go_on = False
        was_there, away_since = self._has_answered, 0.0
        while True:
            tries += 1
            pause = min(0.125 * 2**tries, PAUSE_SECS_MAX) * random.uniform(0.5, 1.5)
            timeout: Any = urllib3.Timeout(connect=CONNECT_SECS, read=READ_SECS + wait, total=deadline.left())
            problem: ApiError
            DEADLINE.set(deadline)
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
                problem = NoConnection(f"cannot reach {self.shown}: {_reason(failure)}")
                may_go_on |= _may_have_arrived(failure)
                failures = attempts if _is_lasting(failure) else failures + 1
                is_away = not _is_lasting(failure)
            else:
                is_away = answer.status_code in AWAY
                self._has_answered = self._has_answered or not is_away
                if answer.status_code < 300:
                    return answer
                problem = _refusal(answer, about)
                if answer.status_code not in (BUSY, *RETRIED):
                    problem.may_go_on = may_go_on
                    raise problem
                may_go_on |= answer.status_code != BUSY
                failures += answer.status_code != BUSY
                pause = max(pause, _retry_after(answer))
            # Raised out here, the error has no context: requests' own errors refer to the key.
            problem.may_go_on = may_go_on
            deadline.left(problem)
            waited += pause
            away_since = (away_since or time.monotonic()) if is_away else 0.0
            # One that was there before may be there again.
            is_awaited = was_there and attempts > 1 and is_away and time.monotonic() - away_since < AWAY_SECS
            if waited > BUSY_SECS or (failures >= attempts and not is_awaited):
                raise problem
            deadline.sleep(pause, problem)

    def json(self, method: str, path: str, *, shape: Any, **options: Any) -> Any:
        """As `request`, for what answers with JSON of this shape."""
        answer = self.request(method, path, **options)
        with suppress(ValueError, RecursionError):
            content = answer.json()
            if has_shape(content, shape):
                return content
        problem = unexpected(answer)
        # What was asked for may have been done, whatever became of the answer.
        problem.may_go_on = True
        raise problem


def has_shape(value: Any, shape: Any) -> bool:
    """Whether a value of JSON is of a type, one of several shapes, an array of one, or an object with such members."""
    if isinstance(shape, tuple):
        return any(has_shape(value, each) for each in shape)
    if isinstance(shape, list):
        return isinstance(value, list) and all(has_shape(each, shape[0]) for each in value)
    if isinstance(shape, dict):
        return isinstance(value, dict) and all(has_shape(value.get(name), of) for name, of in shape.items())
    return value is None if shape is None else type(value) is shape


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


class Body:
    """What is sent piece by piece, and knows over which connection."""

    connection: Any = None


# Until when what is asked for now must be there.
DEADLINE: ContextVar[Deadline] = ContextVar("deadline")


class _Answer(http.client.HTTPResponse):
    """Is read until the deadline, however little of it comes at a time; sockets know silence alone."""

    def __init__(self, sock: socket.socket, *args: Any, deadline: Deadline | None, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        # What else is like a socket is that of a proxy within a proxy, and has its own ways.
        if deadline is not None and isinstance(sock, socket.socket):
            self.fp = io.BufferedReader(_Limited(self.fp.detach(), sock, deadline))


class _Limited(io.RawIOBase):
    """Reads what a socket has; nobody waits longer for it than the deadline."""

    def __init__(self, source: io.RawIOBase, sock: socket.socket, deadline: Deadline) -> None:
        self._source, self._sock, self._deadline = source, sock, deadline
        self._silence = sock.gettimeout() or READ_SECS

    def readable(self) -> bool:
        return True

    def readinto(self, into: Any) -> int | None:
        self._sock.settimeout(self._deadline.clip(self._silence))
        return self._source.readinto(into)

    def close(self) -> None:
        self._source.close()
        super().close()


class _Connection:
    """Tells a body that it is the one over which it goes, and an answer until when it must be there."""

    @property
    def response_class(self) -> Any:
        return partial(_Answer, deadline=DEADLINE.get(None))

    def request(self, *args: Any, **options: Any) -> Any:
        if isinstance(options.get("body"), Body):
            options["body"].connection = self
        return super().request(*args, **options)  # type: ignore[misc]


class _HttpConnection(_Connection, urllib3.connection.HTTPConnection):  # type: ignore[override]
    pass


class _HttpsConnection(_Connection, urllib3.connection.HTTPSConnection):  # type: ignore[override]
    pass


class _HttpPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _HttpConnection


class _HttpsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _HttpsConnection


class _Adapter(requests.adapters.HTTPAdapter):
    """Makes connections that a body can know, which else has the time for connecting to be sent."""

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        self._with_classes(self.poolmanager)

    def proxy_manager_for(self, *args: Any, **options: Any) -> Any:
        return self._with_classes(super().proxy_manager_for(*args, **options))

    def _with_classes(self, manager: Any) -> Any:
        manager.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}
        return manager


class _Session(requests.Session):
    """Follows redirects without handing the key to another host, which requests does only for its own header."""

    def rebuild_auth(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
        hosts = str(response.request.url), str(prepared_request.url)
        if self.should_strip_auth(*hosts):  # type: ignore[no-untyped-call, unused-ignore]
            prepared_request.headers.pop(KEY_HEADER, None)


def limit_silence(connection: Any, deadline: Deadline) -> None:
    """Sets how long to wait until the next bytes come or go, because the deadline has come nearer since the last."""
    silence = deadline.clip(READ_SECS)
    if connection is not None and connection.sock is not None:
        connection.sock.settimeout(silence)


def unexpected(answer: requests.Response) -> UnexpectedAnswer:
    """What to say of an answer that is not the API's."""
    _forget_key(answer)
    kind = answer.headers.get("Content-Type", "something").split(";")[0]
    kind = {"text/html": "a web page", "application/json": "JSON of another kind"}.get(kind, kind)
    host = _shown(answer)
    if answer.is_redirect:
        goal = urlsplit(urljoin(answer.url, answer.headers["Location"]))
        place = f"{goal.scheme}://{goal.netloc.rpartition('@')[2]}{goal.path}"
        return UnexpectedAnswer(
            f"{host} redirects to {place}: a log-in page, or the address to use?",
            response=answer,
        )
    why = "is its address right?" if answer.status_code == 404 else "a proxy, or not the API?"
    return UnexpectedAnswer(
        f"{host} answers with {kind} instead of data (status {answer.status_code}): {why}",
        response=answer,
    )


def _shown(answer: requests.Response) -> str:
    return urlsplit(answer.url).netloc.rpartition("@")[2]  # Without a password.


def _refusal(answer: requests.Response, about: str) -> ApiError:
    _forget_key(answer)
    status = answer.status_code
    if answer.is_redirect or "text/html" in answer.headers.get("Content-Type", ""):
        return unexpected(answer)
    message = message_of(answer)
    if status == 401 or "InvalidAuthenticationToken" in message:
        return WrongKey("the API key is unknown or revoked, or its user has no API access", response=answer)
    if status == 404:
        if message.startswith(NO_ROUTE):
            return UnexpectedAnswer(f"{_shown(answer)} has no reports: {message}", response=answer)
        if message != NOT_FOUND:
            return unexpected(answer)
        return NotFound(f"there is no {about}, or this key may not see it", response=answer)
    after = _retry_after(answer) if status == BUSY else 0.0
    when = f"; asked again, it may answer in {after:g} s" if after > BUSY_SECS else ""
    return ApiError(f"{about}: {message} (status {status}){when}", response=answer)


def message_of(answer: requests.Response) -> str:
    """What the server says of a request that it refused."""
    try:
        body = answer.json()
        return "; ".join(body.get("errors") or [body["error"]])
    except (ValueError, AttributeError, KeyError, TypeError, RecursionError):
        return answer.text.strip()[:500] or answer.reason


def _forget_key(answer: requests.Response) -> None:
    for each in (answer, *answer.history):
        each.request.headers.pop(KEY_HEADER, None)


def _reason(failure: requests.exceptions.RequestException) -> str:
    """Says in a few words what requests says in many, which would name the whole address with its filters."""
    if isinstance(failure, requests.exceptions.Timeout) or "timed out" in str(failure):
        return "no answer in time"
    if isinstance(failure, requests.exceptions.TooManyRedirects):
        return "it redirects in circles"
    if found := re.search(UNTRUSTED + r"([^'\"()]+)", str(failure)):
        why = found.group(1).strip()
        return f"its certificate is not trusted ({why}); REQUESTS_CA_BUNDLE may name a file of those that are"
    if any(words in str(failure) for words in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE")):
        return "what answers there does not speak https: an address of plain http must begin with http://"
    found = re.search(r"\[(?:Errno -?\d+|WinError \d+|SSL: \w+)\] ([^'\"()]+)", str(failure))
    reason = found.group(1).strip() if found else "the connection broke"
    if _is_unknown_name(failure):
        return f"{reason}: is the host's name right, and the network there?"
    if isinstance(failure, requests.exceptions.ConnectionError) and "refused" in reason:
        return f"{reason}: is the server running, and the port right?"
    return reason


def _may_have_arrived(failure: requests.exceptions.RequestException) -> bool:
    """Whether what was sent may have been taken, though no answer says so."""
    reason = getattr(failure.args[0] if failure.args else None, "reason", None)
    is_unsent = isinstance(reason, (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError))
    return not is_unsent and not _is_lasting(failure)


def _is_lasting(failure: requests.exceptions.RequestException) -> bool:
    """Whether the next attempt would fail alike: it would meet the same certificate, or the same kind of server."""
    exceptions = requests.exceptions
    if isinstance(failure, (exceptions.TooManyRedirects, exceptions.InvalidSchema, exceptions.InvalidURL)):
        return True
    is_tls = isinstance(failure, exceptions.SSLError)
    return (is_tls and "EOF" not in str(failure)) or _is_unknown_name(failure)


def _is_unknown_name(failure: requests.exceptions.RequestException) -> bool:
    return any(words in str(failure) for words in UNKNOWN_NAMES)


def _address(url: str) -> SplitResult | None:
    with suppress(ValueError):
        parts = urlsplit(url)
        is_port = parts.port is None or parts.port > 0
        is_plain = not parts.query and not parts.fragment
        if parts.scheme in ("http", "https") and parts.hostname and is_port and is_plain:
            return parts
    return None


def _retry_after(answer: requests.Response) -> float:
    text = answer.headers.get("Retry-After", "")
    if text.isascii() and text.isdigit():
        return float(text[:9])
    with suppress(ValueError, OverflowError):
        moment = email.utils.parsedate_tz(text)
        return max(0.0, email.utils.mktime_tz(moment) - time.time()) if moment else 0.0
    return 0.0
