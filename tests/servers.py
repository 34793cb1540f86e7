"""Database servers that `make chaos` and `make bench` start for themselves, in folders of their own and on free ports."""

import os
import pathlib
import shutil
import socket
import subprocess
import time


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def as_user(user):
    """Servers refuse to run as root."""
    return ["runuser", "-u", user, "--"] if os.geteuid() == 0 else []


def folder_of(path, user):
    """A new folder that is the server's own."""
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir()
    if as_user(user):
        shutil.chown(path, user)


class Postgres:
    """Made anew unless the folder has one."""

    def __init__(self, folder, *options):
        bin_folder = subprocess.run(["pg_config", "--bindir"], check=True, capture_output=True, text=True)
        self.bin = pathlib.Path(bin_folder.stdout.strip())
        self.folder, self.port = folder, free_port()
        if not (folder / "data").exists():
            folder_of(folder, "postgres")
            self.server("initdb", "--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")
        self.server("pg_ctl", "start", "--wait", "--silent", "-l", folder / "log", "-o",
                    " ".join([f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder}", *options]))
        self.url = f"postgres://postgres@127.0.0.1:{self.port}/postgres?sslmode=disable"

    def server(self, program, *arguments):
        command = [*as_user("postgres"), self.bin / program, *arguments, "-D", self.folder / "data"]
        subprocess.run([str(part) for part in command], check=True, cwd="/", stdout=subprocess.DEVNULL)

    def psql(self, *commands):
        flags = [flag for command in commands for flag in ("-c", command)]
        return ["psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-h", "127.0.0.1", "-p", str(self.port), *flags]

    def run(self, *commands):
        """What the commands print, a row a line, the values parted by `|`."""
        return run(self.psql(*commands))

    def stop(self):
        self.server("pg_ctl", "stop", "--mode=fast", "--silent")


class MariaDb:
    """Made anew unless the folder has one, with a database `test`."""

    def __init__(self, folder, *options):
        self.folder, self.port, self.socket = folder, free_port(), folder / "socket"
        data = folder / "data"
        if not data.exists():
            folder_of(folder, "mysql")
            run([*as_user("mysql"), "mariadb-install-db", "--no-defaults", f"--datadir={data}",
                 "--auth-root-authentication-method=normal", "--skip-test-db"])
        command = [*as_user("mysql"), "mariadbd", "--no-defaults", f"--datadir={data}", f"--socket={self.socket}",
                   f"--port={self.port}", "--bind-address=127.0.0.1", f"--pid-file={folder}/pid", "--local-infile=1", *options]
        self.process = subprocess.Popen(command, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while subprocess.run(self.client("-e", "select 1"), capture_output=True).returncode:
            if self.process.poll() is not None:
                raise SystemExit("MariaDB ended")
            time.sleep(0.05)
        self.run("create database if not exists test character set utf8mb4")
        self.url = f"mysql://root@127.0.0.1:{self.port}/test?sslmode=disable"

    def client(self, *arguments):
        return ["mariadb", "--no-defaults", "--local-infile=1", "-u", "root", f"--socket={self.socket}", *arguments]

    def run(self, sql):
        """What the commands print, a row a line, the values parted by a tab."""
        return run(self.client("-N", "-B", "-e", sql))

    def stop(self):
        self.process.terminate()
        self.process.wait()


def run(command):
    done = subprocess.run(command, capture_output=True, text=True, cwd="/")
    if done.returncode:
        raise SystemExit(f"{command[0]}: {done.stderr}")
    return done.stdout
