"""Features enter or leave an active set, one or two at a time, and leaps solve problems by that."""

import numpy as np
import pytest
from numba import njit
from scipy import sparse

from sklearn_sae_encoding._solvers.columns import as_columns
from sklearn_sae_encoding._solvers.lasso import changes, homotopy, inverses, pivoting
from sklearn_sae_encoding._solvers.lasso.active_sets import DONE, Fit, new_active_sets
from sklearn_sae_encoding._solvers.lasso.changes import COLLINEAR, NEARLY_COLLINEAR, new_entering
from sklearn_sae_encoding._solvers.lasso.homotopy import new_workspace

RIDGE = 0.3


# Kernels that other kernels alone call have no entry from Python.
@njit
def enter(fit, state, count, least, entering):
    return changes.enter(fit, state, 0, count, least, entering)


@njit
def leave(state, gone):
    return changes.leave(state, 0, gone)


@njit
def rebuild(fit, state, entering):
    changes.rebuild(fit, state, 0, entering)


@njit
def times(state, vectors, out):
    inverses.times(inverses.one_of(state.inverses, 0), state.sizes[0], len(vectors), vectors, out)


@njit
def leap_from_zero(fit, state, candidates, l1, workspace):
    local = homotopy.gather(fit, state, 0, candidates, workspace)
    before = pivoting.remember(state, 0)
    status = pivoting.leap(fit, state, 0, local, l1, 10_000)
    if status != DONE:
        pivoting.restore(fit, state, 0, before, workspace.local.entering)
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
    return rows.T @ rows + fit.ridge * np.diag(fit.factors[features])


def inverse_of(state):
    size = state.sizes[0]
    out = np.zeros((size, 48))
    times(state, np.eye(size, 48), out)
    return out[:, :size]


def let_in(fit, state, entering, features, signs, least=NEARLY_COLLINEAR):
    """Enter them two by two, the last one alone if there is an odd number; return which entered."""
    entered = []
    for start in range(0, len(features), 2):
        pair = features[start : start + 2]
        entering.features[: len(pair)], entering.signs[: len(pair)] = pair, signs[start : start + 2]
        bits = enter(fit, state, len(pair), least, entering)
        entered += [feature for place, feature in enumerate(pair) if bits & (1 << place)]
    return entered


