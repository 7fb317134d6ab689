"""Intervals hold the truth as often as they say."""

import numpy as np
import pytest
from scipy import stats
from sklearn.linear_model import Ridge

from sklearn_sae_encoding.metrics import cross_val_voxel_scores, mean_interval, voxel_score_intervals
from sklearn_sae_encoding.metrics._cross_val import VoxelScores


def test_the_t_interval_is_scipys_and_nan_is_left_out():
    values = np.random.default_rng(0).normal(size=8)
    ours = mean_interval([*values, np.nan], confidence=0.9, random_state=0)
    theirs = stats.ttest_1samp(values, 0).confidence_interval(0.9)
    np.testing.assert_allclose([ours.t_low, ours.t_high], theirs)
    assert ours.n == 8
    assert ours.sem == pytest.approx(stats.sem(values))
    assert np.isnan(mean_interval([1.0])[1:6]).all()
    assert mean_interval([1.0]).mean == 1.0
    assert np.isnan(mean_interval([]).mean)
    assert np.isfinite(mean_interval([1.0, 2.0])).all()
    for wrong in (0, 1, 95):
        with pytest.raises(ValueError, match=f"confidence must lie between 0 and 1, got {wrong}"):
            mean_interval(values, confidence=wrong)


def test_bootstrap_limits_are_quantiles_of_the_drawn_means_widened_for_few_values():
    values = np.random.default_rng(0).normal(size=8)
    means = [values[row].mean() for row in np.random.RandomState(3).randint(8, size=(500, 8))]
    tail = stats.norm.cdf(-np.sqrt(8 / 7) * 1.894578605)  # of t with 7 degrees of freedom, 5 % below
    interval = mean_interval(values, confidence=0.9, n_bootstraps=500, random_state=3)
    np.testing.assert_allclose([interval.low, interval.high], np.quantile(means, [tail, 1 - tail]), rtol=1e-7)


@pytest.mark.parametrize("n", [4, 8])
def test_intervals_of_few_participants_hold_the_truth_as_often_as_they_say(n):
    rng = np.random.default_rng(n)
    covered = np.zeros((600, 2))
    for i, values in enumerate(rng.normal(0.3, 1.0, size=(600, n))):
        interval = mean_interval(values, n_bootstraps=400, random_state=i)
        covered[i] = interval.t_low <= 0.3 <= interval.t_high, interval.low <= 0.3 <= interval.high
    by_t, by_bootstrap = covered.mean(axis=0)
    print(f"{n} participants: t {by_t:.1%}, bootstrap {by_bootstrap:.1%}")
    assert abs(by_t - 0.95) < 0.03
    assert by_bootstrap > (0.90 if n == 8 else 0.80)  # with four it ends at the smallest and the largest


def _scored(measured, predicted, n_folds):
    """The result of models whose predictions are given."""
    splits = [(None, test) for test in np.array_split(np.arange(len(measured)), n_folds)]
    r = [[stats.pearsonr(a, b)[0] for a, b in zip(measured[t].T, predicted[t].T, strict=True)] for _, t in splits]
    scores = np.tanh(np.arctanh(r).mean(axis=0))
    return VoxelScores(np.array(r), scores, None, splits, predicted, None, "pearson")


@pytest.mark.parametrize("rho", [0.0, 0.4, 0.8])
def test_intervals_of_scores_hold_the_correlation_in_the_population_of_sentences(rho):
    rng = np.random.default_rng(1)
    predicted = rng.normal(size=(200, 400))
    measured = rho * predicted + np.sqrt(1 - rho**2) * rng.normal(size=(200, 400))
    low, high = voxel_score_intervals(_scored(measured, predicted, 5), measured, n_bootstraps=300, random_state=0)
    covered = np.mean((low <= rho) & (rho <= high))
    print(f"r = {rho}: {covered:.1%}")
    assert 0.90 < covered < 0.985


def test_drawn_scores_are_correlations_of_the_drawn_rows():
    from sklearn_sae_encoding.metrics._intervals import _drawn_z

    rng = np.random.default_rng(2)
    measured, predicted = 1e4 + rng.normal(size=(30, 3)), rng.normal(size=(30, 3))
    rows = rng.integers(30, size=30)
    z = _drawn_z(np.bincount(rows, minlength=30)[None], measured, predicted)
    r = [stats.pearsonr(measured[rows, v], predicted[rows, v])[0] for v in range(3)]
    np.testing.assert_allclose(z[0], np.arctanh(r))


def test_limits_of_scores_are_quantiles_of_the_scores_of_drawn_rows_widened_for_the_smallest_fold():
    rng, draws = np.random.default_rng(5), np.random.RandomState(4)
    predicted = rng.normal(size=(40, 2))
    measured = predicted + rng.normal(size=(40, 2))
    drawn = []
    for rows in np.array_split(np.arange(40), 3):
        counts = draws.multinomial(len(rows), np.full(len(rows), 1 / len(rows)), size=100)
        of_fold = [np.repeat(rows, count) for count in counts]
        drawn.append([[stats.pearsonr(measured[of, v], predicted[of, v])[0] for v in range(2)] for of in of_fold])
    tail = stats.norm.cdf(-np.sqrt(13 / 12) * 1.782287556)  # of t with 12 degrees of freedom, 5 % below
    expected = np.tanh(np.quantile(np.arctanh(drawn).mean(axis=0), [tail, 1 - tail], axis=0))
    result, options = _scored(measured, predicted, 3), {"confidence": 0.9, "n_bootstraps": 100}
    np.testing.assert_allclose(voxel_score_intervals(result, measured, random_state=4, **options), expected, rtol=1e-6)
    for wrong in (0, 1):
        with pytest.raises(ValueError, match=f"confidence must lie between 0 and 1, got {wrong}"):
            voxel_score_intervals(result, measured, confidence=wrong)


def test_voxels_without_a_score_have_no_interval_and_results_without_predictions_are_refused():
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(60, 3)), rng.normal(size=(60, 2))
    Y[:, 1] = 7.0
    result = cross_val_voxel_scores(Ridge(), X, Y, cv=3, return_predictions=True)
    low, high = voxel_score_intervals(result, Y, n_bootstraps=20, random_state=0)
    assert np.isnan([low[1], high[1]]).all()
    assert low[0] < result.scores[0] < high[0]
    with pytest.raises(ValueError, match=r"predictions of the 60 x 2 responses.*return_predictions=True"):
        voxel_score_intervals(cross_val_voxel_scores(Ridge(), X, Y, cv=3), Y)
    with pytest.raises(ValueError, match="Intervals are those of r"):
        voxel_score_intervals(cross_val_voxel_scores(Ridge(), X, Y, cv=3, metric="r2", return_predictions=True), Y)
