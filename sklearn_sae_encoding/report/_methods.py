"""What was done, as the sentences of a methods section and as a table of settings."""

from __future__ import annotations

import hashlib
import platform
from importlib.metadata import PackageNotFoundError, version
from numbers import Integral
from pathlib import Path

import numpy as np
from sklearn.preprocessing import StandardScaler

from sklearn_sae_encoding import __version__
from sklearn_sae_encoding.activations import LMActivationTransformer
from sklearn_sae_encoding.encoder import SparseVoxelEncoder
from sklearn_sae_encoding.sae import SAEProjector
from sklearn_sae_encoding.surprisal import SurprisalTransformer

_PACKAGES = ("numpy", "scipy", "scikit-learn", "torch", "transformers", "sae-lens", "nilearn")
_UNKNOWN = (
    "Not known to this report, and to be added by hand: participants, stimuli's presentation, image acquisition and "
    "preprocessing, how responses were estimated from the images, and how voxels were chosen."
)


def methods(fitted, scores, noise_ceiling):
    """Write the paragraphs of a methods section."""
    first = [_data(fitted), _masker(fitted), _language_model(fitted), _sae(fitted), _surprisal(fitted)]
    second = [_regression(fitted), _evaluation(scores, noise_ceiling), _software()]
    return [" ".join(filter(None, sentences)) for sentences in (first, second)] + [_UNKNOWN]


def _data(fitted):
    n_voxels = fitted.coef.shape[0]
    return f"Responses of {n_voxels:,} voxels to {len(fitted.texts):,} texts were analysed."


def _masker(fitted):
    if fitted.masker is None:
        return None
    return f"Voxels were taken from images by nilearn's {type(fitted.masker).__name__}."


def _language_model(fitted):
    reader = fitted.maker(LMActivationTransformer) or fitted.maker(SurprisalTransformer)
    if reader is None:
        return None
    weights = ", with random weights (an untrained control)" if reader.weights == "random" else ""
    bos = (
        "preceded by its beginning-of-sequence token" if reader.prepend_bos else "without a beginning-of-sequence token"
    )
    context = f" and after the same context, {reader.context!r}" if reader.context else ""
    name = f"{model_name(reader.model)}{_revision(reader)}{weights}"
    sentence = f"The language model {name} read each text on its own, {bos}{context}."
    if isinstance(reader, LMActivationTransformer):
        pooled = "" if reader.pooling is None else f" and pooled over the tokens of a text ({reader.pooling})"
        sentence += f" Activations of every token were taken at {hooks(reader)}{pooled}."
    return sentence


def model_name(model):
    """The name of a model, an SAE, or of the object that was given."""
    if isinstance(model, str) or hasattr(model, "__fspath__"):
        path = Path(model)  # where a local folder lies is nobody else's business
        return f"{path.name} (a local copy)" if path.is_absolute() or path.exists() else str(model)
    name = getattr(getattr(model, "config", None), "name_or_path", None)
    return name or f"given as an object ({type(model).__name__})"


def _revision(reader):
    return f" (revision {reader.revision})" if reader.revision else ""


def hooks(reader):
    return " and ".join([reader.hook_names_] if isinstance(reader.hook_names_, str) else reader.hook_names_)


def _sae(fitted):
    projector = fitted.maker(SAEProjector)
    if projector is None:
        return None
    offered, n = len(projector.feature_indices_), projector.n_features_
    which = f"all {n:,}" if offered == n else f"{offered:,} of {n:,}"
    learnt = "a Matryoshka sparse autoencoder learnt from these activations"
    sae = learnt if projector.sae is None else f"the sparse autoencoder {sae_name(projector)}"
    how = {
        "mean": "averaged over the tokens of a text",
        "max": "reduced to their maximum over the tokens of a text",
        "sum": "summed over the tokens of a text",
        "last": "taken at a text's last token",
        "fraction_active": "reduced to the share of a text's tokens on which they were active",
    }[projector.pooling]
    return f"Each token's activation was encoded by {sae}; {which} features were {how}."


def sae_name(projector):
    return " ".join(filter(None, [model_name(projector.sae), projector.sae_id]))


def _surprisal(fitted):
    surprisal = fitted.maker(SurprisalTransformer)
    if surprisal is None:
        return None
    reductions = [surprisal.reduction] if isinstance(surprisal.reduction, str) else list(surprisal.reduction)
    scaled = ", standardised over texts" if fitted.maker(StandardScaler) is not None else ""
    return (
        f"Surprisal, the {' and '.join(reductions)} over a text's {surprisal.level}s of the negative log probability "
        f"in {surprisal.unit} given what came before{scaled}, was a feature beside them."
    )


def _regression(fitted):
    encoder = fitted.encoder
    if not isinstance(encoder, SparseVoxelEncoder):
        return f"Responses were regressed on the features by {type(encoder).__name__}."
    kind = "the lasso" if encoder.l1_ratio == 1 else f"an elastic net (l1_ratio = {encoder.l1_ratio:g})"
    positive = " with weights of at least zero" if encoder.positive else ""
    standardised = ", standardised over the training texts," if encoder.standardize_targets else ""
    sentences = [f"Each voxel's responses{standardised} were regressed on the features by {kind}{positive}."]
    if encoder.screening is not None and encoder.screening < fitted.X.shape[1]:
        sentences.append(
            f"Only the {encoder.screening:,} features with the largest F statistic for the voxel took part."
        )
    sentences.append(_penalty(encoder))
    if encoder.forced_features is not None:
        forced = ", ".join(_feature_name(fitted, feature) for feature in encoder.forced_features)
        sentences.append(f"Always in the model: {forced}.")
    if encoder.refit == "ridge":
        sentences.append(
            f"The features selected (weight of at least 1e-5) were refitted by ridge regression, each voxel's penalty "
            f"chosen among {_range(encoder.refit_alphas)} by exact leave-one-out error."
        )
    return " ".join(sentences)


