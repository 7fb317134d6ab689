"""Features that a voxel uses given all others, and the share of false ones among those found."""

import numpy as np
import pytest
from scipy import sparse, stats
from sklearn.linear_model import LassoCV, LinearRegression, MultiTaskLassoCV

from sklearn_sae_encoding.analysis import count_feature_use, feature_use_test
from sklearn_sae_encoding.encoder import SparseVoxelEncoder
from sklearn_sae_encoding.metrics import adjust_p_values

ENCODER = SparseVoxelEncoder(alphas=10, cv=3)


def grouped(rng, n_samples, n_features, correlation):
    """Features in groups of five."""
    shared = np.repeat(rng.normal(size=(n_samples, n_features // 5)), 5, axis=1)
    return np.sqrt(correlation) * shared + np.sqrt(1 - correlation) * rng.normal(size=shared.shape)


def test_with_least_squares_it_is_the_t_test_of_each_coefficient():
    rng = np.random.default_rng(0)
    X, Y = grouped(rng, 60, 10, 0.5), rng.normal(size=(60, 2))
    Y += X[:, [1, 4]]
    test = feature_use_test(LinearRegression(), X, Y, feature_encoder=LinearRegression())
    design = np.column_stack([np.ones(60), X])
    inverse = np.linalg.inv(design.T @ design)
    coefs = inverse @ design.T @ Y
    left = 60 - 11
    variance = ((Y - design @ coefs) ** 2).sum(axis=0) / left
    t = coefs / np.sqrt(np.outer(np.diag(inverse), variance))
    voxel, column = test.table["voxel"], test.table["group"] + 1
    # The residuals of Y are without ten of the eleven columns that the whole design has.
    np.testing.assert_allclose(test.table["p_value"], 2 * stats.t.sf(np.abs(t[column, voxel]), left), rtol=1e-6)
    np.testing.assert_array_equal(np.sign(test.table["partial_r"]), np.sign(t[column, voxel]))


def test_residuals_are_those_of_scikit_learns_lasso():
    rng = np.random.default_rng(1)
    X = grouped(rng, 80, 20, 0.5)
    y = X[:, 3] + rng.normal(size=80)
    lasso = MultiTaskLassoCV(alphas=15, cv=3, tol=1e-8)
    test = feature_use_test(lasso, X, y[:, None], feature_encoder=lasso)
    lasso = LassoCV(alphas=15, cv=3, tol=1e-8)
    for row in test.table.itertuples():
        others = np.delete(X, row.group, axis=1)
        of_x, of_y = (one - lasso.fit(others, one).predict(others) for one in (X[:, row.group], y))
        assert row.partial_r == pytest.approx(stats.pearsonr(of_x, of_y).statistic, abs=1e-4)
    assert set(test.table["group"]) == set(np.flatnonzero(lasso.fit(X, y).coef_))


@pytest.mark.parametrize("correlation", [0.0, 0.9])
def test_few_of_those_found_are_stand_ins_of_the_planted_ones(correlation):
    """By plain correlations nearly all stand-ins would be found."""
    rng = np.random.default_rng(2)
    X, truth = grouped(rng, 200, 40, correlation), np.zeros((40, 40), dtype=bool)
    for row in truth:
        row[5 * rng.choice(8, 2, replace=False)] = True
    Y = X @ truth.T + rng.normal(size=(200, 40))
    found = feature_use_test(ENCODER, X, Y).selected(0.1).toarray() != 0
    print(f"{(found & ~truth).sum()} of {found.sum()} false, {(found & truth).sum()} of 80 found")
    assert (found & ~truth).sum() <= 0.15 * found.sum()
    assert (found & truth).sum() > 0.5 * truth.sum()
    if correlation:
        r = stats.pearsonr(np.repeat(X[:, None], 40, axis=1), np.repeat(Y[:, :, None], 40, axis=2), axis=0)
        plain = adjust_p_values(r.pvalue) <= 0.1
        assert (plain & ~truth).sum() > 0.5 * plain.sum()


def test_where_nothing_is_hardly_any_p_value_is_small_and_nothing_is_found():
    rng = np.random.default_rng(3)
    X, Y = grouped(rng, 120, 50, 0.5), rng.normal(size=(120, 60))
    test = feature_use_test(ENCODER, X, Y)
    assert test.n_tests == 3000
    assert (test.table["p_value"] <= 0.01).sum() <= 0.02 * test.n_tests
    assert (test.table["q_value"] <= 0.1).sum() <= 1


def test_features_that_say_the_same_are_found_as_a_group_where_none_is_found_alone():
    rng = np.random.default_rng(4)
    X = grouped(rng, 150, 30, 0.995)
    Y = X[:, [0]] + X[:, [10]] + 2 * rng.normal(size=(150, 20))
    alone = feature_use_test(ENCODER, X, Y).selected(0.1)
    groups = np.repeat(list("abcdef"), 5)
    test = feature_use_test(ENCODER, X, Y, groups=groups)
    together = test.selected(0.1)
    assert test.groups.tolist() == list("abcdef")
    assert test.n_tests == 120
    assert alone.nnz < 10
    used = together.toarray() != 0
    assert used[:, [0, 2]].mean() > 0.9
    assert used[:, [1, 3, 4, 5]].sum() <= 0.15 * used.sum()
    counted = count_feature_use(together, list(test.groups))
    assert counted["feature"].tolist()[:2] in (["a", "c"], ["c", "a"])


def test_sparse_features_blocks_and_voxels_change_nothing():
    rng = np.random.default_rng(5)
    X = rng.exponential(size=(90, 15)) * (rng.random((90, 15)) < 0.4)
    Y = X[:, [0, 4, 4]] + 0.5 * rng.normal(size=(90, 3))
    dense, packed = (feature_use_test(ENCODER, one, Y).table for one in (X, sparse.csr_array(X)))
    np.testing.assert_allclose(dense, packed, atol=1e-7)
    alone = feature_use_test(ENCODER, X, Y[:, [2]]).table
    own = dense[dense["voxel"] == 2]
    np.testing.assert_allclose(alone[["group", "p_value"]], own[["group", "p_value"]], atol=1e-7)


def test_candidates_are_all_that_count_and_constant_features_never_do():
    rng = np.random.default_rng(6)
    X, Y = rng.normal(size=(70, 12)), rng.normal(size=(70, 4))
    Y += X[:, [3]] + X[:, [5]]
    X[:, 11] = 0.0
    everything = feature_use_test(ENCODER, X, Y)
    few = feature_use_test(ENCODER, X, Y, candidates=[3, 7, 11])
    assert (everything.n_tests, few.n_tests) == (44, 8)
    assert set(few.table["group"]) <= {3, 7}
    same, own = (one.table.set_index(["voxel", "group"])["p_value"] for one in (everything, few))
    np.testing.assert_allclose(own, same[own.index])
    mask = np.isin(np.arange(12), [3, 7, 11])
    np.testing.assert_array_equal(feature_use_test(ENCODER, X, Y, candidates=mask).table, few.table)


def test_further_texts_teach_what_features_have_in_common():
    """With fewer texts than features, the others predict a feature without rest; further texts leave one."""
    rng = np.random.default_rng(7)
    X, more = grouped(rng, 25, 30, 0.2), grouped(rng, 2000, 30, 0.2)
    Y = 2 * X[:, [0]] + rng.normal(size=(25, 10))
    options = {"feature_encoder": LinearRegression(), "candidates": [0]}
    assert set(feature_use_test(ENCODER, X, Y, **options).table["p_value"]) == {1.0}
    for own, others in ((X, more), (sparse.csr_array(X), sparse.csr_array(more))):
        assert feature_use_test(ENCODER, own, Y, more_X=others, **options).table["p_value"].median() < 0.01


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"groups": ["a"]}, r"one label a feature, \(3,\), got shape \(1,\)"),
        ({"groups": ["a", None, "b"]}, "Feature 1 has no group"),
        ({"candidates": [True]}, r"one bool a feature, \(3,\)"),
        ({"candidates": [2]}, "No candidate varies"),
        ({"more_X": np.ones((4, 2))}, "must have the 3 features of X, got 2"),
    ],
)
def test_what_does_not_fit_is_refused(options, message):
    X = np.column_stack([np.eye(8)[:, :2], np.ones(8)])
    with pytest.raises(ValueError, match=message):
        feature_use_test(ENCODER, X, np.ones((8, 2)), **options)
    with pytest.raises(ValueError, match="for the 8 samples of X, got"):
        feature_use_test(ENCODER, X, np.ones((7, 2)))
