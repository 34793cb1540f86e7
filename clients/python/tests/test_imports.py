import datetime
import os
import signal
import time
from decimal import Decimal

import pandas as pd
import pyarrow as pa
import pytest
from faults import Fault, reads_no_more, reads_slowly, reply, stall

from holistics import ApiError, DeadlineExceeded, JobFailed


def test_a_frame_keeps_its_types_whatever_its_columns_are_called(api):
    frame = pd.DataFrame({"code (ISO, 3)": ["00100", "200"], "price: EUR": [1.0, 2.0], " n ": [1, 2]})
    result = api.import_csv(frame, "named", "warehouse")
    assert result.columns == {"code (ISO, 3)": "text", "price: EUR": "double", "n": "integer"}


@pytest.mark.parametrize("name", ["a,b", "half (open", "shut) (", "a,b (c)"])
def test_a_name_that_would_hide_a_type_is_refused(far, proxy, name):
    frame = pd.DataFrame({name: ["1", "2"]})
    with pytest.raises(ValueError, match="the type of column `.*` cannot be told for its comma or parenthesis: rename"):
        far.import_csv(frame, "named", 1)
    assert not proxy.seen
    far.import_csv(frame.rename(columns={name: "plain"}), "plainly", 1)
    with pytest.raises(JobFailed, match="has no column"):
        far.import_csv(frame, "plainly", 1, mode="append")  # The table's types hold, of which none is told.


def test_a_frame_comes_back_as_it_was_imported(api):
    frame = pd.DataFrame(
        {
            "zip": pd.array(["00123", "", None, 'a "b",\nc'], "string"),
            "digits": ["1", "2", "3", "4"],
            "n": pd.array([1, None, 2**60, 4], "Int64"),
            "at": pd.to_datetime(["2026-01-31T10:00:00.5", None, "2026-02-01T00:00:00.0", None]),
            "kind": pd.Categorical(["a", "b", "a", None]),
            "share": [0.1, None, 1e300, 2.0],
        }
    )
    result = api.import_csv(frame, "things", "warehouse")
    assert result.columns == {
        "zip": "text",
        "digits": "text",
        "n": "integer",
        "at": "timestamp",
        "kind": "text",
        "share": "double",
    }
    assert any("4 rows" in message for message in result.messages)
    added = api.import_csv(frame, "main.things", 1, mode="append")
    assert any(message.endswith("added to `main.things`") for message in added.messages), added.messages
    with pytest.raises(JobFailed, match="mode is `fail`"):
        api.import_csv(frame, "things", "warehouse", mode="fail")


def test_an_index_with_a_name_is_imported_too(api):
    frame = pd.DataFrame({"kind": ["b", "a", "a"], "n": [1, 2, 3]}, index=[7, 8, 9])
    assert list(api.import_csv(frame, "counted", 1).columns) == ["kind", "n"]
    assert list(api.import_csv(frame.rename_axis("id"), "counted", 1).columns) == ["id", "kind", "n"]
    assert list(api.import_csv(frame.groupby("kind").sum(), "counted", 1).columns) == ["kind", "n"]
    both = frame.set_index(["kind", "n"], append=True).rename_axis(["id", "kind", "n"]).assign(x=1)
    assert list(api.import_csv(both, "counted", 1).columns) == ["id", "kind", "n", "x"]
    for nameless in (frame.set_axis(["x", "y", "z"]), frame.set_index("kind", append=True)):
        with pytest.raises(ValueError, match="the index has values and no name: name it, or leave it out with reset"):
            api.import_csv(nameless, "counted", 1)
    for taken in ("n", "N"):
        with pytest.raises(ValueError, match=f"the index and a column are both called `{taken}`"):
            api.import_csv(frame.rename_axis(taken), "counted", 1)
    # pandas itself would make doubles of these.
    holes = pd.MultiIndex.from_tuples([(2**53 + 1, "x"), (None, None), (7, "")], names=["id", "kind"])
    result = api.import_csv(pd.DataFrame({"n": [1, 2, 3]}, index=holes), "counted", 1)
    assert result.columns == {"id": "integer", "kind": "text", "n": "integer"}
    there = api.query(18)
    assert there["id"].tolist() == [2**53 + 1, pd.NA, 7] and there["kind"].tolist() == ["x", pd.NA, ""]


