"""Active sets that outgrow the largest inverse are solved by coordinate descent, to the gap that is asked for."""

import numpy as np
import pytest
from path_cases import (
    CASES,
    LAYOUTS,
    by_scikit_learn,
    example,
    kkt_violation,
    objective,
    own_grid,
    penalty_of,
    prepared,
    solutions,
    whole_data,
)
from scipy import sparse
from sklearn.linear_model import LassoCV
from sklearn.model_selection import GroupKFold

from sklearn_sae_encoding._solvers.lasso import active_sets, path
from sklearn_sae_encoding.encoder import SparseVoxelEncoder


@pytest.fixture(autouse=True)
def descents(monkeypatch):
    """Let no inverse grow beyond one block of eight features, and count the descents that follow."""
    for module in (active_sets, path):
        monkeypatch.setattr(module, "LARGEST", 8)
    counted, descend = [], path.descend_chunk

    def counting(given, candidates, changing, workspace):
        counted.append(int(changing.progress.descends.sum()))
        return descend(given, candidates, changing, workspace)

    monkeypatch.setattr(path, "descend_chunk", counting)
    return counted


@pytest.mark.parametrize("shape", [(50, 120), (120, 30)], ids=["n < p", "n > p"])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("case", CASES)
def test_the_objective_at_every_alpha_is_that_of_scikit_learn(case, layout, shape, descents):
    X, y = example(*shape)
    penalty = penalty_of(CASES[case], X)._replace(tol=1e-9)
    alphas = own_grid(X, y, penalty)
    weights, intercepts, gaps = solutions(LAYOUTS[layout](X), y, penalty, alphas)
    square = np.var(y) if penalty.fit_intercept else np.mean(y**2)
    for w, b, alpha, gap in zip(weights, intercepts, alphas, gaps, strict=True):
        expected = objective(X, y, *by_scikit_learn(X, y, alpha, penalty), alpha, penalty)
        assert objective(X, y, w, b, alpha, penalty) == pytest.approx(expected, rel=1e-6)
        assert kkt_violation(X, y, w, b, alpha, penalty) < 1e-3
        assert -1e-10 * square < gap <= 1e-9 * square
    assert max(descents) > 0


def test_float32_features_reach_the_same_objective():
    X, y = example()
    X = X.astype(np.float32)
    penalty = penalty_of({}, X)._replace(tol=1e-9)
    alphas = own_grid(X, y, penalty)
    weights, intercepts, _ = solutions(sparse.csc_array(X), y, penalty, alphas)
    X = X.astype(np.float64)
    for w, b, alpha in zip(weights, intercepts, alphas, strict=True):
        expected = objective(X, y, *by_scikit_learn(X, y, alpha, penalty), alpha, penalty)
        assert objective(X, y, w, b, alpha, penalty) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("tol", [1e-2, 1e-4, 1e-6])
def test_gaps_stay_below_the_tolerance_and_are_true(tol):
    X, y = example()
    penalty = penalty_of({"factors": True, "free": 1}, X)._replace(tol=tol)
    alphas = own_grid(X, y, penalty)
    weights, intercepts, gaps = solutions(sparse.csc_array(X), y, penalty, alphas)
    assert np.all(gaps <= tol * np.var(y))
    for w, b, alpha, gap in zip(weights, intercepts, alphas, gaps, strict=True):
        least = objective(X, y, *by_scikit_learn(X, y, alpha, penalty), alpha, penalty)
        assert objective(X, y, w, b, alpha, penalty) - least <= gap + 1e-9 * np.var(y)


@pytest.mark.parametrize("case", [{"free": 9}, {"free": 9, "positive": True, "l1_ratio": 0.5}], ids=str)
def test_more_free_features_than_the_largest_inverse_all_enter(case):
    X, y = example()
    agrees_with_scikit_learn(X, y, penalty_of(case, X)._replace(tol=1e-9))


