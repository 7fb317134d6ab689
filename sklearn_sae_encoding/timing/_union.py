"""Bands of features side by side, run by run."""

from __future__ import annotations

import numpy as np
from scipy import sparse
from sklearn.pipeline import FeatureUnion
from sklearn.utils.validation import check_is_fitted

from sklearn_sae_encoding.timing._lists import as_arrays


class BandUnion(FeatureUnion):
    """Put bands of features side by side, run by run.

    Like :class:`sklearn.pipeline.FeatureUnion`, but each part gives a list with one array a run.

    Parameters
    ----------
    transformer_list : list of (str, transformer)
        The name of each band and what makes it: from a list of runs to a list of arrays of shape `(n_scans_i, width)`,
        such as :class:`WordsToScans`.

    Attributes
    ----------
    bands_ : dict of str to slice
        The columns of each band.

    Examples
    --------
    >>> from sklearn_sae_encoding.timing import BandUnion, WordsToScans
    >>> union = BandUnion([("rate", WordsToScans("rate", method="hrf")), ("letters", WordsToScans("letters"))])
    >>> union.set_params(letters__cutoff=0.25).get_params()["letters__cutoff"]
    0.25
    """

    def __init__(self, transformer_list):
        super().__init__(transformer_list)

    def fit(self, X, y=None):
        """Fit each band.

        Parameters
        ----------
        X : list of StoryRun

        y : None

        Returns
        -------
        self : BandUnion
        """
        self.fit_transform(X)
        return self

    def fit_transform(self, X, y=None):
        """Fit each band and put them side by side.

        Parameters
        ----------
        X : list of StoryRun

        y : None

        Returns
        -------
        scans : list of arrays of shape (n_scans_i, width)
        """
        return self._side_by_side([(name, part.fit_transform(X)) for name, part in self.transformer_list])

    def transform(self, X):
        """Put the bands side by side.

        Parameters
        ----------
        X : list of StoryRun

        Returns
        -------
        scans : list of arrays of shape (n_scans_i, width)
            Sparse if a band is.
        """
        check_is_fitted(self, "bands_")
        return self._side_by_side([(name, part.transform(X)) for name, part in self.transformer_list])

    def get_feature_names_out(self, input_features=None):
        """Name the columns as the bands do; ``band__name`` where two bands use a name.

        Parameters
        ----------
        input_features : None

        Returns
        -------
        names : ndarray of str
        """
        check_is_fitted(self, "bands_")
        named = [(band, name) for band, part in self.transformer_list for name in part.get_feature_names_out()]
        names = [name for _, name in named]
        if len(set(names)) < len(names):
            names = [f"{band}__{name}" for band, name in named]
        return np.array(names, dtype=object)

    def _side_by_side(self, bands):
        arrays = [as_arrays(runs) for _, runs in bands]
        self.bands_, start = {}, 0
        for (name, _), runs in zip(bands, arrays, strict=True):
            self.bands_[name] = slice(start, start + runs[0].shape[1])
            start += runs[0].shape[1]
        return [_joined(parts) for parts in zip(*arrays, strict=True)]


def _joined(parts):
    if any(sparse.issparse(part) for part in parts):
        return sparse.hstack([sparse.csr_array(part) for part in parts], format="csr")
    return np.hstack(parts)


def named_bands(bands, features):
    """Give bands as columns: those of fitted features, or others that are named by features or bands of theirs."""
    known = _bands_of(features)
    if bands is None or features is None:
        return known if bands is None else bands
    return {band: _named(band, parts, known or {}, features) for band, parts in bands.items()}


def _bands_of(features):
    if features is None:
        return None
    last = features.steps[-1][1] if hasattr(features, "steps") else features
    return getattr(last, "bands_", None)


def _named(band, parts, known, features):
    named = [parts] if isinstance(parts, str) else parts
    if isinstance(named, slice) or not all(isinstance(part, str) for part in named):
        return parts
    names = np.asarray(features.get_feature_names_out(), dtype=object)
    everything, found = np.arange(len(names)), []
    for part in named:
        columns = everything[known[part]] if part in known else np.flatnonzero(names == part)
        if not len(columns):
            raise ValueError(
                f"The band {band!r} is made of {part!r}, which is neither a band ({', '.join(known) or 'none'}) nor a "
                f"feature, such as {names[0]!r}."
            )
        found.append(columns)
    return np.concatenate(found)
