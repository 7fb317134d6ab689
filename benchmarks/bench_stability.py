"""Stability selection of many voxels: halves of the texts at one penalty, against a loop over scikit-learn's Lasso.

    python benchmarks/bench_stability.py [n_voxels] [n_halves] [n_features] [alpha]

Responses are simulated (``_common.voxels``: half of the voxels are noise). Both are extrapolated to 100 halves of
10,000 voxels, to which time is proportional; the loop fits as many voxels of one half as it can in its time.
"""

import sys
import time

import numpy as np
from _common import sparse_features, timed, voxels
from sklearn.linear_model import Lasso
from threadpoolctl import threadpool_limits

from sklearn_sae_encoding.analysis import stability_selection
from sklearn_sae_encoding.encoder import SparseVoxelEncoder

SECONDS_OF_LOOP = 15
TARGET = 100 * 10_000  # halves and voxels


def main(n_voxels=1000, n_halves=10, n_features=32768, alpha=0.2):
    X = sparse_features(200, n_features, n_active=330)
    Y = voxels(X, n_voxels, n_planted=5)
    encoder = SparseVoxelEncoder(alphas=alpha)
    stability_selection(encoder, X, Y[:, :10], n_pairs=1)  # compiles
    ours, found = timed(lambda: stability_selection(encoder, X, Y, n_pairs=n_halves // 2, random_state=0), repeats=1)
    n_done, seconds, differing = run_loop(X, Y, alpha, encoder)
    per_fit = ours.cpu / (n_voxels * n_halves)
    print(f"{n_voxels} voxels, {n_halves} halves of 200 texts, {n_features} features, penalty {alpha}; a half uses "
          f"{found.n_selected.mean():.1f} features a voxel")  # fmt: skip
    print(f"{'':34}{'wall s':>9}{'CPU s':>9}{'ms a fit':>10}{'CPU min for 100 x 10,000':>27}")
    print(f"{'stability_selection':34}{ours.wall:>9.1f}{ours.cpu:>9.1f}{per_fit * 1e3:>10.2f}"
          f"{per_fit * TARGET / 60:>27.1f}")  # fmt: skip
    print(f"{f'Lasso, a loop ({n_done} voxels)':34}{'':>9}{seconds:>9.1f}{seconds / n_done * 1e3:>10.2f}"
          f"{seconds / n_done * TARGET / 60:>27.1f}")  # fmt: skip
    print(f"supports that differ from the loop's: {differing} of {n_done}")


def run_loop(X, Y, alpha, encoder):
    """Fit voxels of one half until the time is over: how many, CPU seconds, and how many supports are not ours."""
    half = np.arange(100)
    Z = (Y[half] - Y[half].mean(axis=0)) / Y[half].std(axis=0)
    X = X[half]
    ours = encoder.fit(X, Y[half]).coef_.toarray() != 0
    end, start, n_done, differing = time.perf_counter() + SECONDS_OF_LOOP, time.process_time(), 0, 0
    with threadpool_limits(limits=1):
        while time.perf_counter() < end and n_done < Y.shape[1]:
            coef = Lasso(alpha, tol=1e-6, max_iter=100_000).fit(X, Z[:, n_done]).coef_
            differing += not np.array_equal(coef != 0, ours[n_done])
            n_done += 1
    return n_done, time.process_time() - start, differing


if __name__ == "__main__":
    numbers = sys.argv[1:]
    main(*map(int, numbers[:3]), *map(float, numbers[3:]))
