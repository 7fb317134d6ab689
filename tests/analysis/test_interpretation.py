"""Readings of populations: planted ones predict, others don't, and no more often than they should."""

import numpy as np
import pytest
from scipy import sparse
from scipy.stats import binom, spearmanr
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import KFold

from sklearn_sae_encoding.analysis import check_interpretation
from sklearn_sae_encoding.encoder import SparseVoxelEncoder

FOLDS = list(KFold(5, shuffle=True, random_state=19).split(np.arange(200)))
PLANTED = {3: 1, 10: -1, 20: 1}


@pytest.fixture(scope="module")
def features():
    rng = np.random.default_rng(0)
    X = rng.exponential(size=(200, 150)) * (rng.random((200, 150)) < rng.uniform(0.05, 0.6, size=150))
    X[:, -1] = rng.normal(size=200)
    return X


def _coefs(X, Y):
    """Weights that see the training texts of a fold alone."""
    encoder = SparseVoxelEncoder(alphas=np.logspace(-2, 0, 6))
    return [encoder.fit(X[train], Y[train]).coef_.copy() for train, _ in FOLDS]


@pytest.fixture(scope="module")
def planted(features):
    rng = np.random.default_rng(1)
    Y = 2 * rng.normal(size=(200, 15)) + 7
    for j, sign in PLANTED.items():
        Y[:, :8] += sign * features[:, [j]] / features[:, j].std()
    return features, Y, _coefs(features, Y), np.arange(15) < 8


def test_a_planted_reading_predicts_and_better_than_matched_features(planted):
    X, Y, coefs, mask = planted
    check = check_interpretation(X, Y, coefs, splits=FOLDS, mask=mask, n_features=3, random_state=0)
    for _, fold in check.features.groupby("fold"):
        assert dict(zip(fold["index"], fold["sign"], strict=True)) == PLANTED
    assert check.rho > 0.6
    assert check.auc > 0.75
    assert check.p_value < 0.01
    assert check.p_matched < 0.01
    assert abs(check.matched_rho.mean()) < 0.15


def test_index_and_scores_are_those_of_a_plain_computation(planted):
    X, Y, coefs, mask = planted
    check = check_interpretation(X, Y, coefs, splits=FOLDS, mask=mask, n_features=4, random_state=0)
    train, test = FOLDS[2]
    z = (X - X[train].mean(axis=0)) / X[train].std(axis=0)
    response = ((Y - Y[train].mean(axis=0)) / Y[train].std(axis=0))[test][:, mask].mean(axis=1)
    reading = check.features[check.features["fold"] == 2]
    index = z[np.ix_(test, reading["index"])] @ reading["sign"].to_numpy()
    np.testing.assert_allclose(check.index[test], index)
    np.testing.assert_allclose(check.response[test], response)
    assert check.fold_rho[2] == pytest.approx(spearmanr(index, response).statistic)
    strong = response >= np.sort(response)[-10]
    assert check.fold_auc[2] == pytest.approx(roc_auc_score(strong, index))


def test_features_are_the_most_used_net_of_opposite_signs(planted):
    X, Y, _, mask = planted
    coef = np.zeros((15, 150))
    coef[:6, 5], coef[6:8, 5] = 1.0, -1.0  # net 4 of 8
    coef[:5, 7] = -1.0  # net -5
    coef[8:, 9] = 1.0  # other voxels
    coef[:, -1] = 1.0  # excluded
    check = check_interpretation(X, Y, [sparse.csr_array(coef)] * 5, splits=FOLDS, mask=mask, exclude=[-1], n_draws=10)
    assert check.features["index"].tolist() == [7, 5] * 5
    assert check.features["feature"].tolist() == ["x7", "x5"] * 5
    assert check.features["sign"].tolist() == [-1, 1] * 5


def test_held_out_responses_change_neither_the_features_nor_the_index(planted):
    X, Y, coefs, mask = planted
    before = check_interpretation(X, Y, coefs[:1], splits=FOLDS[:1], mask=mask, random_state=0)
    changed = Y.copy()
    changed[FOLDS[0][1]] = np.random.default_rng(5).normal(size=changed[FOLDS[0][1]].shape)
    after = check_interpretation(X, changed, coefs[:1], splits=FOLDS[:1], mask=mask, random_state=0)
    assert before.features.equals(after.features)
    np.testing.assert_array_equal(before.index, after.index)
    assert abs(after.rho) < before.rho


def test_random_features_fire_as_often_as_those_they_replace(planted):
    from sklearn_sae_encoding.analysis.interpretation import _draw_matched

    X = planted[0]
    rates = (X != 0).sum(axis=0)
    excluded = np.arange(150) == 149
    chosen = np.array([3, 10, 20])
    draws = _draw_matched(sparse.csc_array(X), chosen, excluded, 200, 6, np.random.RandomState(0))
    assert not np.isin(draws, [3, 10, 20, 149]).any()
    assert all(len(set(draw)) == 3 for draw in draws)
    others = np.setdiff1d(np.arange(149), chosen)
    for drawn, feature in zip(draws.T, chosen, strict=True):
        farthest = np.sort(np.abs(rates[others] - rates[feature]))[5]
        assert np.abs(rates[drawn] - rates[feature]).max() <= farthest


def test_unrelated_populations_are_not_significant_more_often_than_the_nominal_rate(features):
    rng = np.random.default_rng(2)
    n_populations, n_voxels = 60, 2
    common = np.repeat(rng.normal(size=(200, n_populations)), n_voxels, axis=1)
    Y = common + 0.5 * rng.normal(size=common.shape)  # reliable responses to something else
    coefs = _coefs(features, Y)
    p = []
    for i in range(n_populations):
        mask = np.arange(Y.shape[1]) // n_voxels == i
        check = check_interpretation(features, Y, coefs, splits=FOLDS, mask=mask, n_draws=200, random_state=i)
        p.append([check.p_value, check.p_matched])
    assert np.all(np.sum(np.array(p) < 0.05, axis=0) <= binom.isf(0.01, n_populations, 0.05))


def test_a_fold_without_features_scores_zero(planted):
    X, Y, coefs, mask = planted
    check = check_interpretation(X, Y, [0 * coefs[0], *coefs[1:]], splits=FOLDS, mask=mask, n_draws=10)
    assert check.fold_rho[0] == 0
    assert check.fold_auc[0] == 0.5


def test_mismatched_inputs_are_refused(planted):
    X, Y, coefs, mask = planted
    with pytest.raises(ValueError, match="200 and 199 rows"):
        check_interpretation(X, Y[1:], coefs, splits=FOLDS)
    with pytest.raises(ValueError, match="each of 5 folds, got 4"):
        check_interpretation(X, Y, coefs[1:], splits=FOLDS)
    with pytest.raises(ValueError, match=r"fold 1 must be.*\(15, 150\), got \(14, 150\)"):
        check_interpretation(X, Y, [coefs[0], coefs[1][1:], *coefs[2:]], splits=FOLDS)
    with pytest.raises(ValueError, match="not all False"):
        check_interpretation(X, Y, coefs, splits=FOLDS, mask=mask & False)
    with pytest.raises(ValueError, match=r"Only \d+ features that fire are left"):
        check_interpretation(X[:, :6], Y, [np.ones((15, 6))] * 5, splits=FOLDS, n_features=5)
