"""The way of a job: submitted, waited for, its result fetched; cancelled when nobody waits any more."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any, Callable, NamedTuple, Optional, Union
from urllib.parse import quote, urlencode

import requests

from ._download import Download, Making
from ._filters import Texts, as_query, as_texts
from ._http import Deadline, Http, message_of
from ._progress import Progress
from .errors import (
    ApiError,
    IncompleteResult,
    JobFailed,
    NotFound,
    UnexpectedAnswer,
    UnknownFilter,
    WrongKey,
    add_to,
    warn,
)

QUERY_CHARS_MAX = 500  # Longer ones go in the body of a POST.
POLL_SECS = 20.0
# Where somebody looks on, at first and later: a key may be good for so many requests a minute.
POLL_SECS_SHOWN = 1.0
POLL_SECS_SHOWN_MAX = 5.0
LOGS_SECS = 1.0
CANCEL_SECS = 2.0
FOLLOWED = "X-Followed-Job"
EXPORT_POLLS = "/queries/get_export_results.json"
# Of a job that goes on; the first is a file's.
PENDING = ("not yet", "created", "queued", "running", "cancelling", "already_existed")

ID = (int, str)
REPORTS = [{"id": ID, "title": str}]
LINES = {"logs": [{"id": int, "message": str}]}
MANIFEST = {"bytes": int, "rows": int, "sha256": str, "file_name": (str, None), "options": (dict, None)}

Id = Union[int, str]
Filters = Optional[Mapping[str, Any]]


class Job(NamedTuple):
    """A job, and whether this submit began it; else it is somebody's who waits for it too."""

    id: str
    is_ours: bool


@dataclass(frozen=True)
class Order:
    """What is asked of a report. Sent again, it is the same job, because of its key.

    One that is lenient may have filters that the report has not.
    """

    report_id: Id
    filters: Filters
    route: str
    truncate: bool
    fresh: bool = False
    compress: bool = False
    is_lenient: bool = False
    key: str = field(default_factory=lambda: uuid.uuid4().hex)


