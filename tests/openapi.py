"""Has schemathesis hold a real server against its own /openapi.json; `scripts/schemathesis` runs it.

Two runs, each on a server and a folder of its own: with the key of an administrator, and with that of a viewer.
The seed is fixed, so that what fails once fails again."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import urllib.request

CHECKS = ("not_a_server_error,status_code_conformance,content_type_conformance,"
          "response_headers_conformance,response_schema_conformance")
REPORTS = {
    1: ("filters:\n  n: {type: number, default: 1}\n  day: {type: date}\n  names: {type: list}\ncache: 1h\n",
        "select {{ n }} as n, 'a' as text where 1=1 [[and {{ day }} is not null]] [[and 'a' in ({{ names }})]]"),
    2: ("", "select i, i / 7 as part from range(100) as t(i)"),
    3: ("", "select error('no') as n"),
}
HERE = pathlib.Path(__file__).parent


class Server:
    def __init__(self, binary, folder, role):
        self.binary, self.data = binary, folder / "data"
        reports = folder / "reports"
        reports.mkdir(parents=True)
        for number, (head, sql) in REPORTS.items():
            file = f"---\nid: {number}\ntitle: Report {number}\nshared_with: everyone\n{head}---\n{sql}\n"
            (reports / f"{number}.sql").write_text(file)
        # Those who are changed by numbers that come to anybody's mind.
        for number in range(1, 4):
            self.command("users", "add", f"user{number}@example.com", "--api-access")
        self.command("reports", "apply", str(reports))
        log = folder / "log"
        self.process = subprocess.Popen(
            [str(binary), "serve", "--data-dir", str(self.data), "--listen", "127.0.0.1:0"], stderr=open(log, "w"))
        while "serving on http://" not in log.read_text():
            if self.process.poll() is not None:
                raise SystemExit(f"openapi: the server ended: {log.read_text()}")
            time.sleep(0.02)
        self.host = "http://" + log.read_text().split("serving on http://")[1].split()[0]
        self.log = log
        self.administrator = self.key("root@example.com", "administrator")
        for number in range(40):
            self.ask("POST", "/users.json", {"email": f"more{number}@example.com"})
        # Found by no small number, so that no request takes their rights from them.
        self.administrator = self.key("admin@example.com", "administrator")
        self.caller = self.administrator if role == "administrator" else self.key("viewer@example.com", "viewer")
        self.things()

    def command(self, *arguments):
        command = [str(self.binary), *arguments, "--data-dir", str(self.data)]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def key(self, email, role):
        self.command("users", "add", email, "--api-access", "--role", role)
        self.command("users", "imports", email, "on")
        scopes = "run,read,import,reports:write,admin" if role == "administrator" else "run,read,import"
        return self.command("keys", "create", "--user", email, "--scope", scopes)

    def ask(self, method, path, body=None, key=None):
        request = urllib.request.Request(self.host + path, method=method)
        request.add_header("X-Holistics-Key", key or self.administrator)
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, data, timeout=60) as answer:
            return json.load(answer)

    def things(self):
        """Jobs of every kind and end, a feed, a group: what requests may be about."""
        for path in ("1/submit_query", "2/submit_export", "3/submit_query", "1/submit_export"):
            suffix = "json" if path.endswith("query") else "csv"
            self.ask("GET", f"/queries/{path}.{suffix}?_wait=30", key=self.caller)
        self.ask("POST", "/feeds.json", {"report_id": 2, "format": "csv", "max_age": 3600}, key=self.caller)
        self.ask("POST", "/groups.json", {"name": "sales", "users": ["user1@example.com"]})


def run(binary, schemathesis, role, examples, more):
    with tempfile.TemporaryDirectory() as folder:
        server = Server(binary, pathlib.Path(folder), role)
        try:
            print(f"openapi: as {role}, at {server.host}", file=sys.stderr)
            command = [schemathesis, "run", f"{server.host}/openapi.json", "--header", f"X-Holistics-Key: {server.caller}",
                       "--checks", CHECKS, "--seed", "1", "--max-examples", str(examples), "--continue-on-failure",
                       "--phases", "examples,coverage,fuzzing", "--warnings", "off", "--generation-database", "none", *more]
            environment = {**os.environ, "SCHEMATHESIS_HOOKS": "openapi_hooks", "PYTHONPATH": str(HERE),
                           "PYTHONDONTWRITEBYTECODE": "1"}
            failed = subprocess.run(command, env=environment).returncode != 0
            if server.process.poll() is not None:
                raise SystemExit("openapi: the server is gone")
            panics = [line for line in server.log.read_text().splitlines() if "panicked" in line]
            if panics:
                raise SystemExit("\n".join(["openapi: the server panicked", *panics]))
            return failed
        finally:
            server.process.terminate()
            server.process.wait()


def main():
    binary, schemathesis, examples, *more = sys.argv[1:]
    roles = ["administrator", "viewer"]
    failed = [role for role in roles if run(pathlib.Path(binary), schemathesis, role, int(examples), more)]
    if failed:
        raise SystemExit(f"openapi: answers differ from the document, as {' and as '.join(failed)}")


main()
