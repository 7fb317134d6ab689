"""How well does each category of features predict, alone, and what does it add to the others?"""

from __future__ import annotations

from itertools import combinations
from math import factorial
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import sparse, stats
from sklearn.utils import check_random_state

from sklearn_sae_encoding.metrics import cross_val_voxel_scores, fisher_mean, normalize_scores

MOST_SUBSETS = 5  # categories, of which all subsets are fitted


class CategoryEncoding(NamedTuple):
    """What :func:`encode_by_category` gives."""

    scores: pd.DataFrame  # a row a voxel, a column a model: names of categories joined by " + "
    parts: pd.DataFrame  # a row a voxel: `unique_<category>`, `shared`, `shapley_<category>`, in units of r²
    shapley_se: pd.Series | None  # by category: standard error over sampled orders; None if all subsets were fitted
    categories: tuple  # names
    peak: str  # name of the model with the highest mean score
    fold_scores: dict  # category to its scores alone by fold, (n_folds, n_voxels)
    jackknife: dict  # column of `parts` to what it is with each fold left out of the average, (n_folds, n_voxels)


def encode_by_category(
    estimator,
    X,
    Y,
    *,
    groups,
    always=(),
    cv=5,
    fold_groups=None,
    noise_ceiling=None,
    n_orders=20,
    random_state=None,
    n_jobs=None,
    verbose=0,
):
    """Score models of each category alone, of all but one, and of all, on identical folds.

    What an estimator chooses (penalties, features) it chooses within the training samples of each fold. With up to
    five categories all subsets are fitted; with more, those that sampled orders pass through::

        unique_c  = V(all) - V(all but c)          shared = V(all) - the sum of unique_c
        shapley_c = the mean over orders of V(before and with c) - V(before c)

    with V the squared score, its sign kept. Shapley values share out all of V(all) less V(none).

    Parameters
    ----------
    estimator : estimator
        A regressor of features, such as ``SparseVoxelEncoder`` or ``RunwiseRegressor``; cloned for each model.

    X : {array-like, sparse array} of shape (n_samples, n_features), or list of these
        Features that were computed once; a list has one array a run.

    Y : array-like of shape (n_samples, n_voxels), or list of these
        Responses.

    groups : dict of str to array-like of int
        Columns of each category, such as ``FeatureTaxonomy(...).groups(...)``.

    always : array-like of int, default=()
        Columns of every model, such as surprisal's, which come last in each.

    cv, fold_groups : default=5, None
        Folds, and the labels of samples for a splitter of groups, as in
        :func:`~sklearn_sae_encoding.metrics.cross_val_voxel_scores`.

    noise_ceiling : array-like of shape (n_voxels,) or float, default=None
        Ceilings in units of r, by which scores are divided.

    n_orders : int, default=20
        Random orders for the Shapley values of more than five categories.

    random_state : int, RandomState instance or None, default=None
        Seed of the orders.

    n_jobs, verbose : default=None, 0
        As in :func:`~sklearn_sae_encoding.metrics.cross_val_voxel_scores`.

    Returns
    -------
    encoding : CategoryEncoding
        A named tuple of voxelwise ``scores``, ``parts``, ``shapley_se``, ``categories``, ``peak``, ``fold_scores`` and
        ``jackknife``; :func:`summarize_categories` averages it.

    Raises
    ------
    ValueError
        If a category has no column or one that is not there, or there are fewer than two.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn_sae_encoding.analysis import encode_by_category
    >>> X = np.random.default_rng(0).normal(size=(400, 6))
    >>> Y = 2 * X[:, [0]] + X[:, [3]]
    >>> found = encode_by_category(Ridge(), X, Y, groups={"people": [0, 1], "places": [2, 3], "rest": [4, 5]})
    >>> found.parts[["unique_people", "unique_places", "unique_rest"]].round(1).values.tolist()
    [[0.8, 0.2, -0.0]]
    """
    columns = {name: category_columns(name, given, X) for name, given in groups.items()}
    if len(columns) < 2:
        raise ValueError(f"Expected two categories or more, got {list(columns)}.")
    names, orders = tuple(columns), None
    if len(names) <= MOST_SUBSETS:
        subsets = [one for size in range(1, len(names) + 1) for one in combinations(names, size)]
    else:
        rng = check_random_state(random_state)
        orders = [[names[i] for i in rng.permutation(len(names))] for _ in range(n_orders)]
        passed = [frozenset(order[: k + 1]) for order in orders for k in range(len(order))]
        wanted = {*passed, *(frozenset([name]) for name in names), *(frozenset(names) - {name} for name in names)}
        subsets = sorted((tuple(n for n in names if n in one) for one in wanted), key=lambda one: (len(one), one))
    always = np.asarray(always, dtype=np.int64)
    scores, by_fold, without, cv = {}, {}, {}, fixed_folds(cv, X, Y, fold_groups)
    for subset in [*([()] if len(always) else []), *subsets]:
        chosen = np.concatenate([*(columns[name] for name in subset), always])
        result = cross_val_voxel_scores(
            estimator, take_columns(X, chosen), Y, cv=cv, groups=fold_groups, n_jobs=n_jobs, verbose=verbose
        )
        rest = [fisher_mean(np.delete(result.fold_scores, k, axis=0), axis=0) for k in range(len(result.fold_scores))]
        scores[frozenset(subset)], of_folds, without[frozenset(subset)] = (
            one if noise_ceiling is None else normalize_scores(one, noise_ceiling)
            for one in (result.scores, result.fold_scores, np.array(rest))
        )
        if len(subset) == 1:
            by_fold[subset[0]] = of_folds
    for given in (scores, without):
        given.setdefault(frozenset(), np.zeros_like(given[frozenset(names)]))
    table = pd.DataFrame({" + ".join(subset) or "none": scores[frozenset(subset)] for subset in [(), *subsets]})
    parts, errors = _parts({subset: np.sign(r) * r**2 for subset, r in scores.items()}, names, orders)
    jackknife, _ = _parts({subset: np.sign(r) * r**2 for subset, r in without.items()}, names, orders)
    return CategoryEncoding(table, pd.DataFrame(parts), errors, names, str(table.mean().idxmax()), by_fold, jackknife)


