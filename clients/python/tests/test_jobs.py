import os
import re
import signal
import threading
import time

import pytest
from faults import NOT_DONE, Fault, reply

from holistics import DeadlineExceeded, HolisticsAPI, JobFailed, _jobs


def wait_for(condition):
    until = time.monotonic() + 20
    while not (found := condition()):
        assert time.monotonic() < until, "it did not come to pass"
        time.sleep(0.01)
    return found


def slow_jobs(api, status):
    return [job["id"] for job in api.jobs(source_type="QueryReport", source_id=3, status=status)]


def test_control_c_cancels_the_job(api, control_c):
    def interrupt():
        wait_for(lambda: slow_jobs(api, "running"))
        os.kill(os.getpid(), signal.SIGINT)

    before = slow_jobs(api, "cancelled")
    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        api.query(3)
    thread.join()
    assert len(wait_for(lambda: set(slow_jobs(api, "cancelled")) - set(before))) == 1


@pytest.mark.parametrize("call", ["query", "submit_export"])
def test_a_submit_that_is_interrupted_is_cancelled_too(far, proxy, api, control_c, call):
    before = slow_jobs(api, "cancelled")

    def interrupt(handler, *_):
        os.kill(os.getpid(), signal.SIGINT)
        handler.proxy.over.wait(30)

    proxy.next("submit_export", Fault(False, interrupt))
    with pytest.raises(KeyboardInterrupt):
        getattr(far, call)(3)
    assert len(wait_for(lambda: set(slow_jobs(api, "cancelled")) - set(before))) == 1


@pytest.mark.parametrize("call", ["query", "export_data", "to_arrow", "iter_batches"])
def test_the_deadline_cancels_the_job(api, call):
    before = slow_jobs(api, "cancelled")
    began = time.monotonic()
    with pytest.raises(DeadlineExceeded, match="not done within 0.5 s"):
        list(getattr(api, call)(3, timeout=0.5))
    assert time.monotonic() - began < 10
    assert len(wait_for(lambda: set(slow_jobs(api, "cancelled")) - set(before))) == 1


def test_a_job_that_somebody_else_began_is_not_cancelled_with_ours(api):
    first = api.submit_export(3, {"nonce": 1}, format="arrow")
    with pytest.raises(DeadlineExceeded):
        api.query(3, {"nonce": 1}, timeout=0.5)
    assert api.job(first)["status"] in ("queued", "running")
    with pytest.raises(DeadlineExceeded):
        api.get_export_results(first, timeout=0.1)
    assert api.job(first)["status"] in ("queued", "running")
    api.cancel(first)
    with pytest.raises(JobFailed, match="the job was cancelled"):
        api.get_export_results(first)
    assert [line["message"] for line in api.logs(first)][-1] == "cancelled"


def test_a_server_without_long_polls_is_asked_with_pauses(far, proxy):
    old = reply(200, b'{"status":"not yet"}', Content_Type="application/json")
    proxy.next("get_export_results", old, old, old)
    assert len(far.query(12)) == 3
    polls = [seen.at for seen in proxy.asked("get_export_results")]
    pauses = [later - sooner for sooner, later in zip(polls, polls[1:])]
    assert len(pauses) == 3 and pauses[0] >= 0.1 and pauses[1] >= 0.2 and pauses[2] >= 0.4


def test_a_job_that_is_followed_is_polled_less(far, proxy, monkeypatch):
    def wait(handler, *_):
        handler.proxy.over.wait(0.2)  # As the server does while a job has not begun.
        NOT_DONE.act(handler, None, None)

    monkeypatch.setattr(_jobs, "POLL_SECS", 0.2)
    proxy.follows = True
    proxy.next("_follow", *[Fault(True, wait)] * 3)
    # It has failed while it seemed that it had not begun.
    with pytest.raises(JobFailed):
        far.query(4)
    assert len(proxy.asked("_follow")) == 2
    assert len(proxy.asked("get_export_results")) == 1
    assert len(far.query(12)) == 3
    assert len(proxy.asked("_follow")) == 4
    assert len(proxy.asked("get_export_results")) == 1


def test_polls_wait_at_the_server(far, proxy):
    far.query(7)
    assert len(proxy.asked("get_export_results")) == 1


@pytest.mark.parametrize("quiet, shown", [(None, False), (True, False), (False, True)])
def test_progress_is_for_those_who_want_it(key, url, capsys, quiet, shown):
    api = HolisticsAPI(key, url, quiet=quiet)
    api.export_data(12)
    out = capsys.readouterr().out
    assert out == (
        "Submitting export request... Success\nGetting export results... Success\nDownloading results... Success\n"
        if shown
        else ""
    )


def test_a_terminal_sees_how_far_it_is(key, url, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    api = HolisticsAPI(key, url)
    api.query(7)
    with pytest.raises(JobFailed):
        api.query(4)
    out = capsys.readouterr().out
    assert re.search(r"\rDownloading results... \d+\.\d MB", out)
    assert re.search(r"\rDownloading results... Success \(\d+\.\d MB, 300,000 rows\)", out)
    assert out.endswith("Getting export results... Failure\n")


def test_a_narrow_terminal_sees_it_too(key, url, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "20")
    monkeypatch.setattr("holistics._progress.REDRAW_SECS", 0)
    HolisticsAPI(key, url).query(7)
    drawn = re.findall(r"\r([^\r\n\x1b]*)(?=\x1b)", capsys.readouterr().out)
    assert max(map(len, drawn)) < 20, "a line that wraps cannot be redrawn"
    assert any(re.fullmatch(r"\d+\.\d MB", line) for line in drawn)


@pytest.mark.parametrize("call", ["export_file", "export_data", "iter_batches"])
def test_a_download_that_is_interrupted_leaves_nothing(far, proxy, control_c, tmp_path, call):
    def interrupt(handler, answer, content):
        handler.send(answer, content, cut_at=1000)
        os.kill(os.getpid(), signal.SIGINT)
        handler.proxy.over.wait(30)

    proxy.next("/exports/download", Fault(False, interrupt))
    with pytest.raises(KeyboardInterrupt):
        if call == "iter_batches":
            list(far.iter_batches(7))
        else:
            getattr(far, call)(7, tmp_path / "many.csv")
    assert os.listdir(tmp_path) == []