class Jobs:
    """What the API's methods are made of."""

    def __init__(self, http: Http, quiet: bool | None) -> None:
        self.http = http
        self._quiet = quiet

    def stream(
        self,
        report_id: Id,
        filters: Filters,
        truncate: bool,
        fresh: bool,
        deadline: Deadline,
        is_lenient: bool = False,
    ) -> Download:
        """Runs a report, and returns its rows as an Arrow stream, not yet opened."""
        # Compression costs more time than it saves where there is no network in between.
        compress = not self.http.is_local
        order = Order(report_id, filters, "submit_export.arrow", truncate, fresh, compress, is_lenient)
        return self.run(order, deadline)

    def run(self, order: Order, deadline: Deadline) -> Download:
        """Runs a report, and returns its file, not yet read: it may still be in the making."""
        answer: requests.Response | None = None

        def begins(job: Job, secs: float) -> bool:
            nonlocal answer
            # What answers otherwise than the API does, a poll knows better.
            answer = answer or self._follow(job.id, secs, deadline)
            return answer is not None and "ETag" in answer.headers

        job = self.finish(order, deadline, EXPORT_POLLS, begins)
        with self.stopping(job):
            if answer is None or FOLLOWED not in answer.headers:
                is_file = answer is not None and "ETag" in answer.headers
                return self.download(job.id, order.truncate, deadline, answer if is_file else None)

            def wait() -> None:
                self.wait(job, deadline, EXPORT_POLLS)

            name = order.route.replace("submit_", "") + (".zst" if order.compress else "")
            making = Making(name, wait, lambda: self._manifest(job.id, deadline), lambda: self._give_up(lambda _: job))
            return Download(self.http, job.id, {}, deadline, self._progress(), order.truncate, answer, making)

    def _follow(self, job_id: str, secs: float, deadline: Deadline) -> requests.Response | None:
        """Fetches the file of a job while it is made; None if it has not begun within these seconds."""
        try:
            return self.http.request(
                "GET",
                "/exports/download",
                params={"job_id": job_id, "_follow": "true", "_wait": f"{secs:.3f}"},
                headers={"Accept-Encoding": "identity"},
                stream=True,
                about=f"file of job {job_id}",
                deadline=deadline,
                wait=secs,
            )
        except ApiError as problem:
            if problem.status not in (404, 422):
                raise
            return None  # A poll says why.

    def finish(
        self, order: Order, deadline: Deadline, polls: str, begins: Callable[[Job, float], bool] | None = None
    ) -> Job:
        """Runs a report, and waits until it is done, or has begun to hand out its file."""
        job = self.submit(order, deadline)
        with self.stopping(job):
            self.wait(job, deadline, polls, begins=begins, may_truncate="submit_values" not in order.route)
        return job

    @contextmanager
    def stopping(self, job: Job) -> Iterator[None]:
        """Cancels a job that is not waited for to its end."""
        try:
            yield
        except JobFailed:
            raise
        except BaseException as problem:
            # It may go on, but nobody will know, also where a poll was refused.
            add_to(problem, self._give_up(lambda _: job))
            raise

    def submit(self, order: Order, deadline: Deadline) -> Job:
        """Has the server run a report."""
        with self._progress().step("Submitting export request"):
            texts = as_texts(order.filters)  # Once: a generator gives its values but once.
            order = replace(order, report_id=self.report(order.report_id, deadline))
            try:
                return self._submit_surely(order, texts, deadline, True)
            except ApiError as problem:
                why = "" if problem.response is None else message_of(problem.response)
                if not order.is_lenient or " has no filter " not in why:
                    raise
            warn(f"{why}: it is ignored", UnknownFilter)
            return self._submit_surely(order, texts, deadline, False)

    def _submit_surely(self, order: Order, texts: Texts, deadline: Deadline, is_strict: bool) -> Job:
        # One that was interrupted may have been accepted all the same: sent again, it says which job it is.
        with self.cancelling(lambda last: self._submit(order, texts, last, is_strict)):
            return self._submit(order, texts, deadline, is_strict)

    def _submit(self, order: Order, texts: Texts, deadline: Deadline, is_strict: bool) -> Job:
        query = as_query(texts)
        options = {"_strict": "true"} if is_strict else {}
        if order.truncate:
            options["_truncate"] = "true"
        if order.fresh:
            options["_cache"] = "off"
        if order.compress:
            options["_compress"] = "zstd"
        is_long = len(urlencode(query)) > QUERY_CHARS_MAX
        answer = self.http.json(
            "POST" if is_long else "GET",
            f"/queries/{part(order.report_id)}/{order.route}",
            params=list(options.items()) + ([] if is_long else query),
            json=texts if is_long else None,
            headers={"Idempotency-Key": order.key},
            about=f"report `{order.report_id}`",
            deadline=deadline,
            shape={"job_id": ID, "status": str},
        )
        return Job(str(answer["job_id"]), answer["status"] != "already_existed")

    def report(self, given: Id, deadline: Deadline) -> str:
        """Returns the number of the report with this number, slug or title, in the order that the command line has too.

        What looks like a number and a slug is left to servers that do not list reports.
        """
        text = str(given)
        if text.isdecimal():
            return text
        number = re.fullmatch(r"([0-9]+)-\S*", text)
        try:
            reports = self.get("/queries.json", "list of reports", deadline, shape=REPORTS)
        except ApiError as problem:
            lists_none = isinstance(problem, (NotFound, UnexpectedAnswer)) or problem.status == 403
            if number and lists_none:
                return text
            raise
        by_slug = [report for report in reports if report.get("slug") == text]
        by_title = [report for report in reports if report["title"].lower() == text.lower()]
        exactly = [report for report in by_title if report["title"] == text]
        found = [str(report["id"]) for report in by_slug or exactly or by_title]
        if len(found) > 1:
            numbers = ", ".join(found)
            raise ValueError(f"{len(found)} reports have the title `{text}`: name one by its number, {numbers}")
        if found:
            if number and not by_slug and any(str(report["id"]) == number[1] != found[0] for report in reports):
                raise ValueError(
                    f"`{text}` is the title of report {found[0]}, and report {number[1]} by its number: "
                    "name it by its number alone"
                )
            return found[0]
        if number:
            return text  # The slug may be one that the report had once.
        raise NotFound(f"there is no report `{text}`, or this key may not see it")

    @contextmanager
    def cancelling(self, find_job: Callable[[Deadline], Job]) -> Iterator[None]:
        """Cancels a job that only this call knows of, so that it does not run on when the call is given up."""
        try:
            yield
        except BaseException as problem:
            # What the API has refused, or has not heard of, has no job that goes on.
            if getattr(problem, "may_go_on", True):
                add_to(problem, self._give_up(find_job))
            raise

    def _give_up(self, find_job: Callable[[Deadline], Job]) -> str:
        """Stops a job; returns what to say of one of which that is not known."""
        last, job = Deadline(CANCEL_SECS), None
        try:
            job = find_job(last)
            if job.is_ours:
                # Somebody else's submit may have joined it since.
                self.cancel(job.id, last, _unless_joined="true")
        except (NotFound, WrongKey):
            pass  # What nobody may see here, nobody can stop.
        except Exception:
            if job is None:
                return "a job may have begun: jobs() shows it"
            return f"job {job.id} may go on: cancel({job.id}) stops it"
        return ""

    def wait(
        self,
        job: Job,
        deadline: Deadline,
        polls: str,
        step: str = "Getting export results",
        begins: Callable[[Job, float], bool] | None = None,
        may_truncate: bool = True,
    ) -> None:
        """Waits until a job is done, for which it asks again and again, and raises if it has failed.

        Or until `begins` says, which may take so many seconds, that there is something of its file.
        """
        progress, job_id = self._progress(), job.id
        pause, last_line = 0.1, 0
        poll_secs = POLL_SECS_SHOWN if progress.is_live else POLL_SECS
        is_polled = True
        with progress.step(step):
            while True:
                asked_at = time.monotonic()
                left = secs = deadline.clip(poll_secs)
                if begins is not None:
                    if begins(job, secs):
                        return
                    if time.monotonic() - asked_at > secs / 2:
                        left = 0.0  # That was the wait.
                # After a wait every other time is enough: a job that has failed does not begin either.
                is_polled = not is_polled or left > 0
                if is_polled:
                    # One row is enough of an answer that would be a page.
                    params = {"job_id": job_id, "_wait": f"{left:.3f}", "_page_size": "1"}
                    answer = self.get(polls, f"job {job_id}", deadline, left, shape={"status": str}, **params)
                    status = answer["status"]
                    if status == "success":
                        return
                    if status in ("failure", "cancelled"):
                        raise JobFailed(_why(answer, may_truncate), job_id)
                    if status not in PENDING:
                        raise UnexpectedAnswer(f"job {job_id} is `{status}`, which is no status of a job")
                    if status == "already_existed":
                        # Older servers send a joined job's polls elsewhere.
                        job_id = str(answer.get("job_id", job_id))
                if progress.is_live:
                    poll_secs = min(poll_secs * 2, POLL_SECS_SHOWN_MAX)
                    with suppress(Exception):  # They are but shown.
                        for line in self.logs(job_id, last_line, Deadline(deadline.clip(LOGS_SECS))):
                            last_line = line["id"]
                            progress.show(line["message"])
                # A server that does not know `_wait` has answered at once, and is not to be asked without a pause.
                if time.monotonic() - asked_at < secs / 2:
                    deadline.sleep(pause)
                    pause = min(pause * 2, 5.0)

    def download(
        self, job_id: str, truncate: bool, deadline: Deadline, answer: requests.Response | None = None
    ) -> Download:
        manifest = self._manifest(job_id, deadline)
        return Download(self.http, job_id, manifest, deadline, self._progress(), truncate, answer)

    def logs(self, job_id: Id, last_id: int, deadline: Deadline) -> list[dict[str, Any]]:
        """Returns up to 1,000 lines that come after this one."""
        path = f"/jobs/{part(job_id)}/logs.json"
        answer = self.get(path, f"job {job_id}", deadline, shape=LINES, last_id=last_id)
        lines: list[dict[str, Any]] = answer["logs"]
        # What comes again has no end.
        if not all(line["id"] > last_id for line in lines):
            raise IncompleteResult(f"the log of job {job_id} does not go on after line {last_id}")
        return lines

    def all_logs(self, job_id: Id, deadline: Deadline) -> list[dict[str, Any]]:
        lines: list[dict[str, Any]] = []
        while more := self.logs(job_id, lines[-1]["id"] if lines else 0, deadline):
            lines += more
        return lines

    def cancel(self, job_id: Id, deadline: Deadline, **params: str) -> None:
        path = f"/jobs/{part(job_id)}/cancel.json"
        self.http.json("PUT", path, params=params, about=f"job {job_id}", deadline=deadline, shape={"status": str})

    def get(
        self,
        path: str,
        about: str,
        deadline: Deadline,
        wait: float = 0.0,
        *,
        shape: Any,
        **params: Any,
    ) -> Any:
        return self.http.json("GET", path, params=params, about=about, deadline=deadline, wait=wait, shape=shape)

    def _progress(self) -> Progress:
        return Progress(self._quiet)

    def _manifest(self, job_id: str, deadline: Deadline) -> dict[str, Any]:
        try:
            path = f"/jobs/{part(job_id)}/manifest.json"
            manifest: dict[str, Any] = self.get(path, f"job {job_id}", deadline, shape=MANIFEST)
        except (NotFound, UnexpectedAnswer) as problem:
            if problem.status != 404:
                raise
            return {}  # An older server, which has no manifests.
        return manifest


def _why(answer: dict[str, Any], may_truncate: bool) -> str:
    """What a job says of its failure, and what helps where that is up to the caller."""
    error = str(answer.get("error") or "the job failed")
    if may_truncate and error.startswith("the result's ") and " passed the limit of " in error:
        return f"{error}; truncate=True takes its first rows alone"
    if error.endswith(" that its `values_sql` lists"):
        return f"{error}; filter_values returns them"
    return error


def part(id: Id) -> str:
    """Makes one part of a path of what may be anything."""
    return quote(str(id), safe="")
