"""Blocks of targets: the unit of work for joblib, of what is kept on disk, and of progress."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from typing import NamedTuple

from joblib import Parallel, delayed, effective_n_jobs
from joblib.parallel import get_active_backend

from .compiling import told_of_compiling
from .keeping import Keeper
from .progress import Status
from .stacking import stack
from .threads import available_threads

# Targets of a block where the caller leaves it open: enough work to be worth sending, few enough to report progress.
LARGEST_BLOCK = 1000


class Problem(NamedTuple):
    """What is solved. Functions and task are pickled for workers, so the functions must be those of a module.

    A solution is a named tuple of arrays (dense, sparse, or such tuples again) with a row a target.
    """

    task: object  # what all targets share; sent to a worker once, and hashed once
    solve: Callable  # solve(task, targets, n_threads) returns the solution of a block of targets
    empty: Callable  # empty(task) returns the solution of no target
    together: int = 1  # targets that are solved in one go: blocks are whole multiples where the caller leaves it open
    noun: str = "voxels"  # what a target is, for people who read the progress


def solve_blocks(
    problem: Problem, targets: Sequence, *, block_size="auto", n_jobs=None, memory=None, verbose=0
) -> NamedTuple:
    """Solve all `targets`, an array with a row a target or a list, block by block.

    Parameters are those of the estimators: `block_size` targets a block ("auto" leaves it open), `n_jobs` blocks at a
    time through joblib, finished blocks kept in `memory`, a status line above `verbose` 0.
    """
    if len(targets) == 0:
        return problem.empty(problem.task)
    n_workers = effective_n_jobs(n_jobs)
    if block_size == "auto":
        block_size = _block_size(len(targets), n_workers, problem.together)
    blocks = [targets[start : start + block_size] for start in range(0, len(targets), block_size)]
    n_threads = max(1, available_threads() // n_workers)
    keeper = None if memory is None else Keeper(memory, problem)
    shared = _sent_once(problem)
    # A dask cluster would scatter a bare array to one worker, and lose it with that worker.
    # What compiles solves the first block, in this process or a worker: that job alone tells of it.
    jobs = (
        delayed(_solve)(shared, (block,), n_threads, keeper, tell=bool(verbose) and place == 0)
        for place, block in enumerate(blocks)
    )
    if not verbose:
        return stack(list(Parallel(n_jobs=n_jobs)(jobs)))
    parallel, solutions = as_they_come(Parallel, n_jobs), []
    with Status(len(targets), problem.noun) as status:
        for block, solution in zip(blocks, parallel(jobs), strict=True):
            solutions.append(solution)
            status.add(len(block))
    return stack(solutions)


def as_they_come(parallel, n_jobs):
    """Make a Parallel (joblib's or scikit-learn's) that gives results one by one, where the backend can."""
    try:
        return parallel(n_jobs=n_jobs, return_as="generator")
    except ValueError:
        return parallel(n_jobs=n_jobs)


def _block_size(n_targets, n_workers, together):
    """Whole chunks, so that the same targets are solved together however many workers there are."""
    return together * max(1, min(LARGEST_BLOCK // together, -(-n_targets // (n_workers * together))))


def _sent_once(problem):
    """Give a dask cluster `problem` once; other backends see to large arrays by themselves.

    As the result of a (trivial) job it is handed from worker to worker and made again if the one that held it dies;
    scattered data would be lost.
    """
    client = getattr(get_active_backend()[0], "client", None)
    if client is None:
        return problem
    warnings.filterwarnings("ignore", message="Sending large graph")  # taken away again, it would change other threads'
    return client.submit(partial(_itself, problem), pure=False)


def _itself(value):
    return value


def _solve(problem, block, n_threads, keeper, tell):
    (block,) = block
    # joblib runs the jobs here while a dask cluster has but one worker
    problem = problem if isinstance(problem, Problem) else problem.result()
    n_threads = min(n_threads, available_threads())
    with told_of_compiling() if tell else nullcontext():
        if keeper is None:
            return problem.solve(problem.task, block, n_threads)
        return keeper.solve(problem, block, n_threads)
