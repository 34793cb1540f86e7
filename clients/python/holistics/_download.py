"""The file that a job made, read once from beginning to end, and checked.

A connection that breaks is taken up again where it broke. What is short, or not what the server made, is an error,
never a shorter result.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO, Callable, NamedTuple, TypeVar, Union

import numpy as np
import requests
import urllib3

from ._http import ATTEMPTS, Deadline, Http, unexpected
from ._progress import Progress, of_total
from .errors import IncompleteResult, JobFailed, TruncatedResult, add_to, warn

PIECE_BYTES = 1 << 18
PathText = Union[str, "os.PathLike[str]"]


class Making(NamedTuple):
    """A job that still makes its file."""

    name: str
    wait: Callable[[], None]  # Until the job is done; raises if it has failed.
    manifest: Callable[[], dict[str, Any]]
    cancel: Callable[[], str]  # Returns what to say if that is not sure to have stopped it.


class Download:
    """A readable file object, which has what pyarrow asks of one.

    `manifest` is what the server says the file must be; it is empty for servers that say nothing, and until a file
    that is still being made has been read.
    """

    closed = False

    def __init__(
        self,
        http: Http,
        job_id: str,
        manifest: dict[str, Any],
        deadline: Deadline,
        progress: Progress,
        truncate: bool,
        answer: requests.Response | None = None,
        making: Making | None = None,
    ) -> None:
        self._http, self._job_id, self._deadline, self._progress = http, job_id, deadline, progress
        self._may_be_truncated = truncate
        self._answer: requests.Response | None = None
        self._making = making
        self._name = "export.csv" if making is None else making.name  # Older servers make nothing else for us.
        self._may_be_another = False
        self._process = os.getpid()
        self._begin()
        self._learn(manifest)
        if answer is not None:
            self._take(answer)

    def _begin(self) -> None:
        self._etag: str | None = None
        self._position = 0
        self._bytes: int | None = None
        self._sha256 = hashlib.sha256()
        self._failures = 0

    def _learn(self, manifest: dict[str, Any]) -> None:
        self.manifest = manifest
        self._bytes = manifest.get("bytes", self._bytes)
        if manifest.get("truncated"):
            self._warn_of_truncation()

    def __enter__(self) -> Download:
        self._step = self._progress.step("Downloading results")
        self._step.__enter__()
        return self

    def __exit__(self, *problem: Any) -> None:
        self.close()
        # Nobody takes what comes yet. In a process that was forked from the one that reads, somebody does.
        if self._making is not None and os.getpid() == self._process:
            hint = self._making.cancel()
            if problem[1] is not None:
                add_to(problem[1], hint)
        self._making = None
        self._step.__exit__(*problem)

    def close(self) -> None:
        if self._answer is not None:
            self._answer.close()
            self._answer = None

    @property
    def file_name(self) -> str:
        name: str = self.manifest.get("file_name", self._name)
        return name

    @property
    def has_exact_frame(self) -> bool:
        options = self.manifest.get("options") or {}
        is_plain = not {"profile", "delimiter", "null"} & set(options)  # Else texts may not be those of the data.
        return self.file_name.endswith((".parquet", ".arrow")) or (is_plain and self.file_name.endswith(".csv"))

    def readable(self) -> bool:
        return True

    def read(self, size: int) -> bytes | memoryview:
        """Reads so many bytes, fewer only at the end of the file."""
        first = self.piece(min(size, PIECE_BYTES))
        if len(first) in (0, size):
            return first
        # Pieces that were kept, to be joined, would touch twice as much memory, and so would zeros.
        whole, there = np.empty(size, np.uint8).data, len(first)
        whole[:there] = first
        while there < size and (piece := self.piece(min(size - there, PIECE_BYTES))):
            whole[there : there + len(piece)] = piece
            there += len(piece)
        return whole[:there]

    def in_memory(self) -> bytes:
        """Reads all of it."""

        def read(download: Download) -> bytes:
            with download:
                content = b"".join(iter(download.piece, b""))
                download.finish()
            return content

        return read_whole(self, read)

    def finish(self, rows: int | None = None) -> None:
        """Checks, after reading what is left, that all has arrived, and was as many rows as it should."""
        while self.piece():
            pass
        promised = self.manifest.get("sha256")
        if promised is not None and promised != self._sha256.hexdigest():
            raise IncompleteResult(
                f"the file of job {self._job_id} was altered on its way (its SHA-256 is another): run it again"
            )
        if rows is not None and self.manifest.get("rows", rows) != rows:
            raise IncompleteResult(
                f"the file of job {self._job_id} has {rows} rows, where {self.manifest['rows']} were made"
            )
        rows = self.manifest.get("rows", rows)
        self._progress.summary = of_total(self._position, None) + ("" if rows is None else f", {rows:,} rows")

    def piece(self, size: int = PIECE_BYTES) -> bytes:
        """Reads what has arrived, up to so many bytes; nothing at the end of the file."""
        while self._position != self._bytes:
            answer = self._answer or self._open()
            # As much as there is, where urllib3 can.
            read = getattr(answer.raw, "read1", answer.raw.read)
            is_broken = False
            if self._bytes is not None:
                size = min(size, self._bytes - self._position)
            try:
                piece: bytes = read(size, decode_content=False)
            except (urllib3.exceptions.HTTPError, OSError):
                piece, is_broken = b"", True
            if piece:
                self._position += len(piece)
                self._failures = 0
                self._sha256.update(piece)
                self._progress.show(of_total(self._position, self._bytes))
                return piece
            if self._making is not None:
                self._settle(self._making, is_broken)
            elif self._bytes is None and not is_broken:
                self._bytes = self._position  # The end of the last chunk is the file's.
            else:
                self._retry_later()
        return b""

    def _settle(self, making: Making, is_broken: bool) -> None:
        """Finds out, at the end of what was sent of a file in the making, what has become of it."""
        self.close()
        try:
            making.wait()
        except JobFailed:
            self._making = None  # There is nothing to stop.
            raise
        self._making = None
        self._learn(making.manifest())
        self._may_be_another = is_broken
        if self._bytes is not None and self._position > self._bytes:
            raise self._is_another()

    def begins_again(self) -> bool:
        """Goes back to the beginning where the job may have done so, whose file is then another than was read of it."""
        if not self._may_be_another:
            return False
        self._may_be_another = False
        manifest = self.manifest
        self._begin()
        self._learn(manifest)
        return True

    def _open(self) -> requests.Response:
        headers = {"Accept-Encoding": "identity"}  # Lengths, offsets and sums are those of the file as it is.
        if self._position:
            headers["Range"] = f"bytes={self._position}-"
        if self._position and self._etag:
            headers["If-Range"] = self._etag
        answer = self._http.request(
            "GET",
            "/exports/download",
            params={"job_id": self._job_id},
            headers=headers,
            stream=True,
            about=f"file of job {self._job_id}",
            deadline=self._deadline,
        )
        return self._take(answer)

    def _take(self, answer: requests.Response) -> requests.Response:
        """Goes on with an answer that has the file from here on."""
        if "text/html" in answer.headers.get("Content-Type", ""):
            raise unexpected(answer)
        if self._position and answer.status_code != 206:
            raise self._is_another()
        from_here = f"bytes {self._position}-"
        if not answer.headers.get("Content-Range", from_here).startswith(from_here):
            raise IncompleteResult(f"the download of job {self._job_id} goes on elsewhere than where it broke off")
        length = answer.headers.get("Content-Length")
        if length is None and self._bytes is None and not getattr(answer.raw, "chunked", False):
            raise IncompleteResult(
                f"the server says neither how long the file of job {self._job_id} is nor where it ends: "
                "it could not be known whether all of it has come"
            )
        if length is not None and not (length.isascii() and length.isdigit()):
            raise unexpected(answer)
        if length is not None:
            all_bytes = self._position + int(length)
            if self._bytes not in (None, all_bytes):
                raise IncompleteResult(
                    f"the file of job {self._job_id} has {all_bytes} bytes on its way, where {self._bytes} were made"
                )
            self._bytes = all_bytes
        if not self._position and answer.headers.get("X-Result-Truncated") == "true":
            self._warn_of_truncation()
        self._etag = answer.headers.get("ETag")
        self._answer = answer
        return answer

    def _is_another(self) -> IncompleteResult:
        return IncompleteResult(
            f"the file of job {self._job_id} is another now than when its download began: run it again"
        )

    def _retry_later(self) -> None:
        self.close()
        broken = IncompleteResult(
            f"the download of job {self._job_id} broke off after {of_total(self._position, self._bytes)}"
        )
        self._failures += 1
        may_be_another = self._position and not self._etag and "sha256" not in self.manifest
        if self._failures >= ATTEMPTS or may_be_another:
            raise broken
        self._deadline.sleep(0.125 * 2**self._failures, broken)

    def _warn_of_truncation(self) -> None:
        if not self._may_be_truncated:
            self._may_be_truncated = True  # Once is enough.
            warn(f"the result of job {self._job_id} was cut at the limit of rows", TruncatedResult)


T = TypeVar("T")


def read_whole(download: Download, read: Callable[[Download], T]) -> T:
    """Reads a file; once more if the job began again while it was read, as it does when the server is restarted."""
    try:
        return read(download)
    except IncompleteResult:
        if not download.begins_again():
            raise
        return read(download)


def save(download: Download, path: PathText) -> None:
    """Writes the file, which has its name only once it is whole."""

    def read(download: Download) -> None:
        with download, aside(path) as file:
            while piece := download.piece():
                file.write(piece)
            download.finish()

    read_whole(download, read)


def keep(download: Download, path: PathText | None) -> bytes | PathText:
    """Puts the file where it should be, and returns where it can be read: a pipe or device gives nothing back."""
    if path is not None and not is_device(path):
        save(download, path)
        return path
    content = download.in_memory()
    if path is not None:
        with aside(path) as device:
            device.write(content)
    return content


def is_device(path: PathText) -> bool:
    """Whether this is a pipe, a terminal or the like, which stays what it is."""
    return os.path.exists(path) and not os.path.isfile(path)


def check_folder(path: PathText) -> None:
    """Finds out before a report is run that its file has no place."""
    if not os.path.basename(path) and not os.path.isdir(path):
        raise FileNotFoundError(f"`{os.fspath(path)}` is no name of a file to write to")
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder):
        raise FileNotFoundError(f"there is no folder `{folder}` to write a file to")
    if os.path.isdir(path):
        raise IsADirectoryError(f"`{os.fspath(path)}` is a folder, not a file to write to")
    with suppress(FileNotFoundError):
        os.stat(path)  # Raises for a name that is too long, or that nothing can have.


@contextmanager
def aside(path: PathText) -> Iterator[BinaryIO]:
    """Opens a file beside this one, which takes its place if nothing goes wrong."""
    if is_device(path):
        with open(path, "wb") as device:
            yield device
        return
    target = os.path.realpath(path)
    folder, name = os.path.split(target)
    beside = os.path.join(folder, f".{name[:40]}.{secrets.token_hex(4)}.part")
    try:
        with open(beside, "xb") as file:
            if os.path.exists(target):
                # Who may read the file that this one replaces may read this one, and nobody else.
                os.chmod(beside, stat.S_IMODE(os.stat(target).st_mode))
            yield file
        os.replace(beside, target)
    except BaseException:
        if os.path.exists(beside):
            os.remove(beside)
        raise
