"""Texts to bands of features, and a regressor that is told which columns make which band."""

from collections.abc import Mapping

import numpy as np
from sklearn import get_config
from sklearn.base import BaseEstimator, MetaEstimatorMixin, RegressorMixin, clone
from sklearn.utils import get_tags
from sklearn.utils.metadata_routing import process_routing
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from sklearn_sae_encoding._fitted.tables import KINDS
from sklearn_sae_encoding._fitted.walking import columns_of
from sklearn_sae_encoding._forwarding import ForwardsToParts


def _regressor_has(method):
    def check(self):
        return hasattr(getattr(self, "regressor_", self.regressor), method)

    return check


class BandedFeatureRegressor(ForwardsToParts, MetaEstimatorMixin, RegressorMixin, BaseEstimator):
    """Make features of samples, and tell a banded regressor which columns make which band.

    How many columns a transformer makes is known once it is fitted, and sparse arrays carry no names. So the fitted
    transformer is asked what its columns are, names and kinds are resolved, and a clone of the regressor gets its
    `bands` as column numbers.

    Parameters
    ----------
    features : transformer
        From samples, such as texts, to features. It is cloned.

    regressor : estimator
        With a parameter `bands`, such as :class:`~sklearn_sae_encoding.banded.BandedRidgeEncoder`. It is cloned; its
        own `bands` are replaced.

    bands : dict of str to str, sequence of str, slice or array of int, default=None
        What each band is made of: branches of the union in `features`, kinds of features (``"sae"``,
        ``"activation"``, ``"surprisal"``, ``"control"``), names of single features, or several of these; or columns.
        None makes a band of each branch of the union, or else of each kind.

    Attributes
    ----------
    features_ : transformer
        The fitted features.

    regressor_ : estimator
        The fitted regressor.

    bands_ : dict of str to ndarray
        The columns of each band.

    n_features_in_ : int
        Of what `features` take, if they tell it.

    See Also
    --------
    make_banded_encoder : Makes one, with its features.
    sklearn_sae_encoding.timing.RunwiseRegressor : The same for runs of stories, with delays.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.pipeline import FeatureUnion
    >>> from sklearn.preprocessing import FunctionTransformer, StandardScaler
    >>> from sklearn_sae_encoding.banded import BandedRidgeEncoder
    >>> from sklearn_sae_encoding.pipeline import BandedFeatureRegressor
    >>> X = np.random.default_rng(0).normal(size=(60, 3))
    >>> union = FeatureUnion([("plain", StandardScaler()), ("squared", FunctionTransformer(np.square))])
    >>> model = BandedFeatureRegressor(union, BandedRidgeEncoder(candidates=5)).fit(X, X[:, :2] ** 2)
    >>> {band: columns.tolist() for band, columns in model.bands_.items()}
    {'plain': [0, 1, 2], 'squared': [3, 4, 5]}
    """

    def __init__(self, features, regressor, *, bands=None):
        self.features = features
        self.regressor = regressor
        self.bands = bands

    def fit(self, X, y, **fit_params):
        """Fit the features, find the bands among their columns, and fit the regressor.

        Parameters
        ----------
        X : sequence of length n_samples
            What `features` take, such as texts.

        y : array-like of shape (n_samples, n_targets) or (n_samples,)
            Responses.

        **fit_params : dict
            Handed to the ``fit`` of the regressor, such as ``groups``; routed, if metadata routing is enabled.

        Returns
        -------
        self : BandedFeatureRegressor

        Raises
        ------
        ValueError
            If a band is made of something that is no branch, kind or feature, or a feature is in no band.
        """
        if get_config()["enable_metadata_routing"]:
            fit_params = process_routing(self, "fit", **fit_params).regressor.fit
        features = clone(self.features)
        values = features.fit_transform(X, y)
        bands = resolve_named_bands(self.bands, features, values.shape[1])
        self.regressor_ = clone(self.regressor).set_params(bands=bands).fit(values, y, **fit_params)
        self.features_, self.bands_ = features, bands
        return self

    def predict(self, X, **params):
        """Predict responses.

        Parameters
        ----------
        X : sequence of length n_samples

        **params : dict
            Handed to the regressor, such as ``bands="surprisal"``.

        Returns
        -------
        y : ndarray of shape (n_samples, n_targets) or (n_samples,)
        """
        X = self._transform(X)
        return self.regressor_.predict(X, **params)

    def score(self, X, y, **params):
        """Score by the regressor's own score.

        Parameters
        ----------
        X : sequence of length n_samples

        y : array-like of shape (n_samples, n_targets) or (n_samples,)

        **params : dict
            Handed to the regressor, here and by the methods below, such as ``groups`` with ``scale="runs"``.

        Returns
        -------
        score : float
        """
        X = self._transform(X)
        return self.regressor_.score(X, y, **params)

    @available_if(_regressor_has("voxel_scores"))
    def voxel_scores(self, X, Y, metric="pearson", **params):
        """Score each voxel.

        Parameters
        ----------
        X : sequence of length n_samples

        Y : array-like of shape (n_samples, n_targets) or (n_samples,)

        metric : {"pearson", "r2"} or callable, default="pearson"

        **params : dict

        Returns
        -------
        scores : ndarray of shape (n_targets,)
        """
        return self.regressor_.voxel_scores(self._transform(X), Y, metric=metric, **params)

    @available_if(_regressor_has("band_scores"))
    def band_scores(self, X, Y, **params):
        """Split each voxel's r² over the bands.

        Parameters
        ----------
        X : sequence of length n_samples

        Y : array-like of shape (n_samples, n_targets) or (n_samples,)

        **params : dict

        Returns
        -------
        shares : ndarray of shape (n_targets, n_bands)
            As in :meth:`sklearn_sae_encoding.banded.BandedRidgeEncoder.band_scores`.
        """
        return self.regressor_.band_scores(self._transform(X), Y, **params)

    @available_if(_regressor_has("predict_by_band"))
    def predict_by_band(self, X, **params):
        """Split predictions into what each band adds to the mean response.

        Parameters
        ----------
        X : sequence of length n_samples

        **params : dict

        Returns
        -------
        parts : ndarray of shape (n_bands, n_samples, n_targets) or (n_bands, n_samples)
        """
        return self.regressor_.predict_by_band(self._transform(X), **params)

    @property
    def feature_transformers_(self):
        """What made the columns of the regressor."""
        return [self.features_] if hasattr(self, "features_") else []

    def __sklearn_is_fitted__(self):
        return hasattr(self, "features_")

    def __sklearn_tags__(self):
        tags, first, last = super().__sklearn_tags__(), get_tags(self.features), get_tags(self.regressor)
        tags.input_tags, tags.target_tags = first.input_tags, last.target_tags
        tags.regressor_tags = last.regressor_tags
        tags.input_tags.allow_nan = False
        return tags

    def _transform(self, X):
        check_is_fitted(self)
        return self.features_.transform(X)

    def _told(self, name):
        if hasattr(self, "features_") and hasattr(self.features_, name):
            return getattr(self.features_, name)
        raise AttributeError(f"This {type(self).__name__} does not tell its {name}.")


