"""The language models and SAEs that made the features, as sentences of a methods section and as settings."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from sklearn_sae_encoding.activations import LMActivationTransformer
from sklearn_sae_encoding.language_model import as_language_model
from sklearn_sae_encoding.sae import SAEProjector
from sklearn_sae_encoding.surprisal import SurprisalTransformer
from sklearn_sae_encoding.timing import WordsToScans

_LM = (LMActivationTransformer, SurprisalTransformer)
_READING = ("weights", "dtype", "device", "bos_token", "context", "window", "stride")
_OF_FEATURES = {
    "mean": "averaged over the tokens of a text",
    "max": "reduced to their maximum over the tokens of a text",
    "sum": "summed over the tokens of a text",
    "last": "taken at a text's last token",
    "fraction_active": "reduced to the share of a text's tokens on which they were active",
}
_OF_TOKENS = "Activations of every {level} were taken at {hooks}"
_OF_ACTIVATIONS = {
    "mean": "Activations at {hooks} were averaged over the tokens of a text",
    "max": "Activations at {hooks} were reduced to their maximum over the tokens of a text",
    "sum": "Activations at {hooks} were summed over the tokens of a text",
    "last": "The activation of each text's last token was taken at {hooks}",
}
# What is said of texts, as it is true of the words of a story.
_OF_STORIES = (
    (r"read each text on its own", "read each story as a whole"),
    (r", the [\w ]+ over a text's \w+s of the negative", " of each word, the negative"),
    (r"(of|Each|each|a) text('s)?\b", r"\1 word\2"),
    (r"over texts", "over scans"),
)
_RESAMPLED = {
    "lanczos": "resampled to scans by a Lanczos filter (window {window:g}, cutoff {cutoff})",
    "sum": "summed over those nearest to each scan",
    "mean": "averaged over those nearest to each scan",
    "hrf": "convolved with the haemodynamic response {hrf_model}",
}


def describe_features(fitted):
    """Write the sentences on how texts became features, in the order in which the model does it."""
    readings = _readings(fitted)
    sentences = [_language_model(reader) for reader in readings.values()]
    reader = None
    for maker in fitted.view.makers:
        of = (
            f" of {model_name(as_language_model(maker.model).model)}"
            if isinstance(maker, _LM) and len(readings) > 1
            else ""
        )
        if isinstance(maker, LMActivationTransformer):
            reader = maker
            sentence = _OF_ACTIVATIONS[maker.pooling] if maker.level == "text" else _OF_TOKENS
            sentences.append(sentence.format(hooks=hooks(maker), level=maker.level) + f"{of}.")
        elif isinstance(maker, SAEProjector):
            sentences.append(_sae(maker, reader))
        elif isinstance(maker, SurprisalTransformer):
            sentences.append(_surprisal(maker, of, fitted))
        elif isinstance(maker, WordsToScans):
            sentences.append(_to_scans(maker))
    return sentences if fitted.runs is None else [_of_stories(sentence) for sentence in sentences]


def _of_stories(sentence):
    for pattern, said in _OF_STORIES:
        sentence = re.sub(pattern, said, sentence)
    return sentence


def _to_scans(maker):
    cutoff = "one over the repetition time" if maker.cutoff is None else f"{maker.cutoff:g} Hz"
    hrf_model = maker.hrf_model if isinstance(maker.hrf_model, str) else "that was given"
    how = _RESAMPLED[maker.method].format(window=maker.window, cutoff=cutoff, hrf_model=hrf_model)
    if maker.table is not None:
        return f"The series {maker.table!r} was {how}."
    named = [maker.features] if isinstance(maker.features, str) else maker.features
    what = "These values" if hasattr(maker.features, "transform") else f"Of words: {', '.join(map(str, named))}; they"
    return f"{what} stood at the {maker.word_time} of words, and were {how}."


def reading_settings(fitted):
    """Give a heading and rows of name and value for each way in which a language model reads, and for each SAE."""
    sections = [("Language model", _reader_rows(fitted, reader)) for reader in _readings(fitted).values()]
    projectors = [maker for maker in fitted.view.makers if isinstance(maker, SAEProjector)]
    return sections + [("Sparse autoencoder", _sae_rows(projector)) for projector in projectors]


def _readings(fitted):
    """The first transformer of each language model and way of reading."""
    readings = {}
    for maker in fitted.view.makers:
        if isinstance(maker, _LM):
            readings.setdefault(_reading(maker), maker)
    return readings


def _reading(reader):
    model = as_language_model(reader.model)
    return (model_name(model.model), model.revision, *(getattr(model, name) for name in _READING))


def _language_model(reader):
    model = as_language_model(reader.model)
    weights = ", with random weights (an untrained control)" if model.weights == "random" else ""
    named = {"auto": "preceded by its beginning-of-sequence token", None: "without a beginning-of-sequence token"}
    bos = named.get(model.bos_token, f"preceded by {model.bos_token!r}")
    context = f" and after the same context, {model.context!r}" if model.context else ""
    revision = f" (revision {model.revision})" if model.revision else ""
    return f"The language model {model_name(model.model)}{revision}{weights} read each text on its own, {bos}{context}."


def model_name(model):
    """The name of a model, an SAE, or of the object that was given."""
    if isinstance(model, str) or hasattr(model, "__fspath__"):
        path = Path(model)  # where a local folder lies is nobody else's business
        return f"{path.name} (a local copy)" if path.is_absolute() or path.exists() else str(model)
    name = getattr(getattr(model, "config", None), "name_or_path", None)
    return name or f"given as an object ({type(model).__name__})"


def hooks(reader):
    return " and ".join([reader.hook_names_] if isinstance(reader.hook_names_, str) else reader.hook_names_)


def _sae(projector, reader):
    offered, n = len(projector.feature_indices_), projector.n_features_
    which = f"all {n:,}" if offered == n else f"{offered:,} of {n:,}"
    learnt = "a Matryoshka sparse autoencoder learnt from these activations"
    sae = learnt if projector.sae is None else f"the sparse autoencoder {sae_name(projector)}"
    if reader is None or reader.level == "text":
        return f"Each text's one activation vector was encoded by {sae}; {which} features were used."
    return f"Each token's activation was encoded by {sae}; {which} features were {_OF_FEATURES[projector.pooling]}."


def sae_name(projector):
    return " ".join(filter(None, [model_name(projector.sae), projector.sae_id]))


def _surprisal(surprisal, of, fitted):
    poolings = [surprisal.pooling] if isinstance(surprisal.pooling, str) else list(surprisal.pooling)
    scaled = ", standardised over texts" if _is_standardised(fitted) else ""
    beside = " beside them" if fitted.view.maker(LMActivationTransformer) is not None else ""
    return (
        f"Surprisal{of}, the {' and '.join(poolings)} over a text's {surprisal.over}s of the negative log "
        f"probability in {surprisal.unit} given what came before{scaled}, was a feature{beside}."
    )


def _is_standardised(fitted):
    """Whether surprisal came to the encoder with mean 0 and sd 1: only its values tell, whatever steps made them."""
    values = fitted.X[:, fitted.surprisal].toarray()
    close = {"rtol": 0, "atol": 1e-3}  # float32's rounding
    if values.shape[1] == 0:
        return False
    return bool(np.allclose(values.mean(axis=0), 0, **close) and np.allclose(values.std(axis=0), 1, **close))


def _reader_rows(fitted, first):
    model = as_language_model(first.model)
    rows = [("name", model_name(model.model)), ("revision", model.revision or "not pinned")]
    same = [maker for maker in fitted.view.makers if isinstance(maker, _LM) and _reading(maker) == _reading(first)]
    for reader in same:
        if isinstance(reader, LMActivationTransformer):
            pooling = reader.pooling if reader.level == "text" else f"none: every {reader.level}"
            rows += [("hook", hooks(reader)), ("pooling of activations", pooling)]
    if model.weights == "random":
        rows.append(("random_state", model.random_state))
    return rows + [(name, one_line(getattr(model, name))) for name in _READING if getattr(model, name) is not None]


def _sae_rows(projector):
    name = "learnt in fit" if projector.sae is None else sae_name(projector)
    widths = None if projector.widths_ is None else ", ".join(f"{int(width):,}" for width in projector.widths_)
    rows = [("name", name), ("features", f"{projector.n_features_:,}"), ("Matryoshka widths", widths)]
    offered = len(projector.feature_indices_)
    rows += [("offered to the encoder", f"{offered:,}"), ("pooling", projector.pooling)]
    return rows + ([("random_state", projector.random_state)] if projector.sae is None else [])


def folds(fitted, cv):
    """Say which folds chose penalties, and of what samples."""
    if fitted.runs is not None and isinstance(cv, list):
        return fitted.runs.folds(cv)
    given = isinstance(cv, (list, tuple)) and len(cv) and all(len(fold) == 2 for fold in cv)
    return f"{len(cv)} folds given row by row" if given else one_line(cv)


def one_line(value):
    shown = " ".join(repr(value).split())
    return shown if len(shown) <= 200 else shown[:200] + "…"
