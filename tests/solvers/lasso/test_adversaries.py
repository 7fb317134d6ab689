"""Problems made to defeat every short cut of the paths, against coordinate descent run to the end."""

import numpy as np
import pytest
from path_cases import LAYOUTS, by_scikit_learn, kkt_violation, objective, own_grid, solutions
from sklearn.linear_model import LassoCV, enet_path

from sklearn_sae_encoding._solvers.columns import as_columns
from sklearn_sae_encoding._solvers.lasso import active_sets, path
from sklearn_sae_encoding._solvers.lasso.ftest import column_norms
from sklearn_sae_encoding._solvers.lasso.problems import make_penalty
from sklearn_sae_encoding.encoder import SparseVoxelEncoder


def duplicates(rng):
    X = rng.normal(size=(30, 20))
    return np.hstack([X, X, -X]), X[:, 0] - X[:, 1] + rng.normal(size=30)


def exact_ties(rng):
    """All features reach their bound at the same penalty."""
    X = np.kron(np.eye(12), [[1.0], [-1.0]])
    return np.hstack([X, X[::-1]]), X @ rng.choice([-1.0, 1.0], 12) + 0.1 * np.repeat(rng.normal(size=12), 2)


def all_at_once(rng):
    """So strongly correlated that nearly all are candidates from the first step on."""
    common = rng.normal(size=(40, 1))
    X = common + 0.2 * rng.normal(size=(40, 100))
    return X, common[:, 0] + 0.2 * X[:, :30] @ rng.normal(size=30) + 0.1 * rng.normal(size=40)


def collinear_blocks(rng):
    """Blocks of features that span fewer dimensions than they are many, to the last bits."""
    parts = [rng.normal(size=(36, 3)) @ rng.normal(size=(3, 8)) for _ in range(6)]
    X = np.hstack([*parts, rng.normal(size=(36, 10))])
    return X, X[:, ::7].sum(axis=1) + rng.normal(size=36)


def nearly_collinear(rng):
    """Pivots so small that rounding shows in an inverse."""
    X = rng.normal(size=(40, 15))
    return np.hstack([X, X + 1e-4 * rng.normal(size=X.shape)]), X[:, 0] + rng.normal(size=40)


def constant_columns(rng):
    X = rng.normal(size=(30, 50)) * (rng.random((30, 50)) < 0.4)
    X[:, ::5], X[:, 1::10] = 3.0, 0.0
    return X, X[:, 2] + rng.normal(size=30)


def more_active_than_samples(rng):
    """Tiny penalties on few samples: the path ends saturated."""
    return rng.normal(size=(12, 60)), rng.normal(size=12)


def many_samples(rng):
    X = rng.normal(size=(400, 12)) + 2.0
    return X, X @ rng.normal(size=12) + rng.normal(size=400)


ADVERSARIES = [
    duplicates,
    exact_ties,
    all_at_once,
    collinear_blocks,
    nearly_collinear,
    constant_columns,
    more_active_than_samples,
    many_samples,
]
KINDS = {
    "lasso": {},
    "positive": {"positive": True},
    "elastic net": {"l1_ratio": 0.7},
    "no intercept": {"fit_intercept": False},
    "float32": {"dtype": np.float32},
}


def judge(X, y, penalty, alphas, found):
    weights, intercepts, gaps = found
    for w, b, alpha, gap in zip(weights, intercepts, alphas, gaps, strict=True):
        expected = objective(X, y, *by_scikit_learn(X, y, alpha, penalty), alpha, penalty)
        assert objective(X, y, w, b, alpha, penalty) <= expected + 1e-7 * np.mean(y**2)
        assert kkt_violation(X, y, w, b, alpha, penalty) < 1e-7
        assert abs(gap) < 1e-9 * np.mean(y**2)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("adversary", ADVERSARIES)
def test_no_adversary_keeps_a_path_from_its_optima(adversary, kind, layout):
    X, y = adversary(np.random.default_rng(3))
    options = dict(KINDS[kind])
    X = X.astype(options.pop("dtype", np.float64))
    usable = column_norms(as_columns(X), options.get("fit_intercept", True)).centred > 0
    penalty = make_penalty(np.ones(X.shape[1]), usable=usable, **options)
    alphas = own_grid(X, y, penalty, n_alphas=7, eps=0.02)
    judge(X.astype(np.float64), y, penalty, alphas, solutions(LAYOUTS[layout](X), y, penalty, alphas))


@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("adversary", ADVERSARIES)
def test_features_without_a_penalty_beside_those_with_an_enormous_one(adversary, positive):
    rng = np.random.default_rng(4)
    X, y = adversary(rng)
    factors = rng.choice([1.0, 1e6, 3.0], X.shape[1])
    factors[[0, 3]] = 0.0
    penalty = make_penalty(factors, usable=column_norms(as_columns(X), True).centred > 0, positive=positive)
    alphas = own_grid(X, y, penalty, n_alphas=5, eps=0.05)
    judge(X, y, penalty, alphas, solutions(X, y, penalty, alphas))


