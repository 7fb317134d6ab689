"""All pairs of voxels, five folds each: batched transfer against a loop over Ridge(positive=True).

    python benchmarks/bench_transfer.py [n_voxels] [n_jobs]

The responses are simulated: what costs time is the number of voxels, of features a voxel uses, and of texts. The loop
fits as many pairs as it can in its time; it and the tuned runs are extrapolated to all pairs.
"""

import sys
import time

import numpy as np
from scipy import sparse
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold
from threadpoolctl import threadpool_limits

from sklearn_sae_encoding.analysis import transfer_scores
from sklearn_sae_encoding.metrics import fisher_mean, voxelwise_pearson

CV = KFold(5, shuffle=True, random_state=19)
N_TEXTS, N_FEATURES, N_SELECTED = 200, 800, 26  # as in the published analysis of language regions
SECONDS_OF_LOOP = 20
ALPHAS = np.logspace(-2, 5, 8)


def main(n_voxels=2300, n_jobs=1):
    X, Y, coef, alpha = simulate(n_voxels)
    transfer_scores(X[:, :50], Y[:, :2], coef[:2, :50], alpha=alpha[:2], selection="published")  # compiles
    pairs = n_voxels**2
    ours, batched = timed(
        transfer_scores, X, Y, coef, selection="published", alpha=alpha, cv=CV, scaled_features=[-1], n_jobs=n_jobs
    )
    few = max(n_voxels // 20, 2)
    tuning = {"selection": "published", "tuning_alphas": ALPHAS, "sources": np.arange(few)}
    _, tuned = timed(transfer_scores, X, Y, coef[:few], cv=CV, scaled_features=[-1], n_jobs=n_jobs, **tuning)
    (n_done, difference), loop = timed(run_loop, X, Y, coef, alpha, ours.scores)

    print(f"{n_voxels} voxels, {pairs:,} pairs, {5 * pairs:,} fits; {N_TEXTS} texts, {N_SELECTED} features a voxel")
    print(f"{'':40}{'seconds':>10}{'CPU s':>10}{'us a fit':>10}{'ratio':>8}   (of CPU seconds)")
    print_row(f"batched, {n_jobs} job(s)", batched, pairs, batched)
    print_row(f"batched, 8 alphas tuned ({few} sources)", tuned * n_voxels / few, pairs, batched)
    print_row(f"Ridge(positive=True) ({n_done} pairs)", loop * pairs / n_done, pairs, batched)
    print(f"largest violation of the optimality conditions {ours.violation:.0e} (relative)")
    print(f"largest difference of a score from the loop's {difference:.0e}")


def timed(function, *args, **kwargs):
    """Return the result, and wall and CPU seconds."""
    start = np.array([time.perf_counter(), time.process_time()])
    result = function(*args, **kwargs)
    return result, np.array([time.perf_counter(), time.process_time()]) - start


def simulate(n_voxels):
    rng = np.random.default_rng(0)
    X = rng.exponential(1.0, size=(N_TEXTS, N_FEATURES)) * (rng.random((N_TEXTS, N_FEATURES)) < 0.3)
    coef = np.zeros((n_voxels, N_FEATURES))
    popularity = 1 / np.arange(3, N_FEATURES + 2)  # some features are used by most voxels
    for row in coef:
        row[rng.choice(N_FEATURES - 1, N_SELECTED - 1, replace=False, p=popularity / popularity.sum())] = 1.0
    coef *= rng.normal(size=coef.shape)
    coef[:, -1] = 1.0
    signal = X @ coef.T
    Y = signal + signal.std(axis=0) * rng.normal(size=signal.shape)
    return X, Y, sparse.csr_array(coef), 10.0 ** rng.integers(-1, 3, size=n_voxels)


def run_loop(X, Y, coef, alpha, scores):
    """Fit random pairs until the time is over; return how many, and the largest difference of a score."""
    rng, n_done, difference = np.random.default_rng(1), 0, 0.0
    splits = list(CV.split(X))
    end = time.perf_counter() + SECONDS_OF_LOOP
    with threadpool_limits(limits=1):
        while time.perf_counter() < end:
            source, target = rng.choice(coef.shape[0], size=2, replace=False)
            score = fisher_mean([fit_pair(X, Y[:, target], coef[[source]], alpha[source], *split) for split in splits])
            difference = max(difference, abs(score - scores[source, target]))
            n_done += 1
    return n_done, difference


def fit_pair(X, y, weights, alpha, train, test):
    selected = weights.indices
    signs = np.sign(weights.data)
    X_train, X_test = X[np.ix_(train, selected)] * signs, X[np.ix_(test, selected)] * signs
    sd = X_train[:, -1].std()
    X_train[:, -1] /= sd
    X_test[:, -1] /= sd
    y_train = (y[train] - y[train].mean()) / y[train].std()
    model = Ridge(alpha, positive=True, tol=1e-8).fit(X_train, y_train)
    return voxelwise_pearson(y[test], model.predict(X_test))[0]


def print_row(name, seconds, pairs, reference):
    wall, cpu = seconds
    print(f"{name:40}{wall:>10.0f}{cpu:>10.0f}{cpu / (5 * pairs) * 1e6:>10.1f}{cpu / reference[1]:>8.1f}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
