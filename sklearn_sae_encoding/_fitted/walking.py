"""Fitted transformers to the columns that they give out: which estimator made each, and what it is."""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler

from sklearn_sae_encoding._fitted.parts import is_estimator
from sklearn_sae_encoding._fitted.tables import default_names, feature_table, pages_of
from sklearn_sae_encoding.activations import LMActivationTransformer
from sklearn_sae_encoding.sae import SAEProjector
from sklearn_sae_encoding.surprisal import SurprisalTransformer
from sklearn_sae_encoding.timing import BandUnion, RunwiseDelayer, WordsToScans


def columns_of(transformer, given=None, width=None):
    """Give the table of the columns that a fitted transformer makes of the columns `given`.

    Beside what :func:`feature_table` has, it tells of each column `own`, its name before any prefix, `maker` and
    `output`, the estimator that made it and which of its columns it was, `to_scans` and `word_value`, what made scans
    of words and which of the word's values it was, and `centre` and `scale`, what was subtracted from it since, and by
    what it was divided (NaN where another function was applied).

    `given` is None for texts and whatever else is no table, `width` the number of columns if that is known. None comes
    back if nobody says how many columns there are.
    """
    if not is_estimator(transformer):  # "passthrough" and None
        return given
    given = inputs_of(transformer) if given is None else given
    if hasattr(transformer, "get_feature_table_out"):
        return complete(transformer.get_feature_table_out(given), transformer)
    for kind, walk in _OF_RUNS.items():
        if isinstance(transformer, kind):
            return walk(transformer, given)
    for names, walk in _CONTAINERS.items():
        if hasattr(transformer, names):
            return walk(transformer, given, width)
    for kind, make in _MAKERS.items():
        if isinstance(transformer, kind):
            return complete(make(transformer), transformer)
    return _foreign(transformer, given, width) if given is None else _passed(transformer, given, width)


def inputs_of(transformer):
    """Give the table of the columns that a transformer was fitted to, None if it doesn't tell."""
    n_features = getattr(transformer, "n_features_in_", None)
    if n_features is None:
        return None
    return complete(feature_table(getattr(transformer, "feature_names_in_", default_names(n_features))), None)


def complete(table, maker):
    """Add to a table of columns as they are made what is not known otherwise."""
    table = _restart(table)
    makers = np.empty(len(table), dtype=object)
    makers[:] = maker
    known = {"own": table["feature"], "maker": makers, "output": np.arange(len(table)), "centre": 0.0, "scale": 1.0}
    known |= {"to_scans": None, "word_value": -1}
    return table.assign(**{name: value for name, value in known.items() if name not in table})


def _chain(pipeline, given, width):
    steps = [step for _, step in pipeline.steps]
    for i, step in enumerate(steps, start=1):
        expected = width if i == len(steps) else getattr(steps[i], "n_features_in_", None)
        given = columns_of(step, given, expected)
    return given


def _union(union, given, width):
    parts = [(name, columns_of(part, given)) for name, part in union.transformer_list if part != "drop"]
    unknown = [i for i, (_, table) in enumerate(parts) if table is None]
    if len(unknown) == 1 and width is not None:
        rest = width - sum(len(table) for _, table in parts if table is not None)
        name, part = [pair for pair in union.transformer_list if pair[1] != "drop"][unknown[0]]
        parts[unknown[0]] = (name, columns_of(part, given, rest))
    elif unknown:
        return None
    prefixed = union.verbose_feature_names_out
    return _side_by_side([_prefixed(table, name) if prefixed else table for name, table in parts])


def _by_column(transformer, given, width):
    parts = {}
    for name, part, columns in transformer.transformers_:
        place = transformer.output_indices_.get(name, slice(0))
        if (isinstance(part, str) and part == "drop") or place.stop == place.start:
            continue
        chosen = None if given is None else _restart(given.iloc[_positions(columns, given["feature"])])
        n_columns = place.stop - place.start
        table = columns_of(part, chosen, n_columns)
        parts[place.start] = _unknown(n_columns, "control") if table is None else table
        if transformer.verbose_feature_names_out:
            parts[place.start] = _prefixed(parts[place.start], name)
    return _side_by_side([parts[start] for start in sorted(parts)])


def _positions(columns, names):
    """Columns as scikit-learn takes them: one or several, by number, name, mask or slice."""
    if isinstance(columns, slice):
        by_name = isinstance(columns.start, str) or isinstance(columns.stop, str)
        index = pd.Index(names)
        return index.slice_indexer(columns.start, columns.stop) if by_name else np.arange(len(names))[columns]
    columns = np.atleast_1d(np.asarray(columns))
    if columns.dtype.kind in "OUT":
        return pd.Index(names).get_indexer(columns)
    return np.arange(len(names))[columns]


def _bands(union, given):
    parts = [columns_of(part).assign(band=name) for name, part in union.transformer_list]
    return _side_by_side(parts).assign(feature=union.get_feature_names_out())


