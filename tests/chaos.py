"""What `make chaos` runs: a load on the real server, something terrible at a random moment, and what must hold after it.

Every round starts the server on the same data folder, lets clients of several kinds loose on it, and then kills,
stops or freezes it, cuts its connections to the source, fills its disk or makes it read-only, sets its clock, or has
it die at a named place in its code. It is started again, everything accepted is waited for, and then:

- every accepted job has one end: `success`, `failure` or `cancelled`, and keeps it
- a success has all its rows: pages, files and the source agree; a file that was announced never changes
- a failure says why, and none is of our making
- rows of an import that succeeded are there once; of any other all or none; in all four kinds of databases
- submits with the same idempotency key are one job, however often they were sent
- nothing runs at the source for a job that is over, and no table of an import is left there
- every file has a row, every row its file; `pragma integrity_check` and `foreign_key_check` find nothing

A round prints its seed; `make chaos ARGS="--seed 7 --rounds 1"` does it again.
"""

import argparse
import collections
import contextlib
import csv
import glob
import hashlib
import http.client
import io
import json
import os
import pathlib
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

import servers

# What lets a clock be set for one program (Debian's package `faketime`); without it clocks stay right.
FAKETIME = next(iter(glob.glob("/usr/lib/*/faketime/libfaketime.so.1")), None)
LEASE, GRACE = 2, 1
CLIENTS = 6
FACTS = 30_000
KILL_POINTS = ["submitted", "claim", "claimed", "row_batch", "result_written", "export_batch", "file_published", "done",
               "cancelling", "import_batch", "import_loaded", "download"]
REPORTS = {
    # Of PostgreSQL, where nobody else writes.
    1: f"""---
id: 1
title: Facts
shared_with: everyone
source: facts
filters:
  upto: {{type: number, default: 10}}
---
select id, n, t from facts where id <= {{{{ upto }}}} order by id
""",
    # The same, handed out again for a while.
    2: f"""---
id: 2
title: Cached facts
shared_with: everyone
source: facts
cache: 3s
filters:
  upto: {{type: number, default: 10}}
---
select id, n, t from facts where id <= {{{{ upto }}}} order by id
""",
    # Long enough to be hit by whatever comes.
    3: """---
id: 3
title: Slow facts
shared_with: everyone
source: facts
filters:
  upto: {type: number, default: 10}
---
select id, n, t from facts, lateral (select pg_sleep(0.0005 + id * 0)) as pause where id <= {{ upto }} order by id
""",
    # What imports have put into the warehouse.
    4: """---
id: 4
title: Rows of imports
shared_with: everyone
filters:
  seed: {type: text}
---
select batch, count(*), count(distinct n) from sink where batch like {{ seed }} group by batch
""",
}
# What may end a job that did nothing wrong, by what was done to it.
EXCUSES = {
    "any": ["worker lost"],
    "cut": ["lost the connection to source", "terminating connection", "cannot use source"],
    "full": ["disk", "space", "No space"],
    "readonly": ["read-only"],
}
COUNTED = "select batch, count(*), count(distinct n) from sink where batch like '{seed}-%' group by batch"


def row(number):
    """A row of the source, as a page has it."""
    return [str(number), f"{number * 7 % 1000}.{number % 100:02}", f"fact {number} \"é\""]


def run(*command):
    subprocess.run(command, check=True)


class Facts(servers.Postgres):
    """Where reports read and imports write."""

    def __init__(self, folder):
        super().__init__(folder, "-c fsync=off")
        self.run(f"""create table facts (id bigint primary key, n numeric(10,2), t text);
                     insert into facts select i, (i * 7 % 1000) + (i % 100) * 0.01, 'fact ' || i || ' "é"'
                     from generate_series(1, {FACTS}) as i;
                     create table sink (batch text, n bigint)""")

    def cut(self):
        self.run("select pg_terminate_backend(pid) from pg_stat_activity where query like '%/* holistics job=%'"
                 " and pid <> pg_backend_pid()")

    def counted(self, seed):
        return [line.split("|") for line in self.run(COUNTED.format(seed=seed)).splitlines()]

    def left(self):
        return self.run("select relname from pg_class where relname like 'holistics\\_import%' and relname not like 'holistics\\_imports%'").split()


