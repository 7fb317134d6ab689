"""Problems that several benchmarks share, and the table they print."""

from __future__ import annotations

import time
from typing import NamedTuple

import numpy as np
from scipy import sparse


class Problem(NamedTuple):
    X: sparse.csc_array | np.ndarray  # (n_samples, n_features)
    Y: np.ndarray  # (n_samples, n_voxels), standardised
    splits: list  # (train rows, held-out rows) of each fold
    alphas: int | np.ndarray  # as in SparseVoxelEncoder
    eps: float


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
    """Half of the voxels follow `n_planted` features that fire in at least a tenth of the samples, half are noise."""
    rng = np.random.default_rng(seed)
    n_samples, n_features = X.shape
    often = np.flatnonzero(np.diff(X.indptr) >= n_samples / 10)
    weights = np.zeros((n_features, n_voxels))
    for voxel in range(0, n_voxels, 2):
        weights[rng.choice(often, min(n_planted, len(often)), replace=False), voxel] = rng.normal(
            size=min(n_planted, len(often))
        )
    signal = X @ weights
    signal /= np.where(signal.std(axis=0) > 0, signal.std(axis=0), 1.0)
    Y = signal + rng.normal(size=(n_samples, n_voxels))
    return (Y - Y.mean(axis=0)) / Y.std(axis=0)


def contiguous_folds(n_samples, n_folds):
    parts = np.array_split(np.arange(n_samples), n_folds)
    return [(np.setdiff1d(np.arange(n_samples), part), part) for part in parts]


def problem_a(n_voxels=1000, n_samples=200, n_features=32768, n_active=330):
    """A whole-brain block: 200 sentences, a wide SAE, 30 penalties, 5 folds."""
    X = sparse_features(n_samples, n_features, n_active)
    return Problem(X, voxels(X, n_voxels), contiguous_folds(n_samples, 5), 30, 1e-2)


def problem_c(n_voxels=200):
    """A story-listening shape: 5,000 scans, 16,384 features, 5 folds of whole stories."""
    return problem_a(n_voxels, 5000, 16384, 330)


def seconds(function, *args, repeats=3):
    """Median wall time of a call, and its last result."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        result = function(*args)
        times.append(time.perf_counter() - start)
    return float(np.median(times)), result
