"""The status line, on a terminal and in a log."""

import io
import sys

import pytest

from sklearn_sae_encoding._solvers.running import progress


class Clock:
    now = 100.0

    def monotonic(self):
        return self.now


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(progress.time, "monotonic", clock.monotonic)
    return clock


def lines_of(status, clock, seconds, count=10):
    for _ in range(count):
        clock.now += seconds
        status.add(1)


def test_a_log_gets_a_line_now_and_then_and_one_at_the_end(clock, capsys):
    with progress.Status(10, "voxels") as status:
        lines_of(status, clock, seconds=20.0)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "2 of 10 voxels in 40.0 s, about 3 min left"
    assert lines[-1] == "10 voxels in 3 min"
    assert len(lines) == 5


def test_a_terminal_shows_one_line_that_changes(clock, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress.Status(4, "voxels") as status, progress.part_of("fold 1 of 2"):
        lines_of(status, clock, seconds=1.0, count=4)
    shown = terminal.getvalue()
    assert shown.count("\n") == 1
    assert shown.endswith("\n")
    versions = shown[1:-1].split("\r")
    assert versions[0] == "fold 1 of 2, 1 of 4 voxels in 1.0 s, about 3.0 s left"
    assert versions[-1].strip() == "fold 1 of 2, 4 voxels in 4.0 s"
    assert len(versions[-1]) >= len(versions[-2].strip())  # nothing of the longer line before stays


@pytest.mark.parametrize(
    ("seconds", "span"), [(0.04, "0.0 s"), (119.9, "119.9 s"), (150, "2 min"), (7080, "118 min"), (9000, "2 h 30 min")]
)
def test_spans_are_in_the_unit_that_people_use(seconds, span):
    assert progress._span(seconds) == span


def test_what_it_is_about_ends_with_the_part():
    with progress.part_of("fold 1 of 2"):
        pass
    assert progress._parts.get() == ()
