import hashlib
import json
import os
import pathlib
import resource
import shutil
import stat
import subprocess
import threading

import openpyxl
import pandas as pd
import pytest
from faults import alter, cut, endless, head, in_chunks, reply, shorten, stall, until_it_closes

from holistics import DeadlineExceeded, IncompleteResult
from holistics._http import Deadline


@pytest.fixture
def csv_bytes(api):
    """The file as the server made it."""
    api.export_file(1, "whole.csv")
    with open("whole.csv", "rb") as file:
        return file.read()


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_the_file_is_the_servers_byte_for_byte(api, csv_bytes):
    frame = api.export_data(1, "types.csv")
    with open("types.csv", "rb") as file:
        assert file.read() == csv_bytes
    assert frame["code"][0] == "00123" and frame["empty"][0] == "" and pd.isna(frame["empty"][1])
    assert sorted(os.listdir()) == ["types.csv", "whole.csv"]
    assert stat.S_IMODE(os.stat("types.csv").st_mode) == 0o666 & ~_umask()


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


@pytest.mark.parametrize("format", ["json", "ndjson", "xlsx", "parquet", "arrow"])
def test_every_format(api, format):
    frame = api.export_data(12, f"orders.{format}", format=format)
    api.export_file(12, f"again.{format}", format=format)
    assert os.path.getsize(f"orders.{format}") > 100
    if format in ("parquet", "arrow"):
        pd.testing.assert_frame_equal(frame, api.query(12))
    else:
        assert frame is None
    if format == "xlsx":
        assert openpyxl.load_workbook("again.xlsx").active["C2"].value == "00123"


def test_formats_without_an_exact_frame_are_for_files(api):
    with pytest.raises(ValueError, match="needs a path"):
        api.export_data(12, format="xlsx")
    job_id = api.submit_export(12, format="ndjson")
    api.get_export_results(job_id)
    with pytest.raises(ValueError, match=r"from `.*\.ndjson` of job \d+ no exact frame can be made: give a path"):
        api.download_results(job_id)
    assert os.listdir() == []
    assert api.download_results(job_id, "x.ndjson") is None
    assert [json.loads(line)["zip"] for line in open("x.ndjson")] == ["00123", "04109", "80331"]
    # Texts of these files are not those of the data.
    for options in ("_profile=excel", "_null=NULL", "_delimiter=tab"):
        about = {"about": "report", "deadline": Deadline(None), "shape": {"job_id": int}}
        job = api._jobs.http.json("GET", f"/queries/12/submit_export.csv?{options}", **about)
        api.get_export_results(job["job_id"])
        with pytest.raises(ValueError, match="no exact frame"):
            api.download_results(job["job_id"])
        assert api.download_results(job["job_id"], "x.csv") is None
        assert len(open("x.csv", encoding="utf-8-sig").readlines()) == 4


def test_paths_with_spaces_and_emoji(api, tmp_path):
    folder = tmp_path / "a folder 😀"
    folder.mkdir()
    path = folder / "ordërs; 'all' 😀.csv"
    api.export_data(12, path)
    assert os.listdir(folder) == [path.name] and len(path.read_text().splitlines()) == 4


@pytest.mark.skipif(os.name == "nt", reason="there these are folders")
def test_paths_of_windows_are_names_elsewhere(api):
    api.export_data(12, r"C:\reports\orders.csv")
    assert os.listdir() == [r"C:\reports\orders.csv"]


def test_a_path_that_says_another_format_is_warned_of(api):
    with pytest.warns(UserWarning, match="`x.xlsx` will hold CSV: format='xlsx' would make") as warnings:
        api.export_data(12, "x.xlsx")
    assert [warning.filename for warning in warnings] == [__file__]
    assert open("x.xlsx").readline().startswith("order,")


def test_of_a_download_that_does_not_end_the_file_is_taken(far, proxy, api):
    proxy.next("/exports/download", endless(), endless())
    assert far.query(12).equals(api.query(12))
    far.export_file(12, "whole.csv")
    api.export_file(12, "same.csv")
    assert open("whole.csv", "rb").read() == open("same.csv", "rb").read()


def test_a_folder_that_is_not_there_is_found_out_before_the_report_runs(far, proxy):
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        far.export_data(12, "nowhere/x.csv")
    with pytest.raises(IsADirectoryError):
        far.export_file(12, ".")
    with pytest.raises(FileNotFoundError, match="`` is no name of a file"):
        far.export_file(12, "")
    with pytest.raises(FileNotFoundError, match="nowhere/` is no name of a file"):
        far.export_data(12, "nowhere/")
    with pytest.raises(OSError, match="File name too long"):
        far.export_file(12, "n" * 300)
    with pytest.raises(ValueError, match="null"):
        far.export_file(12, "a\0b")
    assert not proxy.seen


