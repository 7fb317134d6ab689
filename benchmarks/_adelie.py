"""adelie at the task of bench_encoder.py, in an environment of its own: problem file, result file, seconds, tolerance.

pip install "numpy<2" adelie
"""

import json
import signal
import sys
import time

import adelie
import numpy as np
from scipy import sparse


class TimeIsUp(Exception):
    pass


def stop(_signal, _frame):
    raise TimeIsUp  # at the end of a path: adelie does not look up before


def solve_path(X, y, alphas, tol):
    """Return weights (n_alphas, n_features) and intercepts."""
    state = adelie.grpnet(
        adelie.matrix.sparse(sparse.csc_matrix(X), method="naive"),
        adelie.glm.gaussian(y),
        lmda_path=alphas,
        tol=tol,
        early_exit=False,
        progress_bar=False,
    )
    return state.betas, state.intercepts


def choose(X, rows, y, alphas, splits, tol):
    """Return alpha, weights and intercept, and weights and intercepts of the first fold's path."""
    errors = np.zeros((len(alphas), len(splits)))
    for fold, (train, test) in enumerate(splits):
        W, b = solve_path(rows[train], y[train], alphas, tol)
        errors[:, fold] = np.mean((y[test][:, None] - ((rows[test] @ W.T).toarray() + b)) ** 2, axis=0)
        if fold == 0:
            first = W, b
    best = errors.mean(axis=1).argmin()
    W, b = solve_path(X, y, alphas[: best + 1], tol)
    return alphas[best], W[best].toarray().ravel(), b[best], first[0].toarray(), first[1]


def main(given, found, limit, tol):
    with np.load(given) as arrays:
        X = sparse.csc_matrix((arrays["data"], arrays["indices"], arrays["indptr"]), shape=tuple(arrays["shape"]))
        Y, grids = arrays["Y"], arrays["grids"]
        n_folds = sum(name.startswith("a") for name in arrays.files)
        splits = [(arrays[f"a{i}"], arrays[f"b{i}"]) for i in range(n_folds)]
    rows, walls, cpus, chosen, stopped = X.tocsr(), [], [], [], None
    signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, limit)
    try:
        for y, alphas in zip(Y.T, grids):  # noqa: B905 (NumPy below 2 may come with an old Python)
            wall, cpu = time.perf_counter(), time.process_time()
            one = choose(X, rows, np.ascontiguousarray(y), alphas, splits, tol)
            walls.append(time.perf_counter() - wall)
            cpus.append(time.process_time() - cpu)
            chosen.append(one)
        signal.setitimer(signal.ITIMER_REAL, 0)
    except TimeIsUp:
        stopped = time.perf_counter() - wall, time.process_time() - cpu, ""
    del walls[len(chosen) :], cpus[len(chosen) :]
    names = "alpha", "weights", "intercepts", "paths", "path_intercepts"
    np.savez(found, **{name: np.array([one[k] for one in chosen]) for k, name in enumerate(names)})
    print(json.dumps({"walls": walls, "cpus": cpus, "stopped": stopped}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]), float(sys.argv[4]))
