import datetime
import decimal
import enum
import json
import os

import numpy as np
import pandas as pd
import polars
import pyarrow as pa
import pytest
from faults import Fault, hang, head, reply

from holistics import ApiError, DeadlineExceeded, IncompleteResult, JobFailed, NotFound, TruncatedResult

UTC = datetime.timezone.utc
EXACT = {
    "tiny": 1,
    "big": 9007199254740993,
    "huge": 18446744073709551615,
    "ratio": 0.1,
    "price": decimal.Decimal("1.50"),
    "long": decimal.Decimal("12345678901234567890123456789.123456789"),
    "flag": True,
    "code": "00123",
    "empty": "",
    "day": datetime.date(2026, 1, 31),
    "clock": datetime.time(7, 28, 19, 500000),
    "moment": pd.Timestamp("2017-09-13 07:28:19.664131"),
    "zoned": pd.Timestamp("2017-09-13 05:28:19", tz="UTC"),
    "nanos": pd.Timestamp("2017-09-13 07:28:19.123456789"),
    "bytes": b"He",
    "list": [1, 2],
    "struct": {"a": 1},
    "note": 'two\nlines, "quoted" 😀',
}
IN_A_CSV = {"bytes": r"\x4865", "list": "[1,2]", "struct": '{"a":1}'}


def assert_exact(frame, expected=EXACT):
    assert list(frame.columns) == list(expected)
    for name, value in expected.items():
        assert frame[name][0] == value or list(frame[name][0]) == value, name
    assert frame.iloc[1].isna().all()


@pytest.mark.parametrize("backend", ["numpy_nullable", "pyarrow"])
def test_every_type_keeps_its_values(api, backend):
    assert_exact(api.query(1, dtype_backend=backend))
    assert_exact(api.export_data(1, format="parquet", dtype_backend=backend))
    assert_exact(api.export_data(1, format="arrow", dtype_backend=backend))
    assert_exact(api.export_data(1, format="csv", dtype_backend=backend), {**EXACT, **IN_A_CSV})


def test_values_that_are_far_away_keep_their_types(api):
    """Infinity, years before 1 and after 9999, and more digits than the type says."""
    table = api.to_arrow(9)
    assert str(table["huge"][1]) == str(2**127 - 1)
    frames = {format: api.export_data(9, format=format) for format in ("csv", "parquet", "arrow")}
    frames["file"] = api.export_data(9, os.devnull)
    for format, frame in frames.items():
        columns = [name for name in table.column_names if not is_text_of(table[name].type, format)]
        assert frame[columns].dtypes.equals(api.query(9)[columns].dtypes)
        # Python has no such dates, by which pandas would compare; and to Arrow NaN is not NaN.
        pd.testing.assert_series_equal(frame["nan"], api.query(9)["nan"])
        columns.remove("nan")
        assert pa.Table.from_pandas(frame[columns]).equals(pa.Table.from_pandas(api.query(9)[columns]))
        assert frame["span"].notna().tolist() == [True, False]


def is_text_of(arrow_type, format):
    """Intervals in Parquet, and in a CSV whatever has no form of its own there."""
    kinds = {"parquet": ("interval",), "arrow": ()}.get(format, ("interval", "list", "map", "struct", "binary"))
    return any(kind in str(arrow_type) for kind in kinds)


def test_polars_has_intervals_as_text(api):
    with pytest.raises(TypeError, match="column `spans` is a list<.*month_day_nano_interval>, which Polars has not"):
        api.to_polars(9)
    frame = api.to_polars(10)
    assert frame["span"].to_list()[:-1] == api.export_data(10, format="parquet")["span"].tolist()[:-1]
    assert frame["span"].to_list() == ["1 year -2 days 26:03:04.5", "-1 year -2 months", "00:00:00", "-00:00:01", None]


def test_types_are_those_that_pandas_has_or_arrows(api):
    frame = api.query(1)
    assert {name: str(frame[name].dtype) for name in ("big", "ratio", "flag", "code", "price", "day", "moment")} == {
        "big": "Int64",
        "ratio": "Float64",
        "flag": "boolean",
        "code": "string",
        "price": "decimal128(15, 2)[pyarrow]",
        "day": "date32[day][pyarrow]",
        "moment": "datetime64[us]",
    }
    assert frame["zoned"].dtype.tz is not None


def test_decimals_can_be_objects_or_floats(api):
    assert api.query(1, decimals="decimal")["price"].dtype == object
    assert api.query(1, decimals="decimal")["price"][0] == decimal.Decimal("1.50")
    assert str(api.query(1, decimals="float")["price"].dtype) == "Float64"
    with pytest.raises(ValueError, match="decimals must be"):
        api.query(1, decimals="exact")
    with pytest.raises(ValueError, match="dtype_backend must be"):
        api.query(1, dtype_backend="numpy")


