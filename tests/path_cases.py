"""Problems for the solvers, what they find, and what scikit-learn and the conditions of an optimum say of that."""

import numpy as np
from scipy import sparse
from sklearn.linear_model import Lasso

from sklearn_sae_encoding._solvers.columns import as_columns
from sklearn_sae_encoding._solvers.lasso.cross_validation import all_rows
from sklearn_sae_encoding._solvers.lasso.ftest import EVERY_FEATURE, column_norms
from sklearn_sae_encoding._solvers.lasso.path import alpha_max, solve_paths
from sklearn_sae_encoding._solvers.lasso.problems import Problems, make_penalty
from sklearn_sae_encoding._solvers.lasso.screening import make_screened

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
