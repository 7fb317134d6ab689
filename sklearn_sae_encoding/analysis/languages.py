"""One language to another: do models transfer, do features fire for translations, which features know one language?"""

from __future__ import annotations

from itertools import combinations
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.base import clone
from sklearn.utils import check_random_state

from sklearn_sae_encoding.metrics import fisher_mean, voxelwise_pearson


class LanguageTransfer(NamedTuple):
    """Scores of models that were fitted in one language and tested in another."""

    #: DataFrame with a row a language of training and one a column a language of test: mean over voxels.
    table: pd.DataFrame
    #: dict from (train, test) to scores by voxel, ``(n_voxels,)``: Pearson r, Fisher mean over folds.
    voxel_scores: dict
    #: number of folds.
    n_folds: int


def across_languages(estimator, X, Y, *, ids, n_folds=5, random_state=None):
    """Fit in one language and score in every one, with the versions of a sentence kept together.

    In each fold, the model is fitted to the sentences of one language that are not held out, and predicts the responses
    to the held-out sentences of every language: those of the training language too. A sentence and its translations are
    held out together, so that no model is tested on the meaning that it was trained on.

    Parameters
    ----------
    estimator : estimator
        With ``fit`` and ``predict``, such as :class:`~sklearn_sae_encoding.encoder.SparseVoxelEncoder`. Clones are
        fitted.

    X : dict from str to array, sparse matrix or DataFrame of shape (n_sentences, n_features)
        Features by language, with the same columns.

    Y : dict from str to array of shape (n_sentences, n_voxels)
        Responses by language, to the same voxels.

    ids : dict from str to sequence of length n_sentences
        What a sentence shares with its translations.

    n_folds : int, default=5
        Into how many parts the ids are dealt.

    random_state : int, RandomState or None, default=None
        How they are dealt.

    Returns
    -------
    transfer : :class:`LanguageTransfer`

    Raises
    ------
    ValueError
        If languages, lengths or widths differ, or a language has no sentence in a fold.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn_sae_encoding.analysis import across_languages
    >>> rng = np.random.default_rng(0)
    >>> X = {"en": rng.normal(size=(60, 5)), "fr": rng.normal(size=(60, 5))}
    >>> weights = {"en": np.array([1, 1, 0, 0, 0]), "fr": np.array([1, 0, 1, 0, 0])}
    >>> Y = {name: (X[name] @ weights[name])[:, None] for name in X}
    >>> ids = dict.fromkeys(X, np.arange(60))
    >>> across_languages(Ridge(1e-3), X, Y, ids=ids, random_state=0).table.round(1).to_numpy().tolist()
    [[1.0, 0.5], [0.5, 1.0]]
    """
    languages = _check_languages(X, Y, ids)
    folds = _folds_of_ids(ids, n_folds, check_random_state(random_state))
    scores = {(train, test): [] for train in languages for test in languages}
    for fold in range(n_folds):
        for train in languages:
            rows = np.flatnonzero(folds[train] != fold)
            fitted = clone(estimator).fit(_rows(X[train], rows), _rows(Y[train], rows))
            for test in languages:
                held = np.flatnonzero(folds[test] == fold)
                predicted = np.asarray(fitted.predict(_rows(X[test], held))).reshape(len(held), -1)
                observed = np.asarray(_rows(Y[test], held)).reshape(len(held), -1)
                scores[train, test].append(voxelwise_pearson(observed, predicted))
    voxel_scores = {pair: fisher_mean(np.array(folds_of), axis=0) for pair, folds_of in scores.items()}
    means = pd.Series({pair: float(np.nanmean(values)) for pair, values in voxel_scores.items()})
    table = means.unstack().loc[languages, languages].rename_axis(index="train", columns="test")
    return LanguageTransfer(table, voxel_scores, n_folds)


def _rows(values, rows):
    return values.iloc[rows] if isinstance(values, pd.DataFrame | pd.Series) else values[rows]


def _check_languages(X, Y, ids):
    languages = list(X)
    if len(languages) < 2 or set(Y) != set(X) or set(ids) != set(X):
        raise ValueError(f"X, Y and ids need the same two or more languages, got {list(X)}, {list(Y)} and {list(ids)}.")
    for name in languages:
        lengths = (X[name].shape[0], len(Y[name]), len(ids[name]))
        if len(set(lengths)) > 1:
            raise ValueError(f"X, Y and ids of {name!r} have {lengths} rows.")
    for what, table in (("X", X), ("Y", Y)):
        widths = {name: np.shape(table[name])[1:] for name in languages}
        if len(set(widths.values())) > 1:
            raise ValueError(f"The columns of {what} must be the same in every language, got {widths}.")
    return languages


