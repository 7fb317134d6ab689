"""Matched baselines."""

import numpy as np
import pytest
from scipy import sparse, stats
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold

from sklearn_sae_encoding.analysis import compare_with_matched, draw_matched_features


def features(rng, n_samples=120, n_features=80):
    """Sparse features of many scales and densities, as an SAE has them."""
    active = rng.random((n_samples, n_features)) < rng.uniform(0.1, 0.6, n_features)
    return active * rng.exponential(size=(n_samples, n_features)) * rng.uniform(0.5, 2, n_features)


@pytest.mark.parametrize("match", [("variance",), ("variance", "density", "mean")])
@pytest.mark.parametrize("pack", [np.asarray, sparse.csr_array, lambda X: [X[:50], X[50:]]])
def test_draws_have_as_many_other_features_of_equal_totals(match, pack):
    X = features(np.random.default_rng(0))
    category = np.arange(10)
    draws = draw_matched_features(pack(X), category, n_draws=20, match=match, tolerance=0.04, random_state=0)
    assert draws.columns.shape == (20, 10)
    assert not np.isin(draws.columns, category).any()
    assert all(len(set(draw)) == 10 for draw in draws.columns)
    totals = {"variance": X.var(axis=0), "density": (X != 0).mean(axis=0), "mean": X.mean(axis=0)}
    for name in match:
        reached = totals[name][draws.columns].sum(axis=1)
        np.testing.assert_allclose(reached, totals[name][category].sum(), rtol=0.04)
        assert draws.matches.loc[name, "target"] == pytest.approx(totals[name][category].sum())


def test_every_other_feature_has_its_chance():
    X = features(np.random.default_rng(1))
    draws = draw_matched_features(X, [0, 1, 2, 3], n_draws=400, random_state=0)
    assert len(np.unique(draws.columns)) > 60


def test_what_cannot_be_matched_is_refused_with_the_closest():
    X = np.random.default_rng(2).normal(size=(50, 12))
    X[:, 0] *= 100
    with pytest.raises(ValueError, match=r"10 of 10 draws of 2 features .* the closest has variance"):
        draw_matched_features(X, [0, 1], n_draws=10, max_swaps=500)
    with pytest.raises(ValueError, match="has 7 features, but there are only 5 others"):
        draw_matched_features(X, np.arange(7))
    with pytest.raises(ValueError, match="match must name some of"):
        draw_matched_features(X, [0], match=("kurtosis",))
    with pytest.raises(ValueError, match="total variance is 0"):
        draw_matched_features(np.column_stack([np.ones(50), X]), [0])


def test_a_category_that_drives_voxels_beats_its_draws_with_a_large_effect():
    rng = np.random.default_rng(3)
    X = features(rng)
    Y = X[:, :8] @ rng.normal(size=(8, 24)) + rng.normal(size=(120, 24))
    draws = draw_matched_features(X, np.arange(8), n_draws=39, random_state=0)
    who = np.repeat([f"p{i}" for i in range(6)], 4)
    result = compare_with_matched(Ridge(), X, Y, columns=np.arange(8), draws=draws, participants=who, cv=KFold(4))
    assert result.p_value == pytest.approx(1 / 40)
    assert result.hedges_g > 1
    difference = result.by_participant["difference"]
    assert result.d == pytest.approx(stats.ttest_1samp(difference, 0).statistic / np.sqrt(6))
    assert result.hedges_g == pytest.approx(result.d * (1 - 3 / 19))
    assert result.g_interval[0] < result.hedges_g < result.g_interval[1]
    assert result.draw_scores.shape == (39, 24)


def test_p_is_uniform_where_nothing_tells_the_category_from_others():
    rng = np.random.default_rng(4)
    p = []
    for seed in range(80):
        X = rng.normal(size=(60, 40))
        Y = X @ rng.normal(size=(40, 2)) + rng.normal(size=(60, 2))
        draws = draw_matched_features(X, np.arange(5), n_draws=9, tolerance=0.2, random_state=seed)
        p.append(compare_with_matched(Ridge(), X, Y, columns=np.arange(5), draws=draws, cv=2).p_value)
    assert stats.kstest(np.array(p) - rng.uniform(0, 0.1, len(p)), "uniform").pvalue > 0.01


def test_draws_of_each_participant_are_scored_on_their_own_voxels():
    rng = np.random.default_rng(5)
    X, Y = rng.normal(size=(60, 12)), rng.normal(size=(60, 4))
    one = compare_with_matched(Ridge(), X, Y[:, :2], columns=[0, 1], draws=[[2, 3], [4, 5]], cv=3)
    two = compare_with_matched(Ridge(), X, Y[:, 2:], columns=[0, 1], draws=[[6, 7], [8, 9]], cv=3)
    both = compare_with_matched(
        Ridge(), X, Y, columns=[0, 1], cv=3, participants=["a", "a", "b", "b"],
        draws={"a": [[2, 3], [4, 5]], "b": [[6, 7], [8, 9]]},
    )  # fmt: skip
    np.testing.assert_allclose(both.draw_scores, np.hstack([one.draw_scores, two.draw_scores]))
    with pytest.raises(ValueError, match=r"Draws are given for \['c'\]"):
        compare_with_matched(Ridge(), X, Y, columns=[0], draws={"c": [[1]]}, participants=["a"] * 4)
    with pytest.raises(ValueError, match="a participant for each of 4 voxels"):
        compare_with_matched(Ridge(), X, Y, columns=[0], draws=[[1]], participants=["a"], cv=3)


def test_a_category_of_no_feature_has_nothing_to_match_or_to_compare():
    X = np.random.default_rng(6).normal(size=(30, 6))
    with pytest.raises(ValueError, match="category 'to be matched' has no feature"):
        draw_matched_features(X, [])
    with pytest.raises(ValueError, match="category 'to be compared' has no feature"):
        compare_with_matched(Ridge(), X, X[:, :2], columns=[], draws=[[1]])
    with pytest.raises(ValueError, match="must name columns from 0 to 5, got 6"):
        draw_matched_features(X, [6])
