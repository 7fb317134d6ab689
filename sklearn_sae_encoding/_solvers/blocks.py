"""Blocks of voxels: the unit of work for joblib."""

from __future__ import annotations

import numpy as np
from joblib import Parallel, delayed, effective_n_jobs

from .cross_validation import BlockSolution, Task, no_solution, solve_block, stack
from .threads import available_threads

# Voxels of a block where the caller leaves it open: enough work to be worth sending, few enough to report progress.
LARGEST_BLOCK = 1000


def solve_in_blocks(
    task: Task, targets: np.ndarray, *, block_size="auto", n_jobs=None, memory=None, verbose=0
) -> BlockSolution:
    """Solve all voxels; `targets` is (n_voxels, n_samples)."""
    if len(targets) == 0:
        return no_solution(task)
    n_workers = effective_n_jobs(n_jobs)
    if block_size == "auto":
        block_size = min(LARGEST_BLOCK, -(-len(targets) // n_workers))
    starts = range(0, len(targets), block_size)
    n_threads = max(1, available_threads() // n_workers)
    solutions = Parallel(n_jobs=n_jobs, verbose=verbose)(
        delayed(_solve)(task, targets[start : start + block_size], n_threads) for start in starts
    )
    return stack(solutions)


def _solve(task, targets, n_threads):
    return solve_block(task, targets, min(n_threads, available_threads()))
