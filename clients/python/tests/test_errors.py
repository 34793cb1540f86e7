import email.utils
import hashlib
import json
import logging
import os
import pickle
import ssl
import subprocess
import threading
import time
import traceback
from contextlib import suppress

import pandas
import pytest
import requests
from conftest import run
from faults import Fault, hang, in_chunks, lose, reply, trickle

from holistics import (
    ApiError,
    DeadlineExceeded,
    HolisticsAPI,
    HolisticsError,
    IncompleteResult,
    JobFailed,
    NoConnection,
    NotFound,
    UnexpectedAnswer,
    WrongKey,
)

HTML = b"<html><body>502 Bad Gateway</body></html>"


def assert_one_line(problem, *words):
    message = str(problem.value)
    assert "\n" not in message and len(message) < 200
    for word in words:
        assert word in message


def test_a_wrong_key(url):
    for call in (lambda api: api.query(12), lambda api: api.submit_export(99), lambda api: api.jobs()):
        with pytest.raises(WrongKey) as problem:
            call(HolisticsAPI("d3Jvbmc=", url))
        assert_one_line(problem, "the API key is unknown or revoked")
        assert isinstance(problem.value, requests.exceptions.HTTPError)
        assert problem.value.response.status_code == 422


@pytest.mark.parametrize("key", ["a\n", "a b", "a\0", "", None, "kéy", b"key"])
def test_a_key_that_cannot_be_one(key):
    with pytest.raises(ValueError, match="the API key"):
        HolisticsAPI(key, "http://127.0.0.1:1")


def test_addresses(monkeypatch):
    assert HolisticsAPI("k", "reports.example.com/").url == "https://reports.example.com"
    monkeypatch.delenv("HOLISTICS_HOST", raising=False)
    assert HolisticsAPI("k").url == "https://secure.holistics.io"
    monkeypatch.setenv("HOLISTICS_HOST", "http://127.0.0.1:3000")
    assert HolisticsAPI("k").url == "http://127.0.0.1:3000"
    with pytest.raises(ValueError, match="must be like"):
        HolisticsAPI("k", "ftp://example.com")
    with pytest.raises(ValueError, match="got `example.com`"):
        HolisticsAPI("k", "ftp://ann:secret@example.com")


def test_a_filter_that_does_not_parse(api):
    with pytest.raises(ApiError) as problem:
        api.query(2, {"day": "yesterdy"})
    assert_one_line(problem, "report `2`", "filter `day` must be a date like 2026-01-31, got `yesterdy`")


def test_unknown_things(api):
    for call in (
        lambda: api.query("99-nothing"),
        lambda: api.export_data("../../jobs/1"),
        lambda: api.get_export_results(99999),
        lambda: api.download_results(99999),
        lambda: api.cancel(99999),
        lambda: api.logs("x"),
    ):
        with pytest.raises(NotFound) as problem:
            call()
        assert_one_line(problem, "there is no ")
        assert isinstance(problem.value, requests.exceptions.HTTPError)


def test_an_address_with_a_path_that_is_not_the_servers(key, url):
    for call in (lambda api: api.query(12), lambda api: api.export_data(12, "x.csv"), lambda api: api.reports()):
        with pytest.raises(UnexpectedAnswer) as problem:
            call(HolisticsAPI(key, url + "/reports"))
        assert_one_line(problem, " has no reports: no such route: ")


def test_no_connection():
    with pytest.raises(NoConnection) as problem:
        HolisticsAPI("secret-key", "http://127.0.0.1:1").query(12, {"name": "private"})
    assert_one_line(problem, "cannot reach http://127.0.0.1:1: Connection refused: is the server running, and the port")
    assert isinstance(problem.value, requests.exceptions.HTTPError)
    assert isinstance(problem.value, requests.exceptions.ConnectionError)
    assert problem.value.__context__ is None and "private" not in str(problem.value)


def test_a_name_that_is_no_servers():
    began = time.monotonic()
    with pytest.raises(NoConnection) as problem:
        HolisticsAPI("key", "http://reports.invalid").submit_export(12)
    assert_one_line(problem, "cannot reach http://reports.invalid: ")
    if "is the host's name right" in str(problem.value):  # Where no network is, nobody can say so.
        assert time.monotonic() - began < 2, "asking again does not mend it"


