"""Blocks of voxels: the unit of work for joblib, of what is kept on disk, and of progress."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator

import joblib
import numpy as np
from joblib import Memory, Parallel, delayed, effective_n_jobs

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
    blocks = [targets[start : start + block_size] for start in range(0, len(targets), block_size)]
    n_threads = max(1, available_threads() // n_workers)
    # The features are hashed once, not with every block.
    key = None if memory is None else joblib.hash(task)
    jobs = (delayed(_solve)(task, block, n_threads, memory, key) for block in blocks)
    if not verbose:
        return stack(list(Parallel(n_jobs=n_jobs)(jobs)))
    try:
        parallel = Parallel(n_jobs=n_jobs, return_as="generator")
    except ValueError:  # a backend that gives all results at once
        parallel = Parallel(n_jobs=n_jobs)
    return stack(list(_reported(parallel(jobs), len(targets))))


def _solve(task, block, n_threads, memory, key):
    n_threads = min(n_threads, available_threads())
    if memory is None:
        return solve_block(task, block, n_threads)
    memory = memory if hasattr(memory, "cache") else Memory(memory, verbose=0)
    return memory.cache(_solve_and_keep, ignore=["task", "n_threads"])(task, block, n_threads, key)


def _solve_and_keep(task, block, n_threads, key):
    return solve_block(task, block, n_threads)


def _reported(solutions: Iterable[BlockSolution], n_voxels: int) -> Iterator[BlockSolution]:
    start, done = time.monotonic(), 0
    for solution in solutions:
        done += len(solution.intercepts)
        passed = time.monotonic() - start
        left = passed * (n_voxels - done) / done
        print(f"{done} of {n_voxels} voxels in {passed:.1f} s, about {left:.1f} s left", file=sys.stderr)
        yield solution
