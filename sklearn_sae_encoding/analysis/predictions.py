"""Where the literature expects kinds of features: what is known, and a table for the rest."""

from __future__ import annotations

import numpy as np
import pandas as pd

from sklearn_sae_encoding.analysis.categories import DEFAULT_CATEGORIES

_COLUMNS = ("subcategory", "region", "expected", "source")
_PAPER = "Guo, Wu and Yiu, arXiv:2605.23035, after Binder 2009, Huth 2016 and Deniz 2019"
# What the paper expected of a subcategory, as far as it could be recovered. Of its other four rows nothing certain is
# known: a fragment has posterior temporal cortex and the angular gyrus, without the name of the row.
_PREDICTED = [("emotion", "anterior temporal"), ("emotion", "dorsomedial prefrontal")]


def make_prediction_table(regions=None, subcategories=None, *, same_as=None):
    """Make a table of where subcategories are expected, to be filled in from the literature.

    Write it with ``to_csv(path, index=False)``, fill in `expected` (1 where a subcategory is expected, 0 where not, or
    a graded expectation; empty where nothing is known) and `source`, and read it with
    :func:`load_predicted_topography`.

    Parameters
    ----------
    regions : sequence of str, default=None
        Regions, such as the columns of ``category_topography(...).mean``. None takes those of which something is known.

    subcategories : sequence of str, default=None
        Rows. None takes the five of ``DEFAULT_CATEGORIES``.

    same_as : dict of str to str or sequence of str, default=None
        Which of your regions the known ones are: ``{"anterior temporal": ["TGd", "TGv"]}``. A known region that is
        none of yours is left out.

    Returns
    -------
    table : pandas.DataFrame
        A row a cell: `subcategory`, `region`, `expected` and `source`. What is known is filled in: anterior temporal
        and dorsomedial prefrontal regions for emotion.

    Raises
    ------
    ValueError
        If `same_as` names a region that is not known, or one that is none of yours.

    References
    ----------
    Guo, Wu and Yiu, arXiv:2605.23035, who cite Binder, Desai, Graves and Conant (2009), Huth, de Heer, Griffiths,
    Theunissen and Gallant (2016) and Deniz, Nunez-Elizalde, Huth and Gallant (2019).

    Examples
    --------
    >>> from sklearn_sae_encoding.analysis import make_prediction_table
    >>> table = make_prediction_table(["IFG", "AntTemp"], same_as={"anterior temporal": "AntTemp"})
    >>> table[["subcategory", "region", "expected"]].head(3).values.tolist()
    [['emotion', 'IFG', nan], ['emotion', 'AntTemp', 1.0], ['person', 'IFG', nan]]
    """
    known = list(dict.fromkeys(region for _, region in _PREDICTED))
    regions = known if regions is None else list(dict.fromkeys(regions))
    names = list(DEFAULT_CATEGORIES["semantic"].subcategories) if subcategories is None else list(subcategories)
    places = {name: [given] if isinstance(given, str) else list(given) for name, given in (same_as or {}).items()}
    if unknown := [name for name in places if name not in known]:
        raise ValueError(f"same_as must name known regions ({', '.join(known)}), got {', '.join(unknown)}.")
    if absent := [one for given in places.values() for one in given if one not in regions]:
        raise ValueError(f"same_as names {', '.join(absent)}, which is none of the regions {', '.join(regions)}.")
    filled = {(name, one) for name, known_as in _PREDICTED for one in places.get(known_as, [known_as])}
    rows = [
        [name, region, 1.0 if (name, region) in filled else np.nan, _PAPER if (name, region) in filled else ""]
        for name in names
        for region in regions
    ]
    return pd.DataFrame(rows, columns=list(_COLUMNS))


def load_predicted_topography(table=None, *, regions=None):
    """Load where subcategories of semantic features are expected in cortex.

    Parameters
    ----------
    table : path or DataFrame, default=None
        A filled table of :func:`make_prediction_table`, or a CSV file of it. None is what is known of the predictions
        of Guo, Wu and Yiu, which is one row.

    regions : sequence of str, default=None
        Regions that were observed: the table must have each, and none but these.

    Returns
    -------
    predicted : pandas.DataFrame of shape (n_subcategories, n_regions)
        1 where a subcategory is expected, 0 where not, NaN where nothing is known, for
        :func:`~sklearn_sae_encoding.analysis.topography_convergence`. ``predicted.attrs["sources"]`` lists sources.

    Raises
    ------
    ValueError
        If a column is missing, an expectation is no number or has no source, a cell stands there twice, or regions
        differ: with their names.

    Examples
    --------
    >>> from sklearn_sae_encoding.analysis import load_predicted_topography, make_prediction_table
    >>> load_predicted_topography().loc["emotion"].to_dict()
    {'anterior temporal': 1.0, 'dorsomedial prefrontal': 1.0}
    >>> table = make_prediction_table(["anterior temporal", "occipital"])
    >>> table.loc[1, ["expected", "source"]] = 0, "your reading, with its page"
    >>> load_predicted_topography(table, regions=["anterior temporal", "occipital"]).loc["emotion"].to_dict()
    {'anterior temporal': 1.0, 'occipital': 0.0}
    """
    if table is None:
        table = make_prediction_table()
    elif not isinstance(table, pd.DataFrame):
        table = pd.read_csv(table, dtype=str, keep_default_na=False)
    if missing := [name for name in _COLUMNS if name not in table]:
        raise ValueError(f"A table of predictions has the columns {', '.join(_COLUMNS)}; {', '.join(missing)} missing.")
    table = table[list(_COLUMNS)].reset_index(drop=True)
    given = table["expected"].replace("", np.nan)
    table["expected"] = pd.to_numeric(given, errors="coerce")
    table["source"] = table["source"].fillna("").astype(str).str.strip()
    for wrong, message in (
        (given.notna() & table["expected"].isna(), "expected must be a number, or empty where nothing is known, in"),
        (table["expected"].notna() & (table["source"] == ""), "Name the source of"),
        (table.duplicated(["subcategory", "region"]), "A cell stands in the table twice:"),
    ):
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            raise ValueError(f"{message} {table['subcategory'][row]!r}, {table['region'][row]!r} (row {row}).")
    if regions is not None:
        there, wanted = set(table["region"]), list(dict.fromkeys(regions))
        lacking, extra = [one for one in wanted if one not in there], sorted(there - set(wanted))
        if lacking or extra:
            raise ValueError(
                f"Regions differ: the table lacks {', '.join(lacking) or 'none'} of those observed, and "
                f"{', '.join(extra) or 'none'} of its own were not observed. Leave `expected` empty where nothing is "
                "known."
            )
    order = [list(dict.fromkeys(table[name])) for name in ("subcategory", "region")]
    predicted = table.pivot(index="subcategory", columns="region", values="expected")
    predicted = predicted.reindex(index=order[0], columns=order[1] if regions is None else wanted)
    predicted = predicted.rename_axis(index=None, columns=None)
    predicted.attrs["sources"] = list(dict.fromkeys(table.loc[table["expected"].notna(), "source"]))
    return predicted
