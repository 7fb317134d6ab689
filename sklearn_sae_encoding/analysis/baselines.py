"""Is a category better than as many other features of equal variance?"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import sparse, stats
from sklearn.utils import check_random_state

from sklearn_sae_encoding.analysis.by_category import category_columns, fixed_folds, take_columns
from sklearn_sae_encoding.metrics import cross_val_voxel_scores

_MEASURES = ("variance", "density", "mean")
_STARTS = 20  # of a draw, at most


class MatchedDraws(NamedTuple):
    """What :func:`draw_matched_features` gives."""

    columns: np.ndarray  # (n_draws, n_chosen), columns of each draw, increasing
    matches: pd.DataFrame  # a row a measure: `target`, and the `lowest`, `mean` and `highest` of the draws


class BaselineComparison(NamedTuple):
    """What :func:`compare_with_matched` finds."""

    scores: np.ndarray  # (n_voxels,), of the category
    draw_scores: np.ndarray  # (n_draws, n_voxels), of the matched draws
    p_value: float  # share of draws that predict as well on average over participants, the category counted as one
    by_participant: pd.DataFrame  # `participant`, `score`, `matched` (mean over draws), `difference`
    d: float  # mean difference over its standard deviation, over participants; NaN with one
    hedges_g: float  # d corrected for few participants
    g_interval: tuple  # (low, high)


def draw_matched_features(
    X,
    columns,
    *,
    candidates=None,
    n_draws=100,
    match=("variance",),
    tolerance=0.05,
    max_swaps=100_000,
    random_state=None,
):
    """Draw as many other features as a category has, of the same total variance.

    From a random draw, random features change places with others where that brings the total nearer, until it is within
    the tolerance. A total that cannot be reached is refused.

    Parameters
    ----------
    X : {array-like, sparse array} of shape (n_samples, n_features), or list of these
        Features, or one array a run.

    columns : array-like of int
        The category.

    candidates : array-like of int, default=None
        Columns to draw from. None is all others that vary.

    n_draws : int, default=100
        Number of draws, without repeats within one.

    match : sequence of {"variance", "density", "mean"}, default=("variance",)
        Totals that are matched: of variances, of shares of samples in which a feature is not 0, of means.

    tolerance : float, default=0.05
        Largest relative difference of each total.

    max_swaps : int, default=100000
        Exchanges that are tried for a draw, from up to 20 beginnings.

    random_state : int, RandomState instance or None, default=None
        Seed.

    Returns
    -------
    draws : MatchedDraws
        A named tuple of ``columns`` and the ``matches`` that were reached.

    Raises
    ------
    ValueError
        If there are fewer candidates than the category has features, or a total cannot be matched: with the closest
        one that was found.

    References
    ----------
    Guo, Wu and Yiu, arXiv:2605.23035, compare with count- and variance-matched features; how they draw is not known.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_sae_encoding.analysis import draw_matched_features
    >>> X = np.random.default_rng(0).normal(size=(100, 30)) * np.linspace(1, 2, 30)
    >>> draws = draw_matched_features(X, [0, 7, 20], n_draws=5, random_state=0)
    >>> draws.columns.shape, bool(draws.matches["highest"].iloc[0] <= 1.05 * draws.matches["target"].iloc[0])
    ((5, 3), True)
    """
    if unknown := set(match) - set(_MEASURES):
        raise ValueError(f"match must name some of {_MEASURES}, got {sorted(unknown)}.")
    columns = np.unique(category_columns("to be matched", columns, X))
    measures = _measures(X)
    pool = np.flatnonzero(measures["variance"] > 0) if candidates is None else np.unique(candidates)
    pool = np.setdiff1d(pool, columns)
    if len(pool) < len(columns):
        raise ValueError(
            f"The category has {len(columns)} features, but there are only {len(pool)} others to draw from."
        )
    values = np.array([measures[name] for name in match])  # (n_measures, n_features)
    target = values[:, columns].sum(axis=1)
    if not (np.abs(target) > 0).all():
        raise ValueError(f"The category's total {match[int(np.argmin(np.abs(target)))]} is 0: nothing can match it.")
    rng = check_random_state(random_state)
    draws = [_draw(values / target[:, None], pool, len(columns), (tolerance, max_swaps), rng) for _ in range(n_draws)]
    chosen = np.array([draw for draw, _ in draws])
    totals = np.array([values[:, draw].sum(axis=1) for draw in chosen])  # (n_draws, n_measures)
    worst = max(range(n_draws), key=lambda i: draws[i][1])
    if draws[worst][1] > tolerance:
        best = min(range(n_draws), key=lambda i: draws[i][1])
        closest = ", ".join(f"{n} {t:.4g}" for n, t in zip(match, totals[best], strict=True))
        wanted = ", ".join(f"{n} {t:.4g}" for n, t in zip(match, target, strict=True))
        raise ValueError(
            f"{sum(miss > tolerance for _, miss in draws)} of {n_draws} draws of {len(columns)} features don't match "
            f"within {tolerance:.0%}: wanted {wanted}; the closest has {closest}. Raise the tolerance or match less."
        )
    table = {"target": target, "lowest": totals.min(axis=0), "mean": totals.mean(axis=0), "highest": totals.max(axis=0)}
    return MatchedDraws(chosen, pd.DataFrame(table, index=list(match)))


def compare_with_matched(
    estimator,
    X,
    Y,
    *,
    columns,
    draws,
    always=(),
    participants=None,
    cv=5,
    fold_groups=None,
    confidence=0.95,
    n_jobs=None,
    verbose=0,
):
    """Compare a category's predictions with those of matched draws, on identical folds.

    The p-value is the rank of the category among the draws. A t-test over draws would take them for independent samples
    of a population, of which any number can be made.

    Parameters
    ----------
    estimator, X, Y, always, cv, fold_groups, n_jobs, verbose
        As in :func:`encode_by_category`.

    columns : array-like of int
        The category.

    draws : MatchedDraws, array-like of int of shape (n_draws, n_chosen), or dict of participant to these
        What the category is compared with; a dict has draws of its own for each participant.

    participants : array-like of shape (n_voxels,), default=None
        Participant of each voxel; voxels are averaged within participants first. None is one participant.

    confidence : float, default=0.95
        Level of the interval of Hedges' g.

    Returns
    -------
    comparison : BaselineComparison
        A named tuple.

    Raises
    ------
    ValueError
        If participants don't fit the voxels or the draws.

    References
    ----------
    Hedges, "Distribution theory for Glass's estimator of effect size", Journal of Educational Statistics 6 (1981).
    """
    cv = fixed_folds(cv, X, Y, fold_groups)
    options = {"cv": cv, "groups": fold_groups, "n_jobs": n_jobs, "verbose": verbose}
    always = np.asarray(always, dtype=np.int64)

    def score(chosen):
        taken = take_columns(X, np.concatenate([np.asarray(chosen, dtype=np.int64), always]))
        return cross_val_voxel_scores(estimator, taken, Y, **options).scores

    scores = np.atleast_1d(score(category_columns("to be compared", columns, X)))
    whose = np.array([""] * len(scores) if participants is None else participants, dtype=object)
    if whose.shape != scores.shape:
        raise ValueError(f"Expected a participant for each of {len(scores)} voxels, got shape {whose.shape}.")
    own = draws if isinstance(draws, dict) else dict.fromkeys(dict.fromkeys(whose), draws)
    if set(own) != set(whose):
        raise ValueError(
            f"Draws are given for {sorted(map(str, own))}, but voxels belong to {sorted(map(str, set(whose)))}."
        )
    own = {name: np.asarray(getattr(one, "columns", one)) for name, one in own.items()}
    n_draws = min(len(one) for one in own.values())
    draw_scores, known = np.empty((n_draws, len(scores))), {}
    for k in range(n_draws):
        for name, one in own.items():
            key = tuple(one[k])
            known[key] = known[key] if key in known else np.atleast_1d(score(key))
            draw_scores[k, whose == name] = known[key][whose == name]
    means = pd.DataFrame(np.vstack([scores, draw_scores]).T).groupby(whose, sort=False).mean()
    table = pd.DataFrame({"score": means[0], "matched": means.drop(columns=0).mean(axis=1)})
    table["difference"] = table["score"] - table["matched"]
    over_participants = means.mean(axis=0).to_numpy()
    p_value = (1 + np.sum(over_participants[1:] >= over_participants[0] - 1e-12)) / (1 + n_draws)
    d, g, interval = effect_size(table["difference"].to_numpy(), confidence)
    table = table.rename_axis("participant").reset_index()
    return BaselineComparison(scores, draw_scores, float(p_value), table, d, g, interval)


def _measures(X):
    X = sparse.vstack(X) if isinstance(X, (list, tuple)) and sparse.issparse(X[0]) else X
    X = np.vstack(X) if isinstance(X, (list, tuple)) else X
    if sparse.issparse(X):
        X = sparse.csc_array(X).astype(np.float64)
        mean = X.mean(axis=0)
        centred = X.copy()
        counts = np.diff(X.indptr)
        centred.data = centred.data - np.repeat(mean, counts)  # zeros lie at -mean
        squares = centred.multiply(centred).sum(axis=0) + (X.shape[0] - counts) * mean**2
        return {"variance": squares / X.shape[0], "density": (X != 0).mean(axis=0), "mean": mean}
    X = np.asarray(X, dtype=np.float64)
    return {"variance": X.var(axis=0), "density": (X != 0).mean(axis=0), "mean": X.mean(axis=0)}


def _draw(values, pool, n, limits, rng):
    """Columns whose totals of `values` (in units of their targets) are near 1, and the largest miss.

    Exchanges that only ever come nearer may end where none helps; then it begins anew.
    """
    tolerance, max_swaps = limits
    found = [_exchanged(values, rng.permutation(pool), n, (tolerance, max_swaps // _STARTS), rng)]
    while found[-1][1] > tolerance and len(found) < _STARTS:
        found.append(_exchanged(values, rng.permutation(pool), n, (tolerance, max_swaps // _STARTS), rng))
    return min(found, key=lambda one: one[1])


def _exchanged(values, order, n, limits, rng):
    tolerance, max_swaps = limits
    inside, outside = order[:n].copy(), order[n:].copy()
    total = values[:, inside].sum(axis=1)
    miss = np.abs(total - 1).max()
    for _ in range(max_swaps if len(outside) else 0):
        if miss <= tolerance:
            break
        i, j = rng.randint(n), rng.randint(len(outside))
        changed = total + values[:, outside[j]] - values[:, inside[i]]
        new = np.abs(changed - 1).max()
        if new < miss:
            inside[i], outside[j], total, miss = outside[j], inside[i], changed, new
    return np.sort(inside), miss


def effect_size(differences, confidence):
    """Cohen's d of paired differences, Hedges' g, and the interval of g."""
    n = len(differences)
    if n < 2 or differences.std(ddof=1) == 0:
        return float("nan"), float("nan"), (float("nan"), float("nan"))
    d = differences.mean() / differences.std(ddof=1)
    correction = 1 - 3 / (4 * (n - 1) - 1)
    # Large-sample standard error of a standardised mean change (Borenstein et al. 2009, eq. 4.28 for r = 1/2).
    error = correction * np.sqrt(1 / n + d**2 / (2 * n))
    z = stats.norm.ppf(0.5 + confidence / 2)
    g = correction * d
    return float(d), float(g), (float(g - z * error), float(g + z * error))
