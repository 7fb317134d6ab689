"""Does what we read into a population's features predict its responses to texts that were held out?"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.stats import rankdata
from sklearn.utils import check_array, check_random_state

from sklearn_sae_encoding._fitted.tables import find_features
from sklearn_sae_encoding.fitted import weights_and_features
from sklearn_sae_encoding.metrics import permutation_p_values
from sklearn_sae_encoding.metrics._leaks import warn_of_leaks


class InterpretationCheck(NamedTuple):
    """How well a population's features pick the held-out texts to which it responds most."""

    rho: float  # Spearman's correlation of index and response, mean over folds
    auc: float  # share of pairs of a strong and another response that the index orders rightly, mean over folds
    p_value: float  # of rho: does the reading predict at all?
    p_matched: float  # of rho: does it predict better than random features of the same firing rates?
    fold_rho: np.ndarray  # (n_folds,)
    fold_auc: np.ndarray  # (n_folds,)
    matched_rho: np.ndarray  # (n_folds, n_draws), of the random features
    features: pd.DataFrame  # `fold`, `feature`, `index` and `sign` of those chosen, in each fold the most used first
    index: np.ndarray  # (n_samples,), of each text from the fold that held it out, NaN if none did
    response: np.ndarray  # (n_samples,), measured mean response of the population, likewise


def check_interpretation(
    X,
    Y,
    fits,
    *,
    splits,
    mask=None,
    n_features=10,
    exclude=None,
    features=None,
    top_share=0.25,
    n_draws=1000,
    n_matches=50,
    random_state=None,
):
    """Test whether the features that a population uses pick the texts to which it responds most, on held-out texts.

    In each fold, on its training texts alone: the features that most voxels of the population use, net of those with
    the opposite sign, are the reading; the index of a text is their signed sum, each standardised, all with the same
    weight. On the held-out texts the index is compared with the measured response, averaged over voxels (each
    standardised by its training texts).

    Two null hypotheses are tested. That the reading does not predict: the held-out responses are permuted
    (`p_value`). That random features do as well: each draw replaces every feature by one of those that fire on about
    as many texts, with the sign of its correlation with the population's response on the training texts, so that the
    random reading is a fitted one too (`p_matched`). Folds share training texts, so that their scores go up and down
    together, and a test of their mean would find too much. Each fold has its own p-values instead; their Cauchy
    combination holds, for small p-values, however they depend on each other (Liu and Xie 2020).

    Parameters
    ----------
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Features of the texts.

    Y : array-like of shape (n_samples, n_voxels)
        Responses.

    fits : sequence of estimator, FittedView or {ndarray, sparse array} of shape (n_voxels, n_features)
        The model that was fitted to the training texts of each fold, and to no other, or its weights: with
        ``return_estimators=True``, ``cross_val_voxel_scores(...).estimators``.

    splits : sequence of (train, test)
        Rows of each fold, such as ``cross_val_voxel_scores(...).splits``.

    mask : array-like of bool of shape (n_voxels,), default=None
        The population. None is all voxels. It must not have been chosen by how it responds to these very texts to what
        the features stand for, or the check is circular.

    n_features : int, default=10
        Features in the reading, at most.

    exclude : int, str or sequence of these, default=None
        Columns or names of what are no features to read. None leaves out what the fits know to be surprisal or a
        control.

    features : transformer, FittedView, DataFrame or sequence of str, default=None
        What the features are, for weights; see :func:`~sklearn_sae_encoding.fitted.fitted_view`.

    top_share : float, default=0.25
        Share of a fold's held-out texts with the strongest responses, for `auc`.

    n_draws : int, default=1000
        Random readings and permutations.

    n_matches : int, default=50
        Features nearest in firing rate, among which each is replaced.

    random_state : int, RandomState instance or None, default=None
        Seed of draws and permutations.

    Returns
    -------
    check : InterpretationCheck
        A named tuple with ``rho`` (0 in a fold where no feature is used), ``auc`` (0.5 is chance), ``p_value``,
        ``p_matched``, ``fold_rho``, ``fold_auc``, ``matched_rho``, ``features``, ``index`` and ``response``.

    Raises
    ------
    ValueError
        If shapes disagree or too few features are left to draw from.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_sae_encoding.analysis import check_interpretation
    >>> rng = np.random.default_rng(0)
    >>> X = rng.random((100, 80))
    >>> coef = np.zeros((6, 80))
    >>> coef[:, :3] = 1.0
    >>> Y = X @ coef.T + rng.normal(size=(100, 6))
    >>> folds = [(np.arange(50, 100), np.arange(50)), (np.arange(50), np.arange(50, 100))]
    >>> check = check_interpretation(X, Y, [coef, coef], splits=folds, random_state=0)
    >>> check.rho > 0.5, check.p_value < 0.01, check.p_matched < 0.01
    (True, True, True)
    """
    X = sparse.csc_array(check_array(X, accept_sparse="csc", dtype=np.float64, input_name="X"))
    Y = check_array(Y, dtype=np.float64, input_name="Y")
    fits = list(fits)
    if len(fits) != len(splits):
        raise ValueError(f"Expected weights for each of {len(splits)} folds, got {len(fits)}.")
    coefs, tables = zip(*[weights_and_features(fit, features) for fit in fits], strict=True)
    mask = np.ones(Y.shape[1], dtype=bool) if mask is None else np.asarray(mask, dtype=bool)
    _check_shapes(X, Y, coefs, splits, mask)
    excluded = tables[0]["kind"].isin(["surprisal", "control"]).to_numpy()
    if exclude is not None:
        excluded = np.isin(np.arange(X.shape[1]), find_features(tables[0], exclude))
    splits = [(np.arange(len(Y))[train], np.arange(len(Y))[test]) for train, test in splits]

    warn_of_leaks(X, splits)
    readings = [_most_used(coef, mask, excluded, n_features) for coef in coefs]
    responses = [_response(Y[:, mask], train) for train, _ in splits]
    chosen = np.unique(np.concatenate([features for features, _ in readings]))
    rng = check_random_state(random_state)
    draws = _draw_matched(X, chosen, excluded, n_draws, n_matches, rng)
    involved = np.unique(np.concatenate([chosen, draws.ravel()]))
    values = X[:, involved].toarray()
    folds = [
        _evaluate(values, involved, reading, (chosen, draws), response, split, top_share, rng)
        for reading, response, split in zip(readings, responses, splits, strict=True)
    ]
    return _collect(folds, _table_of(readings, tables), responses, splits, len(Y))


