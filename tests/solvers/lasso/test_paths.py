"""Paths satisfy the conditions of an optimum and agree with coordinate descent run to the end."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
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

from sklearn_sae_encoding._solvers.lasso.path import solve_paths
from sklearn_sae_encoding._solvers.lasso.problems import make_penalty
from sklearn_sae_encoding.encoder import SparseVoxelEncoder


@pytest.mark.parametrize("shape", [(50, 120), (120, 30)], ids=["n < p", "n > p"])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("case", CASES)
def test_the_objective_at_every_alpha_is_that_of_coordinate_descent(case, layout, shape):
    X, y = example(*shape)
    penalty = penalty_of(CASES[case], X)
    alphas = own_grid(X, y, penalty)
    weights, intercepts, gaps = solutions(LAYOUTS[layout](X), y, penalty, alphas)
    for w, b, alpha, gap in zip(weights, intercepts, alphas, gaps, strict=True):
        expected_w, expected_b = by_scikit_learn(X, y, alpha, penalty)
        expected = objective(X, y, expected_w, expected_b, alpha, penalty)
        assert objective(X, y, w, b, alpha, penalty) == pytest.approx(expected, rel=1e-6)
        assert kkt_violation(X, y, w, b, alpha, penalty) < 1e-9
        assert abs(gap) < 1e-10 * np.mean(y**2)
        np.testing.assert_allclose(X @ w + b, X @ expected_w + expected_b, atol=1e-3 * y.std())


@pytest.mark.parametrize("layout", LAYOUTS)
def test_float32_features_reach_the_same_objective(layout):
    X, y = example()
    X = X.astype(np.float32)
    penalty = penalty_of({}, X)
    alphas = own_grid(X, y, penalty)
    weights, intercepts, _ = solutions(LAYOUTS[layout](X), y, penalty, alphas)
    X = X.astype(np.float64)
    for w, b, alpha in zip(weights, intercepts, alphas, strict=True):
        expected = objective(X, y, *by_scikit_learn(X, y, alpha, penalty), alpha, penalty)
        assert objective(X, y, w, b, alpha, penalty) == pytest.approx(expected, rel=1e-6)
        assert kkt_violation(X, y, w, b, alpha, penalty) < 1e-6


@pytest.mark.parametrize("layout", LAYOUTS)
def test_dense_and_sparse_features_give_the_same_path(layout):
    X, y = example()
    penalty = penalty_of({}, X)
    alphas = own_grid(X, y, penalty)
    expected = solutions(X, y, penalty, alphas)
    found = solutions(LAYOUTS[layout](X), y, penalty, alphas)
    np.testing.assert_allclose(found[0], expected[0], atol=1e-10)
    np.testing.assert_allclose(found[1], expected[1], atol=1e-9)


def test_alpha_max_is_the_smallest_penalty_without_weights():
    X, y = example()
    penalty = penalty_of({"factors": True, "free": 1}, X)
    top = own_grid(X, y, penalty, 1)[0]
    above, below = solutions(X, y, penalty, np.array([1.001 * top, 0.999 * top]))[0]
    assert np.flatnonzero(above).tolist() == [0]
    assert len(np.flatnonzero(below)) == 2


def test_the_way_to_an_alpha_does_not_matter():
    X, y = example()
    penalty = penalty_of({}, X)
    alphas = own_grid(X, y, penalty)
    stepwise = solutions(X, y, penalty, alphas)[0][-1]
    at_once = solutions(X, y, penalty, alphas[-1:])[0][-1]
    np.testing.assert_allclose(at_once, stepwise, atol=1e-10)


def test_a_shift_of_the_target_moves_only_the_intercept():
    X, y = example()
    penalty = penalty_of({}, X)
    alphas = own_grid(X, y, penalty)
    plain, moved = solutions(X, y, penalty, alphas), solutions(X, y + 1e3, penalty, alphas)
    np.testing.assert_allclose(moved[0], plain[0], atol=1e-9)
    np.testing.assert_allclose(moved[1], plain[1] + 1e3)


def test_a_planted_support_is_found():
    rng = np.random.default_rng(0)
    X = rng.random((200, 1000)) * (rng.random((200, 1000)) < 0.2)
    planted = [3, 50, 700]
    y = X[:, planted] @ [3.0, -2.0, 4.0] + 0.05 * rng.normal(size=200)
    penalty = penalty_of({}, X)
    w = solutions(X, y, penalty, own_grid(X, y, penalty, eps=0.1))[0][-1]
    assert np.flatnonzero(w).tolist() == planted


def test_an_active_set_may_outgrow_its_arrays():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(700, 400)), rng.normal(size=700)
    penalty = penalty_of({}, X)
    alphas = own_grid(X, y, penalty, n_alphas=5, eps=1e-3)
    weights, intercepts, _ = solutions(X, y, penalty, alphas)
    assert np.count_nonzero(weights[-1]) > 300
    assert kkt_violation(X, y, weights[-1], intercepts[-1], alphas[-1], penalty) < 1e-9


def test_a_path_that_may_not_go_on_reports_its_gap():
    X, y = example()
    penalty = make_penalty(np.ones(X.shape[1]), max_knots=1)
    alphas = own_grid(X, y, make_penalty(np.ones(X.shape[1])))
    gaps = solve_paths(*prepared(X, penalty), whole_data(y, alphas), penalty).gaps
    assert gaps[-1, 0] < 1e-12
    assert gaps[-1, -1] > 1e-2 * np.var(y)


@st.composite
def awkward_problems(draw):
    """Few or many samples, duplicated, opposite, constant and empty columns, wildly different scales."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n_samples, n_features = draw(st.integers(3, 30)), draw(st.integers(1, 60))
    X = rng.normal(size=(n_samples, n_features)) * (
        rng.random((n_samples, n_features)) < draw(st.sampled_from([0.1, 0.5, 1]))
    )
    X += draw(st.sampled_from([0.0, 0.0, 3.0]))
    if draw(st.booleans()):
        X *= 10.0 ** rng.integers(-2, 3, n_features)
    for kind, chance in (("copy", 0.2), ("opposite", 0.1), ("constant", 0.1), ("empty", 0.1)):
        for j in np.flatnonzero(rng.random(n_features) < chance) if draw(st.booleans()) else ():
            other = X[:, rng.integers(n_features)]
            X[:, j] = {"copy": other, "opposite": -other, "constant": 2.0, "empty": 0.0}[kind]
    y = X @ (rng.normal(size=n_features) * (rng.random(n_features) < 0.2)) + rng.normal(size=n_samples)
    return X, y * draw(st.sampled_from([1e-3, 1.0, 1e3])) + draw(st.sampled_from([0.0, 10.0]))