class Rows(servers.MariaDb):
    """Where imports write."""

    def __init__(self, folder):
        super().__init__(folder, "--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=64M")
        self.run("create table test.sink (batch varchar(100), n bigint) engine innodb")

    def counted(self, seed):
        return [line.split("\t") for line in self.run(f"use test; {COUNTED.format(seed=seed)}").splitlines()]

    def left(self):
        return self.run("select table_name from information_schema.tables where table_name like 'holistics\\_import%'"
                        " and table_name not like 'holistics\\_imports%'").split()


class File:
    """A file of SQLite, where imports write."""

    def __init__(self, path):
        self.path = path
        self.do("create table sink (batch text, n integer)")

    def do(self, sql):
        with contextlib.closing(sqlite3.connect(self.path, timeout=60)) as connection, connection:
            return connection.execute(sql).fetchall()

    def counted(self, seed):
        return self.do(COUNTED.format(seed=seed))

    def left(self):
        return self.do("select name from sqlite_master where name like 'holistics\\_import%' escape '\\'"
                       " and name not like 'holistics\\_imports%' escape '\\'")


class Warehouse:
    """The server's own database, which it alone may open: it is asked by a report."""

    def __init__(self, chaos):
        self.chaos = chaos

    def counted(self, seed):
        server, key = self.chaos.server, self.chaos.key
        path = f"/queries/4/submit_query.json?seed={urllib.parse.quote(f'{seed}-%')}&_cache=off"
        _, answer = server.json(path, key)
        path = f"/queries/get_query_results.json?job_id={answer['job_id']}&_page_size=10000&_wait=50"
        _, answer = server.json(path, key)
        if answer.get("status") != "success":
            raise SystemExit(f"chaos: seed {seed}: {answer}")
        return answer["values"]

    def left(self):
        return []


