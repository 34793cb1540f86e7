"""What keys cost, and whether time tells a right one from a wrong one: python3 benches/access_figures.py BINARY [REQUESTS]

Kinds of requests take turns in random order over one connection, so that whatever else the machine does meets all
of them alike. Two kinds are compared by the Mann-Whitney test: how likely one request of the first takes longer than
one of the second (0.5: no difference), and how likely chance alone makes that far from it."""

import math
import pathlib
import random
import secrets
import socket
import sqlite3
import statistics
import sys
import tempfile
import time

import queue_figures

REQUESTS = int(sys.argv[2]) if len(sys.argv) > 2 else 20_000


class Connection:
    """Bytes out, bytes in: a client that does as little as it can."""

    def __init__(self, host):
        address, port = host.split(":")
        self.socket = socket.create_connection((address, int(port)))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, path, key=None, address=None):
        """The status, and how many nanoseconds passed until the whole answer was there."""
        head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n"
        head += f"X-Holistics-Key: {key}\r\n" if key else "X-Nothing: {}\r\n".format("x" * 47)
        head += f"X-Forwarded-For: {address}\r\n\r\n" if address else "\r\n"
        request = head.encode()
        began = time.perf_counter_ns()
        self.socket.sendall(request)
        answer = b""
        while True:
            piece = self.socket.recv(65536)
            if not piece:
                raise SystemExit(f"bench: the server went away after {answer!r}")
            answer += piece
            head_end = answer.find(b"\r\n\r\n")
            if head_end > 0:
                length = int(answer.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                if len(answer) >= head_end + 4 + length:
                    break
        return int(answer[9:12]), time.perf_counter_ns() - began


def wrong_like(key):
    """All but the last character of a right one, as the worst of guesses has it."""
    body = key.rstrip("=")
    last = "A" if body[-1] != "A" else "B"
    return body[:-1] + last + key[len(body):]


def mann_whitney(ones, others):
    """How likely one of the first is above one of the others, and the p-value (normal approximation, with ties)."""
    ranked = sorted([(value, 0) for value in ones] + [(value, 1) for value in others])
    ranks, ties, at = 0.0, 0.0, 0
    while at < len(ranked):
        end = at
        while end < len(ranked) and ranked[end][0] == ranked[at][0]:
            end += 1
        middle = (at + 1 + end) / 2
        ranks += middle * sum(1 for _, which in ranked[at:end] if which == 0)
        ties += (end - at) ** 3 - (end - at)
        at = end
    n, m = len(ones), len(others)
    u = ranks - n * (n + 1) / 2
    total = n + m
    deviation = math.sqrt(n * m / 12 * (total + 1 - ties / (total * (total - 1))))
    return u / (n * m), math.erfc(abs(u - n * m / 2) / deviation / math.sqrt(2))


def compare(name, one, times):
    first, second = one
    likely, p = mann_whitney(times[first], times[second])
    difference = (statistics.median(times[first]) - statistics.median(times[second])) / 1000
    print(f"{name}: {difference:+.1f} µs at p50, P(longer) {likely:.3f}, p {p:.2g}")


def measure(host, kinds):
    """Nanoseconds by kind, as many of each."""
    connection = Connection(host)
    numbers = iter(range(1, 1 << 24))
    for path, key, status in kinds.values():
        # The first of them may write down that the key was used.
        for _ in range(20):
            address = "10." + ".".join(str(next(numbers) >> shift & 255) for shift in (16, 8, 0)) if status != 404 else None
            got, _ = connection.ask(path, key() if key else None, address)
            if got != status:
                raise SystemExit(f"bench: {path} answered {got}, not {status}")
    order = list(kinds) * REQUESTS
    random.Random(1).shuffle(order)
    times = {kind: [] for kind in kinds}
    for kind in order:
        path, key, _ = kinds[kind]
        number = next(numbers)
        # Each comes from another address, or wrong ones would be slowed down.
        address = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
        _, elapsed = connection.ask(path, key() if key else None, address)
        times[kind].append(elapsed)
    for kind in kinds:
        middle, p99 = statistics.median(times[kind]), statistics.quantiles(times[kind], n=100)[98]
        print(f"{kind}: p50 {middle / 1e6:.3f} ms, p99 {p99 / 1e6:.3f} ms")
    return times


def main():
    binary = pathlib.Path(sys.argv[1]).resolve()
    random.seed(1)
    with tempfile.TemporaryDirectory() as folder:
        server = queue_figures.Server(binary, pathlib.Path(folder), "--trusted-proxies", "127.0.0.1/32", "--log", "warn,holistics::cli=info")
        try:
            def command(*arguments):
                return queue_figures.subprocess.run(
                    [str(binary), *arguments, "--data-dir", str(server.folder)],
                    check=True, capture_output=True, text=True).stdout.strip()

            # As many as a server may have that has been used for years.
            database = sqlite3.connect(server.folder / "metadata.sqlite", timeout=30)
            with database:
                database.executemany(
                    "insert into api_keys (user_id, name, hash, created_at, terms) select user_id, 'more', ?, created_at, terms "
                    "from api_keys where id = 1", ((secrets.token_bytes(32),) for _ in range(10_000)))
            database.close()
            barred = command("keys", "create", "--user", "bench@example.com", "--from", "192.0.2.0/24")
            revoked = command("keys", "create", "--user", "bench@example.com")
            command("keys", "revoke", command("keys", "list").split("\n")[-1].split(" ")[0])
            guess, near = "hlk_" + "A" * 43 + "=", wrong_like(server.key)
            cheap = "/users/info.json"
            times = measure(server.host, {
                "no such route, no check": ("/nothing", None, 404),
                "right key": (cheap, lambda: server.key, 200),
                "right key, from elsewhere": (cheap, lambda: barred, 403),
                "wrong key": (cheap, lambda: guess, 422),
                "wrong in its last character": (cheap, lambda: near, 422),
                "revoked key": (cheap, lambda: revoked, 422),
            })
            compare("a key's checks, with their answer", ("right key", "no such route, no check"), times)
            compare("wrong in the last character - wrong from the first", ("wrong in its last character", "wrong key"), times)
            compare("revoked - wrong", ("revoked key", "wrong key"), times)
            compare("right - wrong", ("right key", "wrong key"), times)
            compare("right, from elsewhere - wrong", ("right key, from elsewhere", "wrong key"), times)
        finally:
            server.process.terminate()
            server.process.wait()


main()