def test_http_where_https_is_meant_is_found_out_at_once(proxy):
    began = time.monotonic()
    with pytest.raises(NoConnection) as problem:
        HolisticsAPI("key", proxy.url.replace("http://", "")).query(12)
    assert_one_line(problem, "does not speak https: an address of plain http must begin with http://")
    assert time.monotonic() - began < 2 and proxy.connections == 1


def test_a_certificate_that_is_not_trusted(proxy, tmp_path):
    certificate, private_key = tmp_path / "certificate", tmp_path / "key"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost"]
    try:
        subprocess.run([*command, "-keyout", private_key, "-out", certificate], check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("there is no openssl")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, private_key)
    proxy.serve_tls(context)
    with pytest.raises(NoConnection) as problem:
        HolisticsAPI("secret-key", proxy.url.replace("http:", "https:")).query(12, timeout=20)
    assert_one_line(problem, "its certificate is not trusted (self-signed certificate)", "REQUESTS_CA_BUNDLE")
    assert proxy.connections == 1, "asking again does not mend it"


def test_a_report_that_is_removed_in_mid_run(api, data_dir, monkeypatch):
    monkeypatch.setattr("holistics._jobs.POLL_SECS", 1)  # A poll that waits at the server is not told.
    problems = []

    def query():
        try:
            api.query(8)
        except Exception as problem:
            problems.append(problem)

    thread = threading.Thread(target=query)
    thread.start()
    until = time.monotonic() + 20
    while not any(job["source_id"] == 8 for job in api.jobs(status="running")):
        assert thread.is_alive() and time.monotonic() < until
        time.sleep(0.01)
    run("reports", "remove", "8", "--data-dir", data_dir)
    thread.join()
    assert [type(problem) for problem in problems] == [NotFound]
    assert "there is no job" in str(problems[0]) and "\n" not in str(problems[0])


@pytest.mark.parametrize("part", ["submit_export", "get_export_results", "manifest", "/exports/download"])
def test_a_proxys_page_is_no_answer(far, proxy, part):
    proxy.next(part, reply(200, HTML, Content_Type="text/html; charset=utf-8"))
    with pytest.raises(UnexpectedAnswer) as problem:
        far.export_data(12, format="csv")
    assert_one_line(problem, "a web page instead of data (status 200)")


@pytest.mark.parametrize("part", ["submit_export", "get_export_results", "/queries.json"])
def test_json_of_something_else_is_no_answer(far, proxy, part):
    proxy.next(part, reply(200, b'{"hello": 1}', Content_Type="application/json"))
    with pytest.raises(UnexpectedAnswer) as problem:
        far.reports() if part == "/queries.json" else far.query(12)
    assert_one_line(problem, "JSON of another kind instead of data (status 200)")


@pytest.mark.parametrize("part", ["submit_export", "get_export_results", "/exports/download"])
def test_a_redirect_to_a_log_in_page(far, proxy, part):
    log_in = reply(302, Location="/login?next=x")
    proxy.next(part, log_in)
    proxy.next("/login", reply(200, HTML, Content_Type="text/html"))
    with pytest.raises(UnexpectedAnswer) as problem:
        far.query(12)
    assert_one_line(problem, "web page instead" if part == "/exports/download" else "/login: a log-in page, or")


def test_the_key_does_not_go_to_another_host(far, proxy, api, key):
    """Files may be kept elsewhere, and their addresses be signed."""
    proxy.next("/exports/download", reply(302, Location=proxy.url + "/elsewhere"))
    proxy.next("/elsewhere", reply(200, b"a\n1\n", Content_Type="text/csv"))
    proxy.next("manifest", reply(404, b'{"errors":["Resource not found"]}'))
    assert far.export_data(12, format="csv")["a"].tolist() == [1]
    assert proxy.asked("/exports/download")[0].headers["X-Holistics-Key"] == key
    assert "X-Holistics-Key" not in proxy.asked("/elsewhere")[0].headers


