"""Paths satisfy the conditions of an optimum and agree with coordinate descent run to the end."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.linear_model import Lasso

from sklearn_sae_encoding._solvers.columns import as_columns
from sklearn_sae_encoding._solvers.cross_validation import all_rows
from sklearn_sae_encoding._solvers.ftest import EVERY_FEATURE, column_norms
from sklearn_sae_encoding._solvers.path import Problems, alpha_max, make_penalty, solve_paths
from sklearn_sae_encoding._solvers.screening import make_screened

LAYOUTS = {"dense": np.asarray, "sparse": sparse.csc_array}
CASES = {
    "lasso": {},
    "elastic net": {"l1_ratio": 0.6},
    "nearly ridge": {"l1_ratio": 0.01},
    "positive": {"positive": True},
    "positive elastic net": {"positive": True, "l1_ratio": 0.8},
    "penalty factors": {"factors": True},
    "factors and elastic net": {"factors": True, "l1_ratio": 0.7},
    "free features": {"factors": True, "free": 2},
    "free features, positive elastic net": {"factors": True, "free": 2, "l1_ratio": 0.7, "positive": True},
    "no intercept": {"fit_intercept": False},
}


def whole_data(y, alphas):
    """One problem an alpha, so that the solution at each is returned."""
    n_alphas = len(alphas)
    rows = all_rows(len(y))
    return Problems(
        targets=y[None].copy(),
        voxels=np.zeros(n_alphas, dtype=np.int64),
        folds=np.zeros(n_alphas, dtype=np.int64),
        train=rows.train,
        n_train=rows.n_train,
        test=rows.test,
        grid=np.tile(alphas, (n_alphas, 1)),
        n_alphas=np.arange(1, n_alphas + 1),
        allowed=EVERY_FEATURE,
    )


def prepared(X, penalty):
    columns = as_columns(X)
    norms = column_norms(columns, penalty.fit_intercept)
    return columns, make_screened(columns, penalty.inverse_factors, norms, prune=penalty.l1_ratio == 1)


def solutions(X, y, penalty, alphas):
    """Weights (n_alphas, n_features), intercepts and duality gaps at each alpha."""
    paths = solve_paths(*prepared(X, penalty), whole_data(y, alphas), penalty)
    weights = np.zeros((len(alphas), X.shape[1]))
    for row, features, values, size in zip(
        weights, paths.state.features, paths.state.weights, paths.state.sizes, strict=True
    ):
        row[features[:size]] = values[:size]
    assert np.all(paths.state.knots < 100 * (sum(X.shape) + 1)), "a path goes in circles"
    return weights, paths.intercepts, paths.gaps.diagonal()


def own_grid(X, y, penalty, n_alphas=12, eps=1e-2):
    top = alpha_max(*prepared(X, penalty), whole_data(y, np.ones(1)), penalty)[0]
    return np.geomspace(top, top * eps, n_alphas)


def objective(X, y, w, b, alpha, penalty):
    rho, f = penalty.l1_ratio, penalty.factors
    penalties = rho * f @ np.abs(w) + (1 - rho) / 2 * f @ w**2
    return np.mean((y - X @ w - b) ** 2) / 2 + alpha * penalties


def by_scikit_learn(X, y, alpha, penalty):
    """Solve by coordinate descent on transformed data: free features projected out, the ridge term as extra rows."""
    n, f = len(y), penalty.factors
    free, rest = f == 0, f > 0
    basis = np.column_stack([np.ones(n)] * penalty.fit_intercept + [X[:, free]])
    project = np.eye(n) - basis @ np.linalg.pinv(basis) if basis.shape[1] else np.eye(n)
    ridge = np.sqrt(n * alpha * (1 - penalty.l1_ratio) * f[rest])
    rows = np.vstack([project @ X[:, rest], np.diag(ridge)]) / f[rest]
    targets = np.concatenate([project @ y, np.zeros(rest.sum())])
    lasso = Lasso(
        alpha * penalty.l1_ratio * n / len(rows),
        fit_intercept=False,
        positive=penalty.positive,
        tol=1e-10,
        max_iter=1_000_000,
    ).fit(rows, targets)
    w = np.zeros(X.shape[1])
    w[rest] = lasso.coef_ / f[rest]
    others = np.linalg.lstsq(basis, y - X @ w, rcond=None)[0] if basis.shape[1] else np.zeros(0)
    b = others[0] if penalty.fit_intercept else 0.0
    w[free] = others[int(penalty.fit_intercept) :]
    return w, b


def kkt_violation(X, y, w, b, alpha, penalty):
    """Largest violation of the optimality conditions over all features and the intercept, as a share of alpha."""
    f, rho = penalty.factors, penalty.l1_ratio
    residual = y - X @ w - b
    gradient = X.T @ residual / len(y) - alpha * (1 - rho) * f * w
    bound = alpha * rho * f
    excess = gradient - bound if penalty.positive else np.abs(gradient) - bound
    excess[f == 0] = np.abs(gradient[f == 0])
    active = (w != 0) & (f > 0)
    excess[active] = np.abs(gradient - bound * np.sign(w))[active]
    if penalty.positive:
        assert np.all(w[f > 0] >= 0)
    # Each gradient is judged in units of its own column, or a tiny feature could hide anything.
    spread = np.sqrt(np.mean(X**2, axis=0)) + 1e-300
    largest = np.max(excess / np.maximum(alpha, spread * np.std(y)), initial=0.0)
    return max(largest, abs(residual.mean()) / np.std(y) if penalty.fit_intercept else 0.0)


def example(n_samples=50, n_features=120, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.gamma(1.0, 1.0, (n_samples, n_features)) * (rng.random((n_samples, n_features)) < 0.3) + 0.5
    X[:, ::2] -= 0.5
    return X, X[:, :6] @ rng.normal(size=6) + rng.normal(size=n_samples) + 5.0


def penalty_of(case, X, seed=0):
    options = dict(case)
    options["usable"] = column_norms(as_columns(X), options.get("fit_intercept", True)).centred > 0
    factors = np.ones(X.shape[1])
    if options.pop("factors", False):
        factors = np.random.default_rng(seed).uniform(0.5, 2.0, X.shape[1])
    factors[: options.pop("free", 0)] = 0.0
    return make_penalty(factors, **options)


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
