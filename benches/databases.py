"""Database servers that `make bench` starts for itself, in folders of its own and on free ports."""

import os
import pathlib
import shutil
import socket
import subprocess
import time

TABLE = """create table {name} (
 l_orderkey bigint, l_partkey bigint, l_suppkey bigint, l_linenumber bigint, l_quantity decimal(15,2),
 l_extendedprice decimal(15,2), l_discount decimal(15,2), l_tax decimal(15,2), l_returnflag {text}, l_linestatus {text},
 l_shipdate date, l_commitdate date, l_receiptdate date, l_shipinstruct {text}, l_shipmode {text}, l_comment {text})"""


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def as_user(user):
    """Servers refuse to run as root."""
    return ["runuser", "-u", user, "--"] if os.geteuid() == 0 else []


class Postgres:
    """With the settings that it comes with."""

    def __init__(self, folder, csv):
        bin_folder = subprocess.run(["pg_config", "--bindir"], check=True, capture_output=True, text=True)
        self.bin = pathlib.Path(bin_folder.stdout.strip())
        # Where the server's own user may go.
        self.folder, self.port = pathlib.Path("/var/tmp") / f"holistics-bench-postgres-{folder.name}", free_port()
        is_new = not (self.folder / "loaded").exists()
        if is_new:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir()
            if as_user("postgres"):
                shutil.chown(self.folder, "postgres")
            self.server("initdb", "--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C")
        self.server("pg_ctl", "start", "--wait", "--silent", "-l", self.folder / "log", "-o",
                    f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self.folder}")
        if is_new:
            self.run(TABLE.format(name="lineitem", text="text"), f"\\copy lineitem from '{csv}' csv header",
                     "vacuum analyze lineitem")
            (self.folder / "loaded").touch()
        self.url = f"postgres://postgres@127.0.0.1:{self.port}/postgres?sslmode=disable"

    def server(self, program, *arguments):
        command = [*as_user("postgres"), self.bin / program, *arguments, "-D", self.folder / "data"]
        subprocess.run([str(part) for part in command], check=True, cwd="/", stdout=subprocess.DEVNULL)

    def psql(self, *commands):
        flags = [flag for command in commands for flag in ("-c", command)]
        return ["psql", "-Xq", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-h", "127.0.0.1", "-p", self.port, *flags]

    def run(self, *commands):
        subprocess.run([str(part) for part in self.psql(*commands)], check=True, stdout=subprocess.DEVNULL)

    def stop(self):
        self.server("pg_ctl", "stop", "--mode=fast", "--silent")


class MariaDb:
    """With the settings that it comes with."""

    def __init__(self, folder, csv, rows):
        self.folder, self.port = pathlib.Path("/var/tmp") / f"holistics-bench-mariadb-{folder.name}", free_port()
        data = self.folder / "data"
        is_new = not (self.folder / "loaded").exists()
        if is_new:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir()
            if as_user("mysql"):
                shutil.chown(self.folder, "mysql")
            command = [*as_user("mysql"), "mariadb-install-db", "--no-defaults", f"--datadir={data}",
                       "--auth-root-authentication-method=normal", "--skip-test-db"]
            subprocess.run(command, check=True, cwd="/", stdout=subprocess.DEVNULL)
        self.socket = self.folder / "socket"
        command = [*as_user("mysql"), "mariadbd", "--no-defaults", f"--datadir={data}", f"--socket={self.socket}",
                   f"--port={self.port}", "--bind-address=127.0.0.1", f"--pid-file={self.folder}/pid",
                   "--local-infile=1"]
        self.process = subprocess.Popen(command, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while subprocess.run(self.client("-e", "select 1"), capture_output=True).returncode:
            if self.process.poll() is not None:
                raise SystemExit("bench: MariaDB ended")
            time.sleep(0.05)
        if is_new:
            self.run("create database bench character set utf8mb4")
            self.run(f"""use bench; {TABLE.format(name="lineitem", text="varchar(100)")};
                load data local infile '{csv}' into table lineitem character set utf8mb4
                fields terminated by ',' optionally enclosed by '"' ignore 1 lines;
                analyze table lineitem;""")
            (self.folder / "loaded").touch()
        self.url = f"mysql://root@127.0.0.1:{self.port}/bench?sslmode=disable"

    def client(self, *arguments):
        return ["mariadb", "--no-defaults", "--local-infile=1", "-u", "root", f"--socket={self.socket}", *arguments]

    def run(self, sql):
        subprocess.run(self.client("-e", sql), check=True, stdout=subprocess.DEVNULL)

    def stop(self):
        self.process.terminate()
        self.process.wait()
