"""What becomes of results when labels are those of people, or wrong as often as people find them wrong?"""

from __future__ import annotations

from numbers import Real
from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.utils import check_random_state

from sklearn_sae_encoding.analysis.taxonomy import FeatureTaxonomy


class LabelSensitivity(NamedTuple):
    """What :func:`label_sensitivity` finds."""

    table: pd.DataFrame  # a row a number: `given`, and over draws `mean`, `sd`, `low`, `high`, `share_as_large`
    draws: pd.DataFrame  # (n_draws, n_numbers)
    n_changed: np.ndarray  # (n_draws,), features whose label was changed


def relabel_by_majority(taxonomy, annotations, *, source="people"):
    """Put the label that most raters chose in the place of a feature's own.

    Parameters
    ----------
    taxonomy : FeatureTaxonomy
        Labels to be corrected, of exclusive categories.

    annotations : DataFrame
        What :func:`read_annotations` gives: `index`, `category` and, if there, `subcategory`, `rater` and `duplicate`.
        Of a rater who saw a feature twice the first answer counts.

    source : str, default="people"
        Who says so, in the new taxonomy's `source`.

    Returns
    -------
    taxonomy : FeatureTaxonomy
        With the labels of people where most raters agree; a tie keeps the label that there was, and a feature without
        one stays without.

    table : pandas.DataFrame
        A row a rated feature: `index`, `before`, `after`, `n_raters`, `n_votes` for the majority, and `changed`.

    Raises
    ------
    ValueError
        If a column is missing, or categories are not exclusive.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_sae_encoding.analysis import FeatureTaxonomy, relabel_by_majority
    >>> taxonomy = FeatureTaxonomy([{"index": 3, "category": "lexical"}, {"index": 5, "category": "other"}])
    >>> rated = pd.DataFrame({"rater": ["a", "b", "c"], "index": 3, "category": ["semantic", "semantic", "lexical"]})
    >>> taxonomy, table = relabel_by_majority(taxonomy, rated)
    >>> taxonomy.categories_of([3, 5]).tolist(), table["changed"].tolist()
    (['semantic', 'other'], [True])
    """
    if missing := sorted({"index", "category"} - set(annotations)):
        raise ValueError(f"annotations must be what read_annotations gives; {', '.join(missing)} is missing.")
    if not taxonomy.exclusive:
        raise ValueError("A majority chooses one category, but this taxonomy's categories are not exclusive.")
    votes = annotations[~annotations["duplicate"]] if "duplicate" in annotations else annotations
    votes = votes.assign(subcategory=votes["subcategory"].fillna("") if "subcategory" in votes else "")
    before = dict(zip(taxonomy.table["index"], taxonomy.table["category"], strict=True))
    rows, labels = [], []
    for index, own in votes.groupby("index", sort=True):
        counts = own["category"].value_counts()
        winners = counts.index[counts == counts.max()]
        was = before.get(int(index), "")
        after = winners[0] if len(winners) == 1 else was
        rows.append([int(index), was, after, len(own), int(counts.max()), after != was])
        if after and len(winners) == 1:
            subs = own.loc[own["category"] == after, "subcategory"].value_counts()
            sub = subs.index[0] if len(subs) and (len(subs) == 1 or subs.iloc[0] > subs.iloc[1]) else ""
            share = counts.max() / len(own)
            labels.append(
                {"index": int(index), "category": after, "subcategory": sub, "source": source, "confidence": share}
            )
    table = pd.DataFrame(rows, columns=["index", "before", "after", "n_raters", "n_votes", "changed"])
    options = {"categories": taxonomy.categories, "name": taxonomy.name}
    if not labels:
        return FeatureTaxonomy(taxonomy.table, **options), table
    texts = dict(zip(taxonomy.table["index"], taxonomy.table["label"], strict=True))
    by_people = FeatureTaxonomy([{**one, "label": texts.get(one["index"], "")} for one in labels], **options)
    return by_people.merged(taxonomy, rule="first"), table