def _folds_of_ids(ids, n_folds, rng):
    known = pd.unique(np.concatenate([np.asarray(values, dtype=object) for values in ids.values()]))
    if not 2 <= n_folds <= len(known):
        raise ValueError(f"n_folds must be from 2 to {len(known)}, the number of different ids, got {n_folds}.")
    fold_of = pd.Series(rng.permutation(np.arange(len(known)) % n_folds), index=known)
    folds = {name: fold_of.loc[np.asarray(values, dtype=object)].to_numpy() for name, values in ids.items()}
    for name, values in folds.items():
        counts = np.bincount(values, minlength=n_folds)
        if counts.min() < 2:
            raise ValueError(f"A fold has {counts.min()} sentences of {name!r}; use fewer folds than {n_folds}.")
    return folds


def translation_retrieval(features, *, standardize=True):
    """Find each sentence's translation by its features.

    For every ordered pair of languages, a sentence's features are compared by cosine with those of all sentences of the
    other language, centred within each language.

    Parameters
    ----------
    features : dict from str to array or sparse matrix of shape (n_sentences, n_features)
        Row `i` of every language is a version of the same sentence. SAE features, or dense states to compare with.

    standardize : bool, default=True
        Divide each feature by its standard deviation within the language; features that never vary are left out. False
        compares the features as they are, so that the strongest decide.

    Returns
    -------
    table : DataFrame
        A row an ordered pair: ``source``, ``target``, ``top_1`` (share of sentences whose translation is the most
        similar), ``mean_reciprocal_rank``, ``median_rank`` (from 1), and ``chance``, ``top_1`` of a guess.

    Raises
    ------
    ValueError
        If languages have different numbers of sentences or features.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_sae_encoding.analysis import translation_retrieval
    >>> shared = np.random.default_rng(0).normal(size=(50, 30))
    >>> noise = np.random.default_rng(1).normal(size=(2, 50, 30))
    >>> table = translation_retrieval({"en": shared + noise[0], "fr": shared + noise[1]})
    >>> table["target"].tolist(), (table["top_1"] > 0.5).all(), table["chance"].tolist()
    (['fr', 'en'], np.True_, [0.02, 0.02])
    """
    languages = _check_parallel(features)
    units = {name: _unit_rows(features[name], standardize) for name in languages}
    rows = []
    for source in languages:
        for target in languages:
            if source == target:
                continue
            similarity = units[source] @ units[target].T
            # Ties count against the translation: features that are silent for both find nothing.
            ranks = (similarity >= np.diag(similarity)[:, None]).sum(axis=1)
            rows.append(
                {
                    "source": source,
                    "target": target,
                    "top_1": float((ranks == 1).mean()),
                    "mean_reciprocal_rank": float((1 / ranks).mean()),
                    "median_rank": float(np.median(ranks)),
                    "chance": 1 / len(ranks),
                }
            )
    return pd.DataFrame(rows)


def _check_parallel(features):
    languages = list(features)
    shapes = {name: features[name].shape for name in languages}
    if len(languages) < 2 or len(set(shapes.values())) > 1:
        raise ValueError(
            f"Expected the same sentences and features in two or more languages, row by row, got the shapes {shapes}."
        )
    return languages


def _unit_rows(values, standardize):
    values = values.toarray() if sparse.issparse(values) else np.asarray(values)
    values = values.astype(np.float64) - values.mean(axis=0)
    if standardize:
        spread = values.std(axis=0)
        values = values / np.where(spread > 0, spread, np.inf)
    lengths = np.linalg.norm(values, axis=1, keepdims=True)
    return values / np.where(lengths > 0, lengths, 1.0)


