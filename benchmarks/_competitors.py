"""Other packages at the same task: paths on every fold, each voxel's own penalty, its solution on all rows.

Each competitor is a function of (X, Y, grids, splits, tol), for few voxels, that returns a `Chosen` for each. Penalties
and folds are those of ours unless its docstring says otherwise. So is the duality gap: where `tol` means something
else, it is about the largest value whose gaps along a path come out below ours, as the benchmark prints.
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
from _common import alpha_grid
from scipy import sparse

TOL = 1e-4  # a duality gap relative to the mean square of the target


class Chosen(NamedTuple):
    alpha: float
    weights: np.ndarray  # (n_features,)
    intercept: float
    path: tuple = ((), ())  # weights and intercepts at each penalty on the first fold, where the package gives them


class Competitor(NamedTuple):
    name: str
    package: str
    solve: object
    together: int = 1  # voxels that it profits from having at once
    tol: float = TOL
    tol_on_c: float | None = None  # on problem C, where that must be smaller


class TimeIsUp(Exception):
    done = ""  # what was


def scikit_learn(X, Y, grids, splits, tol):
    from sklearn.linear_model import LassoCV

    models = [LassoCV(alphas=grid, cv=splits, tol=tol, max_iter=10_000) for grid in grids]
    fitted = [model.fit(X, y) for model, y in zip(models, Y.T, strict=True)]
    return [Chosen(model.alpha_, model.coef_, model.intercept_) for model in fitted]


def scikit_learn_lars(X, Y, grids, splits, tol):
    """Dense features, no tolerance, and penalties of its own: every breakpoint of the first 500."""
    from sklearn.linear_model import LassoLarsCV

    X = X.toarray() if sparse.issparse(X) else X
    fitted = [LassoLarsCV(cv=splits, max_iter=500).fit(X, y) for y in Y.T]
    return [Chosen(model.alpha_, model.coef_, model.intercept_) for model in fitted]


def celer(X, Y, grids, splits, tol):
    """Features are centred by `X_offset`, as celer's own estimators do."""
    from celer import celer_path

    def solve_path(X, Y, grids):
        means, y, alphas = _means(X), Y[:, 0] - Y[:, 0].mean(), grids[0]
        if sparse.issparse(X):
            options = {"X_offset": means, "X_scale": np.ones(X.shape[1])}
        else:
            X, options = np.asfortranarray(X - means), {}
        W = celer_path(X, y, "lasso", alphas=alphas, tol=tol, max_iter=1000, **options)[1].T
        yield from zip(W[:, :, None], (Y[:, 0].mean() - W @ means)[:, None], strict=True)

    return _cross_validated(solve_path, X, Y, grids, splits)


def skglm(X, Y, grids, splits, tol):
    """It stops by the violation of optimality."""
    from skglm import Lasso

    def solve_path(X, Y, grids):
        model = Lasso(warm_start=True, tol=tol, max_iter=200)
        for alpha in grids[0]:
            model.set_params(alpha=alpha).fit(X, Y[:, 0])
            yield model.coef_[:, None].copy(), np.array([model.intercept_])

    return _cross_validated(solve_path, X, Y, grids, splits)


def himalaya(X, Y, grids, splits, tol):
    """Its proximal solver, without groups, on dense centred features; it stops by the change of the weights."""
    from himalaya.lasso import solve_sparse_group_lasso

    def solve_path(X, Y, grids):
        means, centres = _means(X), Y.mean(axis=0)
        X, Y = (X.toarray() if sparse.issparse(X) else X) - means, Y - centres
        lipschitz, W = np.linalg.norm(X @ X.T, 2), None
        for alphas in grids.T:
            W = solve_sparse_group_lasso(
                X,
                Y,
                l21_reg=0.0,
                l1_reg=alphas,
                initial_coef=W,
                lipschitz=lipschitz,
                max_iter=10_000,
                tol=tol,
                progress_bar=False,
            )
            yield W.copy(), centres - means @ W

    return _cross_validated(solve_path, X, Y, grids, splits)


COMPETITORS = (
    Competitor("scikit-learn LassoCV", "sklearn", scikit_learn),
    Competitor("scikit-learn LassoLarsCV", "sklearn", scikit_learn_lars),
    Competitor("celer_path", "celer", celer),
    Competitor("skglm", "skglm", skglm, tol=2e-5, tol_on_c=1e-6),
    Competitor("himalaya", "himalaya", himalaya, together=10),
    Competitor("adelie", "adelie", None, tol=1e-11, tol_on_c=1e-13),  # see run_adelie
)


def tightened(competitor, factor):
    on_c = competitor.tol_on_c / factor if competitor.tol_on_c else None
    return competitor._replace(tol=competitor.tol / factor, tol_on_c=on_c)


