"""Other packages at the same task: paths on every fold, each voxel's own penalty, its solution on all rows.

Each competitor is a function of (X, Y, grids, splits), for few voxels, that returns a `Chosen` for each. Penalties,
folds and duality gap are those of ours unless its docstring says otherwise.
"""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import tempfile
import time
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy import sparse

TOL = 1e-4  # a duality gap relative to the mean square of the target


class Chosen(NamedTuple):
    alpha: float
    weights: np.ndarray  # (n_features,)
    intercept: float


class Competitor(NamedTuple):
    name: str
    package: str
    solve: object
    together: int = 1  # voxels that it profits from having at once


def scikit_learn(X, Y, grids, splits):
    from sklearn.linear_model import LassoCV

    models = [LassoCV(alphas=grid, cv=splits, tol=TOL, max_iter=10_000) for grid in grids]
    fitted = [model.fit(X, y) for model, y in zip(models, Y.T, strict=True)]
    return [Chosen(model.alpha_, model.coef_, model.intercept_) for model in fitted]


def scikit_learn_lars(X, Y, grids, splits):
    """Dense features, and penalties of its own: every breakpoint of the first 500."""
    from sklearn.linear_model import LassoLarsCV

    X = X.toarray() if sparse.issparse(X) else X
    fitted = [LassoLarsCV(cv=splits, max_iter=500).fit(X, y) for y in Y.T]
    return [Chosen(model.alpha_, model.coef_, model.intercept_) for model in fitted]


def celer(X, Y, grids, splits):
    """Features are centred by `X_offset`, as celer's own estimators do."""
    from celer import celer_path

    def solve_path(X, Y, grids):
        means, y, alphas = _means(X), Y[:, 0] - Y[:, 0].mean(), grids[0]
        if sparse.issparse(X):
            options = {"X_offset": means, "X_scale": np.ones(X.shape[1])}
        else:
            X, options = np.asfortranarray(X - means), {}
        W = celer_path(X, y, "lasso", alphas=alphas, tol=TOL, max_iter=1000, **options)[1].T
        return W[:, :, None], (Y[:, 0].mean() - W @ means)[:, None]

    return _cross_validated(solve_path, X, Y, grids, splits)


def skglm(X, Y, grids, splits):
    """It stops by the violation of optimality; the gaps that come out are well below ours."""
    from skglm import Lasso

    def solve_path(X, Y, grids):
        model, weights, intercepts = Lasso(warm_start=True, tol=TOL, max_iter=200), [], []
        for alpha in grids[0]:
            model.set_params(alpha=alpha).fit(X, Y[:, 0])
            weights.append(model.coef_.copy())
            intercepts.append(model.intercept_)
        return np.array(weights)[:, :, None], np.array(intercepts)[:, None]

    return _cross_validated(solve_path, X, Y, grids, splits)


def himalaya(X, Y, grids, splits):
    """Its proximal solver, without groups, on dense centred features; it stops by the change of the weights."""
    from himalaya.lasso import solve_sparse_group_lasso

    def solve_path(X, Y, grids):
        means, centres = _means(X), Y.mean(axis=0)
        X, Y = (X.toarray() if sparse.issparse(X) else X) - means, Y - centres
        lipschitz, W, weights = np.linalg.norm(X @ X.T, 2), None, []
        for alphas in grids.T:
            W = solve_sparse_group_lasso(
                X,
                Y,
                l21_reg=0.0,
                l1_reg=alphas,
                initial_coef=W,
                lipschitz=lipschitz,
                max_iter=10_000,
                tol=TOL,
                progress_bar=False,
            )
            weights.append(W.copy())
        weights = np.array(weights)
        return weights, centres - np.einsum("j,ajv->av", means, weights)

    return _cross_validated(solve_path, X, Y, grids, splits)


