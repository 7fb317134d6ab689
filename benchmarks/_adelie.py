"""adelie at the task of bench_encoder.py, in an environment of its own: problem file, result file, seconds.

pip install "numpy<2" adelie
"""

import json
import sys
import time

import adelie
import numpy as np
from scipy import sparse

TOL = 1e-7  # of its own kind, its default; the duality gaps that come out are well below ours


def solve_path(X, y, alphas):
    """Return weights (n_alphas, n_features) and intercepts."""
    state = adelie.grpnet(
        adelie.matrix.sparse(sparse.csc_matrix(X), method="naive"),
        adelie.glm.gaussian(y),
        lmda_path=alphas,
        tol=TOL,
        early_exit=False,
        progress_bar=False,
    )
    return state.betas, state.intercepts


def choose(X, rows, y, alphas, splits):
    errors = np.zeros((len(alphas), len(splits)))
    for fold, (train, test) in enumerate(splits):
        W, b = solve_path(rows[train], y[train], alphas)
        errors[:, fold] = np.mean((y[test][:, None] - ((rows[test] @ W.T).toarray() + b)) ** 2, axis=0)
    best = errors.mean(axis=1).argmin()
    W, b = solve_path(X, y, alphas[: best + 1])
    return alphas[best], W[best].toarray().ravel(), b[best]


def main(given, found, limit):
    with np.load(given) as arrays:
        X = sparse.csc_matrix((arrays["data"], arrays["indices"], arrays["indptr"]), shape=tuple(arrays["shape"]))
        Y, grids = arrays["Y"], arrays["grids"]
        n_folds = sum(name.startswith("a") for name in arrays.files)
        splits = [(arrays[f"a{i}"], arrays[f"b{i}"]) for i in range(n_folds)]
    rows, walls, cpus, chosen = X.tocsr(), [], [], []
    for y, alphas in zip(Y.T, grids):  # noqa: B905 (NumPy below 2 may come with an old Python)
        wall, cpu = time.perf_counter(), time.process_time()
        chosen.append(choose(X, rows, np.ascontiguousarray(y), alphas, splits))
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
        if sum(walls) + walls[-1] > limit:
            break
    alpha, weights, intercept = (np.array(part) for part in zip(*chosen))  # noqa: B905
    np.savez(found, alpha=alpha, weights=weights, intercept=intercept)
    print(json.dumps({"walls": walls, "cpus": cpus}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]))