@settings(deadline=None, max_examples=200)
@given(
    problem=awkward_problems(),
    layout=st.sampled_from(sorted(LAYOUTS)),
    l1_ratio=st.sampled_from([1.0, 0.9, 0.3]),
    positive=st.booleans(),
    fit_intercept=st.booleans(),
    with_factors=st.booleans(),
)
def test_every_solution_is_an_optimum(problem, layout, l1_ratio, positive, fit_intercept, with_factors):
    X, y = problem
    case = {"factors": with_factors, "l1_ratio": l1_ratio, "positive": positive, "fit_intercept": fit_intercept}
    penalty = penalty_of(case, X)
    alphas = own_grid(X, y, penalty, n_alphas=8, eps=0.2)
    weights, intercepts, gaps = solutions(LAYOUTS[layout](X), y, penalty, alphas)
    assert np.all(np.abs(gaps) < 1e-9 * np.mean(y**2))
    for w, b, alpha in zip(weights, intercepts, alphas, strict=True):
        assert kkt_violation(X, y, w, b, alpha, penalty) < 1e-7


def test_free_features_enter_however_few_steps_are_allowed():
    X, y = example()
    penalty = penalty_of({"free": 3}, X)._replace(max_knots=1)
    alpha = own_grid(X, y, penalty, n_alphas=2)[:1]
    weights, intercepts, _ = solutions(X, y, penalty, alpha)
    expected = objective(X, y, *by_scikit_learn(X, y, alpha[0], penalty), alpha[0], penalty)
    assert objective(X, y, weights[0], intercepts[0], alpha[0], penalty) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("seed", [14, 22, 28])
def test_the_intercept_follows_when_a_feature_takes_the_place_of_others_that_span_it(seed):
    rng = np.random.default_rng(seed)
    X = (rng.random((16, 40)) < rng.choice([0.1, 0.3])) * 1.0
    X[:, 1], X[:, 3] = 1 - X[:, 0], X[:, 2] + 2
    Y = rng.normal(size=(16, 6))
    encoder = SparseVoxelEncoder(1e-3, positive=seed != 28, standardize_targets=False).fit(X, Y)
    np.testing.assert_allclose(encoder.intercept_, np.mean(Y - X @ encoder.coef_.toarray().T, axis=0), atol=1e-9)
