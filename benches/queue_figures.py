"""Figures of the queue, on a server and a data folder of its own: they have a goal, and nothing beside them."""

import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import threading
import time

CLIENTS = 16
QUEUED = 10_000
WATCHERS, WATCH_SECONDS = 200, 6
SOAK_FIRST, SOAK = 1_000, 100_000
REPORTS = {
    1: "select max(a.n * b.n) from range(10000000) as a(n), range(10000000) as b(n)",
    2: "select {{ n }} as n",
}
FILTER = "filters:\n  n: {type: number, default: 0}\n"


class Server:
    def __init__(self, binary, folder, *options, sources=None):
        shutil.rmtree(folder, ignore_errors=True)
        self.folder = folder / "data"
        reports = folder / "reports"
        reports.mkdir(parents=True)
        for number, sql in REPORTS.items():
            (reports / f"{number}.sql").write_text(f"---\nid: {number}\ntitle: Report {number}\nshared_with: everyone\n{FILTER}---\n{sql}\n")

        def command(*arguments):
            done = subprocess.run([str(binary), *arguments, "--data-dir", str(self.folder)], check=True, capture_output=True, text=True)
            return done.stdout.strip()

        command("users", "add", "bench@example.com", "--api-access")
        self.key = command("keys", "create", "--user", "bench@example.com")
        for name, url in (sources or {}).items():
            command("sources", "add", name, "--type", "postgres", "--url", url)
            (reports / "source.sql").write_text(f"---\nid: 3\ntitle: Elsewhere\nshared_with: everyone\nsource: {name}\n---\nselect 1\n")
        command("reports", "apply", str(reports))
        log = folder / "log"
        self.process = subprocess.Popen(
            [str(binary), "serve", "--data-dir", str(self.folder), "--listen", "127.0.0.1:0", "--queue-max", "1000000",
             "--user-jobs-max", "100", *options], stderr=open(log, "w"))
        while "serving on http://" not in log.read_text():
            if self.process.poll() is not None:
                raise SystemExit(f"bench: the server ended: {log.read_text()}")
            time.sleep(0.02)
        self.host = log.read_text().split("serving on http://")[1].split()[0]

    def connect(self):
        return http.client.HTTPConnection(self.host)

    def ask(self, connection, path, method="GET"):
        connection.request(method, path, headers={"X-Holistics-Key": self.key})
        response = connection.getresponse()
        body = response.read()
        if response.status != 200:
            raise SystemExit(f"bench: {path}: {response.status} {body[:300]}")
        return json.loads(body)

    def many(self, count, path, clients=CLIENTS):
        """Seconds for so many requests, by some clients at once; `{}` in the path is the number of the request."""
        numbers, lock = iter(range(count)), threading.Lock()

        def client():
            connection = self.connect()
            while True:
                with lock:
                    number = next(numbers, None)
                if number is None:
                    return
                self.ask(connection, path.format(number))

        threads = [threading.Thread(target=client) for _ in range(clients)]
        began = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return time.monotonic() - began

    def processor_seconds(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(") ", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory_and_files(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        rss = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1024
        return rss, len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()


def submits_and_claims(binary, folder):
    """Submits while one job holds the only worker, and then how soon the worker begins the next of them.
    Every id is on disk when it is answered: WAL, `synchronous=normal`, and an fdatasync that those share who wait."""
    server = Server(binary, folder, "--workers", "1", "--log", "info,holistics::worker=debug")
    connection = server.connect()
    slow = server.ask(connection, "/queries/1/submit_query.json")["job_id"]
    while server.ask(connection, f"/jobs/{slow}.json")["status"] != "running":
        pass
    seconds = server.many(QUEUED, "/queries/2/submit_query.json?n={}")
    server.ask(connection, f"/jobs/{slow}/cancel.json", method="PUT")
    while server.ask(connection, "/jobs.json?status=queued&_page_size=1"):
        time.sleep(0.5)
    server.stop()
    with sqlite3.connect(server.folder / "metadata.sqlite") as metadata:
        times = metadata.execute("select started_at, ended_at from jobs where report_id = 2 order by started_at").fetchall()
    # While the queue is long.
    gaps = sorted((after[0] - before[1]) / 1000 for before, after in zip(times[:1000], times[1:1001]))
    log = (folder / "log").read_text()
    # The first is of the job that held the worker.
    claims = sorted(int(us) / 1000 for us in re.findall(r"job claimed .*claim_us=(\d+)", log)[1:1001])
    return QUEUED / seconds, *(each[len(each) * percent // 100] for each in (gaps, claims) for percent in (50, 99))


def long_polls(binary, folder):
    """Processor time of a server of which clients only wait, in percent of one core.
    The job that they wait for runs on a database that never answers."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgres://nobody@127.0.0.1:{silent.getsockname()[1]}/none?sslmode=disable"
        server = Server(binary, folder, sources={"silent": url})
        job = server.ask(server.connect(), "/queries/3/submit_query.json")["job_id"]
        watchers = [server.connect() for _ in range(WATCHERS)]
        for watcher in watchers:
            watcher.request("GET", f"/jobs/{job}/get_results.json?_wait=50", headers={"X-Holistics-Key": server.key})
        time.sleep(1)
        before = server.processor_seconds()
        time.sleep(WATCH_SECONDS)
        spent = server.processor_seconds() - before
        for watcher in watchers:
            watcher.close()
        server.stop()
    return 100 * spent / WATCH_SECONDS


def soak(binary, folder, jobs=SOAK):
    """Memory and open files after the first jobs and after all of them."""
    server = Server(binary, folder)
    path = "/queries/2/submit_query.json?n={}&_wait=10"
    server.many(SOAK_FIRST, path)
    before = server.memory_and_files()
    server.many(jobs - SOAK_FIRST, path)
    after = server.memory_and_files()
    server.stop()
    return before, after
