"""Time a voxel's whole cross-validated lasso: ours against scikit-learn, celer, skglm and adelie.

    python benchmarks/bench_encoder.py --problem A --voxels 1000 --others 4

Every competitor gets the same features, folds, penalties and duality gap, and as many voxels as `--others` says; the
table gives seconds a voxel and the ratio to ours. Packages that are not installed are left out.
"""

from __future__ import annotations

import argparse
import importlib.util
import warnings

import numpy as np
from _common import problem_a, problem_c, seconds

TOL = 1e-4


def ours(problem):
    from sklearn_sae_encoding.encoder import SparseVoxelEncoder

    encoder = SparseVoxelEncoder(problem.alphas, eps=problem.eps, cv=problem.splits, tol=TOL).fit(problem.X, problem.Y)
    return encoder.alpha_


def scikit_learn(problem):
    from sklearn.linear_model import LassoCV

    model = LassoCV(alphas=problem.alphas, eps=problem.eps, cv=problem.splits, tol=TOL, max_iter=10_000)
    return np.array([model.fit(problem.X, y).alpha_ for y in problem.Y.T])


def scikit_learn_lars(problem):
    """Dense features only, and its own penalties: every breakpoint down to the same smallest one."""
    from sklearn.linear_model import LassoLarsCV

    X = problem.X.toarray()
    return np.array([LassoLarsCV(cv=problem.splits, max_iter=500).fit(X, y).alpha_ for y in problem.Y.T])


def _path_by(solve_path, problem):
    """Choose alphas by a function of (X, y, alphas) that returns weights (n_features, n_alphas), on centred targets."""
    chosen = []
    for y in problem.Y.T:
        alphas = alpha_grid(problem, y)
        errors = np.zeros((len(alphas), len(problem.splits)))
        for fold, (train, test) in enumerate(problem.splits):
            mean, offset = np.asarray(problem.X[train].mean(axis=0)).ravel(), y[train].mean()
            W = solve_path(problem.X[train], y[train] - offset, alphas)
            predictions = problem.X[test] @ W - mean @ W + offset
            errors[:, fold] = np.mean((y[test][:, None] - predictions) ** 2, axis=0)
        chosen.append(alphas[errors.mean(axis=1).argmin()])
        solve_path(problem.X, y - y.mean(), alphas[alphas >= chosen[-1]])
    return np.array(chosen)


def alpha_grid(problem, y):
    top = np.abs(problem.X.T @ (y - y.mean())).max() / len(y)
    return np.geomspace(top, top * problem.eps, problem.alphas)


def celer(problem):
    """Without an intercept in the path, which celer lacks: a slightly easier problem."""
    from celer import celer_path

    def solve_path(X, y, alphas):
        return celer_path(X, y, "lasso", alphas=alphas, tol=TOL, max_iter=1000)[1]

    return _path_by(solve_path, problem)


def skglm(problem):
    from scipy.sparse import csc_matrix
    from skglm import Lasso

    def solve_path(X, y, alphas):
        model = Lasso(warm_start=True, tol=TOL * 1e-2, max_iter=200)
        X = csc_matrix(X)
        return np.column_stack([model.set_params(alpha=alpha).fit(X, y).coef_.copy() for alpha in alphas])

    return _path_by(solve_path, problem)


COMPETITORS = {
    "scikit-learn LassoCV": ("sklearn", scikit_learn),
    "scikit-learn LassoLarsCV": ("sklearn", scikit_learn_lars),
    "celer_path": ("celer", celer),
    "skglm": ("skglm", skglm),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--problem", choices="AC", default="A")
    parser.add_argument("--voxels", type=int, default=200)
    parser.add_argument("--others", type=int, default=4, help="voxels for the competitors")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", nargs="*", default=list(COMPETITORS))
    options = parser.parse_args()
    problem = {"A": problem_a, "C": problem_c}[options.problem](options.voxels)
    few = problem._replace(Y=np.ascontiguousarray(problem.Y[:, : options.others]))

    ours(problem._replace(Y=problem.Y[:, :2]))  # compiles
    time, alphas = seconds(ours, problem, repeats=options.repeats)
    base = time / options.voxels
    print(f"problem {options.problem}: X {problem.X.shape}, {problem.X.nnz / problem.X.shape[0]:.0f} non-zeros a row")
    print(f"{'':28s}{'voxels':>8s}{'s / voxel':>12s}{'ratio':>9s}{'same alpha':>12s}")
    print(f"{'SparseVoxelEncoder':28s}{options.voxels:8d}{base:12.5f}{1.0:9.1f}{'':>12s}")
    for name in options.only:
        package, function = COMPETITORS[name]
        if importlib.util.find_spec(package) is None:
            print(f"{name:28s}{'not installed':>20s}")
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            time, found = seconds(function, few, repeats=1)
        same = np.mean(np.isclose(found, alphas[: options.others], rtol=1e-6))
        print(
            f"{name:28s}{options.others:8d}{time / options.others:12.5f}{time / options.others / base:9.1f}{same:12.2f}"
        )


if __name__ == "__main__":
    main()