BUSY = b'{"errors":["this key may be used 60 times a minute"]}'


@pytest.fixture
def pauses(monkeypatch):
    """How long it would have waited, without waiting."""
    pauses = []
    monkeypatch.setattr("holistics._http.time.sleep", pauses.append)
    return pauses


@pytest.mark.parametrize("part", ["submit_export", "get_export_results", "manifest", "/exports/download", "feeds"])
def test_a_server_that_is_busy_is_asked_when_it_says(far, proxy, pauses, part):
    moment = email.utils.formatdate(time.time() + 40, usegmt=True)
    proxy.next(part, *[reply(429, BUSY, Retry_After=text) for text in ("7", moment)], *[reply(429, BUSY)] * 6)
    if part == "feeds":
        far.feed_url(12)
    else:
        assert len(far.export_data(12, format="csv")) == 3
    assert len(proxy.asked(part)) == 9
    assert pauses[0] == 7 and 35 < pauses[1] <= 40 and pauses[2] > 0.5 and max(pauses[2:]) <= 12
    assert len({seen.headers.get("Idempotency-Key") for seen in proxy.asked(part)}) == 1


def test_a_server_that_stays_busy_is_not_asked_for_ever(far, proxy, pauses):
    proxy.next("submit_export", reply(429, BUSY, Retry_After="3600"))
    with pytest.raises(ApiError, match="60 times a minute .status 429."):
        far.query(12)
    assert not pauses
    proxy.next("submit_export", *[reply(429, BUSY, Retry_After="60")] * 6)
    with pytest.raises(ApiError, match="60 times a minute .status 429."):
        far.query(12)
    assert pauses == [60] * 5
    proxy.next("submit_export", reply(429, BUSY, Retry_After="30"))
    with pytest.raises(DeadlineExceeded, match="not done within 5 s: .*60 times a minute"):
        far.query(12, timeout=5)
    assert len(pauses) == 5


def test_what_fails_for_a_moment_is_tried_again(far, proxy, api):
    jobs = len(api.jobs(page_size=1000))
    error = reply(500, b'{"errors":["internal error"]}')
    proxy.next("submit_export", error, lose())
    proxy.next(
        "get_export_results", reply(503, HTML, Content_Type="text/html", Retry_After="Thu, 01 Jan 2026 00:00:00")
    )
    proxy.next("manifest", lose())
    proxy.next("/exports/download", error)
    assert len(far.query(12)) == 3
    # The submit whose answer was lost had been accepted.
    assert len(api.jobs(page_size=1000)) == jobs + 1
    proxy.next("submit_export", *[error] * 5)
    with pytest.raises(ApiError, match="internal error .status 500."):
        far.query(12)


BROKEN = reply(500, b'{"errors":["internal error"]}')


@pytest.mark.parametrize(
    ("part", "faults", "error"),
    [
        ("submit_export", [lose()] * 5, NoConnection),
        # What is refused in the end was taken before.
        ("submit_export", [lose(), reply(429, BUSY, Retry_After="3600")], ApiError),
        ("get_export_results", [reply(403, b'{"errors":["the key is over"]}')], ApiError),
        ("get_export_results", [BROKEN] * 5, ApiError),
        ("get_export_results", [reply(200, b"{}", Content_Type="application/json")], UnexpectedAnswer),
    ],
)
def test_a_job_that_is_given_up_is_stopped_once(far, proxy, api, pauses, part, faults, error):
    before = [job["id"] for job in api.jobs()]
    proxy.next(part, *faults)
    with pytest.raises(error):
        far.query(14)
    assert len(proxy.asked("cancel")) == 1
    (job,) = (job for job in api.jobs() if job["id"] not in before)
    assert job["status"] in ("cancelling", "cancelled")


@pytest.mark.parametrize("part", ["submit_export", "get_export_results", "manifest", "/exports/download"])
def test_a_server_that_hangs_is_left_at_the_deadline(far, proxy, part):
    proxy.next(part, hang(), hang())
    began = time.monotonic()
    with pytest.raises(DeadlineExceeded) as problem:
        far.query(12, timeout=0.7)
    assert time.monotonic() - began < 4
    assert isinstance(problem.value, TimeoutError) and isinstance(problem.value, HolisticsError)


