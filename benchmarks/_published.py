"""Problem B: the published protocol on the real voxels, ours beside the same protocol around other lassos."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np
from _common import Problem
from scipy import sparse
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.feature_selection import SelectKBest, f_regression
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import KFold

OUTER = KFold(5, shuffle=True, random_state=19)
ALPHAS = np.logspace(0, -2, 10)
N_BEST = 8000


class Scored(NamedTuple):
    scores: np.ndarray  # (n_voxels,), mean r over the outer folds
    sizes: np.ndarray  # (n_voxels,), mean number of features


def load(n_voxels):
    """Return voxels of all sets and participants that are here, evenly spaced; surprisal is the last feature.

    The features of the paper need Gemma's weights. Counts of strings of up to 8 characters are as many as pass its
    screening and more, and as sparse.
    """
    from sklearn_sae_encoding.datasets import fetch_lepori2026

    data = fetch_lepori2026(["p1", "p2", "p3", "p4"], download_if_missing=False)
    counts = CountVectorizer(analyzer="char_wb", ngram_range=(1, 8)).fit_transform(data.texts)
    X = sparse.hstack([counts, data.stimuli[["surprisal-gpt2-xl_mean"]].to_numpy()], format="csr", dtype=np.float64)
    chosen = np.unique(np.linspace(0, data.betas.shape[1] - 1, min(n_voxels, data.betas.shape[1])).astype(int))
    Y = np.ascontiguousarray(data.betas[:, chosen])
    return Problem("B", sparse.csr_array(X), Y, list(OUTER.split(Y)), ALPHAS, eps=0.01, kinds={"real": slice(None)})


def ours(problem):
    from sklearn_sae_encoding.metrics import voxelwise_pearson
    from sklearn_sae_encoding.pipeline import make_published_encoder

    scores, sizes = [], []
    for train, test in problem.splits:
        encoder = make_published_encoder().fit(problem.X[train], problem.Y[train])
        scores.append(voxelwise_pearson(problem.Y[test], encoder.predict(problem.X[test])))
        sizes.append(np.diff(encoder.coef_.indptr))
    return Scored(np.mean(scores, axis=0), np.mean(sizes, axis=0))


def around(lasso):
    """Return a competitor's function: screening and refit of scikit-learn around `lasso`, one voxel at a time."""

    def solve(X, Y, grids, splits, tol):
        return [_one_voxel(partial(lasso, tol=tol), X, y, alphas, splits) for y, alphas in zip(Y.T, grids, strict=True)]

    return solve


def _one_voxel(lasso, X, y, alphas, splits):
    scores, sizes = [], []
    for train, test in splits:
        z = (y[train] - y[train].mean()) / y[train].std()
        with np.errstate(invalid="ignore", divide="ignore"):
            kept = np.flatnonzero(SelectKBest(f_regression, k=min(N_BEST, X.shape[1])).fit(X[train], z).get_support())
        inner = list(KFold(5).split(train))
        chosen = lasso(sparse.csc_matrix(X[train][:, kept]), z[:, None], alphas[None], inner)[0]
        support = np.union1d(kept[np.abs(chosen.weights) >= 1e-5], X.shape[1] - 1)
        ridge = RidgeCV(np.logspace(-2, 5, 8)).fit(X[train][:, support].toarray(), z)
        scores.append(np.corrcoef(y[test], ridge.predict(X[test][:, support].toarray()))[0, 1])
        sizes.append(len(support))
    return float(np.mean(scores)), float(np.mean(sizes))


def compare(chosen: list, of_ours: Scored):
    """Return the largest differences of score and of number of features."""
    scores, sizes = np.array(chosen).T
    return np.abs(scores - of_ours.scores[: len(scores)]).max(), np.abs(sizes - of_ours.sizes[: len(sizes)]).max()