def assert_it_solves(X, fit, state):
    """The inverse is that of the normal matrix, and `least` and `pull` are what it gives."""
    size, rows = state.sizes[0], fit.train > 0
    active = state.features[0, :size]
    normal = normal_matrix(X, fit, active)
    np.testing.assert_allclose(inverse_of(state), np.linalg.inv(normal), rtol=1e-8, atol=1e-12)
    centred = X[rows][:, active] - X[rows][:, active].mean(axis=0)
    np.testing.assert_allclose(normal @ state.least[0, :size], centred.T @ fit.target[rows], rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(
        normal @ state.pull[0, :size], fit.factors[active] * state.signs[0, :size], rtol=1e-8, atol=1e-10
    )


@pytest.mark.parametrize("layout", [np.asarray, sparse.csc_array], ids=["dense", "sparse"])
@pytest.mark.parametrize("seed", range(5))
def test_the_inverse_follows_features_that_enter_and_leave_in_any_order(layout, seed):
    rng = np.random.default_rng(seed)
    X, fit = problem(layout)
    fit = fit._replace(factors=rng.uniform(0.5, 2.0, 30))
    state, entering = new_active_sets(np.zeros((1, 40)), 31), new_entering(40, 31)
    for _ in range(40):
        active = list(state.features[0, : state.sizes[0]])
        outside = np.setdiff1d(np.arange(30), active)
        if len(active) < 27 and rng.random() < 0.6:
            features = list(rng.permutation(outside)[: rng.integers(1, 4)])
            assert let_in(fit, state, entering, features, rng.choice([-1.0, 1.0], len(features))) == features
            active += features
        elif active:
            gone = rng.integers(len(active))
            assert leave(state, gone)
            active[gone] = active[-1]
            active.pop()
        assert list(state.features[0, : state.sizes[0]]) == active
        assert_it_solves(X, fit, state)
    rebuild(fit, state, entering)
    assert list(state.features[0, : state.sizes[0]]) == active
    assert_it_solves(X, fit, state)


@pytest.mark.parametrize("features", [[3, 4, 5, 6], [4, 5, 3, 6], [3, 4, 6, 5]])
def test_a_copy_of_a_feature_does_not_enter_with_it_or_after_it(features):
    X, fit = problem()
    X[:, 5] = 2 * X[:, 4]
    fit = fit._replace(columns=as_columns(X), ridge=0.0)
    state, entering = new_active_sets(np.zeros((1, 40)), 31), new_entering(40, 31)
    expected = [feature for feature in features if feature != 5]
    assert let_in(fit, state, entering, features, np.ones(4)) == expected
    assert let_in(fit, state, entering, [5], np.ones(1), COLLINEAR) == []
    assert list(state.features[0, :3]) == expected
    assert_it_solves(X, fit, state)


def test_a_feature_stays_where_rounding_has_spoiled_the_inverse():
    _, fit = problem()
    state, entering = new_active_sets(np.zeros((1, 40)), 31), new_entering(40, 31)
    let_in(fit, state, entering, [3, 4, 5, 6, 7], np.ones(5))
    waiting = state.inverses.waiting[0, 0]
    state.inverses.matrix[0] *= -1
    state.inverses.factors[0] *= -1
    before = [array[0].copy() for array in (state.features, state.signs, state.least, state.pull)]
    assert not leave(state, 2)
    assert state.sizes[0] == 5
    assert state.inverses.waiting[0, 0] in (waiting, 0)  # what waited was added at most
    for array, expected in zip((state.features, state.signs, state.least, state.pull), before, strict=True):
        np.testing.assert_array_equal(array[0], expected)


def test_what_collinear_features_leave_is_taken_off_the_fit_where_the_inverse_is_built_anew():
    X, fit = problem()
    state, entering = new_active_sets(np.zeros((1, 40)), 31), new_entering(40, 31)
    let_in(fit, state, entering, [3, 4, 5, 6], np.ones(4))
    weights = np.array([1.0, -2.0, 0.5, 3.0])
    state.weights[0, :4] = weights
    X[:, 5] = 2 * X[:, 4]
    fit, rows = fit._replace(columns=as_columns(X), ridge=0.0), fit.train > 0
    state.fitted[0] = X[:, 3:7] @ weights
    state.residuals[0] = rows * (state.fitted[0][rows].mean() - state.fitted[0])
    rebuild(fit, state, entering)
    np.testing.assert_array_equal(state.features[0, :3], [3, 4, 6])
    np.testing.assert_array_equal(state.weights[0, :3], [1.0, -2.0, 3.0])
    np.testing.assert_allclose(state.fitted[0], X[:, [3, 4, 6]] @ [1.0, -2.0, 3.0])
    np.testing.assert_allclose(state.residuals[0], rows * (state.fitted[0][rows].mean() - state.fitted[0]), atol=1e-12)
    assert_it_solves(X, fit, state)


def test_a_leap_solves_the_lasso_from_no_features_at_all():
    from sklearn.linear_model import Lasso

    X, fit = problem(n_features=12)
    y = X @ np.random.default_rng(2).normal(size=12) + 1
    fit = fit._replace(target=y, ridge=0.0)
    rows = fit.train > 0
    state = new_active_sets(np.where(rows, y - y[rows].mean(), 0.0)[None], 13)
    alpha, candidates, workspace = (
        0.02,
        np.arange(12, dtype=np.int32),
        new_workspace(np.zeros(12, dtype=bool), 40, 13, 12),
    )
    assert leap_from_zero(fit, state, candidates, alpha * fit.n_train, workspace) == DONE
    found = np.zeros(12)
    found[state.features[0, : state.sizes[0]]] = state.weights[0, : state.sizes[0]]
    reference = Lasso(alpha=alpha, tol=1e-14, max_iter=100_000).fit(X[rows], y[rows])
    np.testing.assert_allclose(found, reference.coef_, rtol=1e-6, atol=1e-9)
    assert 2 < np.count_nonzero(found) < 12


@njit
def settle(fit, state, l1, workspace):
    local = homotopy.gather(fit, state, 0, np.zeros(0, dtype=np.int32), workspace)
    homotopy.synchronise(fit, state, 0, local)
    return pivoting.settle(fit, state, 0, local, l1)


@pytest.mark.parametrize("spoiled", [1.0, 1.001, 1.5], ids=["an exact", "a rounded", "a useless"])
def test_weights_settle_at_their_normal_equations_even_with_an_inverse_that_rounding_spoiled(spoiled):
    X, fit = problem(n_features=12)
    state, workspace = new_active_sets(np.zeros((1, 40)), 13), new_workspace(np.zeros(12, dtype=bool), 40, 13, 12)
    features, l1 = np.array([3, 9, 1, 11, 7], dtype=np.int32), 0.7
    let_in(fit, state, workspace.local.entering, features, np.array([1.0, -1, 1, 1, -1]))
    state.inverses.matrix[0] *= spoiled
    state.inverses.factors[0] *= spoiled
    assert settle(fit, state, l1, workspace) == DONE
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
    state, workspace = new_active_sets(start[None].copy(), 61), new_workspace(np.zeros(60, dtype=bool), 40, 61, 60)
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