def _penalty(encoder):
    grid = np.asarray(encoder.alphas_)
    if grid.shape[-1] == 1:
        return f"The penalty was {float(np.nanmax(grid)):.3g}." if grid.size == 1 else "Each voxel had one penalty."
    if isinstance(encoder.alphas, Integral):
        among = f"{encoder.alphas} log-spaced values from the smallest that empties its model to {encoder.eps:g} of it"
    else:
        among = _range(encoder.alphas)
    cv = f"{encoder.cv} contiguous folds" if isinstance(encoder.cv, Integral) else _one_line(encoder.cv)
    rule = "least mean squared error" if encoder.selection == "min" else "the one-standard-error rule"
    return (
        f"Each voxel's penalty was chosen among {among} by cross-validation within the training texts ({cv}; {rule})."
    )


def _range(values):
    values = np.sort(np.ravel(np.asarray(values, dtype=float)))
    return f"{len(values)} values from {_number(values[0])} to {_number(values[-1])}"


def _number(value):
    return f"{value:,g}" if 1e-4 <= abs(value) < 1e6 else f"{value:.3g}"


def _feature_name(fitted, feature):
    return feature if isinstance(feature, str) else str(fitted.names[feature])


def _one_line(value):
    shown = " ".join(repr(value).split())
    return shown if len(shown) <= 200 else shown[:200] + "…"


def _evaluation(scores, noise_ceiling):
    if not scores:
        return None
    result = next(iter(scores.values()))
    sizes = sorted({_size(test) for _, test in result.splits})
    test = f"{sizes[0]}" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
    average = {"r": "Pearson's correlation, averaged over folds by Fisher's z", "R²": "R², averaged over folds"}
    divided = " and divided by the voxel's noise ceiling" if noise_ceiling is not None else ""
    return (
        f"Models were tested on texts held out in {len(result.splits)} outer folds ({test} texts each), everything "
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
        ("Language model", _reader_rows(fitted)),
        ("Sparse autoencoder", _sae_rows(fitted)),
        ("Encoder", [("class", type(fitted.encoder).__name__), *_parameters(fitted.encoder)]),
        ("Outer cross-validation", _score_rows(scores)),
        ("Data", _data_rows(fitted)),
        ("Software", _software_rows()),
    ]


def _reader_rows(fitted):
    reader = fitted.maker(LMActivationTransformer) or fitted.maker(SurprisalTransformer)
    if reader is None:
        return []
    rows = [("name", model_name(reader.model)), ("revision", reader.revision or "not pinned")]
    if isinstance(reader, LMActivationTransformer):
        rows.append(("hook", hooks(reader)))
    shown = ("weights", "dtype", "device", "prepend_bos", "context", "window", "stride")
    return rows + [(name, _one_line(getattr(reader, name))) for name in shown if getattr(reader, name) is not None]


def _sae_rows(fitted):
    projector = fitted.maker(SAEProjector)
    if projector is None:
        return []
    name = "learnt in fit" if projector.sae is None else sae_name(projector)
    widths = None if projector.widths_ is None else ", ".join(f"{int(width):,}" for width in projector.widths_)
    rows = [("name", name), ("features", f"{projector.n_features_:,}"), ("Matryoshka widths", widths)]
    offered = len(projector.feature_indices_)
    rows += [("offered to the encoder", f"{offered:,}"), ("pooling", projector.pooling)]
    return rows + ([("random_state", projector.random_state)] if projector.sae is None else [])


def _parameters(estimator):
    technical = ("n_jobs", "verbose", "memory", "block_size")
    params = estimator.get_params(deep=False).items()
    return [(name, _one_line(value)) for name, value in params if name not in technical]


def _score_rows(scores):
    if not scores:
        return []
    result = next(iter(scores.values()))
    sizes = ", ".join(str(_size(test)) for _, test in result.splits)
    return [
        ("folds", len(result.splits)),
        ("texts held out", sizes),
        ("metric", result.metric),
        ("models", ", ".join(scores)),
    ]


def _data_rows(fitted):
    digest = hashlib.sha256("\x00".join(fitted.texts).encode("utf-8", "surrogatepass")).hexdigest()
    responses = hashlib.sha256()
    for row in fitted.Y:
        responses.update(np.ascontiguousarray(row, dtype="<f8"))
    return [
        ("texts", f"{len(fitted.texts):,}"),
        ("voxels", f"{fitted.Y.shape[1]:,}"),
        ("SHA-256 of the texts", digest),
        ("SHA-256 of the responses (float64)", responses.hexdigest()),
    ]


def _software_rows():
    rows = [("sklearn-sae-encoding", __version__), ("Python", platform.python_version())]
    for package in _PACKAGES:
        try:
            rows.append((package, version(package)))
        except PackageNotFoundError:
            continue
    return [*rows, ("platform", platform.platform(terse=True))]
