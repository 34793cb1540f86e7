"""The API of reports: run one, and have its data as a frame, as batches or as a file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, overload

import pandas as pd
import pyarrow as pa

from . import _frames
from ._download import PathText, check_folder, save
from ._filters import as_texts
from ._formats import Format, check_format, format_of, warn_of_ending
from ._http import Deadline, Http
from ._imports import ImportResult, run_import
from ._jobs import EXPORT_POLLS, ID, REPORTS, Filters, Id, Job, Jobs, Order, part
from ._pages import run_column, run_page

if TYPE_CHECKING:
    import polars

Backend = Literal["numpy_nullable", "pyarrow"]
Decimals = Literal["arrow", "decimal", "float"]

JOB = {"id": ID, "status": str}
PAGE_SIZE = 25  # Of the API, where nobody says another.


class HolisticsAPI:
    """A server of reports, and a key to it.

    Args:
        api_key: The key, as the server showed it.
        url: Where the server is; https unless it says otherwise. Without one, the environment's HOLISTICS_HOST;
            without that, https://secure.holistics.io, which is not yours, and to which the older package went.
        quiet: Whether to print no progress. Unless said, progress is for terminals only.

    These words mean the same in all methods:

        report_id: The report's number, with or without its slug, or its title if no other has it (for a key without
            the scope `read`, no title).
        filters: Values by the filter's name: texts, numbers, booleans, dates, times, Decimal, UUIDs, enums, or lists
            of them; of anything else make a text; a date range `on` is two, `on_start` and `on_end`. None leaves a
            filter to its default; an empty text is no value, even if there is a default. A filter that the report has
            not is an error; `export_data` and `submit_export`, as the older package did, leave it out, and warn
            (`UnknownFilter`).
        truncate: Take the first rows alone of a result that has more than the server allows, which otherwise fails.
        fresh: Run the report now, whatever result of earlier there is.
        timeout: Seconds that the whole call may take. A job that it began is cancelled when they are over.
        dtype_backend: `numpy_nullable` for pandas' own types as far as they go, `pyarrow` for Arrow's throughout.
        decimals: `arrow` for columns of exact decimals that are fast, `decimal` for objects, `float` for numbers
            that may be rounded.
        compatible: Make the frame as version 0.0a11 did: pandas guesses types from a CSV.
    """

    def __init__(self, api_key: str, url: str | None = None, *, quiet: bool | None = None) -> None:
        self._jobs = Jobs(Http(api_key, url), quiet)

    def __repr__(self) -> str:
        return f"HolisticsAPI({self._jobs.http.shown})"

    @property
    def url(self) -> str:
        """Where the server is."""
        return self._jobs.http.url

    def query(
        self,
        report_id: Id,
        filters: Filters = None,
        *,
        dtype_backend: Backend = "numpy_nullable",
        decimals: Decimals = "arrow",
        compatible: bool = False,
        truncate: bool = False,
        fresh: bool = False,
        timeout: float | None = None,
    ) -> pd.DataFrame:
        """Runs a report and returns its rows."""
        _frames.check_options(dtype_backend, decimals)
        deadline = Deadline(timeout)
        if compatible:
            download = self._jobs.run(Order(report_id, filters, "submit_export.csv", truncate, fresh), deadline)
            return _frames.read_guessed(download.in_memory())
        table = _frames.table_of(self._jobs.stream(report_id, filters, truncate, fresh, deadline))
        return _frames.to_frame(table, dtype_backend, decimals)

    def to_arrow(
        self,
        report_id: Id,
        filters: Filters = None,
        *,
        truncate: bool = False,
        fresh: bool = False,
        timeout: float | None = None,
    ) -> pa.Table:
        """Runs a report and returns its rows as an Arrow table."""
        return _frames.table_of(self._jobs.stream(report_id, filters, truncate, fresh, Deadline(timeout)))

    def to_polars(
        self,
        report_id: Id,
        filters: Filters = None,
        *,
        truncate: bool = False,
        fresh: bool = False,
        timeout: float | None = None,
    ) -> polars.DataFrame:
        """Runs a report and returns its rows as a Polars frame; `pip install './clients/python[polars]'` brings Polars.

        Intervals, for which Polars has no type, are the text that files have.
        """
        try:
            import polars
        except ImportError:
            raise ImportError("to_polars needs Polars: pip install polars") from None
        table = self.to_arrow(report_id, filters, truncate=truncate, fresh=fresh, timeout=timeout)
        frame = polars.from_arrow(_frames.for_polars(table))
        assert isinstance(frame, polars.DataFrame)
        return frame

    def iter_batches(
        self,
        report_id: Id,
        filters: Filters = None,
        *,
        truncate: bool = False,
        fresh: bool = False,
        timeout: float | None = None,
    ) -> Iterator[pa.RecordBatch]:
        """Runs a report and hands out its rows as they arrive, while it still runs: memory does not grow with them.

        That all have come is known at the end: then it raises `IncompleteResult` if they have not. Who stops before
        that stops the report too.
        """
        deadline = Deadline(timeout)
        return _frames.batches(lambda: self._jobs.stream(report_id, filters, truncate, fresh, deadline))

    def iter_frames(
        self,
        report_id: Id,
        filters: Filters = None,
        *,
        dtype_backend: Backend = "numpy_nullable",
        decimals: Decimals = "arrow",
        truncate: bool = False,
        fresh: bool = False,
        timeout: float | None = None,
    ) -> Iterator[pd.DataFrame]:
        """As `iter_batches`, each batch as a frame."""
        _frames.check_options(dtype_backend, decimals)
        for batch in self.iter_batches(report_id, filters, truncate=truncate, fresh=fresh, timeout=timeout):
            yield _frames.to_frame(pa.Table.from_batches([batch]), dtype_backend, decimals)

    @overload
    def export_data(
        self,
        report_id: Id,
        path: PathText | None = None,
        filters: Filters = None,
        page_size: int | None = None,
        page: int | None = None,
        *,
        format: Literal["csv", "parquet", "arrow"] | None = None,
        **options: Any,
    ) -> pd.DataFrame: ...

    @overload
    def export_data(
        self,
        report_id: Id,
        path: PathText,
        filters: Filters = None,
        *,
        format: Literal["json", "ndjson", "xlsx"],
        **options: Any,
    ) -> None: ...

    def export_data(  # type: ignore[misc]  # The options of both are those named here.
        self,
        report_id: Id,
        path: PathText | None = None,
        filters: Filters = None,
        page_size: int | None = None,
        page: int | None = None,
        *,
        format: Format | None = None,
        filter_dict: Filters = None,
        _page_size: int | None = None,
        _page: int | None = None,
        dtype_backend: Backend = "numpy_nullable",
        decimals: Decimals = "arrow",
        compatible: bool = False,
        truncate: bool = False,
        fresh: bool = False,
        timeout: float | None = None,
    ) -> pd.DataFrame | None:
        """Runs a report, writes its file if there is a path, and returns its rows.

        Args:
            path: The file, CSV unless `format` says otherwise. It is there once it is whole.
            page_size: How many rows a page has, for one page instead of all rows, 25 if only `page` is given, which
                says which one, from 1.
            format: `csv` unless given, whatever the path ends in. From `json`, `ndjson` and `xlsx` no exact frame
                can be made, and None is returned.
            filter_dict, _page_size, _page: Older names of filters, page_size and page.
        """
        filters = filter_dict if filters is None else filters
        page_size = _page_size if page_size is None else page_size
        page = _page if page is None else page
        deadline = Deadline(timeout)
        check_format(format)
        _frames.check_options(dtype_backend, decimals)
        if compatible and format not in (None, "csv"):
            raise ValueError(f"compatible=True has types guessed from a CSV: format must be `csv`, got `{format}`")
        if path is not None:
            check_folder(path)
            if format is None:
                warn_of_ending(path)
        elif format in ("json", "ndjson", "xlsx"):
            raise ValueError(f"a file of format `{format}` needs a path")
        if page_size is not None or page is not None:
            _check_count("page_size", page_size)
            _check_count("page", page)
            if format not in (None, "csv"):
                raise ValueError("a page can be written as CSV alone")
            order = Order(report_id, filters, "submit_query.json", truncate, fresh, is_lenient=True)
            size, number = PAGE_SIZE if page_size is None else int(page_size), 1 if page is None else int(page)
            return run_page(self._jobs, order, path, size, number, dtype_backend, decimals, compatible, deadline)
        if path is None and format is None and not compatible:
            table = _frames.table_of(self._jobs.stream(report_id, filters, truncate, fresh, deadline, is_lenient=True))
            return _frames.to_frame(table, dtype_backend, decimals)
        order = Order(report_id, filters, f"submit_export.{format or 'csv'}", truncate, fresh, is_lenient=True)
        download = self._jobs.run(order, deadline)
        if path is not None and not download.has_exact_frame:
            save(download, path)
            return None
        return _frames.frame_of(download, path, dtype_backend, decimals, compatible)

    ExportData = export_data  # What the older package's README calls it.

    def export_file(
        self,
        report_id: Id,
        path: PathText,
        filters: Filters = None,
        *,
        format: Format | None = None,
        truncate: bool = False,
        fresh: bool = False,
        timeout: float | None = None,
    ) -> None:
        """Runs a report and writes its file, without ever holding it: for results of any size.

        Args:
            format: Unless given, the path's ending says it; a path without any is a CSV file.
        """
        check_folder(path)
        format = format_of(path) if format is None else format
        check_format(format)
        order = Order(report_id, filters, f"submit_export.{format}", truncate, fresh)
        save(self._jobs.run(order, Deadline(timeout)), path)

    def submit_export(
        self,
        report_id: Id,
        filters: Filters = None,
        *,
        format: Format = "csv",
        truncate: bool = False,
        fresh: bool = False,
        timeout: float | None = None,
    ) -> str:
        """Has the server run a report, and returns the job's id."""
        check_format(format)
        order = Order(report_id, filters, f"submit_export.{format}", truncate, fresh, is_lenient=True)
        return self._jobs.submit(order, Deadline(timeout)).id

    def get_export_results(
        self,
        job_id: Id,
        _page_size: int | None = None,
        _page: int | None = None,
        *,
        timeout: float | None = None,
    ) -> int:
        """Waits for a job, and returns 1 when it has made its file.

        A job that takes longer than `timeout` goes on. `_page_size` and `_page` mean nothing to a file: older
        programs send them.
        """
        self._jobs.wait(Job(str(job_id), False), Deadline(timeout), EXPORT_POLLS)
        return 1

    def download_results(
        self,
        job_id: Id,
        path: PathText | None = None,
        *,
        dtype_backend: Backend = "numpy_nullable",
        decimals: Decimals = "arrow",
        compatible: bool = False,
        timeout: float | None = None,
    ) -> pd.DataFrame | None:
        """Downloads the file of a job, to `path` if there is one, and returns its rows.

        From a file of JSON, NDJSON or XLSX, and from a CSV file made with a profile, a delimiter or a word for NULL of
        its own, no exact frame can be made: it needs a path, and None is returned.
        """
        _frames.check_options(dtype_backend, decimals)
        if path is not None:
            check_folder(path)
        download = self._jobs.download(str(job_id), False, Deadline(timeout))
        if compatible and not download.file_name.endswith(".csv"):
            raise ValueError(f"compatible=True has types guessed from a CSV: the file is `{download.file_name}`")
        if not download.has_exact_frame:
            if compatible:
                raise ValueError(
                    f"job {job_id} has made `{download.file_name}` in a way of its own: it has no plain CSV"
                )
            if path is None:
                raise ValueError(f"from `{download.file_name}` of job {job_id} no exact frame can be made: give a path")
            save(download, path)
            return None
        return _frames.frame_of(download, path, dtype_backend, decimals, compatible)

    def reports(self, *, timeout: float | None = None) -> list[dict[str, Any]]:
        """Returns the reports that this key may run, with their filters."""
        reports: list[dict[str, Any]] = self._jobs.get(
            "/queries.json", "list of reports", Deadline(timeout), shape=REPORTS
        )
        return reports

    def filter_values(self, report_id: Id, filter: str, *, timeout: float | None = None) -> list[str]:
        """Returns what a filter may be, where a query of the report lists that (`has_values_sql` of `reports`)."""
        deadline = Deadline(timeout)
        order = Order(report_id, None, f"filters/{part(filter)}/submit_values.json", False)
        return run_column(self._jobs, order, deadline)

    def feed_url(
        self,
        report_id: Id,
        filters: Filters = None,
        *,
        format: Format = "csv",
        max_age: float = 0,
        stale_ok: bool = False,
        expires_in: float | None = None,
        timeout: float | None = None,
    ) -> str:
        """Makes a live link: an address that answers with the report's file, fresh, and needs no key.

        Args:
            max_age: Seconds for which a file is handed out again; without them each fetch runs the report.
            stale_ok: Whether an older file may stand in for one that is late or fails.
            expires_in: Seconds for which the link lives; for ever unless given.
        """
        texts = as_texts(filters)
        deadline = Deadline(timeout)
        asked = {
            "report_id": int(self._jobs.report(report_id, deadline).partition("-")[0]),
            "format": format,
            "filters": {name: [text] if isinstance(text, str) else text for name, text in texts.items()},
            "max_age": _whole("max_age", max_age),
            "stale_ok": stale_ok,
            "expires_in": None if expires_in is None else _whole("expires_in", expires_in),
        }
        about = f"report `{report_id}`"
        # Sent once: each that arrives makes a link.
        feed = self._jobs.http.json(
            "POST", "/feeds.json", json=asked, about=about, deadline=deadline, attempts=1, shape={"url": str}
        )
        return str(feed["url"])

    def cancel(self, job_id: Id, *, timeout: float | None = None) -> None:
        """Stops a job, whatever it is at. One that has ended stays as it is."""
        self._jobs.cancel(job_id, Deadline(timeout))

    def job(self, job_id: Id, *, timeout: float | None = None) -> dict[str, Any]:
        """Returns what a job is at: its status, its times, its error."""
        path = f"/jobs/{part(job_id)}.json"
        job: dict[str, Any] = self._jobs.get(path, f"job {job_id}", Deadline(timeout), shape=JOB)
        return job

    def jobs(
        self,
        *,
        status: str | None = None,
        source_type: Literal["QueryReport", "DataImport"] | None = None,
        source_id: Id | None = None,
        page_size: int | None = None,
        page: int | None = None,
        timeout: float | None = None,
    ) -> list[dict[str, Any]]:
        """Returns the newest jobs of the key's user, 25 unless `page_size` says how many.

        Args:
            status: Such as `running` or `failure`.
            source_id: The report or the import, whichever `source_type` says.
            page: From 1; later ones are of older jobs.
        """
        choice: dict[str, Any] = {"status": status, "source_type": source_type, "source_id": source_id}
        choice |= {"_page_size": page_size, "_page": page}
        jobs: list[dict[str, Any]] = self._jobs.get(
            "/jobs.json", "list of jobs", Deadline(timeout), shape=[JOB], **choice
        )
        return jobs

    def logs(self, job_id: Id, *, timeout: float | None = None) -> list[dict[str, Any]]:
        """Returns what a job has said so far, line by line."""
        return self._jobs.all_logs(job_id, Deadline(timeout))

    def import_csv(
        self,
        path_or_dataframe: PathText | pd.DataFrame,
        table: str,
        source: int | str,
        mode: Literal["replace", "append", "fail"] = "replace",
        schema: Mapping[str, str] | None = None,
        *,
        timeout: float | None = None,
    ) -> ImportResult:
        """Imports a CSV file or a frame into a table, and waits until it is there.

        The index of a frame is imported too if it has a name, as the first columns. Without one, whole numbers, which
        mostly count rows, are left out, and other values are an error.

        Args:
            table: Its name, or schema and name: `sales.people`.
            source: The data source, by id or name.
            mode: What to do with a table that is there: `replace` it, `append` to it, or `fail`.
            schema: Types of columns by name, such as `{"zip": "text"}`. Others are found out from all values,
                or, of a frame, from its own types: a `Timedelta` becomes a text such as `26:03:04.5`, and a column
                that no type of imports holds exactly, such as one of bytes or lists, is an error.
        """
        return run_import(self._jobs, path_or_dataframe, table, source, mode, schema, Deadline(timeout))


def _whole(name: str, secs: float) -> int:
    if secs != int(secs):
        raise ValueError(f"{name} must be a whole number of seconds, got {secs!r}")
    return int(secs)


def _check_count(name: str, count: int | None) -> None:
    if count is not None and not re.fullmatch("0*[1-9][0-9]*", str(count)):
        raise ValueError(f"{name} must be a whole number from 1, got {count!r}")