def feature_correspondence(features, *, min_share=0.01):
    """Does a feature fire for a sentence and for its translation?

    Parameters
    ----------
    features : dict from str to array or sparse matrix of shape (n_sentences, n_features)
        Row `i` of every language is a version of the same sentence; a feature fires where it is not zero.

    min_share : float, default=0.01
        A pair of languages is compared for a feature that fires for at least this share of sentences in both.

    Returns
    -------
    table : DataFrame
        A row a pair of languages and feature that is frequent enough: ``first``, ``second``, ``feature`` (position),
        ``fires_first`` and ``fires_second`` (shares of sentences), ``both``, ``expected`` (the share if the two were
        unrelated), ``phi`` (correlation of firing; NaN where a feature fires everywhere) and ``r`` (correlation of the
        features' values).

    Raises
    ------
    ValueError
        If languages have different numbers of sentences or features.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_sae_encoding.analysis import feature_correspondence
    >>> en = np.array([[1.0, 0.0], [2.0, 0.0], [0.0, 3.0], [0.0, 1.0]])
    >>> fr = np.array([[1.0, 2.0], [1.0, 0.0], [0.0, 0.0], [0.0, 1.0]])
    >>> feature_correspondence({"en": en, "fr": fr})[["feature", "both", "expected", "phi"]]
       feature  both  expected  phi
    0        0  0.50      0.25  1.0
    1        1  0.25      0.25  0.0
    """
    languages = _check_parallel(features)
    stored = {name: sparse.csc_array(features[name]).astype(np.float64) for name in languages}
    fires = {name: (stored[name] != 0).astype(np.float64) for name in languages}
    n = stored[languages[0]].shape[0]
    tables = []
    for first, second in combinations(languages, 2):
        shares = [np.asarray(fires[name].sum(axis=0)).ravel() / n for name in (first, second)]
        kept = np.flatnonzero((shares[0] >= min_share) & (shares[1] >= min_share))
        tables.append(
            pd.DataFrame(
                {
                    "first": first,
                    "second": second,
                    "feature": kept,
                    "fires_first": shares[0][kept],
                    "fires_second": shares[1][kept],
                    "both": np.asarray(fires[first].multiply(fires[second]).sum(axis=0)).ravel()[kept] / n,
                    "expected": (shares[0] * shares[1])[kept],
                    "phi": _correlate_columns(fires[first], fires[second])[kept],
                    "r": _correlate_columns(stored[first], stored[second])[kept],
                }
            )
        )
    return pd.concat(tables, ignore_index=True)


def _correlate_columns(first, second):
    n = first.shape[0]

    def total(values):
        return np.asarray(values.sum(axis=0)).ravel()

    means = total(first) / n, total(second) / n
    covariance = total(first.multiply(second)) / n - means[0] * means[1]
    variances = [total(values.power(2)) / n - mean**2 for values, mean in zip((first, second), means, strict=True)]
    with np.errstate(invalid="ignore", divide="ignore"):
        r = covariance / np.sqrt(variances[0] * variances[1])
    return np.where(np.minimum(*variances) > 1e-12, r, np.nan)


def language_shares(features, *, specific=0.9, min_share=0.001):
    """How much of each feature's firing lies in each language.

    Parameters
    ----------
    features : dict from str to array or sparse matrix of shape (n_rows, n_features)
        Rows of the same kind (tokens, words or sentences) of comparable texts, best translations; numbers of rows may
        differ. A feature fires where it is not zero.

    specific : float, default=0.9
        A feature is specific to a language that has at least this share of its firing.

    min_share : float, default=0.001
        Features that fire for less than this share of rows in every language are called silent.

    Returns
    -------
    table : DataFrame
        A row a feature: the rate of firing by language, and ``kind``: the language to which it is specific,
        ``"shared"`` or ``"silent"``. ``table["kind"].value_counts(normalize=True)`` has the shares.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_sae_encoding.analysis import language_shares
    >>> en, fr = np.array([[1.0, 2.0, 0.0]] * 4), np.array([[3.0, 0.0, 0.0]] * 2)
    >>> language_shares({"en": en, "fr": fr})["kind"].tolist()
    ['shared', 'en', 'silent']
    """
    widths = {name: values.shape[1] for name, values in features.items()}
    if len(widths) < 2 or len(set(widths.values())) > 1:
        raise ValueError(f"Expected the same features in two or more languages, got widths {widths}.")
    if not 1 / len(widths) < specific <= 1:
        raise ValueError(f"specific must be above 1 / {len(widths)} and at most 1, got {specific}.")
    rates = pd.DataFrame(
        {
            name: np.asarray((sparse.csr_array(values) != 0).sum(axis=0)).ravel() / values.shape[0]
            for name, values in features.items()
        }
    )
    total = rates.sum(axis=1)
    share = rates.div(total.where(total > 0, 1.0), axis=0)
    kind = share.idxmax(axis=1).where(share.max(axis=1) >= specific, "shared")
    return rates.assign(kind=kind.where(rates.max(axis=1) >= min_share, "silent"))
