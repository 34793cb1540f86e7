"""docs/clients.md, as a reader would paste it: each section's code runs, and prints what the section says it prints."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import urllib.request

import pytest
from conftest import BINARY

DOCUMENT = pathlib.Path(__file__).parents[3] / "docs" / "clients.md"
FEED = "https://reports.example.com/feeds/1-orders.csv?token=hlf_…"
# Beside the interpreter of these tests are what scripts/test has installed.
PATH = f"{pathlib.Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
PROGRAMS = {
    "sh": ["sh", "-e"],
    "python": [sys.executable],
    "r": ["Rscript", "-"],
    "js": ["node", "--input-type=module", "-"],
    "sql": ["duckdb", "-csv", "-bail"],
}
HERE = ("curl", "Python", "The older package", "R", "JavaScript", "DuckDB")
NOT_RUN = ("Excel", "Google Sheets", "LibreOffice")


def sections():
    found = {}
    for part in re.split(r"^##+ ", DOCUMENT.read_text(), flags=re.MULTILINE)[1:]:
        heading, _, text = part.partition("\n")
        blocks = re.findall(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
        # What a live link is belongs to curl, whose functions it uses.
        found.setdefault("curl" if heading == "A live link" else heading, []).extend(blocks)
    return found


SECTIONS = sections() if DOCUMENT.exists() else {}  # A package alone has no such document.


def runs():
    """Scripts with what they print: a section's blocks of one language are one script."""
    for heading in HERE if SECTIONS else ():
        scripts, last = {}, ""
        for kind, text in SECTIONS[heading]:
            if kind == "text":
                scripts[last][1].append(text)
            elif "pip install" not in text:
                last = kind
                scripts.setdefault(kind, ([], []))[0].append(text)
        for kind, (code, output) in scripts.items():
            yield pytest.param(heading, kind, "".join(code), "".join(output), id=f"{heading}-{kind}")


def test_each_section_is_run_or_said_not_to_be():
    assert tuple(SECTIONS) == HERE + NOT_RUN or not SECTIONS
    assert all(kind in (*PROGRAMS, "text", "powerquery") for blocks in SECTIONS.values() for kind, _ in blocks)


@pytest.fixture(scope="module")
def feed(key, url):
    asked = {"report_id": 12, "format": "csv", "filters": {"status": ["open"]}, "max_age": 900}
    request = urllib.request.Request(url + "/feeds.json", json.dumps(asked).encode(), {"X-Holistics-Key": key})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)["url"]


def skip_without(program, *probe):
    if not shutil.which(program, path=PATH):
        pytest.skip(f"there is no {program}")
    if probe and subprocess.run([program, *probe], env={**os.environ, "PATH": PATH}, capture_output=True).returncode:
        pytest.skip(f"{program} cannot `{probe[-1]}`")


@pytest.mark.parametrize("heading, kind, code, output", list(runs()))
def test_a_section_does_what_it_says(heading, kind, code, output, key, url, feed, tmp_path):
    skip_without(PROGRAMS[kind][0])
    if kind == "r":
        skip_without("Rscript", "-e", "library(httr2); library(jsonlite)")
    if kind == "sql":
        skip_without("duckdb", "-c", "load httpfs")
    if "duckdb" in code:
        skip_without("duckdb")
    (tmp_path / "holistics").symlink_to(BINARY)
    environment = {
        **os.environ,
        "HOLISTICS_HOST": url,
        "HOLISTICS_KEY": key,
        "HOME": str(tmp_path),
        "PATH": f"{tmp_path}{os.pathsep}{PATH}",
    }
    if kind == "sh" and "holistics export" in code:
        subprocess.run(["holistics", "login", key], env=environment, check=True, capture_output=True)
    if heading == "The older package":
        environment.pop("PYTHONPATH", None)
        which = subprocess.run(
            [sys.executable, "-c", "import holistics; print(hasattr(holistics, 'JobFailed'))"],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        if which.stdout.strip() != "False":
            pytest.skip("the older package is not installed")
    done = subprocess.run(
        PROGRAMS[kind], input=code.replace(FEED, feed), env=environment, cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    expected = re.escape(output.replace("https://reports.example.com", url)).replace("…", ".*")
    assert re.fullmatch(expected, done.stdout), f"{done.stdout}\n{done.stderr}"