def test_free_features_that_are_nearly_copies_reach_their_optimum():
    X, y = example()
    X[:, 1] = X[:, 0] + 1e-2 * np.random.default_rng(1).normal(size=len(y))
    agrees_with_scikit_learn(X, y + 100 * (X[:, 1] - X[:, 0]), penalty_of({"free": 3}, X)._replace(tol=1e-9), eps=0.1)


def agrees_with_scikit_learn(X, y, penalty, **grid):
    alphas = own_grid(X, y, penalty, **grid)
    weights, intercepts, gaps = solutions(X, y, penalty, alphas)
    for w, b, alpha, gap in zip(weights, intercepts, alphas, gaps, strict=True):
        expected = objective(X, y, *by_scikit_learn(X, y, alpha, penalty), alpha, penalty)
        assert objective(X, y, w, b, alpha, penalty) == pytest.approx(expected, rel=1e-6)
        assert -1e-10 * np.var(y) < gap <= 1e-9 * np.var(y)


@pytest.mark.parametrize("last", [1e-2, 1e-3])
def test_gaps_of_penalties_given_up_are_true_though_their_ridge_term_is_another(last):
    X, y = example(30, 120)
    X *= 10.0 ** np.random.default_rng(1).uniform(-1, 1, X.shape[1])
    penalty = penalty_of({"l1_ratio": 0.5}, X)._replace(tol=1e-9, max_knots=40)
    alpha = last * own_grid(X, y, penalty, n_alphas=2)[:1]
    weights, intercepts, gaps = solutions(X, y, penalty, alpha)
    least = objective(X, y, *by_scikit_learn(X, y, alpha[0], penalty), alpha[0], penalty)
    too_much = objective(X, y, weights[0], intercepts[0], alpha[0], penalty) - least
    assert 1e-4 * np.var(y) < too_much <= gaps[0]


def test_a_path_that_may_not_go_on_goes_on_by_descent(monkeypatch, descents):
    for module in (active_sets, path):
        monkeypatch.setattr(module, "LARGEST", 1024)
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(2000, 300)), rng.normal(size=2000)
    penalty = penalty_of({}, X)._replace(max_knots=13)
    alphas = own_grid(X, y, penalty_of({}, X))
    gaps = solve_at_all(X, y, alphas, penalty)
    assert 0 < max(descents) < len(alphas)  # large penalties need no more changes than that
    assert np.max(gaps.diagonal()) <= penalty.tol * np.var(y)


def test_too_few_passes_are_reported_by_the_gap():
    X, y = example()
    penalty = penalty_of({}, X)._replace(tol=1e-12, max_knots=2)
    alphas = own_grid(X, y, penalty_of({}, X))
    gaps = solve_at_all(X, y, alphas, penalty)
    assert gaps[-1, -1] > 1e-6 * np.var(y)


def solve_at_all(X, y, alphas, penalty):
    return path.solve_paths(*prepared(X, penalty), whole_data(y, alphas), penalty).gaps


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_fit_gives_the_errors_and_alphas_of_lasso_cv(layout, descents):
    X, y = example(90, 60)
    folds = list(GroupKFold(5).split(X, groups=np.repeat(np.arange(10), 9)))
    Y = np.column_stack([y, np.random.default_rng(1).normal(size=len(y))])
    encoder = SparseVoxelEncoder(15, cv=folds, tol=1e-8, early_stopping=False, standardize_targets=False)
    encoder.fit(LAYOUTS[layout](X), Y)
    assert max(descents) == 10  # both voxels on all folds
    for voxel, y in enumerate(Y.T):
        plain = LassoCV(alphas=encoder.alphas_[voxel], cv=folds, tol=1e-10, max_iter=100_000).fit(X, y)
        np.testing.assert_allclose(encoder.cv_mse_path_[voxel], plain.mse_path_, rtol=2e-4)
        assert encoder.alpha_[voxel] == pytest.approx(plain.alpha_)
        np.testing.assert_allclose(encoder.predict(X)[:, voxel], plain.predict(X), atol=1e-3 * y.std())
