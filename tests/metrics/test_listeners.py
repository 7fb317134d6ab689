"""What listeners, or repeats, have in common bounds what a model can score."""

import numpy as np
import pytest

from sklearn_sae_encoding.metrics import (
    bootstrap_interval,
    explainable_variance,
    intersubject_correlation,
    listener_ceiling_interval,
    listener_noise_ceilings,
    noise_ceiling_from_repeats,
    split_half_reliability,
)


def simulated(n_listeners, n_scans=4000, noise=(0.5, 1.0, 2.0), seed=0):
    rng = np.random.default_rng(seed)
    signal = rng.normal(size=(n_scans, 3))
    return signal, signal + np.array(noise) * rng.normal(size=(n_listeners, n_scans, 3))


def test_explainable_variance_is_the_share_of_signal_and_equals_the_tutorials_formula():
    _, repeats = simulated(5)
    np.testing.assert_allclose(explainable_variance(repeats), 1 / (1 + np.array([0.25, 1.0, 4.0])), atol=0.03)
    z = (repeats - repeats.mean(axis=1, keepdims=True)) / repeats.std(axis=1, keepdims=True)
    ev = z.mean(axis=0).var(axis=0, ddof=1) / z.var(axis=1, ddof=1).mean(axis=0)
    np.testing.assert_allclose(explainable_variance(repeats, bias_correction=False), ev)
    np.testing.assert_allclose(explainable_variance(repeats), ev - (1 - ev) / 4)


def test_explainable_variance_of_noise_is_zero_on_average():
    rng = np.random.default_rng(0)
    assert abs(explainable_variance(rng.normal(size=(4, 300, 2000))).mean()) < 0.005


def test_intersubject_correlation_is_the_correlation_with_the_mean_of_the_others():
    _, responses = simulated(4, n_scans=200)
    responses = responses * np.array([1.0, 3.0, 5.0, 7.0])[:, None, None]
    z = (responses - responses.mean(axis=1, keepdims=True)) / responses.std(axis=1, keepdims=True)
    r = intersubject_correlation(responses)
    assert r[2, 1] == pytest.approx(np.corrcoef(z[2, :, 1], z[[0, 1, 3], :, 1].mean(axis=0))[0, 1])


def test_ceilings_are_what_a_perfect_model_of_the_shared_signal_scores():
    signal, responses = simulated(9)
    mean, each = listener_noise_ceilings(responses)
    z = (responses - responses.mean(axis=1, keepdims=True)) / responses.std(axis=1, keepdims=True)
    for voxel in range(3):
        reached = np.corrcoef(signal[:, voxel], z[:, :, voxel].mean(axis=0))[0, 1]
        assert mean[voxel] == pytest.approx(reached, abs=0.02)
        single = [np.corrcoef(signal[:, voxel], z[i, :, voxel])[0, 1] for i in range(9)]
        np.testing.assert_allclose(each[:, voxel], single, atol=0.04)
    np.testing.assert_allclose(mean, np.sqrt(split_half_reliability(responses)), atol=0.01)
    np.testing.assert_allclose(mean, noise_ceiling_from_repeats(responses), atol=0.02)


def test_two_listeners_are_each_others_halves():
    _, responses = simulated(2, n_scans=50)
    r = np.array([np.corrcoef(responses[0, :, v], responses[1, :, v])[0, 1] for v in range(3)])
    assert (r > 0).all()
    np.testing.assert_allclose(split_half_reliability(responses, n_splits=3), 2 * r / (1 + r))
    np.testing.assert_allclose(listener_noise_ceilings(responses)[1], [r, r])


def test_a_voxel_that_is_constant_or_opposed_has_no_reliability():
    _, responses = simulated(2, n_scans=50)
    responses[:, :, 0], responses[1, :, 1] = 5.0, -responses[0, :, 1]
    np.testing.assert_array_equal(split_half_reliability(responses)[:2], 0)


def test_a_bootstrap_interval_is_made_of_quantiles_of_averages_of_drawn_rows():
    values, draws = np.random.default_rng(0).uniform(size=(6, 2)), np.random.RandomState(1)
    averages = [np.median(values[draws.randint(6, size=6)], axis=0) for _ in range(50)]
    interval = bootstrap_interval(
        values, level=0.8, n_bootstrap=50, average=lambda rows: np.median(rows, axis=0), random_state=1
    )
    np.testing.assert_allclose(interval, np.quantile(averages, [0.1, 0.9], axis=0))
    assert np.shape(bootstrap_interval([0.1, 0.2])) == (2,)


def test_a_bootstrap_interval_covers_the_mean_as_often_as_it_says():
    rng = np.random.default_rng(0)
    covered = []
    for seed in range(200):
        low, high = bootstrap_interval(
            rng.normal(0.3, 0.1, size=30), average=np.mean, n_bootstrap=300, random_state=seed
        )
        covered.append(low <= 0.3 <= high)
    assert 0.88 < np.mean(covered) < 0.99


def test_the_interval_of_a_ceiling_covers_it_as_often_as_it_says_and_holds_the_estimate():
    rng = np.random.default_rng(3)
    n, n_scans, n_voxels = 15, 200, 400  # each voxel is an experiment
    signal = rng.normal(size=(n_scans, n_voxels))
    responses = signal + 2 * rng.normal(size=(n, n_scans, n_voxels))
    truth = np.sqrt(1 / (1 + 4 / n / signal.var(axis=0)))  # of this stimulus
    low, high = listener_ceiling_interval(responses, n_bootstrap=500)
    mean, _ = listener_noise_ceilings(responses[:, :, :20], n_splits=50)
    assert np.all((low[:20] < mean) & (mean < high[:20]))
    assert 0.9 < np.mean((low < truth) & (truth < high)) < 0.98
    assert np.mean(high - low) < 0.12
    of_noise = listener_ceiling_interval(rng.normal(size=(n, n_scans, 100)), n_bootstrap=500)[0]
    assert np.mean(of_noise > 0) < 0.05
    with pytest.raises(ValueError, match="at least three listeners, got 2"):
        listener_ceiling_interval(responses[:2])
    with pytest.raises(ValueError, match="level must lie between 0 and 1"):
        listener_ceiling_interval(responses, level=95)


def test_bad_responses_of_listeners_say_what_is_wrong():
    with pytest.raises(ValueError, match="at least two of them, got"):
        intersubject_correlation(np.ones((1, 10, 2)))
    with pytest.raises(ValueError, match="hold 1 NaN or infinite"):
        explainable_variance(np.where(np.arange(60).reshape(2, 15, 2) == 7, np.nan, 1.0))
    with pytest.raises(ValueError, match="at least two runs or listeners"):
        bootstrap_interval([0.3])
    for wrong in (0, 1, 95):
        with pytest.raises(ValueError, match=f"level must lie between 0 and 1, got {wrong}"):
            bootstrap_interval([0.3, 0.2], level=wrong)
