"""One status line: what is solved, how much of it is done, how long it took and how long it will take."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from contextvars import ContextVar

# Seconds between two lines where the line before can't be overwritten, as in a log.
BETWEEN_LINES = 30.0

_parts: ContextVar[tuple[str, ...]] = ContextVar("parts", default=())


@contextmanager
def part_of(part: str):
    """Say in each status line meanwhile what it is about, such as "fold 2 of 5"."""
    token = _parts.set((*_parts.get(), part))
    try:
        yield
    finally:
        _parts.reset(token)


class Status:
    """A status line on the standard error.

    A terminal shows it as it changes; elsewhere it is written now and then, and at the end with the time in all.
    """

    def __init__(self, total: int, noun: str):
        self.total, self.noun = total, noun
        self.done, self.width = 0, 0
        self.start = self.written = time.monotonic()

    def __enter__(self):
        return self

    def __exit__(self, kind, value, traceback):
        if self.width:
            print(file=sys.stderr)

    def add(self, count: int):
        """Count what has been done since."""
        self.done += count
        now = time.monotonic()
        passed, terminal, over = now - self.start, sys.stderr.isatty(), self.done >= self.total
        if not (terminal or over or now - self.written >= BETWEEN_LINES):
            return
        self.written = now
        line = self._line(passed)
        if terminal:
            print("\r" + line.ljust(self.width), end="", file=sys.stderr, flush=True)
            self.width = len(line)
        else:
            print(line, file=sys.stderr, flush=True)

    def _line(self, passed):
        about = "".join(f"{part}, " for part in _parts.get())
        if self.done >= self.total:
            return f"{about}{self.total} {self.noun} in {_span(passed)}"
        left = passed * (self.total - self.done) / self.done
        return f"{about}{self.done} of {self.total} {self.noun} in {_span(passed)}, about {_span(left)} left"


def _span(seconds):
    if seconds < 120:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02d} min"
