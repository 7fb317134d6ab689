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


def test_phases_are_drawn_from_the_whole_circle():
    run = np.random.default_rng(0).normal(size=61)
    turned = [np.fft.rfft(surrogate_responses([run], random_state=seed)[0]) / np.fft.rfft(run) for seed in range(100)]
    np.testing.assert_allclose(np.abs(turned), 1)
    assert np.abs(np.mean(np.array(turned)[:, 1:])) < 4 / np.sqrt(3000)
    np.testing.assert_allclose(np.array(turned)[:, 0], 1)


@pytest.mark.parametrize(("block", "least"), [(10, 10), (None, 4)])
def test_a_shift_is_at_least_the_block_either_way(block, least):
    shifts = [surrogate_responses([np.arange(40.0)], "shift", block=block, random_state=seed) for seed in range(300)]
    assert {int(shift[0][0]) for shift in shifts} == set(range(least, 40 - least + 1))


@pytest.mark.parametrize(("n_scans", "block", "size"), [(40, None, 5), (100, None, 10), (40, 8, 8), (40, 1, 1)])
def test_blocks_are_as_long_as_asked_for_and_begin_anywhere(n_scans, block, size):
    run, begins = np.arange(float(n_scans)), set()
    for seed in range(300):
        (surrogate,) = surrogate_responses([run], "block", block=block, random_state=seed)
        breaks = np.flatnonzero(np.diff(surrogate) % n_scans != 1) + 1  # the run is a circle
        assert set(breaks % size) <= {0}
        begins |= set((surrogate[breaks] % size).astype(int))
    assert begins == set(range(size))


def test_bad_methods_and_short_runs_are_named():
    with pytest.raises(ValueError, match="method must be one of"):
        surrogate_responses([np.arange(40.0)], "bootstrap")
    with pytest.raises(ValueError, match="Run 1 has 3 scans, too few"):
        surrogate_responses([np.arange(40.0), np.arange(3.0)])
    assert len(surrogate_responses([np.arange(4.0)], "scan")[0]) == 4
    assert len(surrogate_responses([np.arange(40.0)], "block", block=20)[0]) == 40
    for block in (0, 21):
        with pytest.raises(ValueError, match=f"Run 0 has 40 scans, too few for method='block' with block={block}"):
            surrogate_responses([np.arange(40.0)], "block", block=block)
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
