"""What `make bench` runs: this server beside what a user would pick instead, in turn, in one run.

Prepares its data (TPC-H) and its Python packages once, in target/bench. Prints a table, writes
target/bench/results.json, and ends with the ratios that miss their goal. docs/performance.md explains it.
"""

import argparse
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import statistics
import subprocess
import sys
import time
import urllib.parse
import venv

import clients
import databases
import queue_figures

ROOT = pathlib.Path(__file__).resolve().parent.parent
WORK = ROOT / "target" / "bench"
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
PACKAGES = [
    "duckdb-cli==1.5.6",
    "polars==2.1.0",
    "pyarrow==26.0.1",
    "XlsxWriter==3.3.1",
    "datasette==0.65.5",
    "roapi==0.12.7",
]
MILLION = 1_000_000
WARM = WORK / "warm"
# Stays free, or nearly.
FREE_MB = 512
# About ten rows.
SMALL = "select * from lineitem where l_orderkey >= {key} and l_orderkey < {key} + 3 order by l_orderkey, l_linenumber"
FILTER = "filters:\n  key: {type: number, required: true}\n"
REPORTS = {
    20: ("One million line items", "", "select * from lineitem limit 1000000"),
    21: ("Some orders", FILTER, SMALL.format(key="{{ key }}")),
    22: ("Some orders, cached", f"cache: 1h\n{FILTER}", SMALL.format(key="{{ key }}")),
}


def run(*command, **options):
    subprocess.run([str(part) for part in command], check=True, **options)


