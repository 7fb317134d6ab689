"""Words and their categories to the features that follow a category, in one language or several."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
from scipy import sparse, stats

from sklearn_sae_encoding.metrics import adjust_p_values


def category_selectivity(features, categories):
    """How well each feature tells the words of a category from all other words.

    The number is the area under the ROC curve: the probability that a word of the category has the larger feature than
    a word of another one, ties counted half. 0.5 is no relation.

    Parameters
    ----------
    features : array or sparse matrix of shape (n_words, n_features)

    categories : sequence of length n_words
        The category of each word.

    Returns
    -------
    selectivity : DataFrame of shape (n_features, n_categories)

    Raises
    ------
    ValueError
        If lengths differ, a category is missing, or there is one category only.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_sae_encoding.analysis import category_selectivity
    >>> features = np.array([[2.0, 0.0], [1.0, 1.0], [0.0, 0.0], [0.0, 1.0]])
    >>> category_selectivity(features, ["animal", "animal", "food", "food"])
       animal  food
    0     1.0   0.0
    1     0.5   0.5
    """
    codes, names = pd.factorize(pd.Series(np.asarray(categories, dtype=object)), sort=True)
    if features.shape[0] != len(codes):
        raise ValueError(f"features has {features.shape[0]} rows, but there are {len(codes)} categories.")
    if (codes < 0).any():
        raise ValueError(f"Word {int(np.argmin(codes))} has no category. Leave such words out.")
    if len(names) < 2:
        raise ValueError(f"Expected two or more categories, got {list(names)}.")
    members = np.eye(len(names))[codes]  # (n_words, n_categories)
    counts = members.sum(axis=0)
    columns = sparse.csc_array(features)
    sums = np.vstack([members.T @ _ranks(columns, at) for at in range(columns.shape[1])])
    above = sums - counts * (counts + 1) / 2
    return pd.DataFrame(above / (counts * (len(codes) - counts)), columns=list(names))


def _ranks(columns, at):
    return stats.rankdata(columns[:, [at]].toarray().ravel())


def category_agreement(selectivity, *, top=20, shuffled=None):
    """Do the features that follow a category in one language follow it in another?

    Parameters
    ----------
    selectivity : dict from str to DataFrame of shape (n_features, n_categories)
        By language, as from :func:`category_selectivity`, with the same features and categories.

    top : int, default=20
        How many of the most selective features to compare.

    shuffled : sequence of dict from str to DataFrame, default=None
        The same for categories that were dealt out anew to each language's words: what chance gives. None takes all
        features that fire in a language for equally likely to be among its best. They are not: features that fire often
        have the more extreme areas, for any categories, and are the same ones in all languages. So the p-values of None
        are too small; with `shuffled` they are those of a permutation test, no smaller than ``1 / (1 + n)`` of `n`.

    Returns
    -------
    table : DataFrame
        A row a category and pair of languages: ``category``, ``first``, ``second``, ``spearman`` (of the selectivity
        over features), ``overlap`` (features among the ``top`` of both), ``expected`` by chance, ``p`` (hypergeometric,
        or of the permutations) and ``p_adjusted`` (Benjamini-Hochberg over the table). The hypergeometric test takes
        features for independent and equally likely, which neither dictionary features nor dense states are.

    Raises
    ------
    ValueError
        If features or categories differ.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from sklearn_sae_encoding.analysis import category_agreement
    >>> en = pd.DataFrame({"animal": np.linspace(0, 1, 100)})
    >>> fr = en + 0.05 * np.sin(np.arange(100))[:, None]
    >>> category_agreement({"en": en, "fr": fr}, top=10)[["category", "overlap", "expected"]]
      category  overlap  expected
    0   animal        9       1.0
    """
    languages = _check_selectivity(selectivity)
    first = selectivity[languages[0]]
    if not 1 <= top <= len(first):
        raise ValueError(f"top must be from 1 to {len(first)}, got {top}.")
    if shuffled is not None and not len(shuffled):
        raise ValueError("shuffled is empty: give tables of categories dealt out anew, 99 or more, or None.")
    by_chance = None if shuffled is None else [_overlaps(one, languages, top, first) for one in shuffled]
    rows = []
    for (category, one, other), overlap in _overlaps(selectivity, languages, top, first).items():
        x, y = selectivity[one][category], selectivity[other][category]
        if by_chance is None:
            expected, p = _hypergeometric(overlap, selectivity[one], selectivity[other], top)
        else:
            drawn = np.array([overlaps[category, one, other] for overlaps in by_chance])
            expected, p = drawn.mean(), (1 + (drawn >= overlap).sum()) / (1 + len(drawn))
        known = {
            "category": category,
            "first": one,
            "second": other,
            "spearman": float(stats.spearmanr(x, y).statistic),
        }
        rows.append(known | {"overlap": overlap, "expected": float(expected), "p": float(p)})
    table = pd.DataFrame(rows)
    return table.assign(p_adjusted=adjust_p_values(table["p"].to_numpy()))


def _check_selectivity(selectivity):
    languages = list(selectivity)
    first = selectivity[languages[0]] if languages else None
    if len(languages) < 2 or any(
        table.shape != first.shape or list(table.columns) != list(first.columns) for table in selectivity.values()
    ):
        shapes = {name: table.shape for name, table in selectivity.items()}
        raise ValueError(f"Expected the same features and categories in two or more languages, got shapes {shapes}.")
    return languages


def _overlaps(selectivity, languages, top, like):
    """Count the features that are among the best of both, by category and pair of languages."""
    if set(selectivity) != set(languages) or any(
        table.shape != like.shape or list(table.columns) != list(like.columns) for table in selectivity.values()
    ):
        raise ValueError(
            f"shuffled must hold tables like those of selectivity for {languages}, got {list(selectivity)}."
        )
    best = {
        (name, category): set(np.argsort(-selectivity[name][category].to_numpy(), kind="stable")[:top])
        for name in languages
        for category in like.columns
    }
    return {
        (category, one, other): len(best[one, category] & best[other, category])
        for category in like.columns
        for one, other in combinations(languages, 2)
    }


def _hypergeometric(overlap, first, second, top):
    """Expected overlap, and the chance of as large a one, among features that fire: those that tell something apart."""
    fire = [(table != 0.5).any(axis=1).to_numpy() for table in (first, second)]
    n_both, sizes = int((fire[0] & fire[1]).sum()), [max(int(mask.sum()), 1) for mask in fire]
    if n_both == 0:
        return 0.0, 1.0
    expected = min(top / sizes[0], 1) * min(top / sizes[1], 1) * n_both
    n = max(sizes[0] * sizes[1] // n_both, top)
    return expected, stats.hypergeom.sf(overlap - 1, n, top, top)
