import hashlib
import os
import resource
import shutil
import stat
import subprocess

import openpyxl
import pandas as pd
import pytest
from faults import alter, cut, shorten, stall

from holistics import DeadlineExceeded, IncompleteResult


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
    with pytest.raises(ValueError, match="no exact frame"):
        api.download_results(job_id, "x.ndjson")
    assert os.listdir() == []


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
        api.export_data(7, page=1, format="parquet")
