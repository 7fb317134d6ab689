"""What products of all features with residuals cost alone: the floor under any solver that looks at every feature."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
from scipy import sparse
from threadpoolctl import threadpool_limits

TOGETHER = 64  # residuals that share a pass over the features


class Screening(NamedTuple):
    passes: list  # residuals of each call
    seconds: list  # of its thread


def seconds_a_product(X, repeats=5):
    """Return the CPU seconds of one residual's share of ``X.T @ residuals``, single precision, sparse or dense."""
    residuals = np.random.default_rng(0).normal(size=(X.shape[0], TOGETHER)).astype(np.float32)
    forms = [sparse.csr_array(X.T.astype(np.float32))]
    if np.prod(X.shape) < 2e8:
        forms.append(np.ascontiguousarray(X.T.toarray(), dtype=np.float32))
    best = np.inf
    with threadpool_limits(1):
        for form in forms:
            for _ in range(repeats):
                start = time.perf_counter()
                form @ residuals
                best = min(best, time.perf_counter() - start)
    return best / TOGETHER


def floor(problem):
    """CPU seconds a voxel of one product a penalty, on every fold and on all rows."""
    n_alphas = problem.alphas if isinstance(problem.alphas, int) else len(problem.alphas)
    return seconds_a_product(problem.X) * n_alphas * (len(problem.splits) + 1)


@contextmanager
def counted_screening():
    """Count what our own screening does meanwhile."""
    from sklearn_sae_encoding._solvers.lasso import path

    scan, lock, counted = path.scan, threading.Lock(), Screening([], [])

    def counting(screened, residuals, *args):
        start = time.thread_time()
        result = scan(screened, residuals, *args)
        with lock:
            counted.passes.append(len(residuals))
            counted.seconds.append(time.thread_time() - start)
        return result

    path.scan = counting
    try:
        yield counted
    finally:
        path.scan = scan


def report(problem, counted, n_fits, cpu):
    """Print the floor, our own screening in `n_fits` fits, and how far `cpu` seconds a voxel are from both."""
    n_voxels, lowest = n_fits * problem.Y.shape[1], floor(problem)
    products, screening = sum(counted.passes) / n_voxels, sum(counted.seconds) / n_voxels
    print(
        f"floor: one plain product a penalty and fold  {lowest:.5f} CPU s / voxel; ours is {cpu / lowest:.1f} times it"
    )
    print(
        f"our screening: {products:.0f} products a voxel        {screening:.5f} CPU s / voxel; "
        f"{screening / cpu:.0%} of ours"
    )
