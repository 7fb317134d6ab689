"""Bands as they were given to the columns of each."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral

import numpy as np

# Columns that a message lists by name before it only counts them.
LISTED = 5


def resolve_bands(bands, names, n_features: int) -> dict[str, np.ndarray]:
    """Return the columns of each band, by name and in the order given; each column belongs to exactly one.

    `names` are the feature names of X, or empty.
    """
    if bands is None:
        return {"all": np.arange(n_features)}
    if isinstance(bands, str):
        raise ValueError(f"bands={bands!r} is one string; expected a mapping of names to columns, or a label a column.")
    if not isinstance(bands, Mapping):
        bands = _as_mapping(bands, n_features)
    if not len(bands):
        raise ValueError("bands is empty: name at least one band, or give None for one of all columns.")
    resolved = {name: find_columns(f"Band {name!r}", given, names, n_features) for name, given in bands.items()}
    _check_once(resolved, names, n_features)
    return resolved


def _as_mapping(bands, n_features):
    bands = list(bands)
    if all(isinstance(band, str | Integral) for band in bands):
        if len(bands) != n_features:
            raise ValueError(
                f"bands holds {len(bands)} labels, but X has {n_features} columns. Give one label a column, or a "
                "mapping of names to columns."
            )
        labels = np.array(bands, dtype=object)
        return {label: np.flatnonzero(labels == label) for label in dict.fromkeys(bands)}
    return dict(enumerate(bands))


def find_columns(owner: str, given, names, n_features: int) -> np.ndarray:
    """Return column numbers for a slice, a mask, numbers or names; `owner` begins what an error says."""
    if isinstance(given, slice):
        return np.arange(*given.indices(n_features))
    given = [given] if isinstance(given, str | Integral) else list(given)
    if len(given) == n_features and all(isinstance(one, bool | np.bool_) for one in given):
        return np.flatnonzero(given)
    return np.array([_column(owner, one, names, n_features) for one in given], dtype=np.int64)


def _column(owner, given, names, n_features):
    if isinstance(given, str):
        if not len(names):
            raise ValueError(
                f"{owner} names the column {given!r}, but X has no feature names. Give column numbers, or fit "
                "on a DataFrame."
            )
        found = np.flatnonzero(np.asarray(names) == given)
        if not len(found):
            raise ValueError(f"{owner} names {given!r}, which is not among the {len(names)} feature names of X.")
        return int(found[0])
    if isinstance(given, bool | np.bool_) or not isinstance(given, Integral) or not -n_features <= given < n_features:
        raise ValueError(f"{owner} must hold a slice, names, or indices of the {n_features} columns, got {given!r}.")
    return int(given) % n_features


def _check_once(bands, names, n_features):
    owner = np.full(n_features, -1)
    for place, (band, columns) in enumerate(bands.items()):
        taken = columns[owner[columns] >= 0]
        if len(taken):
            other = list(bands)[owner[taken[0]]]
            raise ValueError(
                f"Bands {other!r} and {band!r} overlap in {len(taken)} columns: {_listed(taken, names)}. Each column "
                "belongs to one band."
            )
        owner[columns] = place
        if np.count_nonzero(owner == place) < len(columns):
            raise ValueError(f"Band {band!r} holds a column twice.")
    missing = np.flatnonzero(owner < 0)
    if len(missing):
        raise ValueError(
            f"{len(missing)} of {n_features} columns are in no band: {_listed(missing, names)}. Add them to a band, or "
            "leave them out of X."
        )


def _listed(columns, names):
    shown = ", ".join(repr(str(names[column])) if len(names) else str(column) for column in columns[:LISTED])
    return shown + (", ..." if len(columns) > LISTED else "")
