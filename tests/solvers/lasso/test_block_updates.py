"""Several features enter or leave an active set as they would one by one."""

import numpy as np
import pytest
from numba import njit
from scipy import sparse

from sklearn_sae_encoding._solvers.columns import as_columns
from sklearn_sae_encoding._solvers.lasso import block_updates, homotopy, pivoting
from sklearn_sae_encoding._solvers.lasso.active_sets import DONE, Fit, Step, new_active_sets
from sklearn_sae_encoding._solvers.lasso.block_updates import BLOCK, new_bordering
from sklearn_sae_encoding._solvers.lasso.homotopy import new_workspace

RIDGE = 0.3


# Kernels that other kernels alone call have no entry from Python.
@njit
def enter_block(fit, state, problem, features, count, scratch):
    return block_updates.enter_block(fit, state, problem, features, count, scratch)


@njit
def leave_block(state, problem, places, count, scratch):
    return block_updates.leave_block(state, problem, places, count, scratch)


@njit
def leap_from_zero(fit, state, candidates, l1, workspace):
    local = homotopy.gather(fit, state, 0, candidates, workspace)
    before = pivoting.remember(state, 0)
    status = pivoting.leap(fit, state, 0, local, Step(0.0, 0.0, l1, 10_000), workspace.bordering)
    if status != DONE:
        pivoting.restore(fit, state, 0, before, workspace.bordering)
    return status


def problem(layout=np.asarray, n_samples=40, n_features=30, seed=0):
    """Features of which about half the values are zero, and what they are fitted to on 32 of the 40 rows."""
    rng = np.random.default_rng(seed)
    X = rng.random((n_samples, n_features)) * (rng.random((n_samples, n_features)) < 0.5)
    train = (np.arange(n_samples) % 5 > 0).astype(float)
    target, factors = rng.normal(size=n_samples), np.ones(n_features)
    fit = Fit(as_columns(layout(X)), target, train, train.sum(), True, factors, False, RIDGE)
    return X, fit


def normal_matrix(X, fit, features):
    rows = X[fit.train > 0][:, features]
    rows = rows - rows.mean(axis=0)
    return rows.T @ rows + fit.ridge * np.eye(len(features))


def inverse_of(state):
    size = state.sizes[0]
    return state.inverses[0, :size, :size]


@pytest.mark.parametrize("layout", [np.asarray, sparse.csc_array], ids=["dense", "sparse"])
def test_the_inverse_follows_features_that_enter_and_leave_in_blocks(layout):
    X, fit = problem(layout)
    state, scratch = new_active_sets(np.zeros((1, 40)), 31), new_bordering(40, 31)
    for features in ([3, 9, 1, 20, 7, 8, 15, 2], [4], [11, 12, 13], [21, 22, 23, 24, 25]):
        assert enter_block(fit, state, 0, np.array(features, dtype=np.int32), len(features), scratch) == len(features)
        np.testing.assert_allclose(
            inverse_of(state), np.linalg.inv(normal_matrix(X, fit, state.features[0, : state.sizes[0]])), rtol=1e-9
        )
    # Weights at least squares stay there when others leave.
    target = np.random.default_rng(1).normal(size=X.shape[1])
    state.weights[0, : state.sizes[0]] = inverse_of(state) @ target[state.features[0, : state.sizes[0]]]
    for places in ([0, 1, 5, 16], [12], [2, 3, 4, 5, 6, 7, 8, 9]):
        assert leave_block(state, 0, np.array(places), len(places), scratch)
        active = state.features[0, : state.sizes[0]]
        normal = normal_matrix(X, fit, active)
        np.testing.assert_allclose(inverse_of(state), np.linalg.inv(normal), rtol=1e-8, atol=1e-12)
        np.testing.assert_allclose(normal @ state.weights[0, : state.sizes[0]], target[active], rtol=1e-8, atol=1e-10)
    assert len(set(active)) == len(active) == 4


def test_a_copy_of_a_feature_does_not_enter_with_it():
    X, fit = problem()
    X[:, 5] = 2 * X[:, 4]
    fit = fit._replace(columns=as_columns(X), ridge=0.0)
    state, scratch = new_active_sets(np.zeros((1, 40)), 31), new_bordering(40, 31)
    assert enter_block(fit, state, 0, np.array([3, 4, 5, 6], dtype=np.int32), 4, scratch) == 3
    assert list(state.features[0, :3]) == [3, 4, 6]
    np.testing.assert_allclose(inverse_of(state), np.linalg.inv(normal_matrix(X, fit, [3, 4, 6])), rtol=1e-9)