def resolve_named_bands(bands, features, n_columns):
    """Find the columns of bands that are named by branches, kinds and features of a fitted transformer."""
    table = columns_of(features, width=n_columns)
    if table is None or len(table) != n_columns:
        found = "nothing" if table is None else f"{len(table)} columns"
        raise ValueError(
            f"The features have {n_columns} columns, but tell {found}. Give their transformers a get_feature_names_out."
        )
    branches = _branches(features, n_columns)
    kinds = {kind: np.flatnonzero(table["kind"] == kind) for kind in KINDS}
    kinds = {kind: columns for kind, columns in kinds.items() if len(columns)}
    if bands is None:
        return branches or kinds
    if not isinstance(bands, Mapping):
        raise ValueError(f"bands must be a dictionary of names to what makes each band, got {type(bands).__name__}.")
    return _complete({name: _columns(name, parts, (branches, kinds, table)) for name, parts in bands.items()}, table)


def _branches(features, n_columns):
    last = features.steps[-1][1] if hasattr(features, "steps") else features
    parts = [(name, columns_of(part)) for name, part in getattr(last, "transformer_list", ()) if part != "drop"]
    widths = {name: None if table is None else len(table) for name, table in parts}
    unknown = [name for name, width in widths.items() if width is None]
    if len(unknown) == 1:  # the columns that are left
        widths[unknown[0]] = n_columns - sum(width for width in widths.values() if width is not None)
    elif unknown or sum(widths.values()) != n_columns:
        return {}
    ends = np.cumsum(list(widths.values()))
    return {name: np.arange(end - width, end) for (name, width), end in zip(widths.items(), ends, strict=True) if width}


def _columns(band, parts, known):
    everything = np.arange(len(known[-1]))
    if isinstance(parts, slice):
        return everything[parts]
    if isinstance(parts, str) or (np.ndim(parts) == 1 and np.asarray(parts).dtype.kind in "OU"):
        named = [parts] if isinstance(parts, str) else list(parts)
        return np.unique(np.concatenate([_named(band, part, *known) for part in named]))
    return everything[np.asarray(parts)]


def _named(band, part, branches, kinds, table):
    names = {key: np.flatnonzero(table[key] == part) for key in ("feature", "own")}
    found = [columns for columns in (branches.get(part), kinds.get(part), *names.values()) if columns is not None]
    found = [columns for columns in found if len(columns)]
    if not found:
        raise ValueError(
            f"The band {band!r} is made of {part!r}, but the features have no such branch ({list(branches)}), kind "
            f"({list(kinds)}) or name, such as {table['feature'].iloc[0]!r}."
        )
    if any(not np.array_equal(columns, found[0]) for columns in found):
        raise ValueError(
            f"The band {band!r} is made of {part!r}, which is both a branch and another kind or name: "
            f"{' and '.join(str(len(columns)) for columns in found)} columns. Rename the branch, or give columns."
        )
    return found[0]


def _complete(bands, table):
    counts = np.bincount(np.concatenate([*bands.values(), []]).astype(np.intp), minlength=len(table))
    for wrong, what in ((counts == 0, "in no band"), (counts > 1, "in several bands")):
        if wrong.any():
            raise ValueError(
                f"Each feature belongs to one band, but {wrong.sum()} of {len(table)} are {what}, such as "
                f"{table['feature'].iloc[int(np.flatnonzero(wrong)[0])]!r}. The bands are {list(bands)}."
            )
    return bands
