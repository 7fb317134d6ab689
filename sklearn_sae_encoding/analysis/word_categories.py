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


def category_agreement(selectivity, *, top=20):
    """Do the features that follow a category in one language follow it in another?

    Parameters
    ----------
    selectivity : dict from str to DataFrame of shape (n_features, n_categories)
        By language, as from :func:`category_selectivity`, with the same features and categories.

    top : int, default=20
        How many of the most selective features to compare.

    Returns
    -------
    table : DataFrame
        A row a category and pair of languages: ``category``, ``first``, ``second``, ``spearman`` (of the selectivity
        over features), ``overlap`` (features among the ``top`` of both), ``expected`` by chance, ``p`` (hypergeometric)
        and ``p_adjusted`` (Benjamini-Hochberg over the table). The test takes features for independent; dictionary
        features are nearly so, dense states are not.

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
    languages = list(selectivity)
    first = selectivity[languages[0]] if languages else None
    if len(languages) < 2 or any(
        table.shape != first.shape or list(table.columns) != list(first.columns) for table in selectivity.values()
    ):
        shapes = {name: table.shape for name, table in selectivity.items()}
        raise ValueError(f"Expected the same features and categories in two or more languages, got shapes {shapes}.")
    n_features = len(first)
    if not 1 <= top <= n_features:
        raise ValueError(f"top must be from 1 to {n_features}, got {top}.")
    rows = []
    for category in first.columns:
        for one, other in combinations(languages, 2):
            x, y = selectivity[one][category].to_numpy(), selectivity[other][category].to_numpy()
            best = [set(np.argsort(-values, kind="stable")[:top]) for values in (x, y)]
            overlap = len(best[0] & best[1])
            rows.append(
                {
                    "category": category,
                    "first": one,
                    "second": other,
                    "spearman": float(stats.spearmanr(x, y).statistic),
                    "overlap": overlap,
                    "expected": top**2 / n_features,
                    "p": float(stats.hypergeom.sf(overlap - 1, n_features, top, top)),
                }
            )
    table = pd.DataFrame(rows)
    return table.assign(p_adjusted=adjust_p_values(table["p"].to_numpy()))
