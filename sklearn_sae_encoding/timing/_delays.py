"""Features at scans to features at scans and before: delays inside runs."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted, validate_data

from sklearn_sae_encoding.timing._lists import as_arrays, is_list_of_arrays


class RunwiseDelayer(TransformerMixin, BaseEstimator):
    """Put copies of features side by side, each some scans later, and never across the edge of a run.

    A feature's effect on the responses is spread over several scans. Copies at delays 1 to 4 let a linear model learn
    its shape (a finite impulse response). Before the first scan a copy is zero.

    Parameters
    ----------
    delays : sequence of int or dict of str to sequence of int, default=(1, 2, 3, 4)
        Delays in scans. Scan `k` of a copy with delay `d` holds scan `k - d` of the feature; negative delays look
        ahead. A dictionary gives each band its own.

    bands : dict of str to slice or array of int, default=None
        Which columns are which band. None is one band of all columns, called ``"features"``.

    scale : {"runs"} or None, default=None
        ``"runs"`` divides each feature by its standard deviation over the scans of its run, before it is delayed. A
        feature that is constant in a run stays as it is there. Sparse features stay sparse: nothing is centred.

    Attributes
    ----------
    bands_ : dict of str to ndarray
        The columns of each band before delaying.

    delayed_bands_ : dict of str to slice
        The columns of each band after it: bands follow each other, in each of them the delays, in each of these the
        features.

    delays_ : dict of str to tuple of int

    n_features_in_ : int

    Notes
    -----
    Rows are mixed by design, so that two of scikit-learn's conventions don't hold: the rows of a subset are not the
    subset of the rows, and their order matters.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_sae_encoding.timing import RunwiseDelayer
    >>> runs = [np.array([[1.0], [2.0], [3.0]]), np.array([[4.0], [5.0], [6.0]])]
    >>> for run in RunwiseDelayer(delays=(0, 1)).fit_transform(runs):
    ...     print(run.tolist())
    [[1.0, 0.0], [2.0, 1.0], [3.0, 2.0]]
    [[4.0, 0.0], [5.0, 4.0], [6.0, 5.0]]
    """

    def __init__(self, delays=(1, 2, 3, 4), *, bands=None, scale=None):
        self.delays = delays
        self.bands = bands
        self.scale = scale

    def fit(self, X, y=None):
        """Learn how many columns there are, and check bands and delays.

        Parameters
        ----------
        X : list of arrays of shape (n_scans_i, n_features), or one of them
            One array a run. An array is one run.

        y : None

        Returns
        -------
        self : RunwiseDelayer
        """
        if self.scale not in ("runs", None):
            raise ValueError(f"scale must be 'runs' or None, got {self.scale!r}.")
        X = self._validate(X, reset=True)
        n_features = self.n_features_in_
        self.bands_ = check_bands(self.bands, n_features)
        self.delays_ = check_delays(self.delays, self.bands_)
        self.delayed_bands_, start = {}, 0
        for name, columns in self.bands_.items():
            width = len(columns) * len(self.delays_[name])
            self.delayed_bands_[name] = slice(start, start + width)
            start += width
        self._n_features_out = start
        return self

    def transform(self, X):
        """Delay each run.

        Parameters
        ----------
        X : list of arrays of shape (n_scans_i, n_features), or one of them

        Returns
        -------
        delayed : list of arrays of shape (n_scans_i, n_columns), or one of them
            Sparse for sparse arrays.

        Raises
        ------
        ValueError
            If a run has no more scans than the largest delay.
        """
        check_is_fitted(self)
        X = self._validate(X, reset=False)
        runs = X if isinstance(X, list) else [X]
        if self.scale == "runs":
            runs = [StandardScaler(with_mean=False).fit_transform(run) for run in runs]
        delayed = [self._delay(run, i) for i, run in enumerate(runs)]
        return delayed if isinstance(X, list) else delayed[0]

    def table(self, names=None):
        """Say what each column is.

        Parameters
        ----------
        names : sequence of str, default=None
            Names of the features before delaying. None calls them x0, x1, ...

        Returns
        -------
        table : DataFrame
            A row a column after delaying: ``name``, ``feature`` (its name before), ``column`` (its place before),
            ``band`` and ``delay``.
        """
        import pandas as pd

        check_is_fitted(self)
        default = getattr(self, "feature_names_in_", [f"x{i}" for i in range(self.n_features_in_)])
        names = np.asarray(default if names is None else names, dtype=object)
        if len(names) != self.n_features_in_:
            raise ValueError(f"Expected {self.n_features_in_} names, one a feature, got {len(names)}.")
        parts = [
            pd.DataFrame({"feature": names[columns], "column": columns, "band": band, "delay": delay})
            for band, columns in self.bands_.items()
            for delay in self.delays_[band]
        ]
        table = pd.concat(parts, ignore_index=True)
        single = {band: len(delays) == 1 and delays[0] == 0 for band, delays in self.delays_.items()}
        named = [
            feature if single[band] else f"{feature}_delay{delay}"
            for feature, band, delay in zip(table["feature"], table["band"], table["delay"], strict=True)
        ]
        table.insert(0, "name", named)
        return table

    def get_feature_names_out(self, input_features=None):
        """Name the delayed columns: the feature, then ``_delay`` and how many scans.

        Parameters
        ----------
        input_features : sequence of str, default=None
            Names of the features before delaying.

        Returns
        -------
        names : ndarray of str
        """
        return self.table(input_features)["name"].to_numpy(dtype=object)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def _validate(self, X, reset):
        if not is_list_of_arrays(X):
            return validate_data(self, X, accept_sparse="csr", dtype=(np.float64, np.float32), reset=reset)
        runs = as_arrays(X)
        if reset:
            self.n_features_in_ = runs[0].shape[1]
        for i, run in enumerate(runs):
            if run.shape[1] != self.n_features_in_:
                raise ValueError(f"Run {i} has {run.shape[1]} columns, expected {self.n_features_in_}.")
        return runs

    def _delay(self, run, i):
        reach = max(abs(delay) for delays in self.delays_.values() for delay in delays)
        if reach and run.shape[0] <= reach:
            raise ValueError(
                f"Run {i} has {run.shape[0]} scans, but there are delays of up to {reach} scans (n_samples = "
                f"{run.shape[0]}). Use shorter delays or leave the run out."
            )
        parts = [
            shifted(_columns(run, columns), delay)
            for name, columns in self.bands_.items()
            for delay in self.delays_[name]
        ]
        return sparse.hstack(parts, format="csr") if sparse.issparse(run) else np.hstack(parts)


def _columns(run, columns):
    whole = len(columns) == run.shape[1] and np.array_equal(columns, np.arange(run.shape[1]))
    return run if whole else run[:, columns]


def shifted(run, delay):
    """Move the rows of a run `delay` scans later, zeros coming in."""
    if delay == 0:
        return run
    n = run.shape[0]
    if sparse.issparse(run):
        return sparse.csr_array(sparse.eye_array(n, k=-delay, dtype=run.dtype, format="csr") @ run)
    moved = np.zeros_like(run)
    if delay > 0:
        moved[delay:] = run[:-delay]
    else:
        moved[:delay] = run[-delay:]
    return moved


def check_bands(bands, n_features):
    """Give the columns of each band, which cover all columns once."""
    everything = np.arange(n_features)
    if bands is None:
        return {"features": everything}
    columns = {name: everything[part if isinstance(part, slice) else np.asarray(part)] for name, part in bands.items()}
    counts = np.bincount(np.concatenate([*columns.values(), []]).astype(np.intp), minlength=n_features)
    for wrong, what in ((counts == 0, "in no band"), (counts > 1, "in more than one band")):
        if wrong.any():
            raise ValueError(
                f"Each column belongs to one band, but {wrong.sum()} of {n_features} are {what}, such as column "
                f"{np.flatnonzero(wrong)[0]}."
            )
    return columns


def check_delays(delays, bands):
    """Give the delays of each band as a tuple of integers."""
    if delays is None:
        delays = (0,)
    if isinstance(delays, Mapping):
        unknown, missing = (
            [name for name in delays if name not in bands],
            [name for name in bands if name not in delays],
        )
        if unknown or missing:
            what = f"there is no band {unknown[0]!r}" if unknown else f"the band {missing[0]!r} has none"
            raise ValueError(f"Delays are given by band, but {what}. The bands are {', '.join(map(str, bands))}.")
    by_band = {name: delays[name] if isinstance(delays, Mapping) else delays for name in bands}
    return {name: _check_some_delays(given, name) for name, given in by_band.items()}


def _check_some_delays(delays, band):
    given = [delays] if isinstance(delays, Integral) else list(delays)
    if not given or not all(isinstance(delay, Integral) for delay in given) or len(set(given)) < len(given):
        raise ValueError(f"The delays of {band!r} must be different integers, in scans, got {delays!r}.")
    return tuple(int(delay) for delay in given)
