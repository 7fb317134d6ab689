"""What a fitted model says, once it is taken apart."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd
from scipy import sparse

from sklearn_sae_encoding._fitted.parts import leaves
from sklearn_sae_encoding._fitted.tables import KINDS, find_feature, find_features
from sklearn_sae_encoding._fitted.weights import check_units, some_weights, weights_of

_BLOCK = 4096  # targets whose predictions are taken apart at once


@dataclass(frozen=True, eq=False)
class FittedView:
    """A fitted model, taken apart: what weighs which features, and where they come from.

    :func:`fitted_view` makes it.

    Attributes
    ----------
    weights : scipy.sparse.csr_array of shape (n_targets, n_features)
        In units of the targets that the linear model saw, over units of the features that it saw. Those of a
        BandedRidgeEncoder in the kernel form are computed when they are first asked for, if they aren't too many.

    features : pandas.DataFrame of n_features rows
        A row a column of the weights:

        - `feature` (str), its name, and `index` (int), the column itself: a feature is given to any function by either;
        - `kind`, one of ``"sae"``, ``"activation"``, ``"surprisal"``, ``"control"`` and ``"unknown"``;
        - `sae_index`, the SAE's own index, missing for what is no latent of an SAE;
        - `bin`, its Matryoshka bin, such as ``"0-128"``, empty where there is none;
        - `label`, what it means, empty where nobody said;
        - `page`, the address of a page about it, if its SAE says that there is one;
        - what else the estimator that made it tells, such as `band` and `delay`.

    scale, centre : ndarray of shape (n_features,)
        What stands between a feature as its maker gave it, `x`, and as the linear model saw it,
        ``(x - centre) / scale``: weights over `scale` are a unit of the feature. 1 and 0 without scaling, NaN where
        another function was applied.

    target_scale : ndarray of shape (n_targets,)
        By what the linear model's targets must be multiplied to be in the units of the responses: 1, or the scale of
        the transformer of a ``TransformedTargetRegressor``; NaN where that isn't linear.

    linear : estimator
        The fitted model that has the weights.

    transformers : list of estimator
        What makes the features, fitted, in order. Empty if the model takes features.

    wrappers : list of estimator
        Searches and regressors of masked or transformed targets around it, from the outside in.

    See Also
    --------
    fitted_view : Makes it.
    """

    features: pd.DataFrame
    scale: np.ndarray
    centre: np.ndarray
    target_scale: np.ndarray
    linear: object
    transformers: list
    wrappers: list
    _columns: pd.DataFrame = field(repr=False)

    @cached_property
    def weights(self):
        """Weights, a CSR array of shape (n_targets, n_features); computed when first asked for in the kernel form."""
        return weights_of(self.linear)

    @property
    def makers(self):
        """All transformers inside pipelines and unions, in the order of the flow."""
        return [leaf for transformer in self.transformers for leaf in leaves(transformer)]

    def maker(self, kind):
        """Give the first transformer of a class, or of any of several.

        Parameters
        ----------
        kind : type or tuple of type

        Returns
        -------
        maker : estimator or None
        """
        return next((maker for maker in self.makers if isinstance(maker, kind)), None)

    def wrapper(self, kind):
        """Give the outermost wrapper of a class, or of any of several.

        Parameters
        ----------
        kind : type or tuple of type

        Returns
        -------
        wrapper : estimator or None
        """
        return next((wrapper for wrapper in self.wrappers if isinstance(wrapper, kind)), None)

    def column(self, feature):
        """Find the column of a feature.

        Parameters
        ----------
        feature : int or str
            Its column (negative ones count from the end) or its name, with or without the prefix of a FeatureUnion.

        Returns
        -------
        column : int

        Raises
        ------
        ValueError
            If there is none, or several have that name.
        """
        return find_feature(self._columns, feature)

    def columns(self, features=None, *, kind="surprisal"):
        """Find the columns of one feature or several.

        Parameters
        ----------
        features : int, str or sequence of these, default=None
            None takes those of a kind.

        kind : str, default="surprisal"
            That kind.

        Returns
        -------
        columns : ndarray of int

        Raises
        ------
        ValueError
            If there is none of a name or column, or nobody says which features are of the kind.
        """
        if features is not None:
            return find_features(self._columns, features)
        if len(found := self.of_kind(kind)) == 0:
            raise ValueError(
                f"Nobody says which features are of the kind {kind!r}: the model makes none, or was fitted to features "
                "that were made before. Pass their columns or names."
            )
        return found

    def weights_for(self, features):
        """Give the weights of some features, of any model however large.

        Parameters
        ----------
        features : int, str or sequence of these

        Returns
        -------
        weights : scipy.sparse.csr_array of shape (n_targets, n_chosen)
        """
        return some_weights(self.linear, find_features(self._columns, features))

    def of_kind(self, *kinds):
        """Find the columns of some kinds.

        Parameters
        ----------
        *kinds : str
            Such as ``"surprisal"``; see ``features["kind"]``.

        Returns
        -------
        columns : ndarray of int
        """
        if unknown := set(kinds) - set(KINDS):
            raise ValueError(f"There is no kind of features named {sorted(unknown)}; the kinds are {KINDS}.")
        return np.flatnonzero(self.features["kind"].isin(kinds))

    def made_by(self, feature):
        """Find which transformer made a feature, and which of its columns it is.

        Parameters
        ----------
        feature : int or str

        Returns
        -------
        maker : estimator or None
            None if the feature was given.

        output : int
            The column among those that the maker gives out.
        """
        row = self._columns.iloc[self.column(feature)]
        return row["maker"], int(row["output"])

    def heard_by(self, feature):
        """Find what made scans of words for a feature of stories, and which of a word's values it is.

        Parameters
        ----------
        feature : int or str

        Returns
        -------
        to_scans : WordsToScans or None
            None if the feature is not made of words at scans.

        column : int
            The column of its ``word_values``.
        """
        row = self._columns.iloc[self.column(feature)]
        return row["to_scans"], int(row["word_value"])

    def transform(self, X):
        """Make the features.

        Parameters
        ----------
        X : sequence of length n_samples
            What the model takes: texts, or features, which come back as they are, or runs.

        Returns
        -------
        features : ndarray or scipy.sparse.csr_array of shape (n_samples, n_features)
            Of runs the rows that their responses hold, one run below the other.
        """
        runs = X
        for transformer in self.transformers:
            X = transformer.transform(X)
        if isinstance(X, list):
            X = _stacked(X, runs)
        if sparse.issparse(X):
            return sparse.csr_array(X)
        return X.to_numpy() if hasattr(X, "to_numpy") else np.asarray(X)

    def contributions(self, X, features):
        """Split predictions into the parts that some features and all the others have in them.

        Parameters
        ----------
        X : sequence of length n_samples
            What the model takes.

        features : int, str or sequence of these

        Returns
        -------
        parts : ndarray of shape (2, n_targets)
            Standard deviation over `X` of the part of the prediction that is due to these features, in units of the
            response, and that of all other features.
        """
        return self.contributions_of(self.transform(X), features)

    def contributions_of(self, values, features):
        """Split predictions from features that were made before; see :meth:`contributions`.

        Parameters
        ----------
        values : {ndarray, sparse array} of shape (n_samples, n_features)

        features : int, str or sequence of these

        Returns
        -------
        parts : ndarray of shape (2, n_targets)
        """
        check_units(self.linear)
        chosen = self.columns(features)
        others = np.setdiff1d(np.arange(self.weights.shape[1]), chosen)
        return np.array([self._spread(values, chosen), self._spread(values, others)])

    def _spread(self, values, columns):
        values, weights = values[:, columns], self.weights[:, columns]
        spread = np.empty(weights.shape[0])
        for start in range(0, len(spread), _BLOCK):
            block = slice(start, start + _BLOCK)
            part = values @ weights[block].T
            part = part.toarray() if sparse.issparse(part) else np.asarray(part)
            spread[block] = part.std(axis=0, dtype=np.float64)
        return spread * self.target_scale


def _stacked(arrays, runs):
    """Put the rows of runs below each other: of each run those that its responses hold."""
    kept = [array[run.rows] if hasattr(run, "rows") else array for array, run in zip(arrays, runs, strict=True)]
    return sparse.vstack(kept, format="csr") if sparse.issparse(kept[0]) else np.concatenate(kept)
