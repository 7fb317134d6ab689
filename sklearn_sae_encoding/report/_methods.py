"""What was done, as the sentences of a methods section and as a table of settings."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from numbers import Integral

import numpy as np

from sklearn_sae_encoding import __version__
from sklearn_sae_encoding._data_hash import hash_data, hash_responses
from sklearn_sae_encoding.banded import BandedRidgeEncoder
from sklearn_sae_encoding.encoder import SparseVoxelEncoder
from sklearn_sae_encoding.report._bands import banded_regression
from sklearn_sae_encoding.report._models import describe_features, folds, one_line, reading_settings

_PACKAGES = ("numpy", "scipy", "scikit-learn", "torch", "transformers", "sae-lens", "nilearn")
_UNKNOWN = (
    "Not known to this report, and to be added by hand: participants, stimuli's presentation, image acquisition and "
    "preprocessing, how responses were estimated from the images, and how voxels were chosen."
)


def methods(fitted, scores, noise_ceiling):
    """Write the paragraphs of a methods section."""
    first = [_data(fitted), _masker(fitted), *describe_features(fitted)]
    second = [_regression(fitted), _evaluation(fitted, scores, noise_ceiling), _software()]
    return [" ".join(filter(None, sentences)) for sentences in (first, second)] + [_UNKNOWN]


def _data(fitted):
    n_voxels = fitted.coef.shape[0]
    if fitted.runs is not None:
        return fitted.runs.sentences(n_voxels)
    return f"Responses of {n_voxels:,} voxels to {len(fitted.texts):,} texts were analysed."


def _masker(fitted):
    if fitted.masker is None:
        return None
    return f"Voxels were taken from images by nilearn's {type(fitted.masker).__name__}."


def _regression(fitted):
    encoder = fitted.encoder
    if isinstance(encoder, BandedRidgeEncoder):
        return banded_regression(fitted)
    if not isinstance(encoder, SparseVoxelEncoder):
        return f"Responses were regressed on the features by {type(encoder).__name__}."
    kind = "the lasso" if encoder.l1_ratio == 1 else f"an elastic net (l1_ratio = {encoder.l1_ratio:g})"
    positive = " with weights of at least zero" if encoder.positive else ""
    what = "texts" if fitted.runs is None else "scans"
    standardised = f", standardised over the training {what}," if encoder.standardize_targets else ""
    sentences = [f"Each voxel's responses{standardised} were regressed on the features by {kind}{positive}."]
    if encoder.screening is not None and encoder.screening < fitted.X.shape[1]:
        sentences.append(
            f"Only the {encoder.screening:,} features with the largest F statistic for the voxel took part."
        )
    sentences.append(_penalty(fitted, encoder, what))
    if encoder.forced_features is not None:
        forced = ", ".join(_forced(fitted, encoder.forced_features))
        sentences.append(f"Always in the model: {forced}.")
    if encoder.refit == "ridge":
        sentences.append(
            f"The features selected (weight of at least 1e-5) were refitted by ridge regression, each voxel's penalty "
            f"chosen among {_range(encoder.refit_alphas)} by exact leave-one-out error."
        )
    return " ".join(sentences)


def _penalty(fitted, encoder, what):
    grid = np.asarray(encoder.alphas_)
    if grid.shape[-1] == 1:
        return f"The penalty was {float(np.nanmax(grid)):.3g}." if grid.size == 1 else "Each voxel had one penalty."
    if isinstance(encoder.alphas, Integral):
        among = f"{encoder.alphas} log-spaced values from the smallest that empties its model to {encoder.eps:g} of it"
    else:
        among = _range(encoder.alphas)
    cv = f"{encoder.cv} contiguous folds" if isinstance(encoder.cv, Integral) else folds(fitted, encoder.cv)
    rule = "least mean squared error" if encoder.selection == "min" else "the one-standard-error rule"
    return (
        f"Each voxel's penalty was chosen among {among} by cross-validation within the training {what} ({cv}; {rule})."
    )


def _range(values):
    values = np.sort(np.ravel(np.asarray(values, dtype=float)))
    return f"{len(values)} values from {_number(values[0])} to {_number(values[-1])}"


def _number(value):
    return f"{value:,g}" if 1e-4 <= abs(value) < 1e6 else f"{value:.3g}"


def _forced(fitted, forced):
    forced = np.asarray(forced)
    columns = np.flatnonzero(forced) if forced.dtype == bool else fitted.view.columns(forced.tolist())
    return [str(fitted.names[column]) for column in columns]


def _evaluation(fitted, scores, noise_ceiling):
    if not scores:
        return None
    result = next(iter(scores.values()))
    sizes = sorted({_size(test) for _, test in result.splits})
    test = f"{sizes[0]}" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
    average = {"r": "Pearson's correlation, averaged over folds by Fisher's z", "R²": "R², averaged over folds"}
    divided = " and divided by the voxel's noise ceiling" if noise_ceiling is not None else ""
    made = f"; {result.splits.made_by}" if hasattr(result.splits, "made_by") else ""
    anew = "all that is fitted being" if fitted.view.makers else "on features made beforehand, the regression being"
    what = "texts" if fitted.runs is None else "run(s)"
    return (
        f"Models were tested on {what} held out in {len(result.splits)} outer folds ({test} {what} each{made}), {anew} "
        f"fitted anew in each; a voxel's score is {average[result.metric]}{divided}."
    )


def _size(rows):
    rows = np.asarray(rows)
    return int(rows.sum()) if rows.dtype == bool else len(rows)


def _software():
    return f"Computed with sklearn-sae-encoding {__version__} and scikit-learn {version('scikit-learn')}."


def settings(fitted, scores):
    """Name every setting that another lab needs, by part: pairs of a heading and rows of name and value."""
    return [
        *reading_settings(fitted),
        ("Encoder", [("class", type(fitted.encoder).__name__), *_parameters(fitted)]),
        ("Outer cross-validation", _score_rows(scores, "texts" if fitted.runs is None else "runs")),
        ("Data", _data_rows(fitted)),
        ("Software", _software_rows()),
    ]


def _parameters(fitted):
    technical = ("n_jobs", "verbose", "memory", "block_size")
    params = fitted.encoder.get_params(deep=False).items()
    shown = {name: folds(fitted, value) if name == "cv" else one_line(value) for name, value in params}
    return [(name, value) for name, value in shown.items() if name not in technical]


def _score_rows(scores, what):
    if not scores:
        return []
    result = next(iter(scores.values()))
    sizes = ", ".join(str(_size(test)) for _, test in result.splits)
    return [
        ("folds", len(result.splits)),
        ("splitter", getattr(result.splits, "made_by", "not recorded with the scores")),
        (f"{what} held out", sizes),
        ("metric", result.metric),
        ("models", ", ".join(scores)),
    ]


def _data_rows(fitted):
    """Count and hash the data, as `save_encoder` does: what is the same there is the same here."""
    what = "texts" if fitted.runs is None else "runs"
    given = fitted.texts if fitted.runs is None else fitted.runs.runs
    rows = [(what, f"{len(given):,}"), ("voxels", f"{fitted.Y.shape[1]:,}")]
    rows.append((f"SHA-256 of the {what}", hash_data(given)))
    if fitted.given.features is not None:
        rows.append(("SHA-256 of the features", hash_data(fitted.given.features)))
    return [*rows, ("SHA-256 of the responses", hash_responses(fitted.given.responses))]


def _software_rows():
    rows = [("sklearn-sae-encoding", __version__), ("Python", platform.python_version())]
    for package in _PACKAGES:
        try:
            rows.append((package, version(package)))
        except PackageNotFoundError:
            continue
    return [*rows, ("platform", platform.platform(terse=True))]
