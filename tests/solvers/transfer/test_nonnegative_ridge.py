"""Batched non-negative ridge against scipy and the optimality conditions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import nnls

from sklearn_sae_encoding._solvers.transfer.nonnegative_ridge import solve_nonnegative_ridge


def _problem(seed, n_samples=40, n_features=12, n_targets=30, correlated=0.0, scale=1.0):
    rng = np.random.default_rng(seed)
    X = rng.random((n_samples, n_features)) + correlated * rng.random((n_samples, 1))
    X = scale * (X - X.mean(axis=0))
    Y = rng.normal(size=(n_samples, n_targets)) + X @ rng.normal(size=(n_features, n_targets)) / scale
    return X, Y - Y.mean(axis=0)


def _conditions_hold(gram, cross, ridge, weights, tol):
    """KKT: no negative weight, no positive gradient, and none at all where the weight is positive."""
    gradient = cross - weights @ gram - ridge * weights
    scale = np.sqrt(np.diag(gram) + ridge)
    largest = np.max(np.abs(cross) / scale, axis=1, keepdims=True)
    relative = gradient / scale / np.where(largest > 0, largest, 1.0)
    return np.all(weights >= 0) and np.all(relative <= tol) and np.all(np.abs(relative[weights > 0]) <= tol)


@pytest.mark.parametrize("ridge", [1e-2, 1.0, 1e3])
def test_weights_equal_nonnegative_least_squares_on_the_augmented_problem(ridge):
    X, Y = _problem(0)
    weights = solve_nonnegative_ridge(X.T @ X, Y.T @ X, ridge).weights
    augmented = np.vstack([X, np.sqrt(ridge) * np.eye(12)])
    expected = [nnls(augmented, np.r_[y, np.zeros(12)])[0] for y in Y.T]
    np.testing.assert_allclose(weights, expected, atol=1e-12)
    assert 0 < np.mean(weights > 0) < 1


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    n_features=st.integers(1, 40),
    n_samples=st.integers(2, 60),
    correlated=st.sampled_from([0.0, 3.0, 30.0]),
    scale=st.sampled_from([1e-3, 1.0, 1e3]),
    log_ridge=st.integers(-4, 5),
)
def test_the_optimality_conditions_hold_for_any_shape_and_scale(
    seed, n_features, n_samples, correlated, scale, log_ridge
):
    X, Y = _problem(seed, n_samples, n_features, 10, correlated, scale)
    ridge = 10.0**log_ridge * scale**2
    solved = solve_nonnegative_ridge(X.T @ X, Y.T @ X, ridge)
    assert _conditions_hold(X.T @ X, Y.T @ X, ridge, solved.weights, tol=1e-8)
    assert solved.violations.max() < 1e-8


def test_duplicate_and_silent_features_share_weight_and_get_none():
    X, Y = _problem(1)
    X[:, 3], X[:, 5] = X[:, 2], 0.0
    Y += 50 * X[:, [2]]
    weights = solve_nonnegative_ridge(X.T @ X, Y.T @ X, 1e-3).weights
    np.testing.assert_allclose(weights[:, 2], weights[:, 3], rtol=1e-9)
    assert np.all(weights[:, 2] > 0)
    assert np.all(weights[:, 5] == 0)


def test_each_target_may_have_its_own_penalty_and_none_depends_on_the_others():
    X, Y = _problem(2)
    ridge = np.logspace(-2, 3, 30)
    together = solve_nonnegative_ridge(X.T @ X, Y.T @ X, ridge).weights
    alone = [solve_nonnegative_ridge(X.T @ X, (Y.T @ X)[[t]], ridge[t]).weights[0] for t in range(30)]
    np.testing.assert_array_equal(together, alone)


def test_targets_that_correlate_negatively_with_every_feature_get_no_weights():
    X, _ = _problem(3)
    solved = solve_nonnegative_ridge(X.T @ X, -np.ones((1, 12)), 1.0)
    assert np.all(solved.weights == 0)
    assert solved.violations[0] == 0


def test_a_penalty_lost_to_rounding_is_reported_as_a_violation():
    gram = np.full((2, 2), 1e20)
    gram[0, 1] = gram[1, 0] = 1e20 * (1 + 1e-15)
    assert solve_nonnegative_ridge(gram, np.full((1, 2), 1e10), 1e-8).violations[0] == np.inf


def test_a_penalty_of_zero_is_refused():
    with pytest.raises(ValueError, match=r"must be positive.*got 0\.0"):
        solve_nonnegative_ridge(np.eye(2), np.ones((3, 2)), [1.0, 0.0, 2.0])
