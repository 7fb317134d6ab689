"""Which region: scores, strongest features and their delays, region by region."""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.utils.sparsefuncs import mean_variance_axis

from sklearn_sae_encoding.analysis import rank_band_features
from sklearn_sae_encoding.banded import BandedRidgeEncoder
from sklearn_sae_encoding.report._features import linked
from sklearn_sae_encoding.report._html import cell, element, join, paragraph, scrolling_table

_STRONGEST = 3


def regions_section(fitted, scores, regions, unit):
    """Make a table with a row a region; None without regions."""
    if regions is None:
        return None
    regions = np.asarray([str(region) for region in regions], dtype=object)
    if regions.shape != fitted.kept.shape:
        raise ValueError(f"regions must name the region of each of the {len(fitted.kept)} voxels, got {len(regions)}.")
    rank = _ranking(fitted)
    one = next(iter(scores.values()), None)
    names = ["Region", "Voxels", *([] if one is None else [f"Mean {unit}"]), "Strongest features"]
    head = [
        element("th", name, scope="col", class_="number" if i in (1, len(names) - 2) else "")
        for i, name in enumerate(names)
    ]
    rows = [_row(fitted, rank, one, region, regions == region) for region in dict.fromkeys(regions) if region]
    about = paragraph(
        "The strongest features of a region move its voxels’ predictions most: root of the mean square over voxels, "
        "delayed copies of a feature taken together, with the delay of the strongest and the sign of most voxels."
    )
    return join([about, scrolling_table("Regions", head, rows)])


def _row(fitted, rank, one, region, inside):
    numbers = [f"{int(inside.sum()):,}"]
    if one is not None:
        values = one.shown[inside]
        numbers.append(f"{np.nanmean(values):.3f}" if np.isfinite(values).any() else "–")
    fitted_voxels = np.flatnonzero(inside[fitted.kept])
    strongest = rank(fitted_voxels) if len(fitted_voxels) else []
    cells = [cell(number, class_="number") for number in numbers]
    return element("tr", element("th", region, scope="row"), *cells, cell(join(strongest, "; ")))


def _ranking(fitted):
    """Give a function of voxels that names their strongest features."""
    if isinstance(fitted.encoder, BandedRidgeEncoder):
        return lambda voxels: _named(fitted, rank_band_features(fitted.view, voxels=voxels).head(_STRONGEST))
    deviations = np.sqrt(mean_variance_axis(fitted.X.astype(np.float64), axis=0)[1])
    table = fitted.view.features
    source = table["source" if "source" in table else "feature"]
    groups = pd.MultiIndex.from_arrays([table["band"], source]) if "band" in table else pd.Index(source)
    groups = groups.factorize()[0]

    def rank(voxels):
        effects = fitted.coef[voxels] * deviations[None]
        squares = np.asarray(effects.power(2).mean(axis=0)).ravel()
        total = np.bincount(groups, squares)
        strongest = [group for group in np.argsort(-total, kind="stable")[:_STRONGEST] if total[group] > 0]
        columns = [np.flatnonzero(groups == group) for group in strongest]
        best = table.iloc[[own[squares[own].argmax()] for own in columns]].assign(
            feature=[source.iloc[own[0]] for own in columns],
            positive=[float((np.asarray(effects[:, own].sum(axis=1)) > 0).mean()) for own in columns],
        )
        return _named(fitted, best)

    return rank


def _named(fitted, ranked):
    named = []
    for row in ranked.itertuples(index=False):
        delay = getattr(row, "delay", None)
        label = f" ({row.label})" if row.label else ""
        at = "" if delay is None else f" at {int(delay)} scans"
        sign = "+" if row.positive >= 0.5 else "−"
        named.append(join([sign, " ", linked(fitted, row.index, f"{row.feature}{label}"), at]))
    return named
