"""Which dictionary of features tells voxels most? SAEs, factorisations and norms, put to the same question."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.sparsefuncs import mean_variance_axis
from sklearn.utils.validation import check_is_fitted

from sklearn_sae_encoding.analysis.restricted import restrict_encoder
from sklearn_sae_encoding.analysis.supports import support_stability
from sklearn_sae_encoding.encoder import SparseVoxelEncoder
from sklearn_sae_encoding.metrics import cross_val_voxel_scores
from sklearn_sae_encoding.tokens import TokenTable


class DictionaryComparison(NamedTuple):
    """What :func:`compare_dictionaries` gives."""

    results: dict  # of name to VoxelScores, with the fitted encoders
    features: dict  # of name to (n_texts, n_columns), surprisal last if it was given
    summary: pd.DataFrame  # a row a dictionary
    columns: dict  # of name to (n_columns,), which of its features a dictionary's columns are


def compare_dictionaries(
    dictionaries,
    tokens,
    Y,
    *,
    surprisal=None,
    n_columns=None,
    encoder=None,
    pooling="mean",
    fit_on=None,
    cv=5,
    noise_ceiling=None,
    n_jobs=None,
    verbose=0,
):
    """Encode the same tokens with several dictionaries, pool each, and score all as predictors of the same voxels.

    Every dictionary encodes tokens, and then its features are pooled. All get as many columns, those that vary most
    over the texts; are scaled by one number each, so that their columns have variance 1 on average and one penalty
    means the same to all; and are scored in the same folds by the same encoder. None of it looks at the responses.

    Parameters
    ----------
    dictionaries : dict of str to dictionary
        A dictionary is an object whose ``encode``, or else ``transform``, takes token rows of shape `(n_tokens, width)`
        and gives `(n_tokens, n_features)`, dense or sparse: an :class:`~sklearn_sae_encoding.sae.SAEProjector`, an SAE
        of sae-lens, PCA or NMF. One that isn't fitted yet is cloned and learns from token rows. A
        :class:`~sklearn_sae_encoding.tokens.TokenTable` is taken for features of tokens or words that are there
        already, such as norms. None stands for the activations themselves.

    tokens : TokenTable or sequence of TokenTable
        Activations of the texts' tokens. Those of several hooks are put side by side, as crosscoders need.

    Y : array-like of shape (n_texts, n_voxels)
        Responses.

    surprisal : array-like of shape (n_texts,), default=None
        Added to all dictionaries, standardised in each fold and always kept. None compares content alone.

    n_columns : int, default=None
        Columns of each. None takes as many as the smallest dictionary has that vary.

    encoder : estimator, default=None
        Cloned for each. None is ``SparseVoxelEncoder(alphas=10, refit="ridge")``, whose penalties are relative to each
        voxel's largest one.

    pooling : {"mean", "sum", "max", "last", "first"}, default="mean"
        How features of tokens become those of a text.

    fit_on : TokenTable or sequence of TokenTable, default=None
        Tokens from which dictionaries learn that aren't fitted. None is `tokens`, all texts: no response is seen, but
        a dictionary that was trained elsewhere hasn't had this advantage.

    cv, noise_ceiling, n_jobs, verbose
        As in :func:`~sklearn_sae_encoding.metrics.cross_val_voxel_scores`.

    Returns
    -------
    comparison : DictionaryComparison
        A named tuple of ``results`` (scores by name, for :func:`~sklearn_sae_encoding.metrics.voxel_score_table`),
        ``features`` (pooled, by name), ``columns`` (which of the dictionary's features these are) and ``summary`` with
        a row a dictionary: `n_features` it has, `n_columns` used, `density` (share of tokens and columns that are not
        0), mean `score` over voxels (over the noise ceiling where one is given), mean `support` size, and `jaccard`
        and `stability` of supports over folds as in :func:`support_stability`, surprisal not counted.

    Raises
    ------
    ValueError
        If an object is no dictionary, gives other rows than tokens, has fewer columns than asked for, or the tables
        hold different texts.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.decomposition import PCA
    >>> from sklearn_sae_encoding.analysis import RandomDictionary, compare_dictionaries
    >>> from sklearn_sae_encoding.tokens import TokenTable
    >>> rng = np.random.default_rng(0)
    >>> tokens = TokenTable([rng.normal(size=(6, 8)) for _ in range(60)])
    >>> Y = tokens.pool()[:, :2] + 0.1 * rng.normal(size=(60, 2))
    >>> dictionaries = {"PCA": PCA(4), "random": RandomDictionary(20, random_state=0), "dense": None}
    >>> comparison = compare_dictionaries(dictionaries, tokens, Y, n_columns=4)
    >>> comparison.summary[["n_features", "n_columns"]].T.to_dict("list")
    {'PCA': [4, 4], 'random': [20, 4], 'dense': [8, 4]}
    """
    if not isinstance(dictionaries, Mapping) or not dictionaries:
        raise ValueError(f"dictionaries must be a dict of name to dictionary, got {dictionaries!r}.")
    tables = _tables(tokens)
    rows = _side_by_side(tables)
    learn_from = rows if fit_on is None else _side_by_side(_tables(fit_on))
    encoded = {
        name: one if isinstance(one, TokenTable) else _encode(name, one, rows, learn_from)
        for name, one in dictionaries.items()
    }
    pooled = {name: _pool(name, values, tables[0], pooling) for name, values in encoded.items()}
    n_varying = {name: int((_variances(X) > 0).sum()) for name, X in pooled.items()}
    n_columns = min(n_varying.values()) if n_columns is None else n_columns
    if few := {name: n for name, n in n_varying.items() if n < n_columns or n == 0}:
        raise ValueError(f"n_columns={n_columns}, but so many columns vary over the texts: {few}. Ask for fewer.")
    model = restrict_encoder(
        surprisal=surprisal is not None,
        encoder=SparseVoxelEncoder(alphas=10, refit="ridge") if encoder is None else encoder,
    )
    results, features, summary, columns = {}, {}, {}, {}
    for name, X in pooled.items():
        columns[name], scaled = _equal(X, n_columns)
        features[name] = _with_surprisal(scaled, surprisal)
        options = {"cv": cv, "noise_ceiling": noise_ceiling, "n_jobs": n_jobs, "verbose": verbose}
        results[name] = cross_val_voxel_scores(model, features[name], Y, return_estimators=True, **options)
        summary[name] = {"n_features": X.shape[1], "n_columns": n_columns, "density": _density(encoded[name])}
        summary[name] |= _summarize(results[name], None if surprisal is None else -1)
    return DictionaryComparison(results, features, pd.DataFrame(summary).T.convert_dtypes(), columns)


def _tables(tokens):
    tables = [tokens] if isinstance(tokens, TokenTable) else list(tokens)
    lengths = [np.asarray(table.n_tokens).tolist() for table in tables]
    for hook, other in enumerate(lengths[1:], start=1):
        if len(other) != len(lengths[0]):
            raise ValueError(
                f"All hooks must have the same texts: {len(lengths[0])} in hook 0, {len(other)} in hook {hook}."
            )
        for text, (first, own) in enumerate(zip(lengths[0], other, strict=True)):
            if first != own:
                raise ValueError(
                    f"All hooks must have the same tokens: of text {text} hook 0 has {first}, hook {hook} {own}."
                )
    return tables


def _side_by_side(tables):
    return np.hstack([np.asarray(_dense(table.concatenated()), dtype=np.float32) for table in tables])


def _encode(name, dictionary, rows, learn_from):
    """Features of all tokens, ``(n_tokens, n_features)``."""
    if dictionary is None:
        return rows
    if not hasattr(dictionary, "encode") and not hasattr(dictionary, "transform"):
        raise ValueError(f"{name!r} is no dictionary: {dictionary!r} has neither encode nor transform.")
    dictionary = _fitted(dictionary, learn_from)
    encode = dictionary.encode if hasattr(dictionary, "encode") else dictionary.transform
    values = encode(_as_torch(rows)) if hasattr(dictionary, "parameters") else encode(rows)
    values = values.detach().cpu().numpy() if hasattr(values, "detach") else values
    if (np.ndim(values) != 2 and not sparse.issparse(values)) or values.shape[0] != len(rows):
        raise ValueError(f"{name!r} must give a row a token, {len(rows)}; it gave an array of shape {values.shape}.")
    return sparse.csr_array(values) if sparse.issparse(values) else np.asarray(values)


def _fitted(dictionary, learn_from):
    if not hasattr(dictionary, "fit") or hasattr(dictionary, "parameters"):
        return dictionary
    try:
        check_is_fitted(dictionary)
    except NotFittedError:
        return clone(dictionary).fit(learn_from)
    return dictionary


def _as_torch(rows):
    import torch

    return torch.from_numpy(rows)


def _pool(name, values, table, pooling):
    """One row a text."""
    if isinstance(values, TokenTable):
        if len(values) != len(table):
            raise ValueError(f"{name!r} holds {len(values)} texts, the activations {len(table)}.")
        return values.pool(pooling=pooling)
    ends = np.cumsum(table.n_tokens)
    parts = [values[end - n : end] for n, end in zip(table.n_tokens, ends, strict=True)]
    return TokenTable(parts).pool(pooling=pooling)


def _variances(X):
    """Variance of each column, dense or sparse."""
    if sparse.issparse(X):
        return mean_variance_axis(sparse.csr_array(X, dtype=np.float64), axis=0)[1]
    return np.var(np.asarray(X, dtype=np.float64), axis=0)


def _equal(X, n_columns):
    """Take the columns that vary most, in their order, and bring their mean variance to 1."""
    own = _variances(X)
    chosen = np.sort(np.argsort(-own, kind="stable")[:n_columns])
    return chosen, X[:, chosen] / np.sqrt(own[chosen].mean())


def _with_surprisal(X, surprisal):
    if surprisal is None:
        return X
    surprisal = np.asarray(surprisal, dtype=np.float64).reshape(-1, 1)
    if len(surprisal) != X.shape[0]:
        raise ValueError(f"surprisal must have a value a text, {X.shape[0]}; got {len(surprisal)}.")
    return sparse.csr_array(sparse.hstack([X, surprisal])) if sparse.issparse(X) else np.hstack([X, surprisal])


def _density(values):
    values = values.concatenated() if isinstance(values, TokenTable) else values
    active = values.count_nonzero() if sparse.issparse(values) else np.count_nonzero(values)
    return active / np.prod(values.shape)


def _summarize(result, exclude):
    scores = result.scores if result.normalized_scores is None else result.normalized_scores
    supports = support_stability([fitted["encoder"] for fitted in result.estimators], exclude=exclude).mean()
    return {
        "score": float(np.nanmean(scores)),
        "support": supports["mean_size"],
        "jaccard": supports["jaccard"],
        "stability": supports["stability"],
    }


def _dense(values):
    return values.toarray() if sparse.issparse(values) else values
