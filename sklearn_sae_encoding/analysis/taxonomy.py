"""Which kind is a feature of: categories and subcategories with definitions, and a label a feature."""

from __future__ import annotations

import json
from numbers import Integral
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.utils import check_random_state

from sklearn_sae_encoding._sae.columns import names_of
from sklearn_sae_encoding.analysis.categories import DEFAULT_CATEGORIES, UNLABELLED, Category

_COLUMNS = ("index", "feature", "category", "subcategory", "label", "source", "confidence")
_RULES = ("first", "confident", "majority")


class FeatureTaxonomy:
    """Categories of an SAE's features, as people, language models or statistics gave them.

    Parameters
    ----------
    labels : DataFrame, list of dict, or path of a CSV, TSV or JSON lines file
        A row a label. `index` (the SAE's own) or `feature` (a name) says which feature, `category` which kind; further
        columns `subcategory`, `label` (a text), `source` (who says so) and `confidence` (a number).

    categories : dict of str to Category or str, default=None
        Definitions. None is `DEFAULT_CATEGORIES`, the five of arXiv:2605.23035 as far as they are known.

    exclusive : bool, default=True
        Whether a feature is of one category only. False allows several labels a feature.

    name : str, default=None
        Which SAE the indices belong to. Given here and where features are asked for, the two must agree.

    Attributes
    ----------
    table : pandas.DataFrame
        The labels, with all columns; a feature's labels in the order they were given.

    Raises
    ------
    ValueError
        For labels without feature or category, a category or subcategory that is not defined, an index that is no
        whole number, and two labels of one feature where categories are exclusive: each with the row.

    Examples
    --------
    >>> from sklearn_sae_encoding.analysis import FeatureTaxonomy
    >>> taxonomy = FeatureTaxonomy([
    ...     {"index": 79, "category": "semantic", "subcategory": "place"},
    ...     {"index": 71, "category": "positional"},
    ... ])
    >>> taxonomy.categories_of([71, 79, 80]).tolist()
    ['positional', 'semantic', 'unlabelled']
    >>> {name: columns.tolist() for name, columns in taxonomy.groups([80, 79, -1]).items()}
    {'semantic': [1], 'unlabelled': [0]}
    """

    def __init__(self, labels, *, categories=None, exclusive=True, name=None):
        given = DEFAULT_CATEGORIES if categories is None else categories
        self.categories = {key: one if isinstance(one, Category) else Category(str(one)) for key, one in given.items()}
        if UNLABELLED in self.categories:
            raise ValueError(f"{UNLABELLED!r} is kept for features without a label; give the category another name.")
        self.exclusive = exclusive
        self.name = name
        self.table = _read(labels)
        self._check()

    def __len__(self):
        return len(self.table[["index", "feature"]].drop_duplicates())

    def __repr__(self):
        counts = ", ".join(f"{key} {n}" for key, n in self.counts().items())
        return f"FeatureTaxonomy({len(self)} features: {counts})"

    def categories_of(self, features, *, level="category", name=None):
        """Find the category of each feature.

        Parameters
        ----------
        features : array-like of int or str of shape (n_features,), or DataFrame with `sae_index` or `feature`
            The SAE's own indices, names such as ``sae_00079``, or the table of a fitted model's features.

        level : {"category", "subcategory"}, default="category"
            Which label. A subcategory is given as ``semantic/place``, and as the category alone where there is none.

        name : str, default=None
            The SAE that the features belong to.

        Returns
        -------
        categories : ndarray of object of shape (n_features,)
            "unlabelled" without a label; a tuple of categories where these are not exclusive.

        Raises
        ------
        ValueError
            If the features are another SAE's, or the taxonomy has no label for any of them.
        """
        self._check_name(name)
        words = self._words(level)
        found = [tuple(dict.fromkeys(words[row] for row in own)) or (UNLABELLED,) for own in self._rows_of(features)]
        categories = np.empty(len(found), dtype=object)
        categories[:] = [own[0] for own in found] if self.exclusive else found
        return categories

    def groups(self, features, *, level="category", name=None):
        """Gather the columns of each category, for ``encode_by_category`` and ``category_topography``.

        Parameters
        ----------
        features : array-like of int or str of shape (n_features,), or DataFrame with `sae_index` or `feature`
            The features of the columns, as in :meth:`categories_of`. Columns without an index of the SAE, such
            as that of surprisal, are no features of the SAE and in no group.

        level : {"category", "subcategory"}, default="category"
            Which labels.

        name : str, default=None
            The SAE that the features belong to.

        Returns
        -------
        groups : dict of str to ndarray of int
            Columns by category, in the order of the definitions, "unlabelled" last; categories without a column are
            left out.

        Raises
        ------
        ValueError
            As :meth:`categories_of`.
        """
        found, members = self.categories_of(features, level=level, name=name), {}
        for column in np.flatnonzero(_are_features(features)):
            for category in (found[column],) if self.exclusive else found[column]:
                members.setdefault(category, []).append(column)
        order = [*(word for category in self.categories for word in self._family(category)), UNLABELLED]
        return {key: np.array(members[key], dtype=np.int64) for key in order if key in members}

    def counts(self, features=None, *, level="category", name=None):
        """Count features by category.

        Parameters
        ----------
        features : as in :meth:`groups`, default=None
            The features to count; None counts those that have a label.

        level : {"category", "subcategory"}, default="category"
            Which labels.

        name : str, default=None
            The SAE that the features belong to.

        Returns
        -------
        counts : pandas.Series of int
            By category, "unlabelled" last.
        """
        if features is None:
            pairs = pd.DataFrame({"word": self._words(level), **self.table[["index", "feature"]]}).drop_duplicates()
            counts = pairs["word"].value_counts(sort=False).to_dict()
        else:
            counts = {key: len(columns) for key, columns in self.groups(features, level=level, name=name).items()}
        return pd.Series(counts, dtype=int, name="n_features")

    def merged(self, other, *, rule="first"):
        """Join the labels of two sources.

        Parameters
        ----------
        other : FeatureTaxonomy
            Labels by the same definitions.

        rule : {"first", "confident", "majority"}, default="first"
            Which label a feature of both keeps: this one's, the one with the higher confidence (this one's on a tie,
            and where one has none), or the most frequent of all (this one's on a tie). All are kept where categories
            are not exclusive.

        Returns
        -------
        taxonomy : FeatureTaxonomy

        Raises
        ------
        ValueError
            If the definitions, the SAEs or exclusiveness differ.
        """
        if rule not in _RULES:
            raise ValueError(f"rule must be one of {_RULES}, got {rule!r}.")
        if set(self.categories) != set(other.categories) or self.exclusive != other.exclusive:
            raise ValueError(
                f"Both taxonomies must have the same categories and exclusiveness: {sorted(self.categories)} against "
                f"{sorted(other.categories)}."
            )
        self._check_name(other.name)
        every = pd.concat([self.table, other.table], ignore_index=True)
        return self._with(every.loc[sorted(_chosen(every, rule))] if self.exclusive else every.drop_duplicates())

    def perturbed(self, confusion, *, random_state=None):
        """Draw labels again with errors at a measured rate, to see how far results depend on them.

        Parameters
        ----------
        confusion : DataFrame of shape (n_categories, n_categories)
            Rates (or counts) of true categories (columns) for each given one (row), such as the ``confusion`` of
            :func:`compare_raters`, whose margins are left out. Categories without a row keep their labels.

        random_state : int, RandomState instance or None, default=None
            Seed.

        Returns
        -------
        taxonomy : FeatureTaxonomy
            The same features; a label whose category changed loses its subcategory.

        Raises
        ------
        ValueError
            If the confusion names a category that is not defined, or a row has no entry above 0.
        """
        if "all" in confusion.index and "all" in confusion.columns and "all" not in self.categories:  # margins
            confusion = confusion.drop(index="all", columns="all")
            confusion = confusion[confusion.sum(axis=1) > 0]
        if unknown := sorted((set(confusion.index) | set(confusion.columns)) - set(self.categories)):
            raise ValueError(f"confusion names {', '.join(map(repr, unknown))}, which is no category of this taxonomy.")
        rates = confusion.to_numpy(dtype=float)
        if not (rates >= 0).all() or not (rates.sum(axis=1) > 0).all():
            raise ValueError("Each row of confusion must hold rates of at least 0, some of them above 0.")
        rng, table = check_random_state(random_state), self.table.copy()
        for given, rate in zip(confusion.index, rates / rates.sum(axis=1, keepdims=True), strict=True):
            here = np.flatnonzero(self.table["category"] == given)
            drawn = np.asarray(confusion.columns, dtype=object)[rng.choice(len(rate), size=len(here), p=rate)]
            table.loc[here, "category"] = drawn
            table.loc[here[drawn != given], "subcategory"] = ""
        return self._with(table)

    def to_csv(self, path):
        """Write the labels as a table that the constructor reads.

        Parameters
        ----------
        path : path-like
        """
        self.table.to_csv(path, index=False)

    def _with(self, table):
        return FeatureTaxonomy(table, categories=self.categories, exclusive=self.exclusive, name=self.name)

    def _check(self):
        for row, category, sub in self.table[["category", "subcategory"]].itertuples():
            if category not in self.categories:
                raise ValueError(
                    f"Row {row} is of category {category!r}, which is not defined. There are {sorted(self.categories)}."
                )
            if sub and sub not in self.categories[category].subcategories:
                known = sorted(self.categories[category].subcategories)
                raise ValueError(f"Row {row} is of subcategory {sub!r}, which {category!r} does not have: {known}.")
        twice = self.table[self.table.duplicated(["index", "feature"], keep=False)]
        if self.exclusive and len(twice):
            feature = twice.iloc[0]["feature"] or twice.iloc[0]["index"]
            raise ValueError(
                f"Categories are exclusive, but feature {feature} has labels (rows {twice.index.tolist()[:6]}). "
                "Set exclusive=False, or join sources with merged()."
            )

    def _check_name(self, name):
        if name is not None and self.name is not None and name != self.name:
            raise ValueError(f"The labels belong to the SAE {self.name!r}, but the features to {name!r}.")

    def _words(self, level):
        if level not in ("category", "subcategory"):
            raise ValueError(f"level must be 'category' or 'subcategory', got {level!r}.")
        if level == "category":
            return self.table["category"].tolist()
        pairs = self.table[["category", "subcategory"]].itertuples(index=False)
        return [f"{category}/{sub}" if sub else category for category, sub in pairs]

    def _family(self, category):
        return [*(f"{category}/{sub}" for sub in self.categories[category].subcategories), category]

    def _rows_of(self, features):
        """Rows of the table that each feature has."""
        rows = {}
        for row, index, feature in self.table[["index", "feature"]].itertuples():
            for key in ([int(index)] if index >= 0 else []) + ([feature] if feature else []):
                rows.setdefault(key, []).append(row)
        keys = _keys(features)
        if keys.dtype.kind == "i":
            found = [rows.get(int(key), []) for key in keys]
        else:
            named = names_of([key for key in rows if isinstance(key, int)], ())  # as the SAEProjector names them
            known = rows | dict(zip(named, (own for key, own in rows.items() if isinstance(key, int)), strict=True))
            # A name may have the prefix of a FeatureUnion.
            found = [known.get(key, known.get(str(key).rsplit("__", 1)[-1], [])) for key in keys]
        if len(found) and not any(found):
            raise ValueError(
                f"The taxonomy has no label for any of the {len(found)} features, such as {keys[0]!r}. Are the labels "
                "those of another SAE?"
            )
        return found


