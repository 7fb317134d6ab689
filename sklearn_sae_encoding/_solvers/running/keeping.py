"""Finished blocks on disk, so that an interrupted fit resumes where it was."""

from __future__ import annotations

import joblib
from joblib import Memory

# Raise it with any change of what a solver returns for the same task and targets.
FORMAT = 1


class Keeper:
    """Keeps the blocks of one problem; small, for it is sent with each of them."""

    def __init__(self, memory, problem):
        self.memory = memory
        # The task is hashed once, not with every block.
        self.key = (FORMAT, problem.solve.__module__, problem.solve.__qualname__, joblib.hash(problem.task))

    def solve(self, problem, block, n_threads):
        memory = self.memory if hasattr(self.memory, "cache") else Memory(self.memory, verbose=0)
        return memory.cache(_solve_and_keep, ignore=["problem", "n_threads"])(problem, block, n_threads, self.key)


def _solve_and_keep(problem, block, n_threads, key):
    return problem.solve(problem.task, block, n_threads)