def label_sensitivity(
    test, taxonomy, features, *, confusion, n_draws=20, level="category", confidence=0.95, random_state=None
):
    """Run any test again with labels that are wrong at the measured rate, and tabulate how its numbers move.

    Parameters
    ----------
    test : callable
        Takes groups of columns (a dict of category to array of int) and gives numbers: one, or a dict, Series or
        DataFrame of them, or a named tuple, such as those of :func:`compare_with_matched` and
        :func:`topography_convergence`, of which the fields that are single numbers count.

    taxonomy : FeatureTaxonomy
        The labels.

    features : array-like of int or str, or DataFrame
        The features of the columns, as in :meth:`FeatureTaxonomy.groups`.

    confusion : DataFrame of shape (n_categories, n_categories)
        Rates or counts of true categories (columns) for each given one (row), such as ``compare_raters(labels,
        people).confusion``; its margins are left out.

    n_draws : int, default=20
        How often labels are drawn anew.

    level : {"category", "subcategory"}, default="category"
        What the groups are. A label whose category changes loses its subcategory.

    confidence : float, default=0.95
        Share of draws between `low` and `high`.

    random_state : int, RandomState instance or None, default=None
        Seed.

    Returns
    -------
    sensitivity : LabelSensitivity
        A named tuple of the ``table`` (`given` labels' number beside the `mean`, `sd`, `low` and `high` over draws,
        and the share of draws whose number is at least the given one), the ``draws`` and ``n_changed``.

    Raises
    ------
    ValueError
        If the test gives no number, asks for a category that no feature has (left), or as
        :meth:`FeatureTaxonomy.perturbed`.

    Notes
    -----
    Draws show how far a result depends on single labels. They are no correction: labels with errors drawn on top are
    wrong twice, so that an effect of true labels comes out smaller than that of the given ones.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_sae_encoding.analysis import FeatureTaxonomy, label_sensitivity
    >>> taxonomy = FeatureTaxonomy([{"index": i, "category": "semantic" if i < 50 else "other"} for i in range(100)])
    >>> rates = pd.DataFrame([[0.8, 0.2], [0.2, 0.8]], ["semantic", "other"], ["semantic", "other"])
    >>> found = label_sensitivity(
    ...     lambda groups: {"kept": (groups["semantic"] < 50).mean()}, taxonomy, range(100), confusion=rates,
    ...     random_state=0,
    ... )
    >>> float(found.table.loc["kept", "given"]), bool(0.7 < found.table.loc["kept", "mean"] < 0.9)
    (1.0, True)
    """
    rng = check_random_state(random_state)
    given = _numbers(test(_Groups(taxonomy.groups(features, level=level))))
    draws, n_changed = [], []
    for _ in range(n_draws):
        drawn = taxonomy.perturbed(confusion, random_state=rng)
        n_changed.append(int((drawn.table["category"].to_numpy() != taxonomy.table["category"].to_numpy()).sum()))
        draws.append(_numbers(test(_Groups(drawn.groups(features, level=level)))))
    draws = pd.DataFrame(draws).reindex(columns=given.index).reset_index(drop=True)
    tails = [0.5 - confidence / 2, 0.5 + confidence / 2]
    low, high = (draws.quantile(tail) for tail in tails)
    table = pd.DataFrame({"given": given, "mean": draws.mean(), "sd": draws.std(), "low": low, "high": high})
    table["share_as_large"] = (draws >= given - 1e-12).mean()
    return LabelSensitivity(table, draws, np.array(n_changed))


class _Groups(dict):
    """Columns by category, which says so if a test asks for a category without any."""

    def __missing__(self, category):
        raise ValueError(
            f"The test asks for {category!r}, but features are labelled {', '.join(map(repr, self))} alone. Where few "
            "are of a category, errors may leave it none: groups.get gives None then."
        )


def _numbers(result):
    """The numbers of a result, by name."""
    if isinstance(result, Real):
        result = {"value": result}
    if hasattr(result, "_asdict"):
        result = {name: value for name, value in result._asdict().items() if isinstance(value, Real)}
    if isinstance(result, pd.DataFrame):
        result = result.select_dtypes("number").stack()
        result.index = [", ".join(map(str, key)) for key in result.index]
    numbers = pd.Series(result, dtype=float)
    if not len(numbers):
        raise ValueError("The test gives no number: give a number, or a dict, Series or table of numbers.")
    return numbers