def _read(labels):
    if isinstance(labels, (str, Path)):
        path = Path(labels)
        if path.suffix == ".jsonl":
            lines = path.read_text(encoding="utf-8-sig").split("\n")
            labels = [json.loads(line) for line in lines if line.strip()]
        else:
            labels = pd.read_csv(path, sep="\t" if path.suffix == ".tsv" else ",", keep_default_na=False)
    table = pd.DataFrame(labels).reset_index(drop=True)
    if "category" not in table or not {"index", "feature"} & set(table):
        raise ValueError(f"Labels need a column 'category' and one of 'index' and 'feature', got {list(table)}.")
    table = table.reindex(columns=_COLUMNS)
    texts = ["feature", "category", "subcategory", "label", "source"]
    table[texts] = table[texts].astype(object).where(table[texts].notna(), "").astype(str)
    table["confidence"] = pd.to_numeric(table["confidence"])
    table["index"] = [_index(*row) for row in table[["index", "feature"]].itertuples()]
    return table


def _index(row, value, feature):
    number = pd.to_numeric(pd.Series([value]), errors="coerce")[0]
    if pd.isna(number) and feature and str(value) in ("", "None", "nan"):
        return -1
    if pd.isna(number) or number != int(number) or (number < 0 and not feature):
        raise ValueError(f"Row {row} names no feature: its index is {value!r}, which is no whole number from 0.")
    return int(number)