def test_what_can_be_read_once_is_no_file_to_import(far, proxy, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="is no file that can be read twice"):
        far.import_csv(tmp_path / "pipe", "things", 1)
    assert not proxy.seen


def test_a_file_is_imported_with_the_types_that_are_named(api, tmp_path):
    path = tmp_path / "zips 😀.csv"
    path.write_text("zip,n\n123,1\n456,2\n")
    assert api.import_csv(path, "zips", "warehouse").columns == {"zip": "integer", "n": "integer"}
    assert api.import_csv(str(path), "zips", 1, schema={"zip": "text"}).columns == {"zip": "text", "n": "integer"}
    with pytest.raises(JobFailed, match="line 2, column `zip`"):
        api.import_csv(path, "zips", 1, schema={"zip": "date"})
    with pytest.raises(ValueError, match="there is no data source `shed`; there are `warehouse`"):
        api.import_csv(path, "zips", "shed")
    with pytest.raises(FileNotFoundError):
        api.import_csv(tmp_path / "none.csv", "zips", 1)
    with pytest.raises(ApiError, match="`mode` must be"):
        api.import_csv(path, "zips", 1, mode="merge")


def test_an_upload_that_was_lost_is_sent_again_and_is_one_import(far, proxy, api, tmp_path):
    path = tmp_path / "big.csv"
    path.write_text("id,name\n" + "".join(f"{number},row {number}\n" for number in range(200_000)))
    before = len(api.jobs(source_type="DataImport", page_size=1000))
    proxy.next("import_csv", Fault(False, lambda handler, *_: setattr(handler, "close_connection", True)))
    assert "200000 rows are in `big`" in far.import_csv(path, "big", 1).messages
    assert len(proxy.asked("import_csv")) == 2
    assert len(api.jobs(source_type="DataImport", page_size=1000)) == before + 1


def test_an_upload_that_is_interrupted_is_no_table(far, proxy, api, control_c, tmp_path):
    path = tmp_path / "half.csv"
    path.write_text("n\n1\n")
    jobs = len(api.jobs(source_type="DataImport", page_size=1000))

    def interrupt(handler, *_):
        os.kill(os.getpid(), signal.SIGINT)
        handler.proxy.over.wait(30)

    proxy.next("import_csv", Fault(True, interrupt))
    with pytest.raises(KeyboardInterrupt):
        far.import_csv(path, "half", 1)
    assert len(api.jobs(source_type="DataImport", page_size=1000)) == jobs


@pytest.mark.parametrize(
    "values, kind, texts",
    [
        ([Decimal("1E-7"), Decimal("1.5"), Decimal("NaN")], "decimal(8,7)", ["0.0000001", "1.5000000", None]),
        ([Decimal("1E+7")], "decimal(8,0)", ["10000000"]),
        (pd.array([Decimal("1E+7")], pd.ArrowDtype(pa.decimal128(1, -7))), "decimal(8,0)", ["10000000"]),
        ([-0.0, 0.1, 1e22, float("nan")], "double", ["-0.0", "0.1", "1e+22", None]),
        (pd.array([2**63, None], "UInt64"), "decimal(20,0)", ["9223372036854775808", None]),
        (pd.to_timedelta(["1 day 02:03:04.000000005", "-1s", None]), "text", ["26:03:04.000000005", "-00:00:01", None]),
        ([datetime.time(7, 28, 19, 500000)], "text", ["07:28:19.500000"]),
        ([pd.Timestamp("2026-01-31T10:00:00.5+01")], "timestamptz", ["2026-01-31 09:00:00.5+00"]),
        (pd.array(["007"], pd.ArrowDtype(pa.string_view())), "text", ["007"]),
    ],
)
def test_values_of_a_frame_arrive_exactly(api, values, kind, texts):
    frame = pd.DataFrame({"n": range(len(values)), "x": values})
    assert api.import_csv(frame, "exact", "warehouse").columns["x"] == kind
    assert imported(api) == texts