def timed(work):
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def peak_mb(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    return 0


def warm_memory():
    """Fills what is free with pages of a file without content, which the system gives away at once: a virtual machine
    may have given free memory back to its host, and gets it slowly, which would be measured with whoever comes first."""
    lines = pathlib.Path("/proc/meminfo").read_text().splitlines()
    free = next(int(line.split()[1]) // 1024 for line in lines if line.startswith("MemFree"))
    if free <= FREE_MB:
        return
    begin = WARM.stat().st_size >> 20 if WARM.exists() else 0
    with WARM.open("ab") as file:
        file.truncate((begin + free - FREE_MB) << 20)
    run("dd", f"if={WARM}", "of=/dev/null", "bs=1M", f"skip={begin}", stderr=subprocess.DEVNULL)


def watched(command, **options):
    """Runs a command and says how long it took and what the largest of its processes held, in MB."""
    started = time.perf_counter()
    process = subprocess.Popen([str(part) for part in command], **options)
    peak = 0
    while process.poll() is None:
        children = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True)
        for pid in [process.pid, *children.stdout.split()]:
            try:
                peak = max(peak, peak_mb(pid))
            except OSError:
                pass
        time.sleep(0.02)
    if process.returncode:
        raise SystemExit(f"bench: {command[0]} failed")
    return time.perf_counter() - started, peak


class Environment:
    """Programs and data, made once."""

    def __init__(self, scale):
        self.python = self.packages("venv", PACKAGES)
        features = subprocess.run(["scripts/setup", "--features"], cwd=ROOT, capture_output=True, text=True)
        run("cargo", "build", "--release", "--quiet", *features.stdout.split(), cwd=ROOT)
        run("cargo", "bench", "--no-run", "--quiet", "--bench", "others", *features.stdout.split(), cwd=ROOT)
        self.holistics = TARGET / "release" / "holistics"
        built = (TARGET / "release" / "deps").glob("others-*")
        programs = [path for path in built if path.suffix == "" and os.access(path, os.X_OK)]
        self.others = max(programs, key=lambda path: path.stat().st_mtime)
        self.data = WORK / f"data-{scale}"
        self.copy = WORK / f"copy-{scale}.duckdb"
        self.parquet = WORK / f"lineitem-{scale}.parquet"
        self.sqlite = WORK / f"lineitem-{scale}.db"
        self.csv = WORK / f"lineitem-{scale}.csv"
        self.shell = self.python.parent / "duckdb"
        self.prepare(scale)

    def packages(self, name, packages):
        """The interpreter of a virtual environment that has them."""
        folder = WORK / name
        stamp = folder / "packages"
        if not stamp.exists() or stamp.read_text() != "\n".join(packages):
            print("bench: installing", ", ".join(packages), file=sys.stderr)
            venv.create(folder, with_pip=True, clear=True)
            run(folder / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check", *packages)
            stamp.write_text("\n".join(packages))
        return folder / "bin" / "python"

    def prepare(self, scale):
        if not (self.data / "warehouse.scale").exists():
            print(f"bench: making TPC-H tables at scale {scale}", file=sys.stderr)
            demo = [self.holistics, "demo", "--data-dir", self.data, "--scale", scale, "--port", 0, "--once"]
            run(*demo, stdout=subprocess.DEVNULL)
        (WORK / "home").mkdir(exist_ok=True)
        reports = WORK / "reports"
        reports.mkdir(exist_ok=True)
        for number, (title, filters, sql) in REPORTS.items():
            text = f"---\nid: {number}\ntitle: {title}\n{filters}---\n{sql}\n"
            (reports / f"{number}.sql").write_text(text)
        run(self.holistics, "reports", "apply", reports, "--data-dir", self.data, stdout=subprocess.DEVNULL)
        if not self.copy.exists():
            # The engine's shell cannot open a file that a server has open.
            shutil.copy(self.data / "warehouse.duckdb", self.copy)
        if not self.parquet.exists():
            self.duckdb(f"copy lineitem to '{self.parquet}' (format parquet)")
        if not self.sqlite.exists():
            # With an index, which is what its users are told to make.
            program = """
import sqlite3, sys, pyarrow.parquet
file = pyarrow.parquet.ParquetFile(sys.argv[1])
database = sqlite3.connect(sys.argv[2])
types = {field.name: "integer" if "int" in str(field.type) else "real" if "decimal" in str(field.type) else "text"
         for field in file.schema_arrow}
database.execute(f"create table lineitem ({', '.join(f'{name} {type}' for name, type in types.items())})")
insert = f"insert into lineitem values ({', '.join('?' * len(file.schema_arrow.names))})"
for batch in file.iter_batches(100_000):
    plain = [column.cast("float64") if "decimal" in str(column.type) else
             column.cast("string") if "date" in str(column.type) else column for column in batch.columns]
    database.executemany(insert, zip(*(column.to_pylist() for column in plain)))
database.execute("create index lineitem_orderkey on lineitem (l_orderkey)")
database.commit()
"""
            aside = self.sqlite.with_suffix(".part")
            aside.unlink(missing_ok=True)
            run(self.python, "-c", program, self.parquet, aside)
            aside.rename(self.sqlite)

    def duckdb(self, sql):
        run(self.shell, "-readonly", self.copy, "-c", sql, stdout=subprocess.DEVNULL)


class Program:
    """A server of others, on a free port."""

    def __init__(self, command, pattern):
        path = WORK / f"{pathlib.Path(command[0]).name}.log"
        log = open(path, "w")
        self.process = subprocess.Popen([str(part) for part in command], stdout=log, stderr=log)
        while not (found := re.search(pattern, path.read_text())):
            if self.process.poll() is not None:
                raise SystemExit(f"bench: {command[0]} ended: {path.read_text()}")
            time.sleep(0.05)
        self.host = found[1].removesuffix("/")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()


class Server:
    """Our server on the benchmark's data."""

    def __init__(self, environment):
        self.data = environment.data
        self.key = (self.data / "demo-key").read_text().strip()
        log = open(WORK / "server.log", "w+")
        command = [environment.holistics, "serve", "--data-dir", self.data, "--listen", "127.0.0.1:0"]
        self.process = subprocess.Popen([*map(str, command), "--log", "info"], stderr=log)
        while True:
            text = (WORK / "server.log").read_text()
            if "serving on http://" in text:
                self.host = text.split("serving on http://")[1].split()[0]
                break
            if self.process.poll() is not None:
                raise SystemExit(f"bench: the server ended: {text}")
            time.sleep(0.05)
        self.connection = http.client.HTTPConnection(self.host)

    def get(self, path, **headers):
        self.connection.request("GET", path, headers={"X-Holistics-Key": self.key, **headers})
        response = self.connection.getresponse()
        body = response.read()
        if response.status != 200:
            raise SystemExit(f"bench: {path}: {response.status} {body[:500]}")
        return body

    def export(self, report, format_, out):
        """A user's whole wait: submit, run, encode, download."""
        # The server may have closed a connection that was idle while theirs ran.
        self.connection.close()
        answer = json.loads(self.get(f"/queries/{report}/submit_export.{format_}?_wait=50"))
        job = answer["job_id"]
        while "export" not in answer:
            if answer["status"] == "failure":
                raise SystemExit(f"bench: {answer['error']}")
            answer = json.loads(self.get(f"/queries/get_export_results.json?job_id={job}&_wait=50"))
        run("curl", "-sfH", f"X-Holistics-Key: {self.key}", "-o", out, answer["export"]["http_path"])

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()

    def remove_files(self):
        for folder in ("results", "exports"):
            for path in (self.data / folder).iterdir():
                path.unlink()


class Bench:
    def __init__(self, arguments):
        self.rounds = arguments.rounds
        self.scale = float(arguments.scale)
        # So many times there is an order with a number that is 1 modulo 32.
        self.keys = int(187_500 * self.scale)
        self.only = arguments.only
        self.environment = Environment(arguments.scale)
        self.server = Server(self.environment)
        self.results = {}

    def wanted(self, name):
        return not self.only or name in self.only

    def keep(self, name, goal, ours, theirs, other, theirs_mb=None, ratio=None):
        ours_s, other_s = statistics.median(ours), statistics.median(theirs)
        self.results[name] = {
            "ours_s": round(ours_s, 4),
            "other_s": round(other_s, 4),
            "ratio": round(ours_s / other_s if ratio is None else ratio, 3),
            "goal": goal,
            "ours_rss_mb": round(peak_mb(self.server.process.pid)),
            "other": other,
        }
        if theirs_mb:
            self.results[name]["other_rss_mb"] = round(theirs_mb)
        result = self.results[name]
        verdict = "" if result["ratio"] <= goal else "  misses its goal"
        print(
            f"{name:18} {result['ours_s']:10.4f} {result['other_s']:10.4f} {result['ratio']:8.3f} "
            f"{goal:6.2f} {result['ours_rss_mb']:6} MB  {other}{verdict}",
            flush=True,
        )

    def files(self, name, goal, other, report, format_, command, ours_too=None):
        """In turn: theirs, ours."""
        if not self.wanted(name):
            return
        ours, theirs, peaks = [], [], []
        mine, their_file = WORK / f"ours.{format_}", WORK / f"theirs.{format_}"
        for _ in range(self.rounds):
            warm_memory()
            seconds, peak = watched(command(their_file), stdout=subprocess.DEVNULL)
            theirs.append(seconds)
            peaks.append(peak)
            their_file.unlink()
            warm_memory()
            ours.append(timed(lambda: ours_too(mine) if ours_too else self.server.export(report, format_, mine)))
            mine.unlink()
            self.server.remove_files()
        self.keep(name, goal, ours, theirs, other, max(peaks))

    def copy_to(self, options):
        shell, copy = self.environment.shell, self.environment.copy
        return lambda out: [shell, "-readonly", copy, "-c", f"copy lineitem to '{out}' ({options})"]

    def exports(self):
        others, copy = self.environment.others, self.environment.copy
        self.files("csv_lineitem", 0.60, "DuckDB shell, COPY to CSV", 7, "csv", self.copy_to("format csv, header"))
        polars = "import polars, sys; polars.scan_parquet(sys.argv[1]).sink_csv(sys.argv[2])"
        self.files("csv_polars", 0.90, "Polars, streaming sink_csv from Parquet", 7, "csv",
                   lambda out: [self.environment.python, "-c", polars, self.environment.parquet, out])
        self.files("json_lineitem", 0.70, "DuckDB shell, COPY to JSON", 7, "json",
                   self.copy_to("format json, array true"))
        self.files("parquet_lineitem", 1.00, "DuckDB shell, COPY to Parquet", 7, "parquet",
                   self.copy_to("format parquet"))
        self.files("xlsx_1m", 0.25, "rust_xlsxwriter, constant memory", 20, "xlsx",
                   lambda out: [others, "xlsx", copy, out, MILLION])
        self.xlsx_python()

    def xlsx_python(self):
        """Theirs on a tenth of the rows, times ten: the whole takes minutes."""
        if not self.wanted("xlsx_python"):
            return
        program = """
import sys, xlsxwriter, pyarrow.parquet
table = pyarrow.parquet.read_table(sys.argv[1]).slice(0, int(sys.argv[3]))
book = xlsxwriter.Workbook(sys.argv[2], {"constant_memory": True, "default_date_format": "yyyy-mm-dd"})
sheet = book.add_worksheet()
sheet.write_row(0, 0, table.column_names)
number = 1
for batch in table.to_batches(10000):
    for row in zip(*(column.to_pylist() for column in batch.columns)):
        sheet.write_row(number, 0, row)
        number += 1
book.close()
"""
        out, mine = WORK / "theirs.xlsx", WORK / "ours.xlsx"
        command = [self.environment.python, "-c", program, self.environment.parquet, out, MILLION // 10]
        theirs = [watched(command)[0] * 10]
        ours = [timed(lambda: self.server.export(20, "xlsx", mine)) for _ in range(self.rounds)]
        self.server.remove_files()
        self.keep("xlsx_python", 0.03, ours, theirs, "XlsxWriter, 100,000 rows times 10")

    def pages(self):
        if not self.wanted("page_deep"):
            return
        job = json.loads(self.server.get("/queries/7/submit_query.json"))["job_id"]
        path = f"/queries/get_query_results.json?job_id={job}&_page_size=1000"
        while json.loads(self.server.get(f"{path}&_wait=50"))["status"] != "success":
            pass
        rows = json.loads(self.server.get(path))["paginated"]["num_rows"]
        deep = min(5_900, rows // 1_000 - 1)
        first, last = [], []
        for _ in range(300):
            first.append(timed(lambda: self.server.get(f"{path}&_page=1")))
            last.append(timed(lambda: self.server.get(f"{path}&_page={deep + 1}")))
        self.keep("page_deep", 1.2, last, first, f"the same page at row 0; ours is at row {deep * 1000:,}")
        p99 = sorted(last)[len(last) * 99 // 100] * 1000
        self.results["page_deep"]["p99_ms"] = round(p99, 2)
        print(f"{'':18} p99 {p99:.2f} ms (goal: under 5 ms)")

    def small(self):
        if not self.wanted("small_report"):
            return
        orders = 1_000
        bare = subprocess.run(
            [str(self.environment.others), "small", str(self.environment.copy), str(orders), str(self.keys)],
            check=True, capture_output=True, text=True,
        )
        theirs = [float(line) for line in bare.stdout.split()]
        ours = []
        for number in range(orders):
            key = number * 7_919 % self.keys * 32 + 1
            path = f"/queries/21/submit_query.json?key={key}&_wait=10"
            ours.append(timed(lambda: self.server.get(path)))
        over = (statistics.median(ours) - statistics.median(theirs)) * 1000
        self.keep("small_report", 2.0, ours, theirs, "the bare query in a loop; the ratio is ms over it", ratio=over)

    def load(self, host, path, body="", header="Accept: */*", *, keys):
        """Seconds a request, of 32 clients at once."""
        command = [self.environment.others, "load", host, header, path, body, keys]
        command = [str(word) for word in command]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        return 1 / float(output.split()[0])

    def throughput(self):
        if not self.wanted("small_throughput") and not self.wanted("small_cached"):
            return
        python = self.environment.python.parent
        free = "127.0.0.1:0"
        roapi = Program([python / "roapi", "-a", free, "-p", free, "--addr-flight-sql", free,
                         "-t", f"lineitem={self.environment.parquet}"], r"Listening on (\S+) for HTTP traffic")
        with roapi:
            datasette = Program([python / "datasette", "serve", self.environment.sqlite, "--port", "0"],
                                r"running on http://(\S+)")
            with datasette:
                self.throughput_beside({"ROAPI": roapi, "Datasette": datasette})

    def throughput_beside(self, programs):
        sql = urllib.parse.quote(SMALL.format(key=":key"))
        requests = {
            "ROAPI": ("/api/sql", SMALL),
            "Datasette": (f"/{self.environment.sqlite.stem}.json?sql={sql}&_shape=array&key={{key}}", ""),
        }
        key = f"X-Holistics-Key: {self.server.key}"
        for name, goal, report, keys in [("small_throughput", 1.0, 21, self.keys), ("small_cached", 0.33, 22, 100)]:
            if not self.wanted(name):
                continue
            path = f"/queries/{report}/submit_query.json?key={{key}}&_wait=10"
            for number in range(keys if name == "small_cached" else 0):
                self.server.get(path.format(key=number * 32 + 1))
            ours, theirs = [], {other: [] for other in programs}
            for _ in range(self.rounds):
                for other, program in programs.items():
                    theirs[other].append(self.load(program.host, *requests[other], keys=keys))
                ours.append(self.load(self.server.host, path, header=key, keys=keys))
            best = min(theirs, key=lambda other: statistics.median(theirs[other]))
            rates = ", ".join(f"{other} {1 / statistics.median(times):.0f}/s" for other, times in theirs.items())
            self.keep(name, goal, ours, theirs[best], f"{best} of {rates}; ours {1 / statistics.median(ours):.0f}/s")

    def sources(self):
        """Reports on other databases, and files into them."""
        names = ["pg_csv", "py_frame_direct", "py_frame_native", "mariadb_csv", "pg_import", "duckdb_import", "import_rss"]
        if not any(self.wanted(name) for name in names):
            return
        environment = self.environment
        if not environment.csv.exists():
            environment.duckdb(f"copy lineitem to '{environment.csv}' (format csv, header)")
        if self.wanted("mariadb_csv"):
            mariadb = databases.MariaDb(environment.data, environment.csv)
            try:
                self.mariadb_csv(mariadb)
            finally:
                mariadb.stop()
        if not any(self.wanted(name) for name in names if name != "mariadb_csv"):
            return
        postgres = databases.Postgres(environment.data, environment.csv)
        try:
            self.pg_csv(postgres)
            self.frames_of(postgres)
            self.imports(postgres)
        finally:
            postgres.stop()

    def on_source(self, name, kind, url, number, sql):
        """Makes a database a source, with one report."""
        holistics, data = self.environment.holistics, self.environment.data
        run(holistics, "sources", "add", name, "--type", kind, "--url", url, "--writable", "--replace",
            "--data-dir", data, stdout=subprocess.DEVNULL)
        reports = WORK / f"reports-{name}"
        reports.mkdir(exist_ok=True)
        (reports / "report.sql").write_text(f"---\nid: {number}\ntitle: {name}\nshared_with: everyone\nsource: {name}\n---\n{sql}\n")
        run(holistics, "reports", "apply", reports, "--data-dir", data, stdout=subprocess.DEVNULL)

    def pg_csv(self, postgres):
        if not self.wanted("pg_csv"):
            return
        self.on_source("bench_postgres", "postgres", postgres.url, 30, "select * from lineitem")
        self.files("pg_csv", 1.00, "psql, \\copy to CSV", 30, "csv",
                   lambda out: postgres.psql(f"\\copy (select * from lineitem) to '{out}' csv header"))

    def frames(self):
        """Data frames of our warehouse, beside the older package on the same server."""
        key, url = self.server.key, f"http://{self.server.host}"
        if self.wanted("py_frame"):
            python = self.environment.packages("venv-clients", clients.PACKAGES)
            older = self.environment.packages("venv-older", clients.OLDER_PACKAGES)
            ours, theirs = [], []
            for _ in range(self.rounds):
                warm_memory()
                theirs.append(clients.call(older, clients.OLDER.format(report=20), MILLION, WORK / "home", key=key, url=url))
                warm_memory()
                ours.append(clients.call(python, clients.OURS.format(report=20), MILLION, WORK / "home", key=key, url=url))
                self.server.remove_files()
            self.keep("py_frame", 0.25, ours, theirs, "the older package, 0.0a11")
        if self.wanted("py_rss"):
            python = self.environment.packages("venv-clients", clients.PACKAGES)
            rows, peak = clients.batches(python, key, url, 7)
            self.server.remove_files()
            self.figure("py_rss", peak, 250, f"{peak:.0f} MB held to iterate {rows:,} rows by batches (goal: 250 MB)")

    def frames_of(self, postgres):
        """The same from PostgreSQL, beside what reads it without a server in between."""
        if not self.wanted("py_frame_direct") and not self.wanted("py_frame_native"):
            return
        sql = f"select * from lineitem limit {MILLION}"
        self.on_source("bench_postgres_million", "postgres", postgres.url, 32, sql)
        python = self.environment.packages("venv-clients", clients.PACKAGES)
        about = {"key": self.server.key, "url": f"http://{self.server.host}", "database": postgres.url, "sql": sql}
        programs = {"ours": clients.OURS.format(report=32), "pandas.read_sql": clients.PANDAS,
                    "connectorx": clients.CONNECTORX, "ADBC": clients.ADBC}
        times = {name: [] for name in programs}
        for _ in range(self.rounds):
            for name, program in programs.items():
                warm_memory()
                times[name].append(clients.call(python, program, MILLION, WORK / "home", **about))
            self.server.remove_files()
        best = min(("connectorx", "ADBC"), key=lambda name: statistics.median(times[name]))
        both = ", ".join(f"{name} {statistics.median(times[name]):.2f} s" for name in ("connectorx", "ADBC"))
        self.keep("py_frame_direct", 0.15, times["ours"], times["pandas.read_sql"], "pandas.read_sql by SQLAlchemy and psycopg")
        self.keep("py_frame_native", 1.3, times["ours"], times[best], f"{best} of {both}")

    def command_line(self):
        holistics = self.environment.holistics
        if self.wanted("cli_start"):
            took = clients.start_ms(holistics)
            self.figure("cli_start", took, 15, f"{took:.1f} ms for `holistics version` (goal: 15 ms)")
        if self.wanted("cli_export"):
            environment = self.logged_in()
            self.files("cli_export", 0.65, "DuckDB shell, COPY to CSV", 7, "csv", self.copy_to("format csv, header"),
                       lambda out: run(holistics, "export", 7, "-o", out, env=environment, stderr=subprocess.DEVNULL))

    def logged_in(self):
        """The environment of a user who is logged in to the server."""
        environment = {**os.environ, "HOME": str(WORK / "home"), "HOLISTICS_HOST": f"http://{self.server.host}"}
        run(self.environment.holistics, "login", self.server.key, env=environment, stdout=subprocess.DEVNULL)
        return environment

    def mariadb_csv(self, mariadb):
        sql = f"select * from lineitem limit {MILLION}"
        self.on_source("bench_mariadb", "mysql", mariadb.url, 31, sql)
        command = " ".join(map(str, mariadb.client("--batch", "--quick", "test", "-e", f"'{sql}'")))
        self.files("mariadb_csv", 1.10, "mariadb --batch --quick", 31, "csv", lambda out: ["sh", "-c", f"{command} > {out}"])

    def imports(self, postgres):
        environment = self.environment
        # Its peak is that of imports alone.
        self.server.stop()
        self.server = Server(environment)
        user = "demo@example.com"
        run(environment.holistics, "users", "imports", user, "on", "--data-dir", environment.data, stdout=subprocess.DEVNULL)
        environment_of = self.logged_in()
        self.on_source("bench_postgres", "postgres", postgres.url, 30, "select * from lineitem")
        ids = {source["name"]: source["id"] for source in json.loads(self.server.get("/data_sources.json"))}

        def ours(name):
            run(environment.holistics, "import", "csv", "-d", ids[name], "-f", environment.csv, "-t", "imported",
                env=environment_of, stdout=subprocess.DEVNULL)

        if self.wanted("pg_import"):
            mine, theirs = [], []
            for _ in range(self.rounds):
                postgres.run("drop table if exists ready", databases.TABLE.format(name="ready", text="text"), "checkpoint")
                theirs.append(timed(lambda: postgres.run(f"\\copy ready from '{environment.csv}' csv header")))
                postgres.run("drop table ready", "drop table if exists imported", "checkpoint")
                mine.append(timed(lambda: ours("bench_postgres")))
            postgres.run("drop table if exists imported", "checkpoint")
            self.keep("pg_import", 1.20, mine, theirs, "psql, \\copy from CSV into a table that is ready")
        if self.wanted("duckdb_import"):
            mine, theirs, peaks = [], [], []
            scratch = WORK / "import.duckdb"
            sql = f"create table imported as from read_csv('{environment.csv}', all_varchar=false, sample_size=-1)"
            for _ in range(self.rounds):
                scratch.unlink(missing_ok=True)
                seconds, peak = watched([environment.shell, scratch, "-c", sql], stdout=subprocess.DEVNULL)
                theirs.append(seconds)
                peaks.append(peak)
                mine.append(timed(lambda: ours("warehouse")))
            self.keep("duckdb_import", 1.30, mine, theirs, "DuckDB shell, create table as read_csv", max(peaks))
        if self.wanted("import_rss"):
            if not self.wanted("duckdb_import"):
                ours("warehouse")
            rss = peak_mb(self.server.process.pid)
            self.results["import_rss"] = {"ours_rss_mb": round(rss), "ratio": round(rss / 400, 3), "goal": 1.0,
                                          "other": "400 MB"}
            print(f"{'import_rss':18} the server's peak while importing: {rss:.0f} MB (goal: 400 MB)")

    def figure(self, name, value, goal, words):
        """What has a goal of its own and nothing beside it; the ratio is what of the goal it takes."""
        ratio = round(value / goal, 3)
        self.results[name] = {"ours": round(value, 3), "ratio": ratio, "goal": 1.0, "other": words}
        print(f"{name:18} {words}{'' if ratio <= 1 else '  misses its goal'}", flush=True)

    def queue(self):
        """The queue, on a server of its own."""
        holistics, folder = self.environment.holistics, WORK / "queue"
        if self.wanted("submits") or self.wanted("claim"):
            rate, gap, gap_p99, claim, claim_p99 = queue_figures.submits_and_claims(holistics, folder)
            self.figure("submits", 1 / rate, 1 / 500, f"{rate:.0f} submits a second, durable, 16 clients (goal: 500)")
            self.figure("claim", claim_p99, 2, f"taking the next of 9,000 or more queued jobs: p50 {claim:.2f} ms, p99 {claim_p99:.2f} ms "
                        f"(goal: 2 ms); from a job's end to the next one's begin: p50 {gap:.2f} ms, p99 {gap_p99:.2f} ms")
        if self.wanted("long_polls"):
            percent = queue_figures.long_polls(holistics, folder)
            self.figure("long_polls", percent, 5, f"200 long polls: {percent:.1f} % of a core (goal: 5 %)")
        if self.wanted("soak"):
            before, after = queue_figures.soak(holistics, folder)
            self.figure("soak", after[0] / before[0], 1.05,
                        f"{before[0]:.0f} MB and {before[1]} files after 1,000 jobs, {after[0]:.0f} MB and {after[1]} after 100,000"
                        " (goal: the same)")

    def rss(self):
        rss = peak_mb(self.server.process.pid)
        self.results["rss"] = {"ours_rss_mb": round(rss), "ratio": round(rss / 400, 3), "goal": 1.0,
                               "other": "400 MB"}
        print(f"{'rss':18} the server's peak over all of this: {rss:.0f} MB (goal: 400 MB)")

    def finish(self):
        self.server.stop()
        path = WORK / "results.json"
        kept = json.loads(path.read_text()) if self.only and path.exists() else {}
        path.write_text(json.dumps({**kept, **self.results}, indent=1) + "\n")
        missed = {name: result for name, result in self.results.items() if result["ratio"] > result["goal"]}
        print("misses its goal:" if missed else "every goal is met")
        for name, result in missed.items():
            print(f"  {name}: {result['ratio']} instead of {result['goal']}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", default="1", help="TPC-H scale factor (default: 1)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each case (default: 3)")
    parser.add_argument("only", nargs="*", help="names of cases; all unless given")
    arguments = parser.parse_args()
    WORK.mkdir(parents=True, exist_ok=True)
    bench = Bench(arguments)
    try:
        print(f"TPC-H scale {arguments.scale}, {arguments.rounds} rounds, medians, seconds")
        print(f"{'name':18} {'ours':>10} {'other':>10} {'ratio':>8} {'goal':>6} {'peak':>9}  other")
        bench.small()
        bench.throughput()
        bench.exports()
        bench.pages()
        bench.rss()
        bench.frames()
        bench.command_line()
        bench.sources()
        bench.queue()
    finally:
        WARM.unlink(missing_ok=True)
        if bench.server.process.poll() is None:
            bench.finish()


if __name__ == "__main__":
    main()
