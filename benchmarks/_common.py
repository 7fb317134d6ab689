"""Problems that several benchmarks share, and how they are timed."""

from __future__ import annotations

import resource
import time
from typing import NamedTuple

import numpy as np
from scipy import sparse


class Problem(NamedTuple):
    name: str
    X: sparse.csc_array | np.ndarray  # (n_samples, n_features)
    Y: np.ndarray  # (n_samples, n_voxels), standardised
    splits: list  # (train rows, held-out rows) of each fold
    alphas: int | np.ndarray  # as in SparseVoxelEncoder
    eps: float
    kinds: dict  # {name: slice of voxels} that cost about the same


class Timing(NamedTuple):
    wall: float  # median seconds
    cpu: float  # median seconds of all threads of this process


def sparse_features(n_samples, n_features, n_active, seed=0):
    """Non-negative features of which about `n_active` fire in a sample: few often, most hardly ever, as in an SAE."""
    rng = np.random.default_rng(seed)
    rates = (1.0 + np.arange(n_features)) ** -1.0
    rates *= n_active / rates.sum()
    for _ in range(20):  # no feature fires in more than 80 % of the samples
        rates = np.minimum(rates, 0.8)
        rates *= n_active / rates.sum()
    columns = [np.flatnonzero(rng.random(n_samples) < rate).astype(np.int32) for rate in np.minimum(rates, 0.8)]
    lengths = np.array([len(rows) for rows in columns])
    values = rng.gamma(2.0, 1.0, lengths.sum()) * np.repeat(rng.gamma(2.0, 0.5, n_features), lengths)
    indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    return sparse.csc_array((values, np.concatenate(columns), indptr), shape=(n_samples, n_features))


def voxels(X, n_voxels, n_planted=20, seed=1):
    """Half of the voxels follow `n_planted` features that fire in at least a tenth of the samples, half are noise.

    A voxel is the same whatever their number.
    """
    rngs = [np.random.default_rng((seed, voxel)) for voxel in range(n_voxels)]
    n_samples, n_features = X.shape
    often = np.flatnonzero(np.diff(X.indptr) >= n_samples / 10)
    n_planted, signals = min(n_planted, len(often)), range(0, n_voxels, 2)
    features = np.concatenate([rngs[voxel].choice(often, n_planted, replace=False) for voxel in signals])
    sizes = np.concatenate([rngs[voxel].normal(size=n_planted) for voxel in signals])
    places = np.repeat(signals, n_planted), features
    weights = sparse.csr_array((sizes, places), shape=(n_voxels, n_features))
    Y = (weights @ X.T).toarray().T
    sd = Y.std(axis=0)
    Y /= np.where(sd > 0, sd, 1.0)
    Y += np.transpose([rng.normal(size=n_samples) for rng in rngs])
    Y -= Y.mean(axis=0)
    Y /= Y.std(axis=0)
    return Y


def contiguous_folds(n_samples, n_folds):
    parts = np.array_split(np.arange(n_samples), n_folds)
    return [(np.setdiff1d(np.arange(n_samples), part), part) for part in parts]


def make_problem(n_voxels, n_samples=200, n_features=32768, n_active=330, n_alphas=30, name=""):
    X = sparse_features(n_samples, n_features, n_active)
    kinds = {"signal": slice(0, None, 2), "noise": slice(1, None, 2)}
    return Problem(name, X, voxels(X, n_voxels), contiguous_folds(n_samples, 5), n_alphas, 1e-2, kinds)


def some_voxels(problem, part):
    return problem._replace(Y=np.ascontiguousarray(problem.Y[:, part]))


def alpha_grid(problem, y):
    """Return the penalties of one voxel, descending."""
    if not isinstance(problem.alphas, int):
        return np.sort(problem.alphas)[::-1]
    top = np.abs(problem.X.T @ (y - y.mean())).max() / len(y)
    return np.geomspace(top, top * problem.eps, problem.alphas)


def relative_gap(X, y, alpha, weights, intercept):
    """Return the duality gap of a lasso over the mean square of the centred target."""
    y = y - y.mean()
    residual = y - X @ weights
    residual -= residual.mean()
    bound = len(y) * alpha
    dual = residual * min(1.0, bound / max(np.abs(X.T @ residual).max(), 1e-300))
    primal = 0.5 * residual @ residual + bound * np.abs(weights).sum()
    return (primal - (dual @ y - 0.5 * dual @ dual)) / (y @ y)


def peak_memory():
    """Return the most memory this process ever had, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def timed(function, *args, repeats=3):
    """Return the median times of a call, and its last result."""
    walls, cpus = [], []
    for _ in range(repeats):
        wall, cpu = time.perf_counter(), time.process_time()
        result = function(*args)
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return Timing(float(np.median(walls)), float(np.median(cpus))), result
