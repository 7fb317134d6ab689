"""Which features, and how sure, for 10,000 voxels: halves, bootstrap samples and the test of each feature.

    python benchmarks/bench_stability.py [n_voxels] [n_resamples] [n_features] [alpha] [n_tested]

Responses are simulated (``_common.voxels``: half of the voxels are noise), one thread. Halves and bootstrap samples at
one penalty are extrapolated to 100 of 10,000 voxels, to which time is proportional, and compared with a loop over
scikit-learn's Lasso, which fits as many voxels of one half as it can in its time. ``feature_use_test`` (penalties by
three folds) is timed for `n_tested` voxels and extrapolated to 10,000 by the number of voxels: that a feature which
more voxels use is predicted from the others only once is left out, so that the time will be less.
"""

import sys
import time
from functools import partial

import numpy as np
from _common import sparse_features, timed, voxels
from sklearn.linear_model import Lasso
from threadpoolctl import threadpool_limits

from sklearn_sae_encoding.analysis import feature_use_test, stability_selection
from sklearn_sae_encoding.encoder import SparseVoxelEncoder

SECONDS_OF_LOOP = 15
TARGET = 100 * 10_000  # halves and voxels


def main(n_voxels=1000, n_resamples=10, n_features=32768, alpha=0.2, n_tested=20):
    X = sparse_features(200, n_features, n_active=330)
    Y = voxels(X, n_voxels, n_planted=5)
    encoder = SparseVoxelEncoder(alphas=alpha)
    print(f"{n_voxels} voxels, {n_resamples} resamples of 200 texts, {n_features} features, penalty {alpha}")
    print(f"{'':34}{'wall s':>9}{'CPU s':>9}{'ms a fit':>10}{'CPU min for 100 x 10,000':>27}{'features':>10}")
    for resampling in ("halves", "bootstrap"):
        options = {"resampling": resampling, "random_state": 0}
        stability_selection(encoder, X, Y[:, :10], n_pairs=1, **options)  # compiles
        run = partial(stability_selection, encoder, X, Y, n_pairs=n_resamples // 2, **options)
        ours, found = timed(run, repeats=1)
        per_fit = ours.cpu / (n_voxels * n_resamples)
        print(f"{resampling:34}{ours.wall:>9.1f}{ours.cpu:>9.1f}{per_fit * 1e3:>10.2f}{per_fit * TARGET / 60:>27.1f}"
              f"{found.n_selected.mean():>10.1f}", flush=True)  # fmt: skip
    n_done, seconds, differing = run_loop(X, Y, alpha, encoder)
    print(f"{f'Lasso, a loop ({n_done} voxels, halves)':34}{'':>9}{seconds:>9.1f}{seconds / n_done * 1e3:>10.2f}"
          f"{seconds / n_done * TARGET / 60:>27.1f}", flush=True)  # fmt: skip
    print(f"supports that differ from the loop's: {differing} of {n_done}", flush=True)
    test_each(X, Y[:, :n_tested])


def test_each(X, Y):
    """Test each feature of some voxels, given all the others."""
    encoder = SparseVoxelEncoder(alphas=10, cv=3)
    feature_use_test(encoder, X, Y[:, :1])  # compiles
    ours, test = timed(lambda: feature_use_test(encoder, X, Y, n_jobs=1), repeats=1)
    n_pairs, n_used = len(test.table), test.table["group"].nunique()
    hours = ours.cpu / Y.shape[1] * 10_000 / 3600
    print(f"feature_use_test, {Y.shape[1]} voxels: {ours.cpu:.1f} CPU s, {n_pairs} pairs with {n_used} features, "
          f"{ours.cpu / n_pairs * 1e3:.1f} ms a pair; 10,000 voxels: {hours:.1f} CPU hours at most")  # fmt: skip


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
    main(*map(int, numbers[:3]), *map(float, numbers[3:4]), *map(int, numbers[4:]))
