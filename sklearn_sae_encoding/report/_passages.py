"""Where a feature is strong: texts, or what was heard at scans of a story, with its value on each token or word."""

from __future__ import annotations

import copy
from typing import NamedTuple

import numpy as np
from scipy import sparse

from sklearn_sae_encoding.activations import LMActivationTransformer
from sklearn_sae_encoding.analysis import top_texts
from sklearn_sae_encoding.sae import SAEProjector
from sklearn_sae_encoding.surprisal import SurprisalTransformer
from sklearn_sae_encoding.timing import StoryRun

_PEAK = 5.0  # seconds from an event to the peak of the usual haemodynamic responses


class PieceValues(NamedTuple):
    """A feature on the tokens of a text, or on the words of a passage."""

    offsets: np.ndarray  # (n_pieces, 2), characters
    values: np.ndarray  # (n_pieces,)


class Passage(NamedTuple):
    """A text, or what was heard at a scan, and a feature there."""

    value: float  # in the text, or at the scan that hears it after its delay
    text: str
    pieces: PieceValues | None  # None if the feature isn't made of tokens or words
    place: str | None  # which run and scan; None of texts


class Passages:
    """Finds the passages that drive the features of a fitted model; what is made of a story's words is made once."""

    def __init__(self, fitted, n_passages):
        self._fitted, self._n = fitted, n_passages
        self._word_values = {}

    def of(self, column):
        """Give the passages of a feature, the strongest first.

        A delayed feature of a story is strong at a scan; what drove it was heard its delay before. Of scans that hear
        the same words one is shown.
        """
        fitted = self._fitted
        if fitted.runs is None:
            top = top_texts(fitted.X, range(len(fitted.texts)), int(column), n_texts=self._n)
            pieces = values_on_tokens(fitted, list(top["text"]), column)
            return [
                Passage(value, fitted.texts[row], one, None)
                for row, value, one in zip(top["text"], top["activation"], pieces, strict=True)
            ]
        values = fitted.X[:, [column]].toarray().ravel()
        strongest = [row for row in np.argsort(-values, kind="stable") if values[row] != 0]
        return [self._heard(row, values[row], column) for row in fitted.runs.apart(strongest, self._n)]

    def _heard(self, row, value, column):
        """Give the running text from the first to the last word heard at a scan, with what each word is worth."""
        runs, run = self._fitted.runs, self._fitted.runs.runs[self._fitted.runs.run[row]]
        delay = self._fitted.delay(column) + self._response(run, column)
        place = runs.place(row, delay)
        words = np.flatnonzero(runs.words_at(row, delay) & run.placed) if isinstance(run, StoryRun) else ()
        if not len(words):
            return Passage(value, runs.heard(row, delay), None, place)
        spans = run.spans[words]
        start, end = spans[:, 0].min(), spans[:, 1].max()
        worth = self._of_words(runs.run[row], column)
        pieces = None if worth is None else PieceValues(spans - start, np.nan_to_num(worth[words]))
        return Passage(value, run.text[start:end], pieces, place)

    def _response(self, run, column):
        """How many scans after a word a feature is strongest that was convolved with a haemodynamic response."""
        to_scans, _ = self._fitted.view.heard_by(int(column))
        return round(_PEAK / run.t_r) if getattr(to_scans, "method", None) == "hrf" else 0

    def _of_words(self, number, column):
        """What each word of a run is worth to a feature, (n_words,); None if it isn't made of words."""
        to_scans, output = self._fitted.view.heard_by(int(column))
        if to_scans is None or to_scans.table is not None:
            return None
        run = self._fitted.runs.runs[number]
        key = (id(to_scans), id(run.words), run.text)  # parts of a recording share their words
        if key not in self._word_values:
            (self._word_values[key],) = to_scans.word_values([run])
        values = self._word_values[key][:, [output]]
        return values.toarray().ravel() if sparse.issparse(values) else np.asarray(values).ravel()


def values_on_tokens(fitted, rows, column):
    """Give what a feature is on each token of some texts, or None for each if it isn't made token by token."""
    texts = [fitted.texts[i] for i in rows]
    maker, output = fitted.view.made_by(int(column))
    kind = fitted.view.features["kind"].iloc[column]
    if not texts:
        return []
    if kind == "surprisal" and isinstance(maker, SurprisalTransformer):
        tables = maker.by_token(texts)
        return [PieceValues(t[["start", "end"]].to_numpy(), t["surprisal"].to_numpy()) for t in tables]
    reader = _before(fitted.view.makers, maker)
    if kind != "sae" or not isinstance(maker, SAEProjector) or reader is None or reader.level != "token":
        return [None] * len(texts)
    return _sae_values(reader, maker, texts, output)


def _before(makers, projector):
    """The transformer whose activations an SAE encodes: the last one before it."""
    before = makers[: next((i for i, maker in enumerate(makers) if maker is projector), 0)]
    return next((maker for maker in before[::-1] if isinstance(maker, LMActivationTransformer)), None)


def _sae_values(reader, projector, texts, column):
    # A copy that shares what was fitted, so that the model itself stays as it is.
    by_token = copy.copy(projector).set_params(level="token")
    features = by_token.transform(reader.transform(texts))
    columns = [sparse.csr_array(one)[:, [column]].toarray().ravel() for one in features]
    return [PieceValues(offsets, values) for offsets, values in zip(features.offsets, columns, strict=True)]
