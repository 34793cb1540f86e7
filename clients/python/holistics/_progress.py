"""What a person who waits at a terminal sees. Programs see nothing."""

from __future__ import annotations

import re
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

REDRAW_SECS = 0.1
ERASE_LINE = "\x1b[2K"
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class Progress:
    """One line a step: what is done, how far it is, how it ended.

    A terminal that is live is also told of the way, and of what came of it (`summary`).
    """

    def __init__(self, quiet: bool | None) -> None:
        self.is_live = quiet is not True and sys.stdout is not None and sys.stdout.isatty()
        self._is_shown = self.is_live or quiet is False
        self.summary = ""
        self._step = ""
        self._drawn_at = 0.0

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        self._step = name
        if self.is_live:
            self._redraw("")
        else:
            self._print(f"{name}... ")
        try:
            yield
        except BaseException:
            self._end("Failure")
            raise
        self._end(f"Success ({self.summary})" if self.is_live and self.summary else "Success")

    def show(self, how_far: str) -> None:
        """Redraws the line, but not so often that it costs anything."""
        if self.is_live and time.monotonic() - self._drawn_at >= REDRAW_SECS:
            self._redraw(how_far)
            self._drawn_at = time.monotonic()

    def _redraw(self, how_far: str) -> None:
        """Where a line does not fit, how far it is says more than the step; one that wrapped could not be redrawn."""
        how_far = CONTROL.sub("?", how_far)
        room = shutil.get_terminal_size().columns - 1
        line = f"{self._step}... {how_far}"
        self._print(f"{ERASE_LINE}\r{line if len(line) <= room else (how_far or self._step)[:room]}")

    def _end(self, how: str) -> None:
        self._print(f"{ERASE_LINE}\r{self._step}... {how}\n" if self.is_live else f"{how}\n")

    def _print(self, text: str) -> None:
        if self._is_shown:
            print(text, end="", flush=True)


def of_total(count: int, total: int | None) -> str:
    """Says how much of a file is there: `12.3 of 128.0 MB`."""
    of = f" of {total / 1e6:,.1f}" if total else ""
    return f"{count / 1e6:,.1f}{of} MB"