def test_a_leap_solves_the_lasso_from_no_features_at_all():
    from sklearn.linear_model import Lasso

    X, fit = problem(n_features=12)
    y = X @ np.random.default_rng(2).normal(size=12) + 1
    fit = fit._replace(target=y, ridge=0.0)
    rows = fit.train > 0
    state = new_active_sets(np.where(rows, y - y[rows].mean(), 0.0)[None], 13)
    alpha, candidates, workspace = 0.02, np.arange(12, dtype=np.int32), new_workspace(np.full(12, -1), 40, 13, 12)
    assert leap_from_zero(fit, state, candidates, alpha * fit.n_train, workspace) == DONE
    found = np.zeros(12)
    found[state.features[0, : state.sizes[0]]] = state.weights[0, : state.sizes[0]]
    reference = Lasso(alpha=alpha, tol=1e-14, max_iter=100_000).fit(X[rows], y[rows])
    np.testing.assert_allclose(found, reference.coef_, rtol=1e-6, atol=1e-9)
    assert 2 < np.count_nonzero(found) < 12
    assert BLOCK < 12  # so that they entered in more than one block


@njit
def settle(fit, state, l1, workspace):
    local = homotopy.gather(fit, state, 0, np.zeros(0, dtype=np.int32), workspace)
    homotopy.synchronise(fit, state, 0, local)
    pivoting.settle(fit, state, 0, local, l1, workspace.bordering)


@pytest.mark.parametrize("spoiled", [1.0, 1.001, 1.5], ids=["an exact", "a rounded", "a useless"])
def test_weights_settle_at_their_normal_equations_even_with_an_inverse_that_rounding_spoiled(spoiled):
    X, fit = problem(n_features=12)
    state, workspace = new_active_sets(np.zeros((1, 40)), 13), new_workspace(np.full(12, -1), 40, 13, 12)
    features, l1 = np.array([3, 9, 1, 11, 7], dtype=np.int32), 0.7
    enter_block(fit, state, 0, features, 5, workspace.bordering)
    state.signs[0, :5] = [1, -1, 1, 1, -1]
    state.inverses[0] *= spoiled
    settle(fit, state, l1, workspace)
    rows, active = fit.train > 0, state.features[0, :5]
    centred = X[rows][:, active] - X[rows][:, active].mean(axis=0)
    right = centred.T @ fit.target[rows] - l1 * state.signs[0, :5]
    np.testing.assert_allclose(state.weights[0, :5], np.linalg.solve(normal_matrix(X, fit, active), right), rtol=1e-10)


@pytest.mark.parametrize("seed", range(20))
def test_a_leap_ends_and_leaves_all_as_it_was_where_it_fails(seed):
    rng = np.random.default_rng(seed)
    common = rng.normal(size=(40, 2))
    X = common @ rng.normal(size=(2, 60)) + 10.0 ** rng.uniform(-3, 0) * rng.normal(size=(40, 60))
    _, fit = problem()
    fit = fit._replace(columns=as_columns(X), factors=np.ones(60), ridge=0.0)
    rows = fit.train > 0
    start = np.where(rows, fit.target - fit.target[rows].mean(), 0.0)
    state, workspace = new_active_sets(start[None].copy(), 61), new_workspace(np.full(60, -1), 40, 61, 60)
    status = leap_from_zero(fit, state, np.arange(60, dtype=np.int32), 1e-3, workspace)
    size = state.sizes[0]
    if status == DONE:
        centred = np.where(rows[:, None], X - X[rows].mean(axis=0), 0.0)
        products = centred.T @ state.residuals[0]
        assert np.abs(products).max() <= 1e-3 * (1 + 1e-8)
        np.testing.assert_allclose(products[state.features[0, :size]], 1e-3 * state.signs[0, :size], rtol=1e-8)
    else:
        assert (size, state.knots[0]) == (0, 0)
        np.testing.assert_array_equal(state.residuals[0], start)