def imported(api):
    return [None if pd.isna(text) else text for text in api.query(13)["x"]]


@pytest.mark.parametrize(
    "values, why",
    [
        ([b"bytes"], "no type of a table is binary: make texts of its values first"),
        ([[1, 2]], "no type of a table is list"),
        ([{"a": 1}], "no type of a table is struct"),
        ([pd.Interval(1, 2)], "no type of a table is .*interval"),
        ([1.0, float("inf")], "infinite numbers or NaN"),
        ([Decimal("Infinity")], "no decimal of a database is infinite"),
        ([Decimal("1E+40")], "it needs 41 digits, and a decimal has 38"),
        ([2**64], "too large"),
        ([1, "a"], "Could not convert 'a'"),
        (pd.to_datetime(["2026-01-31T10:00:00.123456789"]), "would lose data"),
    ],
)
def test_values_that_no_table_holds_are_refused_by_the_name_of_their_column(far, proxy, values, why):
    with pytest.raises(ValueError, match=f"column `x y` cannot be imported: .*{why}"):
        far.import_csv(pd.DataFrame({"x y": values}), "refused", 1)
    assert not proxy.seen
    with pytest.raises(ValueError, match="two columns are called `a`"):
        far.import_csv(pd.DataFrame([[1, 2]], columns=["a", "a"]), "refused", 1)


@pytest.fixture
def big(tmp_path, proxy):
    """A file that does not fit what lies between two ends of a connection."""
    proxy.set_buffer(1 << 16)
    path = tmp_path / "big.csv"
    path.write_text("n,text\n" + "".join(f"{number},{'x' * 90}\n" for number in range(60_000)))
    return path


def test_an_upload_may_be_slow(far, proxy, big, monkeypatch):
    monkeypatch.setattr("holistics._http.CONNECT_SECS", 0.2)
    monkeypatch.setattr("holistics._http.READ_SECS", 5)
    proxy.next("import_csv", reads_slowly(1 << 16, 0.02))
    assert "60000 rows are in `big`" in far.import_csv(big, "big", 1).messages
    assert len(proxy.asked("import_csv")) == 1


def test_an_upload_that_stalls_ends_at_the_deadline(far, proxy, big):
    proxy.next("import_csv", reads_no_more())
    began = time.monotonic()
    with pytest.raises(DeadlineExceeded, match="not done within 1 s"):
        far.import_csv(big, "big", 1, timeout=1)
    assert time.monotonic() - began < 3


def test_an_import_that_may_have_begun_is_told(far, proxy, tmp_path):
    path = tmp_path / "small.csv"
    path.write_text("n\n1\n")
    proxy.next("import_csv", stall(0))
    with pytest.raises(DeadlineExceeded, match="not done within 1 s.*; the import may have begun: jobs"):
        far.import_csv(path, "small", 1, timeout=1)
    proxy.next("import_csv", reply(422, b'{"errors":["no such table"]}'))
    with pytest.raises(ApiError) as problem:
        far.import_csv(path, "small", 1, mode="append")
    assert "may have begun" not in str(problem.value)


def test_an_upload_that_stalls_is_sent_again(far, proxy, big, monkeypatch):
    monkeypatch.setattr("holistics._http.READ_SECS", 1)
    proxy.next("import_csv", reads_no_more())
    assert "60000 rows are in `big`" in far.import_csv(big, "big", 1).messages
    assert len(proxy.asked("import_csv")) == 2
