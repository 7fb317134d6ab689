"""Targets in blocks, for any solver: workers, threads, progress, and what is kept on disk.

A solver is a `Problem`: a task, which all targets share, and functions that solve a block and make an empty solution.
"""

from .blocks import Problem, as_they_come, solve_blocks
from .compiling import told_of_compiling
from .progress import Status, part_of
from .sharing import made_once, sharing

__all__ = [
    "Problem",
    "Status",
    "as_they_come",
    "made_once",
    "part_of",
    "sharing",
    "solve_blocks",
    "told_of_compiling",
]
