"""Files that are fetched while they are made."""

import os

import pandas as pd
import pytest
from faults import Fault, in_chunks, reply

from holistics import DeadlineExceeded, HolisticsError, IncompleteResult, JobFailed


def was_cancelled(api):
    with pytest.raises(JobFailed, match="the job was cancelled"):
        api.get_export_results(api.jobs()[0]["id"])


def test_rows_come_while_the_job_runs(api):
    batches = api.iter_batches(14)
    assert next(batches)["n"][0].as_py() == 0
    assert api.jobs()[0]["status"] == "running"
    # Nobody wants the others.
    batches.close()
    was_cancelled(api)


def test_a_file_that_has_no_end_ends_at_the_deadline(api, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DeadlineExceeded):
        api.export_file(14, "endless.csv", timeout=1)
    was_cancelled(api)
    assert os.listdir() == []


@pytest.mark.parametrize("call", ["query", "iter_batches", "export_file"])
def test_a_job_that_fails_in_mid_file_says_why(api, tmp_path, monkeypatch, call):
    monkeypatch.chdir(tmp_path)
    cancels = []
    monkeypatch.setattr("holistics._jobs.Jobs.cancel", lambda *call, **_: cancels.append(call))
    path = ["failed.csv"] if call == "export_file" else []
    with pytest.raises(JobFailed, match="no further"):
        list(getattr(api, call)(14, *path, {"fails_at": 2_000_000}) or [])
    assert os.listdir() == []
    # There is nothing to stop.
    assert not cancels


@pytest.mark.parametrize("sent", [0, 100_000, 100_500])
def test_what_breaks_off_is_gone_on_with_once_the_job_is_done(far, proxy, api, sent):
    whole = api.query(7)
    proxy.follows = True
    proxy.next("_follow", in_chunks(sent))
    pd.testing.assert_frame_equal(far.query(7), whole)
    ranges = [seen.headers.get("Range") for seen in proxy.asked("/exports/download")]
    assert ranges == [None, f"bytes={sent}-" if sent else None]
    proxy.next("_follow", in_chunks(sent))
    pd.testing.assert_frame_equal(pd.concat(far.iter_frames(7), ignore_index=True), whole)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not copied here")
def test_a_process_that_was_forked_does_not_stop_the_job(api):
    batches = api.iter_batches(14)
    next(batches)
    child = os.fork()
    if not child:
        batches.close()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert api.jobs()[0]["status"] == "running"
    next(batches)
    batches.close()
    was_cancelled(api)


@pytest.mark.parametrize("content", [b"<html>", b"[]", b""])
def test_what_is_no_file_that_is_followed_is_none(far, proxy, api, content):
    proxy.follows = True
    for kind in ("text/html", "application/json"):
        proxy.next("_follow", reply(200, content, Content_Type=kind))
        pd.testing.assert_frame_equal(far.query(7), api.query(7))


def test_a_job_is_stopped_whose_end_was_but_told(far, proxy, api):
    for status in (b'{"status":"success"}', b'{"status":"success","export":{"http_path":"x"}}'):
        proxy.next("get_export_results", reply(200, status, Content_Type="application/json"))
        with pytest.raises(HolisticsError):
            far.query(14)
        was_cancelled(api)


def test_a_job_that_begins_again_is_read_again(far, proxy, api, tmp_path):
    """As the first rows of another run: they are not the file's that there is in the end."""

    def begin_otherwise(handler, answer, content):
        in_chunks(100_000).act(handler, answer, content[:50_000] + bytes([content[50_000] ^ 1]) + content[50_001:])

    whole = api.query(7)
    proxy.follows = True
    proxy.next("_follow", *[Fault(False, begin_otherwise)] * 3)
    pd.testing.assert_frame_equal(far.query(7), whole)
    far.export_file(7, tmp_path / "x.parquet")
    written = pd.read_parquet(tmp_path / "x.parquet", dtype_backend="numpy_nullable")
    pd.testing.assert_frame_equal(written[["id"]], whole[["id"]])
    # Rows that were handed out cannot be taken back.
    with pytest.raises(IncompleteResult):
        list(far.iter_batches(7))