def _keys(features):
    """SAE indices as integers (-1 without one), or names as objects."""
    if isinstance(features, pd.DataFrame):
        if not {"sae_index", "feature"} & set(features):
            raise ValueError(f"A table of features needs a column 'sae_index' or 'feature', got {list(features)}.")
        if "sae_index" in features:
            names = features["feature"] if "feature" in features else [-1] * len(features)
            own = zip(features["sae_index"], names, strict=True)
            features = [name if pd.isna(index) else int(index) for index, name in own]
        else:
            features = features["feature"]
    features = list(features)
    if all(isinstance(one, Integral) for one in features):
        return np.array(features, dtype=np.int64)
    return np.array([one if isinstance(one, int) else str(one) for one in features], dtype=object)


def _are_features(features):
    if isinstance(features, pd.DataFrame) and "sae_index" in features:
        return features["sae_index"].notna().to_numpy()
    keys = _keys(features)
    return keys >= 0 if keys.dtype.kind == "i" else np.ones(len(keys), dtype=bool)


def _chosen(every, rule):
    """Rows that features keep."""
    for _, own in every.groupby(["index", "feature"], sort=False):
        if rule == "confident" and own["confidence"].notna().all():
            yield own["confidence"].idxmax()
        elif rule == "majority":
            yield own.index[own["category"] == own["category"].value_counts(sort=False).idxmax()][0]
        else:
            yield own.index[0]
