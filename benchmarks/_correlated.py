"""Problems with features as users have them: R, those of real sentences, and Z, Zipf-like ones in topics."""

from __future__ import annotations

import numpy as np
from _common import Problem, voxels
from scipy import sparse
from sklearn.model_selection import KFold

CV = KFold(5, shuffle=True, random_state=0)


def real(n_voxels):
    """R: SAE features of SmolLM2 and surprisal of 200 sentences, with the published betas where they are here.

    Without them the sentences are those that ship, and voxels follow 20 planted features, or none.
    """
    from sklearn_sae_encoding.datasets import (
        fetch_lepori2026,
        load_demo_sae,
        load_sentences,
        load_smollm2,
    )
    from sklearn_sae_encoding.pipeline import make_augmented_encoder

    try:
        data = fetch_lepori2026(["p1", "p2", "p3", "p4"], download_if_missing=False)
        texts, betas = data.texts, data.betas
    except OSError as error:
        print(f"problem R: the published betas are left out: {error}")
        texts, betas = load_sentences(), None
    X = make_augmented_encoder(load_smollm2(), layer=15, sae=load_demo_sae())[:-1].fit_transform(texts)
    X = sparse.csc_array(X, dtype=np.float64)
    if betas is None:
        return _problem("R", X, voxels(X, n_voxels), {"signal": slice(0, None, 2), "noise": slice(1, None, 2)})
    chosen = np.unique(np.linspace(0, betas.shape[1] - 1, min(n_voxels, betas.shape[1])).astype(int))
    return _problem("R", X, _standardised(betas[:, chosen]), {"real": slice(None)})


def topics(n_voxels, n_samples=200, n_features=32768, seed=5):
    """Z: a few features nearly everywhere, the rest in topics that come together, all of unit mean square."""
    rng = np.random.default_rng(seed)
    chances = 1 / (np.arange(n_features) + 20.0)
    chances /= chances.sum()
    rows, columns, values = [], [], []
    for sample in range(n_samples):
        topic, n_parts = rng.permutation(n_features)[:200], rng.integers(6, 14)
        for _ in range(n_parts):
            fired = np.unique(np.concatenate([rng.choice(n_features, 32, p=chances), rng.choice(topic, 8)]))
            rows.append(np.full(len(fired), sample))
            columns.append(fired)
            values.append(rng.gamma(2.0, 1.0, len(fired)) / n_parts)
    entries = np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))
    X = sparse.csc_array(sparse.coo_array(entries, shape=(n_samples, n_features)))
    X = X[:, np.flatnonzero(np.diff(X.indptr) >= 2)]
    X = sparse.csc_array(X.multiply(1 / np.sqrt(np.asarray(X.multiply(X).mean(axis=0)).ravel())))
    X.indices, X.indptr = X.indices.astype(np.int32), X.indptr.astype(np.int32)  # or scikit-learn refuses them
    weights = np.zeros((X.shape[1], n_voxels))
    for voxel in range(0, n_voxels, 2):
        weights[rng.choice(min(1500, X.shape[1]), 20, replace=False), voxel] = rng.normal(size=20)
    signal = X @ weights
    sd = signal.std(axis=0)
    Y = 0.7 * (signal - signal.mean(axis=0)) / np.where(sd > 0, sd, 1.0) + rng.normal(size=signal.shape)
    return _problem("Z", X, _standardised(Y), {"signal": slice(0, None, 2), "noise": slice(1, None, 2)})


def _problem(name, X, Y, kinds):
    return Problem(name, X, Y, list(CV.split(Y)), 30, 1e-2, kinds)


def _standardised(Y):
    Y = Y - Y.mean(axis=0)
    return np.ascontiguousarray(Y / Y.std(axis=0))