def test_a_result_without_rows_has_its_columns(api):
    for frame in (api.query(6), api.export_data(6, format="csv"), api.query(6, compatible=True)):
        assert frame.shape == (0, 1) and list(frame.columns) == ["a"]
    assert str(api.query(6)["a"].dtype) == "Int64"


def test_two_columns_of_one_name_keep_their_types(api):
    frame = api.query(5, truncate=True)
    assert list(frame.columns) == ["a", "a"]
    assert [str(dtype) for dtype in frame.dtypes] == ["Int64", "string"]


def test_arrow_polars_batches_and_frames_are_the_same_table(api):
    table = api.to_arrow(7)
    assert table.num_rows == 300_000
    batches = list(api.iter_batches(7))
    assert len(batches) > 1 and pa.Table.from_batches(batches).sort_by("id") == table.sort_by("id")
    frames = pd.concat(api.iter_frames(7), ignore_index=True)
    pd.testing.assert_frame_equal(frames, api.query(7))
    assert isinstance(api.to_polars(7), polars.DataFrame)
    assert api.to_polars(7)["price"].sum() == sum(table["price"].to_pylist())


def test_a_stream_that_is_compressed_is_the_same(far, proxy, api):
    pd.testing.assert_frame_equal(far.query(7), api.query(7))
    assert "_compress=zstd" in proxy.asked("submit_export")[0].path


def test_filters_of_every_kind_arrive(api):
    filters = {
        "text": "a&b=c 😀 'x'",
        "number": decimal.Decimal("1.10"),
        "flag": False,
        "day": datetime.date(2026, 1, 31),
        "moment": datetime.datetime(2026, 1, 31, 10, tzinfo=datetime.timezone(datetime.timedelta(hours=2))),
        "ids": pd.Series([1, 2]),
        "names": ("a,b", "c"),
    }
    row = api.query(2, filters).iloc[0]
    assert row["text"] == "a&b=c 😀 'x'" and row["number"] in ("1.1", "1.10") and not row["flag"]
    assert row["day"] == datetime.date(2026, 1, 31) and row["moment"] == pd.Timestamp("2026-01-31 08:00")
    assert row["ids"] == "[1, 2]" and row["names"] == "['a,b', c]"


def test_none_is_the_default_and_an_empty_text_no_value(api):
    assert api.query(2, {"number": None})["number"][0] == "5"
    assert api.query(2, {"number": ""})["number"].isna()[0]


def test_a_fresh_run_is_another(api):
    first = api.query(19)["n"][0]
    assert api.query(19)["n"][0] == first
    values = [
        api.query(19, fresh=True)["n"][0],
        api.to_arrow(19, fresh=True)["n"][0].as_py(),
        next(api.iter_frames(19, fresh=True))["n"][0],
        api.export_data(19, fresh=True)["n"][0],
        api.export_data(19, page_size=1, fresh=True)["n"][0],
    ]
    assert len({first, *values}) == 6


def test_a_report_is_named_by_its_title_too(api, far, proxy):
    orders = api.query(12)
    for given in ("12-orders", "Orders", "12-as-it-was-called-once"):
        assert api.query(given).equals(orders), given
    assert api.query("ORDERS")["n"].tolist() == [17]
    assert "/feeds/" in api.feed_url("Orders")
    with pytest.raises(NotFound, match="there is no report `Odrers`"):
        api.query("Odrers")
    # Report 12 is called otherwise now.
    listed = api.reports()
    for report in listed:
        report["slug"] += "-now"
    proxy.next("/queries.json", reply(200, json.dumps(listed).encode(), Content_Type="application/json"))
    with pytest.raises(ValueError, match="`12-orders` is the title of report 16, and report 12 by its number: name"):
        far.query("12-orders")
    proxy.seen.clear()
    with pytest.raises(ValueError, match="2 reports have the title `orders`: name one by its number, 12, 17"):
        api.query("orders")
    far.query(12)
    assert not proxy.asked("/queries.json")
    # A server that does not list reports knows them by their slugs.
    proxy.next("/queries.json", reply(403, b'{"errors":["no scope"]}'))
    assert far.query("12-orders").equals(orders)
    proxy.seen.clear()
    proxy.next("/queries.json", hang())
    with pytest.raises(DeadlineExceeded):
        far.query("Orders", timeout=0.5)
    assert [seen.path for seen in proxy.seen] == ["/queries.json"]