def _words(to_scans, given):
    """Columns keep their maker: resampling to scans is linear, and the same for all."""
    if hasattr(to_scans, "features_"):
        table = columns_of(to_scans.features_, None, to_scans.n_features_out_)
    else:
        names = to_scans.get_feature_names_out()
        table = complete(feature_table(names, kinds=["control"] * len(names)), to_scans)
    makers = np.empty(len(table), dtype=object)
    makers[:] = to_scans
    return table.assign(to_scans=makers, word_value=np.arange(len(table)))


def _delayed(delayer, given):
    """Copies of columns, some scans later; bands are those of what made the columns, if it has bands."""
    delayed = delayer.table(given["feature"])
    table = _restart(given.iloc[delayed["column"].to_numpy()])
    parts = {"band": delayed["band"], "delay": delayed["delay"], "source": delayed["feature"]}
    if delayer.scale == "runs":  # another number in each run
        parts["scale"] = np.nan
    return table.assign(feature=delayed["name"], **parts)


_OF_RUNS = {BandUnion: _bands, WordsToScans: _words, RunwiseDelayer: _delayed}
_CONTAINERS = {"steps": _chain, "transformer_list": _union, "transformers_": _by_column}


def _passed(transformer, given, width):
    """Columns of a transformer that scales, selects or mixes: what has the name of an input is that input."""
    names = _names_out(transformer, given["feature"].to_numpy(dtype=object))
    place = pd.Index(given["feature"])
    if names is None or not place.is_unique or not np.isin(names, place).all():
        return _foreign(transformer, given, width, names)
    taken = place.get_indexer(names)
    centre, scale = _scaling(transformer, len(given))
    table = _restart(given.iloc[taken])
    old = table["scale"].to_numpy()
    table["centre"] = table["centre"].to_numpy() + centre[taken] * old
    table["scale"] = old * scale[taken]
    return table


def _scaling(transformer, n_columns):
    """What is subtracted from each column, and by what it is then divided; NaN for another function."""
    zero, one = np.zeros(n_columns), np.ones(n_columns)
    if hasattr(transformer, "get_support"):
        return zero, one
    if isinstance(transformer, StandardScaler):
        return (
            transformer.mean_ if transformer.with_mean else zero,
            transformer.scale_ if transformer.with_std else one,
        )
    if isinstance(transformer, MaxAbsScaler):
        return zero, transformer.scale_
    if isinstance(transformer, RobustScaler):
        centre = transformer.center_ if transformer.with_centering else zero
        return centre, transformer.scale_ if transformer.with_scaling else one
    if isinstance(transformer, MinMaxScaler):
        return -transformer.min_ / transformer.scale_, 1 / transformer.scale_
    return zero * np.nan, one * np.nan


def _names_out(transformer, names_in=None):
    try:
        return np.asarray(transformer.get_feature_names_out(names_in), dtype=object)
    except (AttributeError, TypeError, ValueError):
        return None


def _foreign(transformer, given, width, names=None):
    """Columns that an estimator of somebody else makes: of the kind of what it makes them of, or controls."""
    names = _names_out(transformer) if names is None else names
    kinds = set() if given is None else set(given["kind"])
    kind = kinds.pop() if len(kinds) == 1 else "control"
    if names is None:
        return None if width is None else complete(_unknown(width, kind), transformer)
    table = feature_table(names, kinds=kind)
    table["sae_index"] = pd.array([pd.NA] * len(table), dtype="Int64")
    return complete(table, transformer)


def _unknown(width, kind):
    table = feature_table(width, kinds=kind)
    table["sae_index"] = pd.array([pd.NA] * width, dtype="Int64")
    return complete(table, None)


def _latents(projector):
    names, indices = projector.get_feature_names_out(), projector.feature_indices_
    n_others = len(names) - len(indices)  # how well the SAE reconstructs: no latents
    widths = None if projector.bins_ is None else [hi for _, hi in projector.bins_]
    kinds = ["sae"] * len(indices) + ["control"] * n_others
    table = feature_table(names, kinds=kinds, sae_index=indices, widths=widths)
    page = getattr(projector, "page_", None)
    return table if page is None else table.assign(page=pages_of(table["sae_index"], page))


def _of_kind(kind):
    return lambda transformer: feature_table(transformer.get_feature_names_out(), kinds=kind)


_MAKERS = {
    SAEProjector: _latents,
    SurprisalTransformer: _of_kind("surprisal"),
    LMActivationTransformer: _of_kind("activation"),
}


def _prefixed(table, name):
    return table.assign(feature=[f"{name}__{feature}" for feature in table["feature"]])


def _side_by_side(tables):
    tables = [table for table in tables if table is not None and len(table)]
    if not tables:
        return None
    table = _restart(pd.concat(tables))
    unknown = table["kind"] == "unknown"
    # What was given, and stands beside features that were made, is there to be accounted for.
    return table if unknown.all() else table.assign(kind=table["kind"].mask(unknown, "control"))


def _restart(table):
    return table.reset_index(drop=True).assign(index=np.arange(len(table)))