@pytest.mark.parametrize("adversary", [all_at_once, nearly_collinear, more_active_than_samples])
def test_the_path_of_scikit_learn_is_followed_penalty_by_penalty(adversary):
    X, y = adversary(np.random.default_rng(5))
    X, y = X - X.mean(axis=0), y - y.mean()
    penalty = make_penalty(np.ones(X.shape[1]))
    alphas = own_grid(X, y, penalty, n_alphas=8, eps=0.05)
    _, expected, _ = enet_path(X, y, l1_ratio=1.0, alphas=alphas, tol=1e-12, max_iter=1_000_000)
    found = solutions(X, y, penalty, alphas)[0]
    np.testing.assert_allclose(found @ X.T, expected.T @ X.T, atol=1e-4 * y.std())


@pytest.mark.filterwarnings("ignore:Of 1 voxels")  # one may lie at the end of the grid
@pytest.mark.parametrize("adversary", [all_at_once, many_samples, constant_columns])
def test_the_penalty_chosen_on_adversaries_is_that_of_lassocv(adversary):
    X, y = adversary(np.random.default_rng(6))
    top = np.abs(X.T @ (y - y.mean())).max() / len(y)
    alphas = np.geomspace(top, 0.01 * top, 15)
    expected = LassoCV(alphas=alphas, cv=4, tol=1e-10, max_iter=1_000_000).fit(X, y)
    found = SparseVoxelEncoder(alphas, cv=4, standardize_targets=False).fit(X, y)
    assert found.alpha_[0] == pytest.approx(expected.alpha_)
    np.testing.assert_allclose(found.cv_mse_path_[0], expected.mse_path_, rtol=1e-5)


@pytest.mark.parametrize("kind", ["lasso", "elastic net", "factors of 0 beside 1e6"])
@pytest.mark.parametrize("adversary", ADVERSARIES)
def test_no_adversary_keeps_coordinate_descent_from_the_gap_that_is_asked_for(adversary, kind, monkeypatch):
    rng = np.random.default_rng(7)
    X, y = adversary(rng)
    factors = np.ones(X.shape[1])
    if kind not in KINDS:
        factors = rng.choice([1.0, 1e6, 3.0], X.shape[1])
        factors[[0, 3]] = 0.0
    usable = column_norms(as_columns(X), True).centred > 0
    penalty = make_penalty(factors, usable=usable, tol=1e-5, **KINDS.get(kind, {}))
    alphas = own_grid(X, y, penalty, n_alphas=4, eps=0.1)
    exact = solutions(X, y, penalty, alphas)[:2]  # coordinate descent of others is slow to get there
    for module in (active_sets, path):
        monkeypatch.setattr(module, "LARGEST", 0)  # beyond so many active features descent goes on
    descended = solutions(X, y, penalty, alphas)
    for w, b, best_w, best_b, alpha, gap in zip(*descended[:2], *exact, alphas, descended[2], strict=True):
        least = objective(X, y, best_w, best_b, alpha, penalty)
        assert -1e-9 * np.mean(y**2) <= objective(X, y, w, b, alpha, penalty) - least <= gap + 1e-9 * np.mean(y**2)
        assert gap <= 1e-5 * np.mean(y**2)


@pytest.mark.filterwarnings("ignore:[0-9]+ of [0-9]+ voxels", "ignore:Of [0-9]+ voxels")
@pytest.mark.parametrize("adversary", ADVERSARIES)
def test_paths_that_stop_early_are_those_of_the_whole_grid_up_to_there(adversary):
    X, y = adversary(np.random.default_rng(8))
    Y = np.column_stack([y, np.random.default_rng(9).normal(size=(len(y), 5))])
    whole = SparseVoxelEncoder(20, cv=4, early_stopping=False).fit(X, Y)
    short = SparseVoxelEncoder(20, cv=4).fit(X, Y)
    solved = ~np.isnan(short.cv_mse_path_)
    assert solved[:, :5].all()
    np.testing.assert_allclose(short.cv_mse_path_[solved], whole.cv_mse_path_[solved], rtol=1e-9)
    same = short.alpha_ == whole.alpha_
    np.testing.assert_allclose(short.predict(X)[:, same], whole.predict(X)[:, same], atol=1e-9)
    # Where it is another one, the whole grid came down again below what the shorter one had seen.
    missed = np.nanargmin(whole.cv_mse_path_.mean(axis=2), axis=1)[~same]
    assert np.isnan(short.cv_mse_path_[~same, missed]).any(axis=1).all()