@pytest.mark.parametrize("part", ["submit_export", "get_export_results", "manifest", "/exports/download"])
@pytest.mark.parametrize("what", ["all", "body"])
def test_a_server_that_sends_byte_by_byte_is_left_at_the_deadline(far, proxy, part, what):
    proxy.next(part, *[trickle(what)] * 4)
    began = time.monotonic()
    with pytest.raises(DeadlineExceeded):
        far.query(12, timeout=0.7)
    assert time.monotonic() - began < 4


BAD_ANSWERS = {
    "submit_export": [
        {"job_id": None, "status": "created"},
        {"job_id": 1, "status": 2},
        {"job_id": [1], "status": "x"},
    ],
    "submit_query": [{"job_id": {}, "status": "created"}],
    "get_export_results": [{"status": None}, {"status": ["success"]}, {"status": "nonesuch"}, {}, [], None, "x"],
    "get_query_results": [
        {"status": "success", "fields": "ab", "values": [], "paginated": {}},
        {"status": "success", "fields": [], "values": [], "paginated": None},
        {"status": "success", "fields": [1], "values": [], "paginated": {"num_rows": 1, "page": 1, "page_size": 25}},
        {
            "status": "success",
            "fields": ["a"],
            "values": [[1]],
            "paginated": {"num_rows": 1, "page": 1, "page_size": 25},
        },
        {
            "status": "success",
            "fields": ["a"],
            "values": [1],
            "paginated": {"num_rows": "1", "page": 1, "page_size": 25},
        },
    ],
    "manifest": [
        {"bytes": "1", "rows": 1, "sha256": ""},
        {"bytes": 1, "rows": True, "sha256": ""},
        {"bytes": 1, "rows": 1, "sha256": "", "options": 7},
        {"bytes": 1, "rows": 1, "sha256": "", "file_name": {}},
    ],
    "/queries.json": [[1], [{}], [{"id": 1}], [{"id": 1, "title": None}], {}, None],
    "/jobs.json": [[1], {}, [{"id": 1}]],
    "logs.json": [{"logs": [{"id": "1", "message": "x"}]}, {"logs": None}, {"logs": [1]}],
    "/feeds.json": [{"url": 7}, {}],
    "cancel.json": [{"status": 1}, []],
    "/jobs/7.json": [{"id": 7}, []],
    "/data_sources.json": [[{"id": "one", "name": "x"}], [7]],
}
CALLS = {
    "submit_query": lambda api: api.export_data(12, page_size=25),
    "get_query_results": lambda api: api.export_data(12, "page.csv", page_size=25),
    "manifest": lambda api: api.export_data(12, format="csv"),
    "/queries.json": lambda api: api.query("Sales"),
    "/jobs.json": lambda api: api.jobs(),
    "logs.json": lambda api: api.logs(7),
    "/feeds.json": lambda api: api.feed_url(12),
    "cancel.json": lambda api: api.cancel(7),
    "/jobs/7.json": lambda api: api.job(7),
    "/data_sources.json": lambda api: api.import_csv("page.csv", "t", "x"),
}


@pytest.mark.parametrize("part", BAD_ANSWERS)
def test_answers_that_are_not_the_apis(far, proxy, part):
    call = CALLS.get(part, lambda api: api.query(12))
    for answer in BAD_ANSWERS[part]:
        proxy.next(part, *[reply(200, json.dumps(answer).encode(), Content_Type="application/json")] * 2)
        with pytest.raises(UnexpectedAnswer) as problem:
            call(far)
        assert_one_line(problem)
        proxy.faults.clear()
    assert not os.path.exists("page.csv")