def _table_of(readings, tables):
    parts = [
        pd.DataFrame({"fold": fold, "feature": known["feature"].to_numpy()[chosen], "index": chosen, "sign": signs})
        for fold, ((chosen, signs), known) in enumerate(zip(readings, tables, strict=True))
    ]
    return pd.concat(parts, ignore_index=True).astype({"fold": int, "index": int, "sign": int})


class _Fold(NamedTuple):
    index: np.ndarray  # (n_test,)
    rho: float
    auc: float
    matched_rho: np.ndarray  # (n_draws,)
    permuted_rho: np.ndarray  # (n_draws,)


def _check_shapes(X, Y, coefs, splits, mask):
    if X.shape[0] != len(Y):
        raise ValueError(f"X and Y must have a row a text, but have {X.shape[0]} and {len(Y)} rows.")
    for fold, coef in enumerate(coefs):
        if coef.shape != (Y.shape[1], X.shape[1]):
            raise ValueError(
                f"The weights of fold {fold} must be of (n_voxels, n_features) = {(Y.shape[1], X.shape[1])}, got "
                f"{coef.shape}."
            )
    if mask.shape != (Y.shape[1],) or not mask.any():
        raise ValueError(f"mask must be one bool a voxel, ({Y.shape[1]},), not all False; got shape {mask.shape}.")


def _most_used(coef, mask, excluded, n_features):
    """Return the features with the largest net number of voxels, and their signs."""
    net = np.asarray(coef[mask].sign().sum(axis=0)).ravel()
    net[excluded] = 0
    features = np.argsort(-np.abs(net), kind="stable")[:n_features]
    features = features[net[features] != 0]
    return features, np.sign(net[features])


def _response(Y, train):
    """Mean over voxels, each standardised by its training texts; constant ones are left out."""
    sd = Y[train].std(axis=0)
    varies = sd > 0
    return (
        ((Y[:, varies] - Y[train][:, varies].mean(axis=0)) / sd[varies]).mean(axis=1) if varies.any() else 0 * Y[:, 0]
    )