def test_what_a_filter_may_be_is_listed(api, far, proxy):
    values = api.filter_values("Chosen", "nation")
    assert values == [f"x{number}" for number in range(25_000)]
    assert api.query(15, {"nation": values[-1]})["nation"].tolist() == ["x24999"]
    with pytest.raises(ApiError, match="has no filter `natoin`"):
        api.filter_values(15, "natoin")
    with pytest.raises(JobFailed, match="that its `values_sql` lists; filter_values returns them"):
        api.query(15, {"nation": "y1"})

    def shorten(handler, answer, content):
        page = json.loads(content)
        page["paginated"]["page_size"], page["values"] = 1000, page["values"][:1000]
        handler.send(answer, json.dumps(page).encode())

    proxy.next("_page_size=10000", Fault(False, shorten))
    with pytest.raises(IncompleteResult, match="is another than was asked for, or not whole: 1000 rows"):
        far.filter_values(15, "nation")


def test_long_filters_go_by_post_and_mean_the_same(far, proxy):
    long = {"names": ["x" * 600], "flag": True, "number": "", "ids": []}
    row = far.query(2, long).iloc[0]
    assert proxy.asked("submit_export")[0].method == "POST"
    assert "x" * 600 in row["names"] and row["flag"] and pd.isna(row["number"])


class Status(str, enum.Enum):
    OPEN = "open"


class Number(enum.IntEnum):
    SIX = 6


def test_enums_are_their_values_and_midnight_is_a_day(api):
    day = pd.Timestamp("2026-01-31")
    row = api.query(2, {"text": Status.OPEN, "number": Number.SIX, "names": [Status.OPEN], "day": day}).iloc[0]
    assert (row["text"], row["number"], row["names"], row["day"]) == ("open", "6", "[open]", day.date())
    for midnight in (datetime.datetime(2026, 1, 31), np.datetime64("2026-01-31T00:00", "ns"), day):
        row = api.query(2, {"day": midnight, "moment": midnight}).iloc[0]
        assert row["day"] == day.date() and row["moment"] == day
    with pytest.raises(ApiError, match="filter `day` must be a date .*, got `2026-01-31T00:00:00.000000001`"):
        api.query(2, {"day": day + pd.Timedelta(1, "ns")})


@pytest.mark.parametrize("filters", [{"ids": [None]}, {"ids": {"a": 1}}, {"text": b"x"}, {"_page": 1}, {"day": pd.NaT}])
def test_filters_that_mean_nothing_are_refused_here(api, filters):
    with pytest.raises(ValueError):
        api.query(2, filters)


@pytest.mark.parametrize("filters", [["status"], "status=open", 7, [("status", "open")]])
def test_filters_are_values_by_name(far, proxy, filters):
    with pytest.raises(TypeError, match="filters must be values by name, such as {'status': 'open'}, got "):
        far.query(12, filters)
    with pytest.raises(TypeError, match="the name of a filter must be a text, got 1"):
        far.query(12, {1: "open"})
    assert not proxy.seen


@pytest.mark.parametrize("timeout", ["5", True, -1, float("nan"), datetime.timedelta(1)])
def test_a_timeout_is_a_number_of_seconds(far, proxy, timeout):
    for call in (far.query, far.export_data, far.submit_export):
        with pytest.raises((TypeError, ValueError), match="timeout must be a number of seconds"):
            call(12, timeout=timeout)
    assert not proxy.seen


def test_an_unknown_filter_is_refused(far, proxy):
    words = "report `Orders` has no filter `statuz`; its filters are `since`, `status`"
    for call in (
        far.query,
        far.to_arrow,
        far.to_polars,
        lambda *arguments: list(far.iter_batches(*arguments)),
        lambda *arguments: list(far.iter_frames(*arguments)),
        lambda *arguments: far.query(*arguments, compatible=True),
        lambda report, filters: far.export_file(report, os.devnull, filters),
        far.feed_url,
    ):
        for filters in ({"statuz": "open"}, {"statuz": "o" * 600}):
            with pytest.raises(ApiError, match=words):
                call(12, filters)
    assert all("_strict=true" in seen.path for seen in proxy.asked("submit"))


def test_a_result_over_its_limit_fails_unless_the_first_rows_are_asked_for(api, far, proxy, recwarn):
    with pytest.raises(JobFailed, match="passed the limit of 3 .*; truncate=True takes its first rows alone"):
        api.query(5)
    assert len(api.query(5, truncate=True)) == 3
    assert not recwarn.list
    proxy.next("/exports/download", head(X_Result_Truncated="true"))
    with pytest.warns(TruncatedResult) as warnings:
        far.query(6)
    assert [warning.filename for warning in warnings] == [__file__]
    job_id = api.submit_export(5, truncate=True)
    api.get_export_results(job_id)
    with pytest.warns(TruncatedResult):
        api.download_results(job_id)


def test_failures_say_why(api):
    with pytest.raises(JobFailed, match="Could not convert string 'x' to INT32") as failure:
        api.query(4)
    assert isinstance(failure.value, RuntimeError) and api.job(failure.value.job_id)["status"] == "failure"
    with pytest.raises(NotFound, match="there is no report `99`"):
        api.query(99)