def summarize_categories(encoding, *, participants=None, regions=None, confidence=0.95):
    """Average over voxels and participants what each category explains, as a fraction of the peak.

    Parameters
    ----------
    encoding : CategoryEncoding
        What :func:`encode_by_category` gives.

    participants : array-like of shape (n_voxels,), default=None
        Participant of each voxel. Voxels are averaged within participants first, and intervals are t intervals over
        participants. None takes all voxels as one participant's, without intervals.

    regions : array-like of shape (n_voxels,), default=None
        Region of each voxel, for a table by region; None and "" are none. Participants in their place give a table by
        participant.

    confidence : float, default=0.95
        Level of the intervals.

    Returns
    -------
    table : pandas.DataFrame
        A row a category (and region): mean score alone `r` with `low` and `high` over participants, and `low_folds` and
        `high_folds` over folds (runs or texts that were left out; their models share training data, so that these are
        somewhat too narrow), score of all others `r_without`,
        `fraction_r` and `fraction_r2` (r, and signed r², over those of the peak model, both averaged first),
        `unique` and `shapley`, each with intervals over participants (`unique_low`, `unique_high`) and over folds
        (`unique_low_folds`, `unique_high_folds`), and `n_participants`.

    Raises
    ------
    ValueError
        If there isn't a label a voxel, or no voxel is in a region.

    Notes
    -----
    A part is no mean over folds, as it has squares of averaged scores. Its interval over folds is that of the
    jackknife: each fold is left out of the averages once, and with p_k the part that is then found in n folds, its
    standard error is the root of (n - 1) / n times the sum of squares of p_k less their mean.
    """
    n_voxels = len(encoding.scores)
    labels = pd.DataFrame({"region": "all", "participant": ""}, index=encoding.scores.index)
    for name, given in (("participant", participants), ("region", regions)):
        if given is not None:
            if np.shape(given) != (n_voxels,):
                raise ValueError(f"Expected a {name} for each of {n_voxels} voxels, got shape {np.shape(given)}.")
            labels[name] = [None if one is None or one != one or one == "" else one for one in given]
    if not len(labels.dropna()):
        raise ValueError("No voxel has both a participant and a region.")
    rows = []
    for region, here in labels.dropna().groupby("region", sort=False):
        by = [labels.loc[here.index, "participant"]]
        scores, parts = (part.loc[here.index].groupby(by).mean() for part in (encoding.scores, encoding.parts))
        squares = (np.sign(encoding.scores) * encoding.scores**2).loc[here.index].groupby(by).mean()
        for category in encoding.categories:
            others = " + ".join(name for name in encoding.categories if name != category)
            low, high = _t_interval(scores[category], confidence)
            by_fold = pd.DataFrame(encoding.fold_scores[category].T).loc[here.index].groupby(by).mean().mean()
            low_folds, high_folds = _t_interval(by_fold, confidence)
            rows.append(
                {
                    "region": region,
                    "category": category,
                    "r": scores[category].mean(),
                    "low": low,
                    "high": high,
                    "low_folds": low_folds,
                    "high_folds": high_folds,
                    "r_without": scores[others].mean(),
                    "fraction_r": scores[category].mean() / scores[encoding.peak].mean(),
                    "fraction_r2": squares[category].mean() / squares[encoding.peak].mean(),
                    **_summarized_part("unique", category, parts, (encoding, here.index, by), confidence),
                    **_summarized_part("shapley", category, parts, (encoding, here.index, by), confidence),
                    "n_participants": len(scores),
                }
            )
    table = pd.DataFrame(rows)
    return table.drop(columns="region") if regions is None else table