def test_a_disk_that_is_full_leaves_nothing(api):
    with open("many.csv", "w") as file:
        file.write("old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            api.export_file(7, "many.csv")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert os.listdir() == ["many.csv"] and os.path.getsize("many.csv") == 3


def test_a_file_system_that_is_full_leaves_nothing(api):
    os.mkdir("small")
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", "small"]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("file systems can be mounted by root alone")
    try:
        for format in ("csv", "parquet"):
            with pytest.raises(OSError, match="No space left on device"):
                api.export_data(7, f"small/many.{format}", format=format)
            assert os.listdir("small") == []
    finally:
        subprocess.run(["umount", "small"], check=True)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
def test_a_device_is_written_to_and_not_replaced(api):
    with pytest.raises(OSError, match="No space left"):
        api.export_file(12, "/dev/full")
    assert stat.S_ISCHR(os.stat("/dev/full").st_mode)
    api.export_file(12, os.devnull)
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)
    for options in ({}, {"compatible": True}, {"format": "parquet"}, {"page_size": 3}):
        assert len(api.export_data(12, os.devnull, **options)) == 3
    job_id = api.submit_export(12)
    api.get_export_results(job_id)
    assert len(api.download_results(job_id, os.devnull)) == 3


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
def test_a_pipe_gets_the_file_and_the_caller_its_rows(api):
    os.mkfifo("pipe")
    read = []
    reader = threading.Thread(target=lambda: read.append(pathlib.Path("pipe").read_text()))
    reader.start()
    assert len(api.export_data(12, "pipe")) == 3
    reader.join()
    assert len(read[0].splitlines()) == 4
    ends = os.pipe()
    assert len(api.export_data(12, f"/dev/fd/{ends[1]}")) == 3
    os.close(ends[1])
    with open(ends[0]) as end:
        assert end.read() == read[0]


def test_a_link_stays_one(api):
    os.symlink("target.csv", "link.csv")
    api.export_data(12, "link.csv")
    assert os.path.islink("link.csv") and os.path.getsize("target.csv") > 0


def test_a_download_that_breaks_off_goes_on_where_it_broke(far, proxy, api):
    api.export_file(7, "whole.csv")
    proxy.next("/exports/download", cut(1_000_000), cut(2_000_000), cut(0))
    far.export_file(7, "resumed.csv")
    with open("whole.csv", "rb") as whole, open("resumed.csv", "rb") as resumed:
        assert hashlib.sha256(whole.read()).digest() == hashlib.sha256(resumed.read()).digest()
    asked = [seen.headers for seen in proxy.asked("/exports/download")]
    assert [headers.get("Range") for headers in asked] == [None, "bytes=1000000-", "bytes=3000000-", "bytes=3000000-"]
    assert all(headers["If-Range"].startswith('"') for headers in asked[1:])


def test_a_frame_and_batches_survive_broken_connections(far, proxy, api):
    whole = api.query(7)
    proxy.next("/exports/download", cut(100_000), cut(5))
    pd.testing.assert_frame_equal(far.query(7), whole)
    proxy.next("/exports/download", cut(100_000), cut(5))
    pd.testing.assert_frame_equal(pd.concat(far.iter_frames(7), ignore_index=True), whole)


@pytest.mark.parametrize("fault", [alter(50_000), alter(-100), shorten(64), shorten(10_000)])
def test_what_is_altered_or_short_is_never_returned(far, proxy, fault):
    proxy.next("/exports/download", *[fault] * 5)
    for call in (
        lambda: far.query(7),
        lambda: list(far.iter_batches(7)),
        lambda: far.export_data(7, "x.csv"),
        lambda: far.export_file(7, "x.parquet", format="parquet"),
        lambda: far.query(7, compatible=True),
    ):
        with pytest.raises(IncompleteResult) as problem:
            call()
        assert isinstance(problem.value, RuntimeError)
    assert os.listdir() == []


def test_a_file_that_changed_meanwhile_is_not_glued_together(far, proxy):
    # A file with this ETag is no more, so that the server answers the resumption with all of the other.
    proxy.next("/exports/download", cut(1000, ETag='"gone"'))
    with pytest.raises(IncompleteResult, match="another now"):
        far.export_file(7, "x.csv")


OLD = reply(404, b'{"errors":["Resource not found"]}')  # A server that has no manifests.


@pytest.mark.parametrize("sent", [100_000, 100_500, 0])
def test_a_file_without_a_length_is_whole_or_an_error(far, proxy, api, sent):
    """Within a chunk and between two, where the connection that closes looks like the end of the file."""
    whole = api.query(7, compatible=True)
    proxy.next("manifest", *[OLD] * 3)
    proxy.next("/exports/download", in_chunks())
    pd.testing.assert_frame_equal(far.export_data(7, "x.csv", compatible=True), whole)
    proxy.next("/exports/download", in_chunks(sent))
    pd.testing.assert_frame_equal(far.export_data(7, "x.csv", compatible=True), whole)
    os.remove("x.csv")
    proxy.next("/exports/download", *[in_chunks(sent, ETag="")] * 5)
    with pytest.raises(IncompleteResult, match="broke off after"):
        far.export_data(7, "x.csv")
    assert os.listdir() == []


