"""Do raters agree on what features are? Kappa, alpha, and who takes what for what."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import norm
from sklearn.metrics import cohen_kappa_score
from sklearn.utils import check_random_state


class RaterAgreement(NamedTuple):
    """What :func:`compare_raters` finds."""

    kappa: float  # Cohen's
    kappa_interval: tuple  # (low, high), bootstrap over features
    alpha: float  # Krippendorff's, nominal
    alpha_interval: tuple
    agreement: float  # share of features that both put into one category
    confusion: pd.DataFrame  # categories of the first (rows) by those of the second, with margins "all"
    by_category: pd.DataFrame  # a row a category: `kappa` against all others, `low`, `high`, `n_first`, `n_second`
    n_features: int  # that both rated


def compare_raters(first, second, *, categories=None, n_bootstraps=2000, confidence=0.95, random_state=None):
    """Compare two raters, or people and a language model, on the features that both rated.

    Parameters
    ----------
    first, second : Series, or dict, of feature to category
        Ratings, such as a column of :func:`read_annotations`. Features that one of them didn't rate are left out.

    categories : sequence of str, default=None
        All categories, in the order of the tables. None takes those that were given.

    n_bootstraps : int, default=2000
        Resamples of the features.

    confidence : float, default=0.95
        Share of resamples in an interval.

    random_state : int, RandomState instance or None, default=None
        Seed of the resamples.

    Returns
    -------
    result : RaterAgreement
        A named tuple. Kappa is NaN where both use one category only: there is nothing to agree on.

    Raises
    ------
    ValueError
        If fewer than two features were rated by both, or a rating is none of `categories`.

    Examples
    --------
    >>> from sklearn_sae_encoding.analysis import compare_raters
    >>> people = {1: "semantic", 2: "lexical", 3: "semantic", 4: "lexical"}
    >>> model = {1: "semantic", 2: "lexical", 3: "lexical", 4: "lexical", 5: "other"}
    >>> result = compare_raters(people, model, random_state=0)
    >>> result.kappa, result.n_features
    (0.5, 4)
    """
    both = pd.concat({"first": pd.Series(first, dtype=object), "second": pd.Series(second, dtype=object)}, axis=1)
    both = both.dropna()
    if len(both) < 2:
        raise ValueError(f"Agreement needs features that both raters rated, but there are {len(both)}.")
    seen = list(dict.fromkeys([*both["first"], *both["second"]]))
    categories = seen if categories is None else list(categories)
    if unknown := set(seen) - set(categories):
        raise ValueError(f"Ratings hold {sorted(unknown)}, which are none of the categories {categories}.")
    codes = np.array([[categories.index(one) for one in both[name]] for name in both])  # (2, n_features)
    rng = check_random_state(random_state)
    drawn = rng.randint(codes.shape[1], size=(n_bootstraps, codes.shape[1]))
    tables = np.array([_table(codes[:, order], len(categories)) for order in drawn])
    whole = _table(codes, len(categories))
    confusion = pd.DataFrame(whole, categories, categories)
    confusion["all"] = confusion.sum(axis=1)
    confusion.loc["all"] = confusion.sum(axis=0)
    rows = [
        {
            "category": category,
            "kappa": _kappa(_one_against_all(whole, k)),
            **dict(
                zip(
                    ("low", "high"),
                    _interval([_kappa(_one_against_all(t, k)) for t in tables], confidence),
                    strict=True,
                )
            ),
            "n_first": int(whole[k].sum()),
            "n_second": int(whole[:, k].sum()),
        }
        for k, category in enumerate(categories)
    ]
    return RaterAgreement(
        kappa=float(cohen_kappa_score(*codes, labels=range(len(categories)))) if len(seen) > 1 else float("nan"),
        kappa_interval=_interval([_kappa(table) for table in tables], confidence),
        alpha=_alpha(whole + whole.T, np.full(len(both), 2)),
        alpha_interval=_interval([_alpha(table + table.T, np.full(len(both), 2)) for table in tables], confidence),
        agreement=float(np.trace(whole) / len(both)),
        confusion=confusion,
        by_category=pd.DataFrame(rows),
        n_features=len(both),
    )


def krippendorff_alpha(ratings, *, n_bootstraps=2000, confidence=0.95, random_state=None):
    """Compute Krippendorff's alpha of any number of raters, who need not have rated everything.

    Parameters
    ----------
    ratings : DataFrame of shape (n_features, n_raters)
        Categories; missing where a rater gave none.

    n_bootstraps : int, default=2000
        Resamples of the features.

    confidence : float, default=0.95
        Share of resamples in the interval.

    random_state : int, RandomState instance or None, default=None
        Seed of the resamples.

    Returns
    -------
    alpha : float
        1 is full agreement, 0 is chance; nominal, so that every disagreement counts alike.

    interval : tuple of two floats

    Raises
    ------
    ValueError
        If there is one rater only, or no feature has two ratings.

    Notes
    -----
    The well-kept package for it, ``krippendorff``, is GPL-3, which this library can't depend on. NLTK's alpha is the
    same number and too slow for an interval.

    References
    ----------
    Krippendorff, *Content Analysis*, 4th edition (2019), chapter 12.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_sae_encoding.analysis import krippendorff_alpha
    >>> ratings = pd.DataFrame({"a": ["x", "y", "y"], "b": ["x", "y", None], "c": ["x", "y", "y"]})
    >>> krippendorff_alpha(ratings, random_state=0)[0]
    1.0
    """
    ratings = pd.DataFrame(ratings)
    if ratings.shape[1] < 2:
        raise ValueError(f"Agreement is between raters: expected two or more columns, got {ratings.shape[1]}.")
    categories = sorted({value for value in ratings.to_numpy().ravel() if not pd.isna(value)}, key=str)
    counts = np.array([[(row == category).sum() for category in categories] for row in ratings.to_numpy()], dtype=float)
    counts = counts[counts.sum(axis=1) >= 2]
    if not len(counts):
        raise ValueError("No feature was rated by two raters.")
    n_ratings = counts.sum(axis=1)
    # Pairs of ratings of one feature, each feature weighing as many as it has ratings.
    pairs = (counts[:, :, None] * counts[:, None, :] - counts[:, :, None] * np.eye(len(categories))) / (
        n_ratings[:, None, None] - 1
    )
    rng = check_random_state(random_state)
    drawn = rng.randint(len(pairs), size=(n_bootstraps, len(pairs)))
    resampled = [_alpha(pairs[order].sum(axis=0), n_ratings[order]) for order in drawn]
    return _alpha(pairs.sum(axis=0), n_ratings), _interval(resampled, confidence)


def n_features_for_kappa(width, *, kappa=0.75, shares=(0.2,) * 5, confidence=0.95):
    """Compute how many features two raters must rate for an interval of kappa of a wanted width.

    By the large-sample standard error of kappa, :math:`\\sqrt{p_o (1 - p_o) / n} / (1 - p_e)`.

    Parameters
    ----------
    width : float
        From the lower to the upper end of the interval.

    kappa : float, default=0.75
        Kappa that is expected.

    shares : sequence of float, default=(0.2, 0.2, 0.2, 0.2, 0.2)
        Shares of the categories, which tell the agreement by chance.

    confidence : float, default=0.95

    Returns
    -------
    n : int

    Examples
    --------
    >>> from sklearn_sae_encoding.analysis import n_features_for_kappa
    >>> n_features_for_kappa(0.1)
    385
    """
    if not 0 < width < 2 or not -1 < kappa < 1 or not np.isclose(sum(shares), 1):
        raise ValueError(
            f"Expected a width between 0 and 2, kappa between -1 and 1 and shares that sum to 1, got {width}, {kappa} "
            f"and {sum(shares):g}."
        )
    by_chance = float(np.sum(np.square(shares)))
    observed = kappa * (1 - by_chance) + by_chance
    z = norm.ppf(0.5 + confidence / 2)
    return int(np.ceil((2 * z / width) ** 2 * observed * (1 - observed) / (1 - by_chance) ** 2))


def _table(codes, n_categories):
    return np.bincount(codes[0] * n_categories + codes[1], minlength=n_categories**2).reshape(n_categories, -1)


def _one_against_all(table, k):
    both, row, column = table[k, k], table[k].sum(), table[:, k].sum()
    return np.array([[both, row - both], [column - both, table.sum() - row - column + both]])


def _kappa(table):
    n = table.sum()
    by_chance = table.sum(axis=1) @ table.sum(axis=0) / n**2
    return (np.trace(table) / n - by_chance) / (1 - by_chance) if by_chance < 1 else np.nan


def _alpha(pairs, n_ratings):
    """Krippendorff's alpha of the counts of pairs of ratings, (n_categories, n_categories), symmetric."""
    n, margins = n_ratings.sum(), pairs.sum(axis=0)
    expected = n**2 - np.sum(margins**2)
    observed = n - np.trace(pairs)
    return float(1 - (n - 1) * observed / expected) if expected > 0 else float("nan")


def _interval(values, confidence):
    values = np.asarray(values, dtype=float)
    if np.isnan(values).all():
        return float("nan"), float("nan")
    low, high = np.nanquantile(values, [0.5 - confidence / 2, 0.5 + confidence / 2])
    return float(low), float(high)
