"""Finished blocks on disk, so that an interrupted fit resumes where it was."""

from __future__ import annotations

import joblib

from ..._cache import Cache, memory_folder, pack, unpack


class Keeper:
    """Keeps the blocks of one problem; small, for it is sent with each of them."""

    def __init__(self, memory, problem):
        self.memory = memory_folder(memory)
        # The task is hashed once, not with every block.
        solver = f"{problem.solve.__module__}.{problem.solve.__qualname__}"
        self.key = joblib.hash((solver, problem.task))

    def solve(self, problem, block, n_threads):
        if self.memory is None:
            return problem.solve(problem.task, block, n_threads)
        cache, key = Cache(self.memory, "blocks"), (self.key, joblib.hash(block))
        kept = cache.get(key)
        solution = None if kept is None else unpack(problem.empty(problem.task), kept, len(block))
        if solution is None:
            solution = problem.solve(problem.task, block, n_threads)
            cache.put(key, pack(solution))
        return solution
