"""Where is a feature active, and where silent: texts with marked tokens, drawn from a corpus of any size."""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.utils import check_random_state

from sklearn_sae_encoding.tokens import TokenTable

_KINDS = ("top", "quantile", "random", "silent")


def feature_contexts(
    tables,
    *,
    corpus,
    features=None,
    n_top=5,
    n_quantile=5,
    n_random=5,
    n_silent=5,
    n_characters=120,
    random_state=None,
):
    """Collect texts that activate features, and texts that don't, from a corpus that is read once.

    Memory does not grow with the corpus: of each feature the strongest texts and a random sample of others are kept,
    and a random sample of texts serves all features for silence.

    Parameters
    ----------
    tables : TokenTable, or iterable of TokenTable
        SAE features of every token, with texts and offsets, a batch of texts each, such as
        ``(pipeline.transform(batch) for batch in batches)`` with ``SAEProjector(level="token")``.

    corpus : str
        Name of the corpus, kept with every context. "stimuli" says that these are texts of the experiment.

    features : array-like of int, default=None
        Columns of the tables. None is all that are ever active.

    n_top, n_quantile, n_random, n_silent : int, default=5
        Contexts of each kind a feature: the strongest texts; texts at evenly spaced quantiles of the others' strength;
        others at random; and texts in which the feature is silent. A text is of one kind at most.

    n_characters : int, default=120
        Characters that are shown on either side of the strongest token, cut at white space.

    random_state : int, RandomState instance or None, default=None
        Seed of what is drawn.

    Returns
    -------
    contexts : pandas.DataFrame
        A row a context: `feature` (the column's name), `index` (its number in the tables), `kind`, `activation` (of the
        strongest token, 0 in silence), `text` (the part that is shown), `marks` (a list of (start, end, activation) of
        the active tokens in it, in its characters) and `corpus`. A feature with fewer active texts has fewer rows.

    Raises
    ------
    ValueError
        If a table has no texts or offsets, widths differ, or a column is not there.

    Examples
    --------
    >>> from scipy import sparse
    >>> from sklearn_sae_encoding.analysis import feature_contexts
    >>> from sklearn_sae_encoding.tokens import TokenTable
    >>> values = [sparse.csr_array([[0.0], [2.0]]), sparse.csr_array([[0.0], [0.0]])]
    >>> table = TokenTable.from_arrays(values, ["a cat", "a dog"], [[(0, 1), (2, 5)]] * 2)
    >>> contexts = feature_contexts(table, corpus="toy", random_state=0)
    >>> contexts[["kind", "text", "marks"]].values.tolist()
    [['top', 'a cat', [(2, 5, 2.0)]], ['silent', 'a dog', []]]
    """
    rng = check_random_state(random_state)
    counts = {"top": n_top, "quantile": n_quantile, "random": n_random, "silent": n_silent}
    kept = _Kept(rng, n_top, n_others=4 * (n_quantile + n_random) + 20, n_texts=50 * n_silent + 50)
    for table in [tables] if isinstance(tables, TokenTable) else tables:
        kept.add(_checked(table), features)
    rows = []
    for column in kept.columns if features is None else np.asarray(features):
        rows += [
            {"feature": kept.name(column), "index": int(column), "kind": kind, **context, "corpus": corpus}
            for kind, context in _contexts_of(kept, int(column), counts, n_characters)
        ]
    return pd.DataFrame(rows, columns=["feature", "index", "kind", "activation", "text", "marks", "corpus"])