def category_columns(name, given, X):
    """Check the columns of a category."""
    n_features = (X[0] if isinstance(X, (list, tuple)) else X).shape[1]
    columns = np.asarray(given)
    if columns.ndim != 1 or not len(columns):
        raise ValueError(f"The category {name!r} has no feature.")
    if columns.dtype.kind not in "iu" or columns.min() < 0 or columns.max() >= n_features:
        raise ValueError(f"The category {name!r} must name columns from 0 to {n_features - 1}, got {columns.max()}.")
    return columns.astype(np.int64)


def take_columns(X, columns):
    """Take columns of features, or of those of each run."""
    if isinstance(X, (list, tuple)):
        return [take_columns(one, columns) for one in X]
    return sparse.csc_array(X)[:, columns].tocsr() if sparse.issparse(X) else np.asarray(X)[:, columns]


def fixed_folds(cv, X, Y, groups):
    """Draw folds once, so that splitters that shuffle give all models the same."""
    if not hasattr(cv, "split"):
        return cv if not hasattr(cv, "__next__") else list(cv)
    first = Y[0] if isinstance(Y, (list, tuple)) else Y
    return list(cv.split(np.zeros(len(Y)), None if np.ndim(first) == 0 else np.zeros(len(Y)), groups))


def _parts(variance, names, orders):
    """Unique, shared and Shapley parts of V, and the Shapley values' standard errors over sampled orders."""
    every = frozenset(names)
    parts = {f"unique_{name}": variance[every] - variance[every - {name}] for name in names}
    parts["shared"] = variance[every] - np.sum(list(parts.values()), axis=0)
    if orders is None:
        for name in names:
            parts[f"shapley_{name}"] = _shapley(variance, names, name)
        return parts, None
    errors = {}
    for name in names:
        before = [frozenset(order[: order.index(name)]) for order in orders]
        gains = np.array([variance[one | {name}] - variance[one] for one in before])  # (n_orders, ..., n_voxels)
        parts[f"shapley_{name}"] = gains.mean(axis=0)
        means = gains.reshape(len(orders), -1).mean(axis=1)
        errors[name] = means.std(ddof=1) / np.sqrt(len(orders)) if len(orders) > 1 else np.nan
    return parts, pd.Series(errors, name="shapley_se")


def _shapley(variance, names, name):
    others, total = [one for one in names if one != name], 0.0
    for size in range(len(names)):
        weight = factorial(size) * factorial(len(names) - size - 1) / factorial(len(names))
        for subset in map(frozenset, combinations(others, size)):
            total = total + weight * (variance[subset | {name}] - variance[subset])
    return total


def _summarized_part(kind, category, parts, whose, confidence):
    """Mean of a part, with its t interval over participants and that of the jackknife over folds."""
    (encoding, rows, by), name = whose, f"{kind}_{category}"
    mean = parts[name].mean()
    low, high = _t_interval(parts[name], confidence)
    without = pd.DataFrame(encoding.jackknife[name].T).loc[rows].groupby(by).mean().mean()  # (n_folds,)
    half = _t_half((len(without) - 1) * without.std(ddof=1) / np.sqrt(len(without)), len(without), confidence)
    table = {"": mean, "_low": low, "_high": high, "_low_folds": mean - half, "_high_folds": mean + half}
    return {f"{kind}{end}": value for end, value in table.items()}


def _t_interval(values, confidence):
    half = _t_half(values.std(ddof=1) / np.sqrt(len(values)), len(values), confidence)
    return values.mean() - half, values.mean() + half


def _t_half(error, n, confidence):
    return stats.t.ppf(0.5 + confidence / 2, n - 1) * error if n > 1 else np.nan
