"""Names and kinds of features to one table, and features to its rows."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from numbers import Integral

import numpy as np
import pandas as pd

KINDS = ("sae", "activation", "surprisal", "control", "unknown")
COLUMNS = ("feature", "index", "kind", "sae_index", "bin", "label")


def feature_table(names, *, kinds="unknown", sae_index=None, widths=None, labels=None):
    """Make the table of features that no fitted estimator can tell of: those of arrays and files.

    Parameters
    ----------
    names : int or sequence of str
        A name a column. An int is the number of columns, which are then named ``x0`` and so on.

    kinds : str, sequence of str or dict of str to str, default="unknown"
        What the columns are: ``"sae"`` (a latent of an SAE), ``"activation"`` (of a language model), ``"surprisal"``,
        ``"control"`` (anything else that is meant to be accounted for) or ``"unknown"``. One for all, one a column, or
        by name, unknown where a name is missing.

    sae_index : array-like of int, default=None
        The SAE's own index of each column of kind ``"sae"``, in their order. None counts them from 0.

    widths : sequence of int, default=None
        Prefix widths of a Matryoshka SAE, for the bins.

    labels : Series or dict of int or str to str, default=None
        What features mean, by the SAE's own index or by name.

    Returns
    -------
    table : pandas.DataFrame
        A row a column of the features: `feature` (its name), `index` (the column), `kind`, `sae_index` (of the SAE,
        missing for what is none of its latents), `bin` (such as ``"0-128"``, empty where it isn't known) and `label`
        (empty without one).

    Raises
    ------
    ValueError
        If lengths differ, or a kind is unknown.

    Examples
    --------
    >>> from sklearn_sae_encoding.fitted import feature_table
    >>> table = feature_table(["a", "b", "surprisal"], kinds=["sae", "sae", "surprisal"], widths=[1, 2])
    >>> table["bin"].tolist(), table["sae_index"].isna().tolist()
    (['0-1', '1-2', ''], [False, False, True])
    """
    names = default_names(names) if isinstance(names, Integral) else [str(name) for name in names]
    kinds = _checked_kinds(kinds, names)
    is_sae = np.array([kind == "sae" for kind in kinds], dtype=bool)
    own = np.arange(is_sae.sum()) if sae_index is None else np.asarray(sae_index, dtype=np.int64)
    if own.shape != (is_sae.sum(),):
        raise ValueError(f"sae_index must hold an index for each of {is_sae.sum()} SAE columns, got {own.shape}.")
    indices = pd.array([pd.NA] * len(names), dtype="Int64")
    indices[is_sae] = own
    table = pd.DataFrame({"feature": names, "index": range(len(names)), "kind": kinds, "sae_index": indices})
    table["feature"], table["kind"] = table["feature"].astype(object), table["kind"].astype(object)
    table["bin"] = bins_of(indices, widths)
    table["label"] = ""
    return table if labels is None else with_labels(table, labels)


def _checked_kinds(kinds, names):
    if isinstance(kinds, Mapping):
        if missing := [name for name in kinds if name not in names]:
            raise ValueError(f"kinds names {missing[0]!r}, which is not among the {len(names)} features.")
        kinds = [kinds.get(name, "unknown") for name in names]
    kinds = [kinds] * len(names) if isinstance(kinds, str) else list(kinds)
    if len(kinds) != len(names):
        raise ValueError(f"kinds must be one or one a feature, {len(names)}, got {len(kinds)}.")
    if wrong := [kind for kind in kinds if kind not in KINDS]:
        raise ValueError(f"The kind of a feature is one of {KINDS}, got {wrong[0]!r}.")
    return kinds


def default_names(n):
    """Name columns of which nothing is known."""
    return [f"x{i}" for i in range(n)]


def edges_of(widths):
    """Give the edges of Matryoshka bins, 0 first."""
    edges = [0, *(int(width) for width in widths)]
    if len(edges) < 2 or np.any(np.diff(edges) <= 0):
        raise ValueError(f"widths must increase from at least 1, got {list(widths)}.")
    return edges


def bin_names(edges):
    """Name the bins between edges."""
    return [f"{lo}-{hi}" for lo, hi in pairwise(edges)]


def bins_of(sae_index, widths):
    """Name the bin of each of the SAE's own indices; "" for what lies in none."""
    if widths is None:
        return np.full(len(sae_index), "", dtype=object)
    edges = edges_of(widths)
    known = pd.array(sae_index, dtype="Int64").to_numpy(dtype=np.int64, na_value=-1)
    names = np.array(["", *bin_names(edges), ""], dtype=object)
    return names[np.searchsorted(edges, known, side="right")]


def as_table(features, n_features):
    """Give the table of features of an array: a table as it is, or one of names, or of nothing but their number."""
    if features is None:
        return feature_table(n_features)
    if isinstance(features, Mapping):
        raise ValueError("Kinds by name need names. Pass feature_table(names, kinds=...).")
    table = _completed(features) if isinstance(features, pd.DataFrame) else feature_table(list(features))
    if n_features is not None and len(table) != n_features:
        raise ValueError(f"Expected one name a feature: {n_features} columns, but {len(table)} names.")
    return table


def _completed(table):
    """Add the columns that a user's table of features lacks."""
    if "feature" not in table:
        raise ValueError(f"A table of features needs a column 'feature', their names; it has {list(table.columns)}.")
    table = table.reset_index(drop=True)
    kinds = table["kind"].tolist() if "kind" in table else "unknown"
    own = None
    if "sae_index" in table:
        own = table["sae_index"][[kind == "sae" for kind in _checked_kinds(kinds, table["feature"].tolist())]]
    made = feature_table(table["feature"], kinds=kinds, sae_index=own)
    for name in table.columns.difference(["index", "sae_index", "kind", "feature"], sort=False):
        made[name] = table[name]
    return made


def find_feature(table, feature, what="features"):
    """Find the column of a feature, which is given by column (negative ones count from the end) or by name."""
    if isinstance(feature, Integral) and not isinstance(feature, (bool, np.bool_)):
        if not -len(table) <= feature < len(table):
            raise ValueError(f"feature must be a column from {-len(table)} to {len(table) - 1}, got {feature}.")
        return int(feature) % len(table)
    if not isinstance(feature, str):
        raise ValueError(f"A feature is given by its column (int) or name (str), got {feature!r}.")
    for names in ("feature", "own"):
        found = np.flatnonzero(table[names] == feature) if names in table else []
        if len(found) == 1:
            return int(found[0])
        if len(found) > 1:
            raise ValueError(f"{len(found)} of the {what} are named {feature!r}. Give the column.")
    raise ValueError(f"There is no feature named {feature!r} among {len(table)}, such as {table['feature'].iloc[0]!r}.")


def find_features(table, features):
    """Find the columns of several features."""
    features = [features] if isinstance(features, (str, Integral)) else features
    return np.array([find_feature(table, one) for one in np.asarray(features, dtype=object).tolist()], dtype=np.intp)


def with_labels(table, labels):
    """Put labels beside the features: by name, or by the SAE's own index; "" without one."""
    known = {_label_key(key): str(label) for key, label in labels.items() if not pd.isna(label)}
    own = table["own"] if "own" in table else table["feature"]
    numbers = table["sae_index"].astype(object)
    keys = zip(table["feature"], own, numbers.where(table["sae_index"].notna(), None), strict=True)
    found = [next((known[key] for key in one if key in known), "") for one in keys]
    return table.assign(label=found)


def pages_of(sae_index, address):
    """Give the page about each feature: `address` with the SAE's own index for ``{index}``; None for what has none."""
    return pd.Series(
        [None if pd.isna(index) else address.replace("{index}", str(int(index))) for index in sae_index],
        index=getattr(sae_index, "index", None),
        dtype=object,
    )


def _label_key(key):
    if isinstance(key, (str, Integral)):
        return key if isinstance(key, str) else int(key)
    raise ValueError(f"Labels must be given by the SAE's own index (int) or by name (str), got {key!r}.")
