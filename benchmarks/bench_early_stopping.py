"""Count the voxels whose penalty is another one where paths end early, and time both.

    python benchmarks/bench_early_stopping.py

The rule is `early_stopping` of SparseVoxelEncoder, which was there before these voxels were put together; six others
were tried on them as well, and it was kept. The voxels: participants 5 to 8 of Lepori et al., if their data are here,
topics (problem Z), and simulated voxels of known weights: none, few, many, and a few strong ones with many weak ones,
of which a path finds the strong ones first, so that an error that rises again might fall once more.
"""

from __future__ import annotations

import time
import warnings

import _correlated
import numpy as np
from _common import sparse_features
from scipy import sparse
from sklearn.model_selection import KFold

# Samples, features, non-zeros a row, voxels.
SHAPES = [(100, 2000, 60, 60), (300, 8000, 200, 60), (1000, 4000, 100, 12)]
# How many weights of which size a voxel has, among features that fire in 5 % of the samples, and among all.
TRUTHS = {"noise": [], "3 features": [(3, 1.0, True)], "20 features": [(20, 1.0, True)]}
TRUTHS["200 features"] = [(200, 1.0, False)]
TRUTHS["2 strong, 200 weak"] = [(2, 2.0, True), (200, 0.1, False)]


def simulated(rng, shape, truth, ratio):
    """Features of unit mean square, and voxels whose signal has `ratio` times the variance of their noise."""
    n_samples, n_features, n_active, n_voxels = shape
    X = sparse_features(n_samples, n_features, n_active, seed=7)
    sizes = np.sqrt(np.asarray(X.multiply(X).mean(axis=0)).ravel())
    X = sparse.csc_array(X.multiply(1 / np.where(sizes > 0, sizes, 1.0)))
    often, weights = np.flatnonzero(np.diff(X.indptr) >= n_samples / 20), np.zeros((n_features, n_voxels))
    for count, size, common in truth:
        for voxel in range(n_voxels):
            chosen = rng.choice(often if common else n_features, count, replace=False)
            weights[chosen, voxel] += size * rng.normal(size=count)
    signal = X @ weights
    sd = signal.std(axis=0)
    return X, np.sqrt(ratio) * signal / np.where(sd > 0, sd, 1.0) + rng.normal(size=signal.shape)


def compare(name, X, Y, cv):
    """Print a row, and return how many voxels there are and how many of them differ."""
    from sklearn_sae_encoding.encoder import SparseVoxelEncoder

    fits, times = [], []
    for early_stopping in (False, True):
        start = time.process_time()
        fits.append(SparseVoxelEncoder(cv=cv, early_stopping=early_stopping).fit(X, Y))
        times.append((time.process_time() - start) / Y.shape[1] * 1e3)
    whole, short = fits
    differ = int(np.sum(~np.isclose(whole.alpha_, short.alpha_)))
    solved = np.sum(~np.isnan(short.cv_mse_path_).any(axis=2), axis=1).mean()
    print(f"{name:52s}{Y.shape[1]:7d}{differ:7d}{solved:8.1f}{times[0]:10.2f}{times[1]:10.2f}", flush=True)
    return Y.shape[1], differ


def real(n_voxels):
    from sklearn_sae_encoding.datasets import fetch_lepori2026

    problem = _correlated.real(2)
    for participant in ("p5", "p6", "p7", "p8"):
        betas = fetch_lepori2026([participant], download_if_missing=False).betas
        betas = betas[:, ~np.isnan(betas).any(axis=0)]
        some = np.unique(np.linspace(0, betas.shape[1] - 1, n_voxels).astype(int))
        yield f"{participant}, SmolLM2 features", problem.X, betas[:, some], problem.splits


def problems():
    try:
        yield from real(300)
    except OSError as error:
        print(f"the published betas are left out: {error}")
    topics = _correlated.topics(40, seed=9)
    yield "topics, half signal and half noise", topics.X, topics.Y, topics.splits
    rng = np.random.default_rng(12)
    for shape in SHAPES:
        for kind, truth in TRUTHS.items():
            for ratio in (0.3, 1.0, 5.0) if truth else (0.0,):
                name = f"{shape[0]} x {shape[1]}, {kind}, signal/noise {ratio:g}"
                yield name, *simulated(rng, shape, truth, ratio), KFold(5)


def main():
    warnings.simplefilter("ignore")  # of voxels at an end of the grid
    compare("compiles", *simulated(np.random.default_rng(0), (40, 60, 10, 2), [], 0.0), 2)
    print(f"{'':52s}{'voxels':>7s}{'differ':>7s}{'solved':>8s}{'whole':>10s}{'early':>10s}")
    print(f"{'':52s}{'':>7s}{'':>7s}{'of 30':>8s}{'CPU ms a voxel':>20s}")
    counts = np.sum([compare(*problem) for problem in problems()], axis=0)
    print(f"{'all':52s}{counts[0]:7d}{counts[1]:7d}")


if __name__ == "__main__":
    main()
