"""Blocks of voxels: the unit of work for joblib, of what is kept on disk, and of progress."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Iterable, Iterator
from functools import partial

import joblib
import numpy as np
from joblib import Memory, Parallel, delayed, effective_n_jobs
from joblib.parallel import get_active_backend

from .cross_validation import BlockSolution, Task, no_solution, solve_block, stack, voxels_of_a_chunk
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
        block_size = _block_size(len(targets), n_workers, voxels_of_a_chunk(task))
    blocks = [targets[start : start + block_size] for start in range(0, len(targets), block_size)]
    n_threads = max(1, available_threads() // n_workers)
    # The features are hashed once, not with every block.
    key = None if memory is None else joblib.hash(task)
    shared = _sent_once(task)
    # A dask cluster would scatter a bare array to one worker, and lose it with that worker.
    jobs = (delayed(_solve)(shared, (block,), n_threads, memory, key) for block in blocks)
    if not verbose:
        return stack(list(Parallel(n_jobs=n_jobs)(jobs)))
    try:
        parallel = Parallel(n_jobs=n_jobs, return_as="generator")
    except ValueError:  # a backend that gives all results at once
        parallel = Parallel(n_jobs=n_jobs)
    return stack(list(_reported(parallel(jobs), len(targets))))


def _block_size(n_voxels, n_workers, chunk):
    """Whole chunks, so that the same voxels are solved together however many workers there are."""
    return chunk * max(1, min(LARGEST_BLOCK // chunk, -(-n_voxels // (n_workers * chunk))))


def _sent_once(task):
    """Give a dask cluster `task` once; other backends see to large arrays by themselves.

    As the result of a (trivial) job it is handed from worker to worker and made again if the one that held it dies;
    scattered data would be lost.
    """
    client = getattr(get_active_backend()[0], "client", None)
    if client is None:
        return task
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sending large graph")
        return client.submit(partial(_itself, task), pure=False)


def _itself(value):
    return value


def _solve(task, block, n_threads, memory, key):
    (block,) = block
    if hasattr(task, "result"):  # joblib runs the jobs here while a dask cluster has but one worker
        task = task.result()
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
