"""A real server for all tests, and a proxy before it for those that need things to go wrong."""

import os
import pathlib
import re
import signal
import subprocess

import pytest
from faults import Proxy

from holistics import HolisticsAPI

BINARY = os.environ.get("HOLISTICS_BINARY")
REPORTS = pathlib.Path(__file__).parent / "reports"


def pytest_collection_modifyitems(items):
    if not BINARY:
        for item in items:
            item.add_marker(pytest.mark.skip(reason="HOLISTICS_BINARY names no server to test against"))


def run(*arguments):
    return subprocess.run([BINARY, *arguments], check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("data"))
    run("reports", "apply", str(REPORTS), "--data-dir", folder)
    run("users", "add", "ann@example.com", "--api-access", "--data-dir", folder)
    run("users", "imports", "ann@example.com", "on", "--data-dir", folder)
    return folder


@pytest.fixture(scope="session")
def key(data_dir):
    arguments = ("--user", "ann@example.com", "--scope", "run,read,import", "--data-dir", data_dir)
    return run("keys", "create", *arguments).strip()


@pytest.fixture(scope="session")
def url(data_dir):
    arguments = [BINARY, "serve", "--data-dir", data_dir, "--listen", "127.0.0.1:0"]
    with subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True) as server:
        for line in server.stderr:
            if found := re.search(r"serving on (http://\S+)", line):
                break
        else:
            raise AssertionError("the server did not start")
        # The rest of its log must be read, lest the pipe fills up.
        with subprocess.Popen(["cat"], stdin=server.stderr, stdout=subprocess.DEVNULL):
            yield found[1]
            server.kill()


@pytest.fixture
def api(key, url):
    return HolisticsAPI(key, url)


@pytest.fixture
def proxy(url):
    with Proxy(url) as proxy:
        yield proxy


@pytest.fixture
def far(key, proxy):
    """The API through the proxy, with its host taken for one that is far away."""
    return HolisticsAPI(key, proxy.url.replace("127.0.0.1", "127.1"))


@pytest.fixture
def control_c():
    """What SIGINT does at a terminal, also where the tests run in the background and it would do nothing."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before or signal.SIG_DFL)
