"""Results page by page: as a table, as the text that a file has, or column by column."""

from __future__ import annotations

import json
import re
from typing import Any

import pandas as pd
import pyarrow as pa

from . import _frames
from ._download import PathText, aside
from ._http import Deadline, has_shape, unexpected
from ._jobs import Job, Jobs, Order
from .errors import IncompleteResult

POLLS = "/queries/get_query_results.json"
ROWS = 10_000
ARROW_TYPE = "application/vnd.apache.arrow.stream"
OF = {"num_rows": int, "page": int, "page_size": int}
PAGE = {"paginated": OF, "fields": [str], "values": [[(str, None)]]}
NEEDS_QUOTES = re.compile(r'[,"\r\n]')


def run_page(
    jobs: Jobs,
    order: Order,
    path: PathText | None,
    page_size: int,
    page: int,
    dtype_backend: str,
    decimals: str,
    compatible: bool,
    deadline: Deadline,
) -> pd.DataFrame:
    """Runs a report for one page of it; its file and its frame are of the same run."""
    job = jobs.finish(order, deadline, POLLS)
    table = None if compatible else _table(jobs, job, page_size, page, deadline)
    csv = b"" if path is None and not compatible else _csv(jobs, job, page_size, page, deadline)
    if path is not None:
        with aside(path) as file:
            file.write(csv)
    if table is None:
        return _frames.read_guessed(csv)
    return _frames.to_frame(table, dtype_backend, decimals)


def run_column(jobs: Jobs, order: Order, deadline: Deadline) -> list[str]:
    """Runs a report for the texts of its first column, but for NULL and the empty one."""
    job = jobs.finish(order, deadline, POLLS)
    answer = _answer(jobs, job, ROWS, 1, deadline)
    rows: list[list[str | None]] = answer["values"]
    for number in range(2, -(-answer["paginated"]["num_rows"] // ROWS) + 1):
        rows += _answer(jobs, job, ROWS, number, deadline)["values"]
    return [row[0] for row in rows if row[0]]


def _table(jobs: Jobs, job: Job, page_size: int, page: int, deadline: Deadline) -> pa.Table:
    about, headers = f"job {job.id}", {"Accept": ARROW_TYPE}
    params = {"job_id": job.id, "_page_size": page_size, "_page": page}
    answer = jobs.http.request("GET", POLLS, params=params, headers=headers, about=about, deadline=deadline)
    if ARROW_TYPE not in answer.headers.get("Content-Type", ""):
        raise unexpected(answer)
    try:
        with pa.ipc.open_stream(answer.content) as stream:
            table = stream.read_all()
        of = json.loads((table.schema.metadata or {}).get(b"paginated", b"null"))
    except (pa.ArrowException, OSError, ValueError):
        raise unexpected(answer) from None
    if not has_shape(of, OF):
        raise unexpected(answer)
    _check(job, page_size, page, of, table.num_rows)
    return table


def _csv(jobs: Jobs, job: Job, page_size: int, page: int, deadline: Deadline) -> bytes:
    """Fetches a page as a file has it: the texts of pages are those of CSV."""
    answer = _answer(jobs, job, page_size, page, deadline)
    rows = [answer["fields"], *answer["values"]]
    return "".join(",".join(map(_csv_field, row)) + "\n" for row in rows).encode()


def _answer(jobs: Jobs, job: Job, page_size: int, page: int, deadline: Deadline) -> dict[str, Any]:
    params: dict[str, Any] = {"job_id": job.id, "_page_size": page_size, "_page": page}
    answer: dict[str, Any] = jobs.get(POLLS, f"job {job.id}", deadline, shape=PAGE, **params)
    _check(job, page_size, page, answer["paginated"], len(answer["values"]))
    if not all(len(row) == len(answer["fields"]) for row in answer["values"]):
        raise IncompleteResult(f"page {page} of job {job.id} has rows that are too short")
    return answer


def _check(job: Job, page_size: int, page: int, of: dict[str, int], rows: int) -> None:
    wanted = max(0, min(page_size, of["num_rows"] - (page - 1) * page_size))
    if (of["page"], of["page_size"], rows) != (page, page_size, wanted):
        raise IncompleteResult(f"page {page} of job {job.id} is another than was asked for, or not whole: {rows} rows")


def _csv_field(text: str | None) -> str:
    """NULL is nothing, an empty text has quotes, and so has what could be taken for more than one field."""
    if text is None:
        return ""
    return text if text and not NEEDS_QUOTES.search(text) else '"' + text.replace('"', '""') + '"'
