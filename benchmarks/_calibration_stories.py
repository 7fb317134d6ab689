"""Nulls for stories: how often each calls slow noise significant, by how slow it is.

python benchmarks/_calibration_stories.py doc/nulls.png     draws the figure of the guide
"""

import sys

import numpy as np
from scipy.signal import lfilter
from sklearn.linear_model import Ridge

from sklearn_sae_encoding.metrics import listener_ceiling_interval, permutation_test_voxel_scores
from sklearn_sae_encoding.timing import RunwiseRegressor

METHODS = ("scan", "block", "shift", "phase")
N_RUNS, N_SCANS, N_FEATURES, N_VOXELS = 6, 60, 3, 200
N_PERMUTATIONS, N_STORIES = 10, 8


def stories(rng, print_rates, slowness=(0.0, 0.8)):
    """Print the rates of small p-values for responses without and with autocorrelation."""
    for rho in slowness:
        for method in METHODS:
            print_rates(f"stories, autocorrelation {rho:g}, null by {method}", null_p_values(rng, rho, method))


def listeners(rng, n_experiments=400, n_scans=200):
    """Print how often the interval of a ceiling over listeners holds it, who share a signal alike or unequally."""
    for shared, draw in (("alike", np.ones), ("unequally", lambda size: rng.uniform(0, 2, size))):
        drawn = draw(100_000)
        r = np.mean(drawn / np.sqrt(drawn**2 + 4)) ** 2  # of two listeners, on average over all people
        for n in (8, 15, 27):
            truth = np.sqrt(n * r / (1 + (n - 1) * r))
            signal = rng.normal(size=(n_scans, n_experiments))
            signal = (signal - signal.mean(axis=0)) / signal.std(axis=0)
            responses = draw((n, 1, n_experiments)) * signal + 2 * rng.normal(size=(n, n_scans, n_experiments))
            low, high = listener_ceiling_interval(responses, n_bootstrap=500)
            held = np.mean((low <= truth) & (truth <= high))
            print(f"95% interval of the ceiling, {n} listeners who share {shared}, holds it in {held:.1%}", flush=True)


def null_p_values(rng, rho, method):
    """Test noise against noise features, both with this autocorrelation from scan to scan, for several stories."""
    model, p_values = RunwiseRegressor(None, Ridge(), delays=(0, 1)), []
    for _ in range(N_STORIES):
        features, responses = slow(rng, N_FEATURES, rho), slow(rng, N_VOXELS, rho)
        test = permutation_test_voxel_scores(
            model,
            features,
            responses,
            cv=N_RUNS,
            n_permutations=N_PERMUTATIONS,
            pool=True,
            surrogate=method,
            random_state=int(rng.integers(2**31)),
        )
        p_values.append(test.p_values)
    return np.concatenate(p_values)


def slow(rng, width, rho):
    """Draw a list of runs whose scans follow each other with a correlation of `rho`."""
    noise = rng.normal(size=(N_RUNS, N_SCANS + 100, width))
    runs = lfilter([1], [1, -rho], noise, axis=1)[:, 100:]
    return [run - run.mean(axis=0) for run in runs]


def main(path):
    """Draw how often each null calls noise significant at .05, over the autocorrelation."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    rng, slowness = np.random.default_rng(0), (0.0, 0.3, 0.6, 0.8, 0.9)
    figure, axes = plt.subplots(figsize=(5, 3.2), layout="constrained")
    for method in METHODS:
        rates = [np.mean(null_p_values(rng, rho, method) < 0.05) for rho in slowness]
        print(method, np.round(rates, 3))
        axes.plot(slowness, rates, "o-", label=method)
    axes.axhline(0.05, color="black", linewidth=0.8, linestyle=":")
    axes.set(xlabel="correlation of a scan with the next", ylabel="noise significant at .05", ylim=(0, None))
    axes.legend(title="null by", frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main(sys.argv[1])
