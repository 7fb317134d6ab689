"""Null responses of runs are as slow as the measured ones, and have nothing to do with the story."""

import numpy as np
import pytest
from scipy.signal import lfilter
from sklearn.linear_model import Ridge
from story_cases import noisy_runs

from sklearn_sae_encoding.metrics import permutation_test_voxel_scores, surrogate_responses
from sklearn_sae_encoding.timing import RunwiseRegressor


def slow(rng, n_runs, n_scans, width, rho=0.8):
    noise = rng.normal(size=(n_runs, n_scans + 50, width))
    return list(lfilter([1], [1, -rho], noise, axis=1)[:, 50:])


@pytest.mark.parametrize("n_scans", [60, 61])
def test_random_phases_keep_the_spectrum_and_the_correlations_between_voxels(n_scans):
    rng = np.random.default_rng(0)
    (run,) = slow(rng, 1, n_scans, 3)
    run = run @ rng.normal(size=(3, 3))
    (surrogate,) = surrogate_responses([run], random_state=1)
    np.testing.assert_allclose(np.abs(np.fft.rfft(surrogate, axis=0)), np.abs(np.fft.rfft(run, axis=0)), atol=1e-9)
    np.testing.assert_allclose(np.cov(surrogate.T), np.cov(run.T), atol=1e-9)
    assert np.abs(np.corrcoef(surrogate[:, 0], run[:, 0])[0, 1]) < 0.9


@pytest.mark.parametrize("method", ["shift", "block", "scan"])
def test_the_scans_of_a_run_stay_in_it(method):
    runs = [np.arange(40.0), np.arange(100.0, 155.0)]
    surrogates = surrogate_responses(runs, method, random_state=0)
    for run, surrogate in zip(runs, surrogates, strict=True):
        np.testing.assert_array_equal(np.sort(surrogate), run)
        steps = np.diff(surrogate)
        broken = {"shift": 1, "block": 12, "scan": len(run)}[method]
        assert 0 < np.sum(steps != 1) <= broken


def test_a_shift_is_at_least_the_block():
    shifts = {
        int(surrogate_responses([np.arange(40.0)], "shift", block=10, random_state=seed)[0][0]) for seed in range(200)
    }
    assert min(shifts) >= 10
    assert max(shifts) <= 30


def test_bad_methods_and_short_runs_are_named():
    with pytest.raises(ValueError, match="method must be one of"):
        surrogate_responses([np.arange(40.0)], "bootstrap")
    with pytest.raises(ValueError, match="Run 1 has 3 scans, too few"):
        surrogate_responses([np.arange(40.0), np.arange(3.0)])
    with pytest.raises(ValueError, match="Run 0 has 40 scans, too few for method='block' with block=30"):
        surrogate_responses([np.arange(40.0)], "block", block=30)
    X, y = noisy_runs()
    with pytest.raises(ValueError, match="surrogate= is for lists of runs"):
        permutation_test_voxel_scores(Ridge(), X[0], y[0], surrogate="phase")
    with pytest.raises(ValueError, match="not for lists of runs"):
        permutation_test_voxel_scores(RunwiseRegressor(None, Ridge()), X, y, shuffle_within=[0, 0, 1, 1])


def test_a_planted_voxel_is_found_and_a_null_that_keeps_autocorrelation_holds_its_level():
    rng = np.random.default_rng(0)
    p_values = {"phase": [], "scan": []}
    for seed in range(6):
        X, Y = slow(rng, 4, 60, 2), slow(rng, 4, 60, 40)
        for method in p_values:
            test = permutation_test_voxel_scores(
                RunwiseRegressor(None, Ridge()),
                X,
                Y,
                cv=4,
                n_permutations=10,
                pool=True,
                surrogate=method,
                random_state=seed,
            )
            p_values[method].append(test.p_values)
    rate = {method: np.mean(np.concatenate(p) < 0.05) for method, p in p_values.items()}
    assert rate["phase"] < 0.08
    assert rate["scan"] > 0.10
    X, Y = slow(rng, 4, 60, 2), slow(rng, 4, 60, 10)
    Y = [run + 3 * features[:, :1] * np.eye(10)[0] for run, features in zip(Y, X, strict=True)]
    found = permutation_test_voxel_scores(
        RunwiseRegressor(None, Ridge()), X, Y, cv=4, n_permutations=20, pool=True, random_state=0
    )
    assert found.p_values[0] < 0.02
