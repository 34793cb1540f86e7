"""Programs that were written for version 0.0a11 go on as they are."""

import os

import pandas as pd
import pytest
import requests

import holistics.holistics
from holistics import ApiError, HolisticsAPI, UnknownFilter


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_the_steps_one_by_one(key, url):
    api = HolisticsAPI(api_key=key, url=url)
    job_id = api.submit_export("12-orders", {"status": "paid"})
    assert isinstance(job_id, str)
    assert api.get_export_results(job_id, 120, 120) == 1
    frame = api.download_results(job_id, "output.csv")
    assert isinstance(frame, pd.DataFrame) and len(frame) == 2
    assert len(pd.read_csv("output.csv")) == 2
    assert api.get_export_results(int(job_id), _page_size=12, _page=5) == 1
    assert len(api.download_results(job_id=job_id, path=None)) == 2


def test_all_in_one_call(key, url):
    api = holistics.holistics.HolisticsAPI(key, url)
    frame = api.export_data(report_id="12", path="output.csv", filters={"since": "2026-01-31"})
    assert list(frame["order"]) == [2, 3] and os.listdir() == ["output.csv"]
    assert len(api.ExportData("12", filter_dict={"status": "paid"}, path="output.csv", _page_size=1, _page=2)) == 1
    assert api.export_data(12, page_size=10000000, compatible=True)["zip"].tolist() == [123, 4109, 80331]
    api.export_data(12)
    assert os.listdir() == ["output.csv"], "no file is called None"


def test_a_filter_that_the_report_has_not_is_ignored_with_a_warning(far):
    words = "report `Orders` has no filter `statuz`; its filters are `since`, `status`: it is ignored"
    for call in (
        lambda report, filters: far.export_data(report, filters=filters),
        lambda report, filters: far.export_data(report, "orders.csv", filters),
        lambda report, filters: far.export_data(report, page_size=3, filters=filters),
    ):
        with pytest.warns(UnknownFilter, match=words) as warnings:
            assert len(call(12, {"statuz": "open", "since": "2026-01-31"})) == 2
        assert [warning.filename for warning in warnings] == [__file__]
    with pytest.warns(UnknownFilter, match=words):
        job_id = far.submit_export(12, {"statuz": "o" * 600})
    assert far.get_export_results(job_id) == 1
    # What gives its values but once has them in the second submit too.
    with pytest.warns(UnknownFilter, match=words):
        assert far.export_data(12, filters={"statuz": 1, "status": map(str, ["open"])})["zip"].tolist() == ["04109"]
    # A filter that the report has is as wrong as ever.
    with pytest.warns(UnknownFilter), pytest.raises(ApiError, match="filter `since` must be a date"):
        far.export_data(12, filters={"statuz": "open", "since": "soon"})


def test_compatible_frames_are_what_pandas_guesses(key, url):
    api = HolisticsAPI(key, url)
    for report in (1, 7, 12):
        frame = api.export_data(report, "output.csv", compatible=True)
        pd.testing.assert_frame_equal(frame, pd.read_csv("output.csv"))
        pd.testing.assert_frame_equal(api.query(report, compatible=True), frame)
    assert frame["zip"].tolist() == [123, 4109, 80331] and str(frame["customer"].dtype) == "float64"


def test_what_is_raised(key, url):
    with pytest.raises(requests.exceptions.HTTPError):
        HolisticsAPI("api_key_wrong", url).submit_export(12)
    with pytest.raises(requests.exceptions.HTTPError):
        HolisticsAPI(key, url).submit_export("report_id_wrong", {"a": "b"})
    with pytest.raises((requests.exceptions.HTTPError, RuntimeError)):
        HolisticsAPI(key, url).get_export_results("job_id_wrong")
    with pytest.raises(RuntimeError):
        HolisticsAPI(key, url).export_data(4)