def _draw_matched(X, chosen, excluded, n_draws, n_matches, rng):
    """Draw for each chosen feature one of about the same firing rate, none twice in a draw: (n_draws, n_chosen)."""
    rates = np.asarray((X != 0).sum(axis=0)).ravel()
    allowed = ~excluded & (rates > 0)
    allowed[chosen] = False
    allowed = np.flatnonzero(allowed)
    if len(allowed) < 2 * len(chosen):
        raise ValueError(
            f"Only {len(allowed)} features that fire are left to draw from for {len(chosen)} chosen ones; at least "
            "twice as many are needed. Lower n_features or offer more features."
        )
    draws = np.empty((n_draws, len(chosen)), dtype=np.intp)
    for c, feature in enumerate(chosen):
        far = np.abs(rates[allowed] - rates[feature])
        nearest = allowed[np.argsort(far, kind="stable")[: max(n_matches, 2 * len(chosen))]]
        draws[:, c] = rng.choice(nearest, size=n_draws)
        while (again := (draws[:, :c] == draws[:, [c]]).any(axis=1)).any():
            draws[again, c] = rng.choice(nearest, size=again.sum())
    return draws


def _evaluate(values, involved, reading, matched, response, split, top_share, rng):
    train, test = split
    features, signs = reading
    sd = values[train].std(axis=0)
    values = (values - values[train].mean(axis=0)) / np.where(sd > 0, sd, np.inf)  # silent in training: no effect
    index = values[np.ix_(test, np.searchsorted(involved, features))] @ signs
    measured = response[test]
    chosen, draws = matched
    columns = np.searchsorted(involved, draws[:, np.searchsorted(chosen, features)])  # (n_draws, n_selected)
    trained_signs = np.sign(response[train] @ values[train])
    matched_index = np.einsum("tdj,dj->td", values[test][:, columns], trained_signs[columns])
    permuted_index = np.array([rng.permutation(index) for _ in draws]).T
    return _Fold(
        index,
        rho=_spearman(index[:, None], measured)[0],
        auc=_auc(index, measured, top_share),
        matched_rho=_spearman(matched_index, measured),
        permuted_rho=_spearman(permuted_index, measured),
    )


def _spearman(indices, measured):
    """Spearman's correlation of each column with the response, 0 where either is constant."""
    ranks, target = rankdata(indices, axis=0), rankdata(measured)
    ranks, target = ranks - ranks.mean(axis=0), target - target.mean()
    norms = np.linalg.norm(ranks, axis=0) * np.linalg.norm(target)
    return np.where(norms > 0, target @ ranks / np.where(norms > 0, norms, 1.0), 0.0)


def _auc(index, measured, top_share):
    n_top = min(max(round(top_share * len(measured)), 1), len(measured) - 1)
    top = np.zeros(len(measured), dtype=bool)
    top[np.argsort(-measured, kind="stable")[:n_top]] = True
    ranks = rankdata(index)
    return float((ranks[top].sum() - n_top * (n_top + 1) / 2) / (n_top * (len(measured) - n_top)))


def _collect(folds, features, responses, splits, n_samples):
    index, measured = np.full(n_samples, np.nan), np.full(n_samples, np.nan)
    for fold, response, (_, test) in zip(folds, responses, splits, strict=True):
        index[test], measured[test] = fold.index, response[test]
    fold_rho, fold_auc = np.array([fold.rho for fold in folds]), np.array([fold.auc for fold in folds])
    matched_rho = np.array([fold.matched_rho for fold in folds])
    return InterpretationCheck(
        rho=float(fold_rho.mean()),
        auc=float(fold_auc.mean()),
        p_value=_combined_p_value(fold_rho, np.array([fold.permuted_rho for fold in folds])),
        p_matched=_combined_p_value(fold_rho, matched_rho),
        fold_rho=fold_rho,
        fold_auc=fold_auc,
        matched_rho=matched_rho,
        features=features,
        index=index,
        response=measured,
    )


def _combined_p_value(fold_rho, null_rho):
    """Cauchy combination of the folds' p-values."""
    largest = 1 - 1 / (1 + null_rho.shape[1])  # a p-value of 1 would outweigh everything
    p_values = np.minimum(permutation_p_values(fold_rho, null_rho.T), largest)
    return float(0.5 - np.arctan(np.mean(np.tan((0.5 - p_values) * np.pi))) / np.pi)
