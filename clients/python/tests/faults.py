"""A proxy that does what it is told to the next requests of a path, and notes what was asked."""

import http.client
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple
from urllib.parse import urlsplit


class Seen(NamedTuple):
    method: str
    path: str
    headers: dict
    at: float


class Proxy:
    def __init__(self, goal):
        self.goal = urlsplit(goal).netloc
        self.faults = []
        self.follows = False  # Whether files can be fetched while they are made.
        self.seen = []
        self.over = threading.Event()
        self._server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"proxy": self}))
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self._server.shutdown()
        self._server.server_close()

    def set_buffer(self, size):
        """How much of a request may have arrived without having been read."""
        self._server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)

    def serve_tls(self, context):
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)

    @property
    def connections(self):
        return self._server.connections

    def next(self, part, *faults):
        """Does this to the next requests whose path has that part, one fault a request."""
        self.faults += [(part, fault) for fault in faults]

    def asked(self, part):
        return [seen for seen in self.seen if part in seen.path]

    def take(self, path):
        for number, (part, _) in enumerate(self.faults):
            if part in path:
                return self.faults.pop(number)[1]
        return None


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    connections = 0

    def get_request(self):
        self.connections += 1
        return super().get_request()

    def handle_error(self, *_):
        """Says nothing of clients that have gone: that is what some tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def handle_request(self):
        proxy = self.proxy
        if "_follow" in self.path and not proxy.follows:
            return NOT_DONE.act(self, None, None)
        proxy.seen.append(Seen(self.command, self.path, dict(self.headers), time.monotonic()))
        fault = proxy.take(self.path)
        length = int(self.headers.get("Content-Length", 0))
        body = fault.read(self, length) if fault and fault.read else self.rfile.read(length)
        if fault and fault.instead:
            return fault.act(self, None, None)
        upstream = http.client.HTTPConnection(proxy.goal)
        headers = {name: text for name, text in self.headers.items() if name.lower() not in ("host", "connection")}
        upstream.request(self.command, self.path, body or None, headers)
        answer = upstream.getresponse()
        content = answer.read()
        upstream.close()
        if fault:
            return fault.act(self, answer, content)
        self.send(answer, content)

    do_GET = do_POST = do_PUT = handle_request

    def send(self, answer, content, cut_at=None, **headers):
        self.send_head(answer, headers, "Content-Length", str(len(content)))
        self.wfile.write(content[:cut_at])
        self.wfile.flush()

    def send_head(self, answer, headers, *length):
        self.send_response(answer.status)
        sent = {name.lower(): text for name, text in answer.getheaders()}
        sent.update({name.lower(): text for name, text in headers.items()})
        for name, text in sent.items():
            if name not in ("content-length", "transfer-encoding", "connection", "date"):
                self.send_header(name, text)
        if length:
            self.send_header(*length)
        self.end_headers()

    def log_message(self, *_):
        pass


class Fault(NamedTuple):
    instead: bool  # Of asking the server.
    act: object
    read: object = None  # Instead of reading the request's body all at once.


def cut(at, **headers):
    """Breaks the connection off after so many bytes."""

    def act(handler, answer, content):
        handler.send(answer, content, cut_at=at, **headers)
        handler.close_connection = True

    return Fault(False, act)


def stall(at):
    """Sends so many bytes and then nothing."""

    def act(handler, answer, content):
        handler.send(answer, content, cut_at=at)
        handler.proxy.over.wait(30)

    return Fault(False, act)


def in_chunks(sent=None, stalls=False, **headers):
    """Sends the file without its length; if only so many bytes of it, without the end by which it is known."""

    def act(handler, answer, content):
        handler.send_head(answer, headers, "Transfer-Encoding", "chunked")
        rest = content[:sent]
        while rest:
            piece, rest = rest[:1000], rest[1000:]
            handler.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        if sent is None:
            handler.wfile.write(b"0\r\n\r\n")
        handler.wfile.flush()
        if stalls:
            handler.proxy.over.wait(30)
        handler.close_connection = sent is not None

    return Fault(False, act)


def endless():
    """Sends the file, and goes on for as long as anybody reads."""

    def act(handler, answer, content):
        handler.send_head(answer, {}, "Transfer-Encoding", "chunked")
        while not handler.proxy.over.is_set():
            handler.wfile.write(b"%x\r\n%b\r\n" % (len(content), content))

    return Fault(False, act)


def until_it_closes():
    """Sends the file as HTTP/1.0 does: what has come when the connection closes is taken for all of it."""

    def act(handler, answer, content):
        handler.send_head(answer, {}, "Connection", "close")
        handler.wfile.write(content)
        handler.close_connection = True

    return Fault(False, act)


def alter(at):
    """Changes a byte."""
    return Fault(
        False,
        lambda handler, answer, content: handler.send(
            answer, content[: at % len(content)] + bytes([content[at] ^ 1]) + content[at % len(content) + 1 :]
        ),
    )


def shorten(by):
    """Leaves bytes out at the end, as if there had never been more."""
    return Fault(False, lambda handler, answer, content: handler.send(answer, content[:-by]))


def head(**headers):
    """Adds headers."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return Fault(False, lambda handler, answer, content: handler.send(answer, content, **named))


def lose():
    """Has the server do its work and drops its answer."""

    def act(handler, answer, content):
        handler.close_connection = True

    return Fault(False, act)


def reply(status, content=b"", **headers):
    """Answers in the server's place."""

    def act(handler, answer, _):
        handler.send_response(status)
        for name, text in headers.items():
            handler.send_header(name.replace("_", "-"), text)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)

    return Fault(True, act)


def hang():
    """Never answers."""
    return Fault(True, lambda handler, answer, content: handler.proxy.over.wait(30))


def trickle(part):
    """Sends its answer byte by byte: of all of it, or of its `body` alone."""

    def act(handler, answer, content):
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nfffffff\r\n"
        handler.wfile.write(head if part == "body" else b"")
        rest = iter(b"" if part == "body" else head)
        while not handler.proxy.over.wait(0.05):
            handler.wfile.write(bytes([next(rest, 32)]))

    return Fault(True, act)


def reads_slowly(size, secs):
    """Takes the request's body in pieces of this size, one each so many seconds."""

    def read(handler, length):
        body = b""
        while len(body) < length:
            body += handler.rfile.read(min(size, length - len(body)))
            handler.proxy.over.wait(secs)
        return body

    return Fault(False, lambda handler, answer, content: handler.send(answer, content), read)


def reads_no_more():
    """Takes the beginning of the request's body, and nothing more."""

    def read(handler, length):
        handler.rfile.read(1000)
        handler.proxy.over.wait(30)

    return Fault(True, lambda handler, answer, content: None, read)


NOT_DONE = reply(422, b'{"errors":["Holistics::NotFound"]}')