@pytest.mark.parametrize("options", [{}, {"format": "arrow"}, {"format": "parquet"}, {"format": "csv"}])
def test_files_that_are_none(far, proxy, options):
    text = b"Service temporarily unavailable"
    manifest = {"bytes": len(text), "rows": 1, "sha256": hashlib.sha256(text).hexdigest()}
    columns = [{"name": "a", "type": "Int64"}]
    for more in ({}, {"columns": None}, {"columns": columns}):
        name = "x." + options.get("format", "arrow")
        told = json.dumps({**manifest, "file_name": name, **more}).encode()
        proxy.next("manifest", reply(200, told, Content_Type="application/json"))
        proxy.next("/exports/download", reply(200, text, Content_Type="text/plain"))
        with pytest.raises((IncompleteResult, pandas.errors.ParserError)):
            far.export_data(12, **options)


def test_a_page_that_is_none(far, proxy):
    """The first answer is the poll's."""
    for content in (b"", b"x" * 100, b"\xff" * 100):
        page = reply(200, content, Content_Type="application/vnd.apache.arrow.stream")
        proxy.next("get_query_results", Fault(False, lambda handler, *answer: handler.send(*answer)), page)
        with pytest.raises(UnexpectedAnswer):
            far.export_data(12, page_size=25)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not copied here")
def test_processes_do_not_share_a_connection(far, proxy):
    far.jobs()
    assert proxy.connections == 1
    child = os.fork()
    if not child:
        with suppress(BaseException):
            far.jobs()
            os._exit(0)
        os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    assert proxy.connections == 2
    far.jobs()
    assert proxy.connections == 2


def test_what_was_not_sent_has_no_job(far, proxy, api):
    jobs = len(api.jobs(page_size=1000))
    with pytest.raises(DeadlineExceeded) as problem:
        far.query(12, timeout=0)
    assert not proxy.seen and "may have begun" not in str(problem.value)
    proxy.next("submit_export", *[reply(429, BUSY)] * 9)
    with pytest.raises(DeadlineExceeded, match="60 times a minute .status 429.$"):
        far.query(12, timeout=1)
    with pytest.raises(DeadlineExceeded, match="is the server running, and the port right.$"):
        HolisticsAPI("k", "http://127.0.0.1:1").query(12, timeout=0.5)
    assert not proxy.asked("cancel") and len(api.jobs(page_size=1000)) == jobs


@pytest.mark.parametrize("follows", [False, True])
def test_a_job_that_cannot_be_stopped_is_told_of(far, proxy, api, pauses, follows):
    proxy.follows = follows
    away = reply(503, HTML, Content_Type="text/html")
    if follows:
        proxy.next("_follow", in_chunks(0, **{"X-Followed-Job": "1"}))
    proxy.next("get_export_results", *[away] * 99)
    proxy.next("cancel", *[away] * 99)
    with pytest.raises(ApiError, match=r"503.*; job [0-9]+ may go on: cancel\([0-9]+\) stops it$"):
        far.query(10 if follows else 14)
    for job in api.jobs(status="running"):
        api.cancel(job["id"])


def test_errors_can_be_sent_between_processes():
    for error in (NotFound("x"), JobFailed("x", "7"), DeadlineExceeded("x"), NoConnection("x")):
        copy = pickle.loads(pickle.dumps(error))
        assert type(copy) is type(error) and str(copy) == "x" and vars(copy) == vars(error)


def test_the_key_is_nowhere_to_be_seen(far, proxy, url, caplog, capfd):
    key = "c2VjcmV0LXNlY3JldC1zZWNyZXQ="
    api = HolisticsAPI(key, url)
    caplog.set_level(logging.DEBUG)
    seen = [repr(api), str(vars(api)), repr(vars(vars(api)["_jobs"].http))]
    for bad in (api, HolisticsAPI(key, proxy.url), HolisticsAPI(key, "http://127.0.0.1:1")):
        proxy.next("submit_export", reply(302, Location="http://127.0.0.1:1/"))
        with pytest.raises(ApiError) as problem:
            bad.query(12, timeout=20)
        seen.append("".join(traceback.format_exception(problem.type, problem.value, problem.tb)))
        if problem.value.response is not None:
            seen.append(str(problem.value.response.request.headers) + str(vars(problem.value)))
    with pytest.raises(ValueError) as problem:
        HolisticsAPI(key + "\n")
    seen += [str(problem.value), caplog.text, *capfd.readouterr()]
    assert all(key not in text for text in seen)
