"""The bands of a banded ridge and their penalties, as a section and as sentences of the methods."""

from __future__ import annotations

from numbers import Integral

import numpy as np

from sklearn_sae_encoding.banded import BandedRidgeEncoder
from sklearn_sae_encoding.report._html import cell, element, join, paragraph, scrolling_table
from sklearn_sae_encoding.report._models import folds, one_line

NOT_SPLIT = (
    "Predictions are not split into surprisal’s and content’s parts: the encoder divides features by their standard "
    "deviation in each run, and the report does not know whose run a row is."
)


def bands_section(fitted):
    """Make the table of bands; None for other models."""
    encoder = fitted.encoder
    if not isinstance(encoder, BandedRidgeEncoder):
        return None
    names = ("Band", "Features", "Left out", "Lower quartile", "Median penalty", "Upper quartile", "Without the band")
    head = [element("th", name, scope="col", class_="number" if i else "") for i, name in enumerate(names)]
    rows = [_row(encoder, place, name) for place, name in enumerate(encoder.bands_)]
    about = paragraph(
        "Penalties are Ridge's, in units of the features as they were given, or of their standard deviations if they "
        "were scaled. A smaller one lets a band say more. What a band explains is told by nested models on held-out "
        "data (analysis.band_models, analysis.partition_variance), not by its penalty."
    )
    return join([about, scrolling_table("Bands of features and their penalties over voxels", head, rows)])


def _row(encoder, place, name):
    alphas = encoder.band_alphas_[:, place]
    fitted, used = ~np.isnan(alphas), np.isfinite(alphas)
    quartiles = np.quantile(alphas[used], [0.25, 0.5, 0.75]) if used.any() else [np.nan] * 3
    left_out = sum(encoder.left_out_.get(name, {}).values())
    without = 1 - used.sum() / max(fitted.sum(), 1)
    numbers = [f"{len(encoder.bands_[name]):,}", f"{left_out:,}", *(f"{value:.3g}" for value in quartiles)]
    cells = [cell(number, class_="number") for number in [*numbers, f"{without:.0%}"]]
    return element("tr", element("th", name, scope="row"), *cells)


def banded_regression(fitted):
    """Write the sentences of the methods on a banded ridge."""
    encoder = fitted.encoder
    names, what = list(encoder.bands_), "texts" if fitted.runs is None else "scans"
    bands = f"{len(names)} bands ({', '.join(map(str, names))})" if len(names) > 1 else "one band"
    over = {"columns": f"over the training {what}", "runs": "in each run"}
    scaled = f", divided by their standard deviations {over[encoder.scale]}" if encoder.scale else ""
    only = "" if encoder.only is None else f", of which {one_line(encoder.only)} were used"
    sentences = [
        f"Each voxel's responses were regressed on the features{scaled}, in {bands}{only}, by banded ridge regression, "
        "with a penalty for each band and voxel."
    ]
    if hasattr(encoder, "cv_scores_"):
        cv = f"{encoder.cv} contiguous folds" if isinstance(encoder.cv, Integral) else folds(fitted, encoder.cv)
        sentences.append(
            f"Penalties were chosen among {len(encoder.candidates_):,} weightings of the bands and "
            f"{len(encoder.alphas_):,} penalties from {encoder.alphas_[0]:.3g} to {encoder.alphas_[-1]:.3g} by "
            f"cross-validation within the training {what} ({cv}; least mean squared error), with himalaya's solvers."
        )
    if encoder.search == "gradient":
        sentences.append(f"They were then refined by {encoder.n_steps} steps of gradient descent at most.")
    n_left = sum(sum(counts.values()) for counts in encoder.left_out_.values())
    if n_left:
        sentences.append(f"{n_left:,} features that were constant, or fired too rarely or too often, were left out.")
    return " ".join(sentences)