COMPETITORS = (
    Competitor("scikit-learn LassoCV", "sklearn", scikit_learn),
    Competitor("scikit-learn LassoLarsCV", "sklearn", scikit_learn_lars),
    Competitor("celer_path", "celer", celer),
    Competitor("skglm", "skglm", skglm),
    Competitor("himalaya", "himalaya", himalaya, together=10),
)


def _means(X):
    return np.asarray(X.mean(axis=0)).ravel()


def _cross_validated(solve_path, X, Y, grids, splits):
    """Choose by a function of (X, Y, grids) that returns weights (n_alphas, n_features, n_voxels) and intercepts."""
    errors = np.zeros((grids.shape[1], Y.shape[1], len(splits)))
    rows = X.tocsr() if sparse.issparse(X) else X
    for fold, (train, test) in enumerate(splits):
        weights, intercepts = solve_path(_columns(rows[train]), Y[train], grids)
        for a, (W, b) in enumerate(zip(weights, intercepts, strict=True)):
            errors[a, :, fold] = np.mean((Y[test] - rows[test] @ W - b) ** 2, axis=0)
    best = errors.mean(axis=2).argmin(axis=0)
    weights, intercepts = solve_path(_columns(X), Y, grids[:, : best.max() + 1])
    return [Chosen(grids[v, k], weights[k, :, v], intercepts[k, v]) for v, k in enumerate(best)]


def _columns(X):
    return sparse.csc_matrix(X) if sparse.issparse(X) else np.asfortranarray(X)


class Run(NamedTuple):
    walls: list  # seconds a voxel, of the voxels (or groups of voxels) that were finished
    cpus: list
    chosen: list  # of Chosen, one a voxel
    limit: float  # seconds after which the rest was left


def run(competitor, problem, grids, limit, most):
    """Solve up to `most` voxels within about `limit` seconds."""
    result = Run([], [], [], limit)
    with warnings.catch_warnings(), stopped_after(limit):
        warnings.simplefilter("ignore")
        # Whatever compiles does so before the clock of a voxel starts.
        first = slice(0, min(competitor.together, most))
        competitor.solve(
            problem.X[:, :100], np.ascontiguousarray(problem.Y[:, first]), grids[first, :2], problem.splits
        )
        for start in range(0, most, competitor.together):
            part = slice(start, min(start + competitor.together, most))
            wall, cpu = time.perf_counter(), time.process_time()
            found = competitor.solve(problem.X, np.ascontiguousarray(problem.Y[:, part]), grids[part], problem.splits)
            result.walls.append((time.perf_counter() - wall) / len(found))
            result.cpus.append((time.process_time() - cpu) / len(found))
            result.chosen.extend(found)
    return result


@contextmanager
def stopped_after(seconds):
    """Leave the block when the time is up."""

    class TimeIsUp(Exception):
        pass

    def stop(_signal, _frame):
        raise TimeIsUp

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    except TimeIsUp:
        pass
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def run_adelie(python, problem, grids, limit, most):
    """The same with adelie, which needs another NumPy: in the environment of `python`, timed in there."""
    with tempfile.TemporaryDirectory() as folder:
        given, found = Path(folder, "problem.npz"), Path(folder, "found.npz")
        X = sparse.csc_array(problem.X)
        rows = {
            f"{part}{i}": rows for i, pair in enumerate(problem.splits) for part, rows in zip("ab", pair, strict=True)
        }
        np.savez(
            given,
            data=X.data,
            indices=X.indices,
            indptr=X.indptr,
            shape=X.shape,
            Y=problem.Y[:, :most],
            grids=grids,
            **rows,
        )
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        script = Path(__file__).with_name("_adelie.py")
        command = [str(python), str(script), str(given), str(found), str(limit)]
        reply = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout
        times = json.loads(reply.splitlines()[-1])
        with np.load(found) as arrays:
            chosen = [Chosen(*row) for row in zip(arrays["alpha"], arrays["weights"], arrays["intercept"], strict=True)]
    return Run(times["walls"], times["cpus"], chosen, limit)


def installed(package):
    return importlib.util.find_spec(package) is not None
