"""Runs to bands of features at scans."""

from __future__ import annotations

from numbers import Real

import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.utils.validation import check_is_fitted

from sklearn_sae_encoding.timing._lists import is_list_of_runs
from sklearn_sae_encoding.timing._resampling import METHODS, words_to_scans
from sklearn_sae_encoding.timing._run import WORD_TIMES

# What a word table tells without its meaning.
CONTENT_FREE = ("rate", "onset", "duration", "letters", "position")


class WordsToScans(TransformerMixin, BaseEstimator):
    """Make features of each word of a run, and resample them to its scans.

    The transformer around :func:`words_to_scans`.

    Parameters
    ----------
    features : transformer, str or sequence of str, default="rate"
        What each word is worth. A transformer from words in their texts to one row a word, such as a pipeline of
        :class:`~sklearn_sae_encoding.activations.LMActivationTransformer` and
        :class:`~sklearn_sae_encoding.sae.SAEProjector`: it is cloned, and gets a table of ``text, start, end`` with a
        row a word of all runs. Or names: ``"rate"`` (each word counts one), ``"onset"`` (the same, at the moment when
        it begins), ``"duration"`` (seconds), ``"letters"``, ``"position"`` (of a scan in the run, from 0 to 1), or
        columns of the word table.

    table : str, default=None
        Resample a table of the run (`StoryRun.tables`) with its own clock, such as sound, instead of words.

    method : {"lanczos", "sum", "mean", "hrf"}, default="lanczos"
        How values become scans. Features that are convolved with a haemodynamic response (``"hrf"``) need no delays.

    window, cutoff, hrf_model : default=3, None, "spm"
        As in :func:`words_to_scans`.

    word_time : {"middle", "onset", "offset"}, default="middle"
        The moment at which a word counts.

    duration : {"word"} or float, default=0.0
        How long a word lasts with ``method="hrf"``: 0 is an impulse, ``"word"`` from its beginning to its end (then
        with ``word_time="onset"``).

    Attributes
    ----------
    features_ : transformer
        The fitted features, if they are a transformer.

    n_features_out_ : int

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_sae_encoding.timing import StoryRun, WordsToScans
    >>> words = pd.DataFrame({"word": ["Down", "went", "Alice"], "onset": [0.2, 1.1, 1.6], "offset": [0.6, 1.5, 2.1]})
    >>> run = StoryRun("Down went Alice.", words, n_scans=3, t_r=2.0, onset=0.0)
    >>> (scans,) = WordsToScans(["rate", "letters"], method="sum").fit_transform([run])
    >>> scans.tolist()
    [[3.0, 13.0], [0.0, 0.0], [0.0, 0.0]]
    """

    def __init__(
        self,
        features="rate",
        *,
        table=None,
        method="lanczos",
        window=3,
        cutoff=None,
        word_time="middle",
        duration=0.0,
        hrf_model="spm",
    ):
        self.features = features
        self.table = table
        self.method = method
        self.window = window
        self.cutoff = cutoff
        self.word_time = word_time
        self.duration = duration
        self.hrf_model = hrf_model

    def fit(self, X, y=None):
        """Fit the features of words, if they are a transformer.

        Parameters
        ----------
        X : list of StoryRun

        y : None

        Returns
        -------
        self : WordsToScans
        """
        self.fit_transform(X)
        return self

    def fit_transform(self, X, y=None):
        """Fit and transform in one go, so that features are made once.

        Parameters
        ----------
        X : list of StoryRun

        y : None

        Returns
        -------
        scans : list of arrays of shape (n_scans_i, width)
        """
        self._check(X)
        if self._is_made() and self.table is None:
            self.features_ = clone(self.features)
            if hasattr(self.features_, "by_word"):
                self.features_.fit([run.text for run in X])
                return self._resampled(X, self._by_word(X))
            return self._resampled(X, self.features_.fit_transform(spans_of(X)))
        return self._finished(X)

    def transform(self, X):
        """Make the features of all scans of each run.

        Parameters
        ----------
        X : list of StoryRun

        Returns
        -------
        scans : list of arrays of shape (n_scans_i, width)
            One array a run, with a row for each of its ``n_scans``; sparse if the features are.
        """
        check_is_fitted(self, "n_features_out_")
        self._check(X)
        return self._resampled(X, self._made(X)) if self._is_made() and self.table is None else self._finished(X)

    def word_values(self, X):
        """Give what each word is worth, before words become scans.

        Parameters
        ----------
        X : list of StoryRun

        Returns
        -------
        values : list of arrays of shape (n_words_i, width)
            One array a run, with a row for each of its ``words``; sparse if the features are. Words that don't stand in
            the text are worth 0 to a language model; ``"position"`` is none of a word's, and NaN.

        Raises
        ------
        ValueError
            If it is a table that is resampled, not words.
        """
        check_is_fitted(self, "n_features_out_")
        self._check(X)
        if self.table is not None:
            raise ValueError(f"The table {self.table!r} is resampled by its own clock: there are no words.")
        if not self._is_made():
            return [np.column_stack([self._of_words(run, name) for name in self._names()]) for run in X]
        values, ends = self._made(X), np.cumsum([int(run.placed.sum()) for run in X])
        return [_among_all(values[end - run.placed.sum() : end], run) for run, end in zip(X, ends, strict=True)]

    def get_feature_names_out(self, input_features=None):
        """Name the columns: as the features name them, or by what was asked for.

        Parameters
        ----------
        input_features : None

        Returns
        -------
        names : ndarray of str
        """
        check_is_fitted(self, "n_features_out_")
        if self.table is not None:
            width = self.n_features_out_
            return np.array([self.table] if width == 1 else [f"{self.table}{i}" for i in range(width)], dtype=object)
        if self._is_made():
            return np.asarray(self.features_.get_feature_names_out(), dtype=object)
        return np.array(self._names(), dtype=object)

    def _is_made(self):
        return hasattr(self.features, "transform")

    def _names(self):
        return [self.features] if isinstance(self.features, str) else list(self.features)

    def _check(self, X):
        if not is_list_of_runs(X):
            raise ValueError(f"Expected a list of StoryRuns, got {type(X).__name__}.")
        named = [self.features] if isinstance(self.features, str) else self.features
        if not self._is_made() and not (isinstance(named, (list, tuple)) and all(isinstance(n, str) for n in named)):
            raise ValueError(
                f"features must be a transformer of words, or names of what a word table tells, got {self.features!r}."
            )
        if self.method not in METHODS:
            raise ValueError(f"method must be one of {METHODS}, got {self.method!r}.")
        if self.word_time not in WORD_TIMES:
            raise ValueError(f"word_time must be one of {WORD_TIMES}, got {self.word_time!r}.")
        if self.duration != "word" and not (isinstance(self.duration, Real) and self.duration >= 0):
            raise ValueError(f"duration must be 'word' or a number of seconds, got {self.duration!r}.")

    def _finished(self, X):
        scans = [self._of_table(run) if self.table is not None else self._of_names(run) for run in X]
        self.n_features_out_ = scans[0].shape[1]
        return scans

    def _made(self, X):
        return self._by_word(X) if hasattr(self.features_, "by_word") else self.features_.transform(spans_of(X))

    def _by_word(self, X):
        """Ask for a table of the words of each story, which costs less than a sample a word."""
        tables = self.features_.by_word([run.text for run in X], [run.spans[run.placed] for run in X])
        return np.concatenate([table[list(self.features_.quantities)].to_numpy(np.float64) for table in tables])

    def _resampled(self, X, values):
        placed = [run.placed for run in X]
        n_words = [int(mask.sum()) for mask in placed]
        if values.shape[0] != sum(n_words):
            raise ValueError(
                f"The features of {sum(n_words)} words have {values.shape[0]} rows; expected one row a word. Give the "
                "last estimator level='text', so that a row is a span."
            )
        values = sparse.csr_array(values) if sparse.issparse(values) else np.asarray(values)
        self.n_features_out_ = values.shape[1]
        ends = np.cumsum(n_words)
        return [
            self._to_scans(run, values[end - n : end], run.word_times(self.word_time)[mask], mask)
            for run, mask, n, end in zip(X, placed, n_words, ends, strict=True)
        ]

    def _of_table(self, run):
        if self.table not in run.tables:
            raise ValueError(f"{run!r} has no table {self.table!r}; it has {', '.join(run.tables) or 'none'}.")
        times, values = run.tables[self.table]
        return self._to_scans(run, values, times + run.onset)

    def _of_names(self, run):
        return np.column_stack([self._of_name(run, name) for name in self._names()])

    def _of_name(self, run, name):
        if name == "position":
            return np.linspace(0.0, 1.0, run.n_scans)
        values = self._of_words(run, name)
        return self._to_scans(run, values, run.word_times("onset" if name == "onset" else self.word_time))

    def _of_words(self, run, name):
        words = run.words
        if name == "position":
            return np.full(len(words), np.nan)
        made = {
            "rate": lambda: np.ones(len(words)),
            "onset": lambda: np.ones(len(words)),
            "duration": lambda: (words["offset"] - words["onset"]).to_numpy(),
            "letters": lambda: np.array([sum(map(str.isalnum, word)) for word in words["word"]], dtype=np.float64),
        }
        if name not in made and name not in words:
            raise ValueError(
                f"{run!r} has no column {name!r}: use one of {CONTENT_FREE} or a column of its word table "
                f"({', '.join(map(str, words.columns))})."
            )
        values = made[name]() if name in made else pd.to_numeric(words[name], errors="coerce").to_numpy(np.float64)
        if not np.all(np.isfinite(values)):
            row = int(np.flatnonzero(~np.isfinite(values))[0])
            raise ValueError(f"The column {name!r} holds no number at word {row} ({words['word'][row]!r}).")
        return values

    def _to_scans(self, run, values, times, words=slice(None)):
        lasting = None
        if self.method == "hrf" and self.table is None:
            lasting = (run.words["offset"] - run.words["onset"]).to_numpy()[words]
            lasting = lasting if self.duration == "word" else np.full(len(lasting), float(self.duration))
        return words_to_scans(
            values,
            times,
            run.n_scans,
            t_r=run.t_r,
            method=self.method,
            window=self.window,
            cutoff=self.cutoff,
            scan_time=run.scan_time,
            durations=lasting,
            hrf_model=self.hrf_model,
        )


def _among_all(values, run):
    """Put the values of words that stand in the text among those of all words."""
    if not sparse.issparse(values):
        everywhere = np.zeros((len(run.words), values.shape[1]), dtype=np.asarray(values).dtype)
        everywhere[run.placed] = values
        return everywhere
    place = sparse.csr_array(
        (np.ones(values.shape[0], dtype=values.dtype), (np.flatnonzero(run.placed), np.arange(values.shape[0]))),
        shape=(len(run.words), values.shape[0]),
    )
    return sparse.csr_array(place @ values)


def spans_of(runs):
    """Give the words of all runs that stand in their text, each inside of it, as samples for text estimators."""
    from sklearn_sae_encoding.tokens import Spans

    return Spans.of_texts([run.text for run in runs], [run.spans[run.placed] for run in runs])