class _Kept:
    """What is kept of the texts read so far."""

    def __init__(self, rng, n_top, n_others, n_texts):
        self.rng, self.n_top, self.n_others, self.n_texts = rng, n_top, n_others, n_texts
        self.peaks = pd.DataFrame({"column": [], "number": [], "activation": [], "key": []}).astype(
            {"column": np.int64, "number": np.int64}
        )
        self.texts, self.n_seen, self.width, self.names = {}, 0, None, None
        self.sample = {}  # number of a text to its random key

    @property
    def columns(self):
        return sorted(self.peaks["column"].unique())

    def name(self, column):
        return str(column) if self.names is None else str(self.names[column])

    def add(self, table, features):
        self._check_width(table, features)
        new = [self.peaks]
        for text, offsets, values in zip(table.texts, table.offsets, table, strict=True):
            number, self.n_seen = self.n_seen, self.n_seen + 1
            values = values.tocsc() if hasattr(values, "tocsc") else values
            self.texts[number] = (text, np.asarray(offsets), values)
            self.sample[number] = self.rng.random_sample()
            highest = np.asarray(
                values.max(axis=0).todense() if hasattr(values, "tocsc") else values.max(axis=0)
            ).ravel()
            active = np.flatnonzero(highest > 0)
            if features is not None:
                active = np.intersect1d(active, features)
            keys = self.rng.random_sample(len(active))
            new.append(pd.DataFrame({"column": active, "number": number, "activation": highest[active], "key": keys}))
        self.peaks = self._pruned(pd.concat([one for one in new if len(one)] or new, ignore_index=True))
        self.sample = dict(sorted(self.sample.items(), key=lambda pair: pair[1])[: self.n_texts])
        wanted = {*self.peaks["number"], *self.sample}
        self.texts = {number: text for number, text in self.texts.items() if number in wanted}

    def _check_width(self, table, features):
        if self.width is None:
            self.width, self.names = table.width, table.names
        if table.width != self.width:
            raise ValueError(
                f"Tables must have the same columns, but one has {table.width} after one with {self.width}."
            )
        if features is not None and len(features) and not 0 <= min(features) <= max(features) < self.width:
            raise ValueError(f"features must be columns from 0 to {self.width - 1}, got {max(features)}.")

    def _pruned(self, peaks):
        grouped = peaks.groupby("column")
        strongest = grouped["activation"].rank(ascending=False, method="first") <= self.n_top
        others = peaks[~strongest].groupby("column")["key"].rank(method="first") <= self.n_others
        return peaks[strongest | others.reindex(peaks.index, fill_value=False)].reset_index(drop=True)


def _checked(table):
    if not isinstance(table, TokenTable) or table.texts is None or table.offsets is None:
        raise ValueError(
            "Contexts are taken from a TokenTable with texts and offsets, such as SAEProjector(level='token') gives of "
            f"texts, got {type(table).__name__}{' without them' if isinstance(table, TokenTable) else ''}."
        )
    return table


def _contexts_of(kept, column, counts, n_characters):
    peaks = kept.peaks[kept.peaks["column"] == column].sort_values("activation", ascending=False)
    top, others = peaks["number"][: counts["top"]].tolist(), peaks["number"][counts["top"] :].tolist()
    n_quantile = min(counts["quantile"], len(others))
    at = np.unique(np.linspace(0, len(others) - 1, n_quantile).round().astype(int)) if n_quantile else []
    quantile = [others[i] for i in at]
    rest = [number for number in others if number not in set(quantile)]
    random = [rest[i] for i in kept.rng.permutation(len(rest))[: counts["random"]]]
    silent = [number for number in kept.sample if _is_silent(kept.texts[number][2], column)][: counts["silent"]]
    for kind, numbers in zip(_KINDS, (top, quantile, random, silent), strict=True):
        for number in numbers:
            yield kind, _context(*kept.texts[number], column, n_characters)


def _is_silent(values, column):
    return not np.any(_column(values, column) > 0)


def _column(values, column):
    part = values[:, [column]]
    return np.asarray(part.todense() if hasattr(part, "todense") else part).ravel()


def _context(text, offsets, values, column, n_characters):
    activations = _column(values, column)
    peak = int(activations.argmax()) if len(activations) else 0
    start, end = (int(at) for at in offsets[peak])
    start, end = _at_white_space(text, start - n_characters, end + n_characters)
    marks = [
        (int(a) - start, int(b) - start, float(value))
        for (a, b), value in zip(offsets, activations, strict=True)
        if value > 0 and start <= a and b <= end
    ]
    return {"activation": float(activations[peak]), "text": text[start:end], "marks": marks}


def _at_white_space(text, start, end):
    """Move both ends inwards to the nearest word."""
    start, end = max(start, 0), min(end, len(text))
    if start > 0:
        start += next((i for i, char in enumerate(text[start:end]) if char.isspace()), 0)
    if end < len(text):
        end -= next((i for i, char in enumerate(reversed(text[start:end])) if char.isspace()), 0)
    while start < end and text[start].isspace():
        start += 1
    return start, end