def _means(X):
    return np.asarray(X.mean(axis=0)).ravel()


def _cross_validated(solve_path, X, Y, grids, splits):
    """Choose by a function of (X, Y, grids) that yields weights (n_features, n_voxels) and intercepts at each alpha."""
    errors, first = np.zeros((grids.shape[1], Y.shape[1], len(splits))), []
    rows, fits = X.tocsr() if sparse.issparse(X) else X, 0
    try:
        for fold, (train, test) in enumerate(splits):
            for a, (W, b) in enumerate(solve_path(_columns(rows[train]), Y[train], grids)):
                errors[a, :, fold] = np.mean((Y[test] - rows[test] @ W - b) ** 2, axis=0)
                fits += 1
                if fold == 0:
                    first.append((W, b))
    except TimeIsUp as stopped:
        stopped.done = f": {fits} of {grids.shape[1] * len(splits)} fits of the folds done"
        raise
    best = errors.mean(axis=2).argmin(axis=0)
    final = list(solve_path(_columns(X), Y, grids[:, : best.max() + 1]))
    return [
        Chosen(grids[v, k], final[k][0][:, v], final[k][1][v], ([W[:, v] for W, _ in first], [b[v] for _, b in first]))
        for v, k in enumerate(best)
    ]


def _columns(X):
    return sparse.csc_matrix(X) if sparse.issparse(X) else np.asfortranarray(X)


def tolerance(competitor, problem):
    return competitor.tol_on_c if problem.name == "C" and competitor.tol_on_c else competitor.tol


class Run(NamedTuple):
    walls: list  # seconds a voxel, of the voxels (or groups of voxels) that were finished
    cpus: list
    chosen: list  # of Chosen, one a voxel
    stopped: tuple | None  # wall and CPU seconds a voxel spent on the next ones when time was up, and what was done


def run(competitor, problem, grids, limit):
    """Solve the voxels, or as many as it can in about `limit` seconds."""
    tol, result, most = tolerance(competitor, problem), Run([], [], [], None), problem.Y.shape[1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # Whatever compiles does so before the clock of a voxel starts.
        small = problem._replace(X=problem.X[:, :100])
        first = np.array([alpha_grid(small, problem.Y[:, 0])[:3]])
        with stopped_after(limit):
            competitor.solve(small.X, problem.Y[:, :1], first, problem.splits, tol)
        for start in range(0, most, competitor.together):
            part = slice(start, min(start + competitor.together, most))
            Y, size = np.ascontiguousarray(problem.Y[:, part]), part.stop - part.start
            wall, cpu = time.perf_counter(), time.process_time()
            with stopped_after(limit - size * sum(result.walls)) as stopped:
                found = competitor.solve(problem.X, Y, grids[part], problem.splits, tol)
            wall, cpu = (time.perf_counter() - wall) / size, (time.process_time() - cpu) / size
            if stopped:
                return result._replace(stopped=(wall, cpu, stopped[0]))
            result.walls.append(wall)
            result.cpus.append(cpu)
            result.chosen.extend(found)
    return result


@contextmanager
def stopped_after(seconds):
    """Leave the block when the time is up; then, what was done is in the list that it gives."""

    def stop(_signal, _frame):
        raise TimeIsUp

    before, stopped = signal.signal(signal.SIGALRM, stop), []
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 1e-3))
    try:
        yield stopped
    except TimeIsUp as up:
        stopped.append(up.done)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def run_adelie(python, competitor, problem, grids, limit):
    """Do the same with adelie, which needs another NumPy: in the environment of `python`, timed in there."""
    with tempfile.TemporaryDirectory() as folder:
        given, found = Path(folder, "problem.npz"), Path(folder, "found.npz")
        X = sparse.csc_array(problem.X)
        rows = {
            f"{part}{i}": rows for i, pair in enumerate(problem.splits) for part, rows in zip("ab", pair, strict=True)
        }
        np.savez(
            given, data=X.data, indices=X.indices, indptr=X.indptr, shape=X.shape, Y=problem.Y, grids=grids, **rows
        )
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        script, tol = Path(__file__).with_name("_adelie.py"), tolerance(competitor, problem)
        command = [str(python), str(script), str(given), str(found), str(limit), str(tol)]
        reply = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout
        times, chosen = json.loads(reply.splitlines()[-1]), []
        with np.load(found) as arrays:
            for v, alpha in enumerate(arrays["alpha"]):
                path = arrays["paths"][v], arrays["path_intercepts"][v]
                chosen.append(Chosen(alpha, arrays["weights"][v], arrays["intercepts"][v], path))
    return Run(times["walls"], times["cpus"], chosen, times["stopped"])


def installed(package):
    return importlib.util.find_spec(package) is not None
