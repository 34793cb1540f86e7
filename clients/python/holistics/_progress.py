"""What a person who waits at a terminal sees. Programs see nothing."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

REDRAW_SECS = 0.1
ERASE_TO_END = "\x1b[K"


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
        self._print(f"{name}... ")
        try:
            yield
        except BaseException:
            self._print("Failure\n")
            raise
        if self.is_live and self.summary:
            self._print(f"\r{name}... Success ({self.summary}){ERASE_TO_END}\n")
        else:
            self._print("Success\n")

    def show(self, how_far: str) -> None:
        """Redraws the line, but not so often that it costs anything."""
        if self.is_live and time.monotonic() - self._drawn_at >= REDRAW_SECS:
            self._print(f"\r{self._step}... {how_far} {ERASE_TO_END}")
            self._drawn_at = time.monotonic()

    def _print(self, text: str) -> None:
        if self._is_shown:
            print(text, end="", flush=True)


def of_total(count: int, total: int | None) -> str:
    """Says how much of a file is there: `12.3 of 128.0 MB`."""
    of = f" of {total / 1e6:,.1f}" if total else ""
    return f"{count / 1e6:,.1f}{of} MB"