def test_a_file_whose_end_is_that_of_its_connection_is_an_error(far, proxy):
    proxy.next("manifest", OLD)
    proxy.next("/exports/download", until_it_closes())
    with pytest.raises(IncompleteResult, match="neither how long the file of job .* nor where it ends"):
        far.export_data(7, "x.csv")
    assert os.listdir() == []
    proxy.next("/exports/download", until_it_closes())
    assert len(far.export_data(7, "x.csv")) == 300_000  # The manifest has its length.


@pytest.mark.parametrize("manifest", [(), (OLD,)])
def test_a_file_without_a_length_that_stalls_ends_at_the_deadline(far, proxy, manifest):
    proxy.next("manifest", *manifest)
    proxy.next("/exports/download", in_chunks(100_000, stalls=True))
    with pytest.raises(DeadlineExceeded, match="not done within 2 s"):
        far.export_data(7, "x.csv", timeout=2)
    assert os.listdir() == []


def test_what_goes_on_elsewhere_is_not_glued_together(far, proxy):
    proxy.next("/exports/download", cut(1000), head(Content_Range="bytes 1001-2000/9999"))
    with pytest.raises(IncompleteResult, match="goes on elsewhere"):
        far.export_file(7, "x.csv")


def test_a_download_that_stalls_ends_at_the_deadline(far, proxy):
    proxy.next("/exports/download", stall(1_000_000))
    with pytest.raises(DeadlineExceeded, match="not done within 2 s"):
        far.export_file(7, "x.csv", timeout=2)
    assert os.listdir() == []


def test_a_page_is_a_page(api):
    frame = api.export_data(7, "page.csv", page_size=10, page=3)
    assert list(frame["id"]) == list(range(20, 30)) and str(frame["nothing"].dtype) == "Int64"
    assert pd.read_csv("page.csv")["id"].tolist() == list(range(20, 30))
    assert len(api.export_data(12, page_size=10, page=9)) == 0
    assert len(api.export_data(12, page_size=2)) == 2
    with pytest.raises(ValueError, match="a page can be"):
        api.export_data(7, page_size=1, format="parquet")
    assert list(api.export_data(7, page=2)["id"]) == list(range(25, 50))
    jobs = len(api.jobs(page_size=1000))
    for wrong in ({"page": 0}, {"page_size": -1}, {"page": 1.5}, {"page": True}):
        with pytest.raises(ValueError, match="must be a whole number from 1, got"):
            api.export_data(7, **wrong)
    assert len(api.jobs(page_size=1000)) == jobs


@pytest.mark.parametrize("report", [1, 9, 12])
def test_a_page_is_written_as_files_are(api, report):
    api.export_file(report, "file.csv")
    frame = api.export_data(report, "page.csv", page_size=10)
    with open("file.csv", "rb") as file, open("page.csv", "rb") as page:
        assert page.read() == file.read()
    if report != 9:  # Whose dates pandas cannot compare.
        pd.testing.assert_frame_equal(frame, api.query(report))
    guessed = api.export_data(report, page_size=10, compatible=True)
    pd.testing.assert_frame_equal(guessed, api.query(report, compatible=True))


def test_the_ending_of_a_path_says_the_format_of_export_file(api, far, proxy):
    files = {}
    for format in ("json", "ndjson", "parquet", "arrow", "csv"):
        api.export_file(12, "named", format=format)
        api.export_file(12, f"by-its-ending.{format.upper()}")
        files[format] = pathlib.Path("named").read_bytes()
        assert pathlib.Path(f"by-its-ending.{format.upper()}").read_bytes() == files[format]
    assert len(set(files.values())) == 5
    api.export_file(12, "orders.xlsx")
    assert openpyxl.load_workbook("orders.xlsx").active["C2"].value == "00123"
    api.export_file(12, "plain")
    assert pathlib.Path("plain").read_bytes() == files["csv"]
    api.export_file(12, "csv.txt", format="csv")
    with pytest.raises(ValueError, match="`.txt` names no format .* one of csv, json, ndjson, xlsx, parquet, arrow"):
        far.export_file(12, "orders.txt")
    for call in (far.export_file, far.export_data):
        with pytest.raises(ValueError, match="format must be one of csv, .* got 'excel'"):
            call(12, "orders.xlsx", format="excel")
    with pytest.raises(ValueError, match="format must be one of"):
        far.submit_export(12, format="excel")
    assert not proxy.seen
    # The older package knew no other format.
    with pytest.warns(UserWarning, match="will hold CSV"):
        assert len(api.export_data(12, "orders.parquet")) == 3
    assert pathlib.Path("orders.parquet").read_bytes() == files["csv"]


def test_types_are_guessed_from_a_csv_alone(far, proxy):
    with pytest.raises(ValueError, match="compatible=True has types guessed from a CSV: format must be `csv`"):
        far.export_data(12, format="parquet", compatible=True)
    assert not proxy.seen
    job_id = far.submit_export(12, format="parquet")
    far.get_export_results(job_id)
    with pytest.raises(ValueError, match="compatible=True has types guessed from a CSV: the file is `.*parquet`"):
        far.download_results(job_id, compatible=True)