class Server:
    """The program, on a port that stays its own."""

    def __init__(self, binary, folder, data):
        self.binary, self.data, self.port = binary, data, servers.free_port()
        self.log = open(folder / "server.log", "a")
        self.process = None

    def command(self, *arguments):
        done = subprocess.run([self.binary, *arguments, "--data-dir", self.data], capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"chaos: {arguments}: {done.stderr}")
        return done.stdout.strip()

    def start(self, kill_at=None, clock=None):
        environment = dict(os.environ)
        if kill_at:
            environment["HOLISTICS_KILL_AT"] = kill_at
        if clock and FAKETIME:
            environment.update(LD_PRELOAD=FAKETIME, FAKETIME_TIMESTAMP_FILE=str(clock), FAKETIME_NO_CACHE="1",
                               FAKETIME_DONT_FAKE_MONOTONIC="1", NO_FAKE_STAT="1")
        self.process = subprocess.Popen(
            [self.binary, "serve", "--data-dir", self.data, "--listen", f"127.0.0.1:{self.port}", "--workers", "4",
             "--job-lease", f"{LEASE}s", "--result-lifetime", "90s", "--upload-lifetime", "90s", "--stop-grace", f"{GRACE}s", "--user-jobs-max", "4", "--log", "warn"],
            stderr=self.log, env=environment)

    def wait_until_it_serves(self):
        began = time.monotonic()
        while time.monotonic() - began < 30:
            if self.process.poll() is not None:
                return False
            try:
                if self.get("/healthz")[0] == 200:
                    return True
            except OSError:
                time.sleep(0.02)
        raise SystemExit("chaos: the server does not serve")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)

    def is_alive(self):
        return self.process.poll() is None

    def get(self, path, key=None, method="GET", body=None, headers=None, timeout=70):
        """Status, headers and body; an `OSError` if the server goes away meanwhile."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            own = {"X-Holistics-Key": key} if key else {}
            connection.request(method, path, body=body, headers={**own, **(headers or {})})
            response = connection.getresponse()
            return response.status, response.headers, response.read()
        except http.client.HTTPException as error:
            raise OSError(str(error)) from error
        finally:
            connection.close()

    def json(self, path, key, **more):
        status, _, body = self.get(path, key, **more)
        return status, json.loads(body) if body else None


class Round:
    def __init__(self, chaos, seed):
        self.chaos, self.seed, self.random = chaos, seed, random.Random(seed)
        self.server = chaos.server
        # What was accepted, and what was sent with an idempotency key and answered with which jobs.
        self.jobs, self.imports, self.sent = {}, {}, {}
        self.lock = threading.Lock()
        self.over = threading.Event()
        self.what = set()

    def run(self):
        event = self.chaos.event or self.random.choice(
            ["kill", "kill", "term", "freeze", "cut", "full", "readonly", "clock", "point", "point", "point", "nothing"])
        kill_at = None
        if event == "point":
            kill_at = f"{self.random.choice(KILL_POINTS)}:{self.random.choice([1, 1, 2, 3, 5, 9])}"
        self.what.add(event)
        clock = self.chaos.clock if event == "clock" else None
        self.chaos.clock.write_text("+0")
        self.server.start(kill_at, clock)
        self.server.wait_until_it_serves()
        clients = [threading.Thread(target=self.client, args=(self.random.randrange(1 << 30),)) for _ in range(CLIENTS)]
        for client in clients:
            client.start()
        time.sleep(self.random.uniform(0.2, 1.5))
        self.do(event)
        if event not in ("kill", "term"):
            self.wait(self.random.uniform(0.3, 1.0))
        self.over.set()
        for client in clients:
            client.join()
        if not self.server.is_alive():
            self.server.start()
            self.server.wait_until_it_serves()
        self.settle()
        if kill_at or clock:
            # It may not have come to that place yet, and would while this looks; and the clock goes right again.
            self.server.stop()
            self.server.start()
            self.server.wait_until_it_serves()
        self.send_again()
        self.settle()
        self.check()
        # And once more in peace: what is there stays.
        self.server.stop()
        self.check_folders()
        return f"{event}{f' at {kill_at}' if kill_at else ''}"

    def wait(self, seconds):
        began = time.monotonic()
        while time.monotonic() - began < seconds and self.server.is_alive():
            time.sleep(0.02)

    def do(self, event):
        process = self.server.process
        if event == "kill":
            process.kill()
            process.wait()
        elif event == "term":
            process.send_signal(signal.SIGTERM)
            process.wait(60)
        elif event == "freeze":
            process.send_signal(signal.SIGSTOP)
            time.sleep(LEASE + 0.5)
            process.send_signal(signal.SIGCONT)
        elif event == "cut":
            for _ in range(3):
                self.chaos.postgres.cut()
                time.sleep(0.1)
        elif event == "full":
            filler = self.chaos.data / "filler"
            free = shutil.disk_usage(self.chaos.data).free
            if self.chaos.is_small:
                try:
                    with open(filler, "wb") as file:
                        left = free - self.random.choice([0, 1 << 20, 60 << 20])
                        while left > 0:
                            left -= file.write(bytes(min(left, 1 << 20)))
                except OSError:
                    pass
                time.sleep(0.7)
                filler.unlink(missing_ok=True)
        elif event == "readonly":
            if self.chaos.is_small:
                self.read_only(lambda: time.sleep(0.7))
                if self.random.random() < 0.3:
                    process.kill()
                    process.wait()
                    self.read_only(self.start_in_vain)
        elif event == "clock":
            for _ in range(self.random.choice([1, 3])):
                self.chaos.clock.write_text(self.random.choice(["+60", "+10", "-10", "-40", "+0"]))
                time.sleep(0.3)

    def read_only(self, meanwhile):
        """What is open stays open; nothing can be made, removed or named."""
        data, aside = self.chaos.data, self.chaos.data.parent / "read-only"
        aside.mkdir(exist_ok=True)
        # Made so where nobody writes, and then laid over the folder.
        run("mount", "--bind", data, aside)
        run("mount", "-o", "remount,bind,ro", aside)
        run("mount", "--bind", aside, data)
        try:
            meanwhile()
        finally:
            run("umount", "--lazy", data)
            run("umount", "--lazy", aside)

    def start_in_vain(self):
        self.server.start()
        if self.server.wait_until_it_serves() or self.server.process.returncode != 1:
            self.wrong("the server starts on a read-only disk")

    # What clients do, each by its own dice.

    def client(self, seed):
        dice = random.Random(seed)
        actions = [self.query, self.query, self.export, self.export, self.cancel, self.download, self.import_csv, self.page,
                   self.follow]
        while not self.over.is_set():
            try:
                dice.choice(actions)(dice)
            except (OSError, json.JSONDecodeError):
                time.sleep(0.05)

    def accepted(self, dice, kind, path, upto):
        key = f"{self.seed}-{dice.randrange(1 << 40)}"
        # Such a submit is sent twice, and once more at the end of the round.
        if dice.random() < 0.2:
            with self.lock:
                self.sent[key] = (kind, path, upto, [])
        for _ in range(2 if key in self.sent else 1):
            job_id = self.submit(key, kind, path, upto)
        return job_id

    def submit(self, key, kind, path, upto):
        status, answer = self.server.json(path, self.chaos.key, headers={"Idempotency-Key": key} if key in self.sent else {})
        if status == 200 and "job_id" in (answer or {}):
            with self.lock:
                self.jobs.setdefault(answer["job_id"], (kind, upto))
                if key in self.sent:
                    self.sent[key][-1].append(answer["job_id"])
            return answer["job_id"]
        if status not in (429, 500, 507):
            raise SystemExit(f"chaos: seed {self.seed}: {path}: {status} {answer}")
        return None

    def filters(self, dice):
        report = dice.choice([1, 1, 2, 2, 3])
        upto = dice.choice([0, 1, 7, 7, 200, 9_000, FACTS]) if report != 3 else dice.choice([100, 1_500])
        more = dice.choice(["", "", "&_cache=off"])
        return report, upto, f"upto={upto}{more}"

    def query(self, dice):
        report, upto, query = self.filters(dice)
        wait = dice.choice(["", "&_wait=1"])
        self.accepted(dice, "query", f"/queries/{report}/submit_query.json?{query}{wait}", upto)

    def export(self, dice):
        report, upto, query = self.filters(dice)
        self.accepted(dice, "export", f"/queries/{report}/submit_export.csv?{query}", upto)

    def some_job(self, dice, kind=None):
        with self.lock:
            ids = [id for id, (of, _) in self.jobs.items() if kind in (None, of)]
        return dice.choice(ids) if ids else None

    def cancel(self, dice):
        job_id = self.some_job(dice)
        if job_id:
            self.server.json(f"/jobs/{job_id}/cancel.json", self.chaos.key, method="PUT")

    def page(self, dice):
        job_id = self.some_job(dice, "query")
        if job_id:
            self.server.json(f"/queries/get_query_results.json?job_id={job_id}&_page=2&_page_size=100", self.chaos.key)

    def download(self, dice):
        job_id = self.some_job(dice, "export")
        if job_id:
            self.fetch(job_id, dice.choice([None, None, 0, 5, 1000]))

    def fetch(self, job_id, start=None):
        """A file, or its end; all of what was announced must stay the same."""
        headers = {"Range": f"bytes={start}-"} if start is not None else {}
        status, headers, body = self.server.get(f"/exports/download?job_id={job_id}", self.chaos.key, headers=headers)
        if status == 200:
            tag, digest = headers["ETag"], hashlib.sha256(body).hexdigest()
            if len(body) != int(headers["Content-Length"]):
                raise OSError("cut off")
            with self.lock:
                known = self.chaos.files.setdefault(job_id, (tag, digest, body[:2000]))
            if known[:2] != (tag, digest):
                raise SystemExit(f"chaos: seed {self.seed}: the file of job {job_id} has changed")
        return status, body

    def follow(self, dice):
        job_id = self.some_job(dice)
        if job_id:
            status, headers, body = self.server.get(f"/jobs/{job_id}/events", self.chaos.key, timeout=20)
            if status == 200 and headers["Content-Type"] != "text/event-stream":
                self.wrong(f"events of job {job_id}: {headers} {body}")

    def import_csv(self, dice):
        batch = f"{self.seed}-{dice.randrange(1 << 40)}"
        sink, rows = dice.choice(list(self.chaos.sinks)), dice.choice([1, 50, 20_000])
        with self.lock:
            self.imports[batch] = (sink, rows, [])
        for _ in range(dice.choice([1, 2])):
            self.upload(batch)

    def upload(self, batch):
        """The batch is its idempotency key too."""
        sink, rows, jobs = self.imports[batch]
        lines = "\n".join(f"{batch},{n}" for n in range(rows))
        fields = {"dest_ds_id": self.chaos.ids[sink], "dest_table_name": "sink", "mode": "append"}
        parts = [f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields.items()]
        parts.append('--b\r\nContent-Disposition: form-data; name="file"; filename="f.csv"\r\n\r\n'
                     f"batch,n\n{lines}\n\r\n--b--\r\n")
        status, answer = self.server.json("/data_imports/import_csv.json", self.chaos.key, method="POST", body="".join(parts).encode(),
                                          headers={"Content-Type": "multipart/form-data; boundary=b", "Idempotency-Key": batch})
        if status == 200:
            with self.lock:
                self.jobs[answer["job_id"]] = ("import", batch)
                jobs.append(answer["job_id"])
        elif status not in (429, 500, 507):
            self.wrong(f"import {batch}: {status} {answer}")

    # What must hold.

    def wrong(self, words):
        raise SystemExit(f"chaos: seed {self.seed} ({', '.join(self.what)}): {words}")

    def settle(self):
        """Waits until every job has come to its end; the server may die of its kill point meanwhile, once."""
        began = time.monotonic()
        while True:
            try:
                open_jobs = []
                for status in ("queued", "running", "cancelling"):
                    code, listed = self.server.json(f"/jobs.json?status={status}&_page_size=1000", self.chaos.key)
                    if code != 200:
                        raise OSError(str(listed))
                    open_jobs.extend(job["id"] for job in listed)
                if not open_jobs:
                    return
            except (OSError, json.JSONDecodeError):
                if not self.server.is_alive():
                    self.server.start()
                    self.server.wait_until_it_serves()
            if time.monotonic() - began > 120:
                self.wrong(f"jobs that never end: {open_jobs[:10]}")
            time.sleep(0.05)

    def check(self):
        ends = collections.Counter()
        for job_id, (kind, detail) in sorted(self.jobs.items()):
            code, job = self.server.json(f"/jobs/{job_id}.json", self.chaos.key)
            if code != 200:
                self.wrong(f"accepted job {job_id} is gone: {job}")
            status = job["status"]
            ends[f"{kind} {status}"] += 1
            if status == "failure":
                excuses = [words for of in ("any", *self.what) for words in EXCUSES.get(of, [])]
                if not any(words in job["error"] for words in excuses):
                    self.wrong(f"job {job_id} failed: {job['error']}")
            elif status == "success" and kind == "query":
                self.check_pages(job_id, detail)
            elif status == "success" and kind == "export":
                self.check_file(job_id, detail)
            elif status not in ("success", "cancelled"):
                self.wrong(f"job {job_id} is {status}")
        self.check_imports()
        self.check_source()
        self.chaos.ends.update(ends)

    def check_pages(self, job_id, upto):
        page = 1
        while True:
            _, answer = self.server.json(
                f"/queries/get_query_results.json?job_id={job_id}&_page={page}&_page_size=10000", self.chaos.key)
            if answer["status"] != "success":
                self.wrong(f"the pages of job {job_id}: {answer}")
            wanted = [row(n) for n in range(10_000 * (page - 1) + 1, min(upto, 10_000 * page) + 1)]
            if answer["values"] != wanted or answer["paginated"]["num_rows"] != upto:
                self.wrong(f"page {page} of job {job_id} is not what the source has")
            if 10_000 * page >= upto:
                return
            page += 1

    def check_file(self, job_id, upto):
        status, body = self.fetch(job_id)
        if status != 200:
            self.wrong(f"the file of job {job_id}: {status} {body[:200]}")
        rows = list(csv.reader(io.StringIO(body.decode(), newline="")))
        if rows != [["id", "n", "t"], *(row(n) for n in range(1, upto + 1))]:
            self.wrong(f"the file of job {job_id} is not what the source has")

    def send_again(self):
        """What was sent with an idempotency key, as a client does that was not answered."""
        for key, (kind, path, upto, jobs) in self.sent.items():
            self.submit(key, kind, path, upto)
            if len(set(jobs)) > 1:
                self.wrong(f"the submits with key {key} are jobs {jobs}")
        for batch, (_, _, jobs) in self.imports.items():
            self.upload(batch)
            if len(set(jobs)) > 1:
                self.wrong(f"the uploads with key {batch} are jobs {jobs}")

    def check_imports(self):
        for sink, database in self.chaos.sinks.items():
            found = {batch: (int(count), int(distinct)) for batch, count, distinct in database.counted(self.seed)}
            for batch, (of, rows, jobs) in self.imports.items():
                if of != sink:
                    continue
                what = f"import {batch} into {sink}, job {jobs[:1]}"
                count, distinct = found.get(batch, (0, 0))
                if count not in (0, rows) or distinct != count:
                    self.wrong(f"{count} rows of {rows} of {what}")
                if not jobs:
                    continue
                _, job = self.server.json(f"/jobs/{jobs[0]}.json", self.chaos.key)
                if job["status"] == "success" and count != rows:
                    self.wrong(f"{what} succeeded and has {count} rows of {rows}")
                if job["status"] == "failure" and count:
                    self.wrong(f"{what} failed and has {count} rows")
            if database.left():
                self.wrong(f"tables of imports are left in {sink}: {database.left()}")

    def check_source(self):
        began = time.monotonic()
        asked = ("select count(*) from pg_stat_activity where state <> 'idle' and pid <> pg_backend_pid()"
                 " and query like '%/* holistics job=%'")
        while self.chaos.postgres.run(asked).strip() != "0":
            if time.monotonic() - began > 10:
                self.wrong("a query of a job that is over still runs")
            time.sleep(0.05)

    def check_folders(self):
        data = self.chaos.data
        metadata = sqlite3.connect(data / "metadata.sqlite")
        for pragma in ("integrity_check", "foreign_key_check"):
            found = metadata.execute(f"pragma {pragma}").fetchall()
            if found not in ([("ok",)], []):
                self.wrong(f"{pragma}: {found[:5]}")
        results = {f"{job}-{attempt}.arrow" for job, attempt in metadata.execute(
            "select job_id, attempt from results where rows_kept = 'file'")}
        exports = {f"{job}-{attempt}.{format}" for job, attempt, format in metadata.execute(
            "select job_id, attempt, format from exports where content is null")}
        for folder, wanted in (("results", results), ("exports", exports)):
            there = {path.name for path in (data / folder).iterdir()}
            if wanted - there:
                self.wrong(f"{folder} that are named and not there: {sorted(wanted - there)[:5]}")
            self.orphans = there - wanted
            # A crash may leave some; the next start removes them.
            if self.chaos.orphans_before & self.orphans:
                self.wrong(f"files that nobody removes: {sorted(self.chaos.orphans_before & self.orphans)[:5]}")
            self.chaos.orphans_next |= self.orphans
        metadata.close()


class Chaos:
    def __init__(self, binary, folder, is_small, event):
        self.data, self.is_small = folder / "small" / "data" if is_small else folder / "data", is_small
        folder.chmod(0o755)
        self.clock, self.event = folder / "clock", event
        self.postgres, self.mariadb = Facts(folder / "postgres"), Rows(folder / "mariadb")
        self.sinks = {"facts": self.postgres, "rows": self.mariadb, "file": File(folder / "file.sqlite"), "warehouse": Warehouse(self)}
        self.server = Server(binary, folder, self.data)
        self.files, self.ends = {}, collections.Counter()
        self.orphans_before, self.orphans_next = set(), set()
        reports = folder / "reports"
        reports.mkdir()
        for number, text in REPORTS.items():
            (reports / f"{number}.sql").write_text(text)
        self.server.command("users", "add", "chaos@example.com", "--api-access")
        self.server.command("users", "imports", "chaos@example.com", "on")
        self.key = self.server.command("keys", "create", "--user", "chaos@example.com", "--scope", "run,read,import")
        add = lambda name, kind, url: self.server.command("sources", "add", name, "--type", kind, "--url", url, "--writable")
        self.ids = {
            "facts": add("facts", "postgres", self.postgres.url),
            "rows": add("rows", "mysql", self.mariadb.url),
            "file": add("file", "sqlite", str(folder / "file.sqlite")),
            "warehouse": "1",
        }
        self.server.command("reports", "apply", str(reports))

        first = Round(self, 0)
        first.imports["0-0"] = ("warehouse", 1, [])
        self.server.start()
        self.server.wait_until_it_serves()
        first.upload("0-0")
        first.settle()
        self.server.stop()

    def round(self, seed):
        round = Round(self, seed)
        what = round.run()
        self.orphans_before, self.orphans_next = self.orphans_next, set()
        return what, len(round.jobs)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("--seed", type=int, default=None, help="of the first round")
    parser.add_argument("--rounds", type=int, default=1_000_000)
    parser.add_argument("--event", default=None, help="what every round does, such as `kill`, `full` or `clock`")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="no round begins later")
    arguments = parser.parse_args()
    seed = random.randrange(1 << 20) if arguments.seed is None else arguments.seed
    folder = pathlib.Path(tempfile.mkdtemp(prefix="holistics-chaos-", dir="/var/tmp"))
    small = folder / "small"
    small.mkdir()
    # So that a disk can be filled. Only who may mount one gets it.
    mounted = os.geteuid() == 0 and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=400m", "tmpfs", small], capture_output=True).returncode == 0
    chaos = Chaos(str(pathlib.Path(arguments.binary).resolve()), folder, mounted, arguments.event)
    began, done = time.monotonic(), 0
    kept = True
    try:
        while done < arguments.rounds and time.monotonic() - began < arguments.seconds:
            what, jobs = chaos.round(seed + done)
            done += 1
            print(f"round {done}, seed {seed + done - 1}: {what}, {jobs} jobs", flush=True)
        kept = False
        print(f"{done} rounds, no invariant broken: {dict(sorted(chaos.ends.items()))}")
    finally:
        if chaos.server.process and chaos.server.is_alive():
            chaos.server.process.kill()
            chaos.server.process.wait()
        chaos.postgres.stop()
        chaos.mariadb.stop()
        if kept:
            print(f"chaos: everything is in {folder}", file=sys.stderr)
        else:
            if mounted:
                subprocess.run(["umount", small], check=True)
            shutil.rmtree(folder)


main()
