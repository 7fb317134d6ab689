"""What a fitted model says: the weights of every target, and a table of what its features are."""

from __future__ import annotations

import numpy as np

from sklearn_sae_encoding._fitted.parts import is_estimator, parts_of, unwrap
from sklearn_sae_encoding._fitted.tables import COLUMNS, KINDS, as_table, feature_table, with_labels
from sklearn_sae_encoding._fitted.view import FittedView
from sklearn_sae_encoding._fitted.walking import columns_of, complete, inputs_of
from sklearn_sae_encoding._fitted.weights import as_weights, band_of_columns, scales_by_run, shape_of_weights

__all__ = [
    "KINDS",
    "FittedView",
    "feature_table",
    "features_of",
    "fitted_view",
    "parts_of",
    "weights_and_features",
]

_INTERNAL = ("own", "maker", "output", "centre", "scale", "to_scans", "word_value")


def fitted_view(estimator, *, features=None, labels=None):
    """Take a fitted model apart: its weights, and what its features are.

    The model may be a linear regressor alone, at the end of a pipeline, wrapped (``MaskedTargetRegressor``,
    ``TransformedTargetRegressor``), the best of a search, or all of these inside each other. What a feature is, its
    kind and its index in the SAE, is told by the estimator that made it, through pipelines, unions and column
    transformers, scaling and selection; neither its name nor its place counts.

    Parameters
    ----------
    estimator : estimator
        Fitted, with ``coef_`` inside.

    features : transformer, FittedView, DataFrame or sequence of str, default=None
        For a model that was fitted to features: the fitted transformer that made them, the table of features of a view
        or of :func:`feature_table`, or names alone, which leave their kind unknown. None takes the names that the model
        saw, if it saw any.

    labels : Series or dict of int or str to str, default=None
        What features mean, by the SAE's own index, such as :func:`~sklearn_sae_encoding.analysis.read_feature_labels`
        gives, or by name.

    Returns
    -------
    view : FittedView

    Raises
    ------
    AttributeError
        If the model has no weights.

    ValueError
        If `features` are not as many as the model has.

    Notes
    -----
    A transformer of your own says what its columns are by a method ``get_feature_table_out(given)``, which gives the
    table of its columns (as :func:`feature_table` does, with any more columns) from that of its inputs, None for texts.
    One without it passes on what has the name of an input; its other columns are of the kind of all its inputs, or
    ``"control"``. A wrapper of your own is seen through if it holds the fitted estimator as ``regressor_``,
    ``estimator_`` or ``best_estimator_``, and lists fitted transformers that it applies before as
    ``feature_transformers_``.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sklearn_sae_encoding.fitted import feature_table, fitted_view
    >>> X = np.random.default_rng(0).normal(size=(50, 3))
    >>> model = make_pipeline(StandardScaler(), Ridge()).fit(X, X[:, :2])
    >>> view = fitted_view(model, features=feature_table(["a", "b", "surprisal"], kinds={"surprisal": "surprisal"}))
    >>> view.features[["feature", "index", "kind"]]
         feature  index       kind
    0          a      0    unknown
    1          b      1    unknown
    2  surprisal      2  surprisal
    >>> view.weights.shape, view.column("surprisal"), view.of_kind("surprisal")
    ((2, 3), 2, array([2]))
    """
    wrappers, transformers, linear = unwrap(estimator)
    n_targets, n_features = shape_of_weights(linear)
    columns = _columns(transformers, linear, wrappers, features, n_features)
    if (bands := band_of_columns(linear)) is not None:
        columns = columns.assign(band=bands)
    if scales_by_run(linear):  # another number in each run
        columns = columns.assign(scale=np.nan)
    columns = with_labels(columns, labels) if labels is not None else columns
    return FittedView(
        features=columns[[*COLUMNS, *(name for name in columns if name not in (*COLUMNS, *_INTERNAL))]],
        scale=columns["scale"].to_numpy(dtype=np.float64),
        centre=columns["centre"].to_numpy(dtype=np.float64),
        target_scale=_target_scale(wrappers, n_targets),
        linear=linear,
        transformers=transformers,
        wrappers=wrappers,
        _columns=columns,
    )


def weights_and_features(fitted, features=None):
    """Give weights and the table of their features, from a fitted model, its view, or weights alone.

    Parameters
    ----------
    fitted : estimator, FittedView or {array-like, sparse array} of shape (n_targets, n_features)
        What has weights.

    features : transformer, FittedView, DataFrame or sequence of str, default=None
        What the features are, as for :func:`fitted_view`.

    Returns
    -------
    weights : scipy.sparse.csr_array of shape (n_targets, n_features)

    features : pandas.DataFrame
        See :class:`FittedView`.
    """
    if is_estimator(fitted):
        fitted = fitted_view(fitted, features=features)
    if isinstance(fitted, FittedView):
        return as_weights(fitted.weights), fitted.features
    weights = as_weights(fitted)
    return weights, features_of(features, weights.shape[1])


def features_of(features, n_features=None):
    """Give the table of features that somebody names.

    Parameters
    ----------
    features : transformer, FittedView, DataFrame, sequence of str or None
        The fitted transformer that made them, the view of a fitted model, a table, which is completed, names, or
        nothing.

    n_features : int, default=None
        How many there must be. Needed for None.

    Returns
    -------
    table : pandas.DataFrame
        See :class:`FittedView`.

    Raises
    ------
    ValueError
        If they are others than `n_features`, or the transformer tells no columns.
    """
    if isinstance(features, FittedView):
        features = features.features
    elif is_estimator(features):
        table = columns_of(features)
        if table is None:
            raise ValueError(f"The {type(features).__name__} tells no columns. Give it a get_feature_names_out.")
        features = table[[*COLUMNS, *(["page"] if "page" in table else [])]]
    return as_table(features, n_features)


def _columns(transformers, linear, wrappers, features, n_features):
    given = None
    if features is not None:
        expected = _n_given(transformers, n_features)
        given = complete(features_of(features, expected), None)
    elif not transformers:
        given = next((table for table in map(_named, (linear, *wrappers[::-1])) if table is not None), None)
        given = complete(as_table(None, n_features), None) if given is None else given
    for i, transformer in enumerate(transformers, start=1):
        expected = n_features if i == len(transformers) else getattr(transformers[i], "n_features_in_", None)
        given = columns_of(transformer, given, expected)
    if given is None or len(given) != n_features:
        found = "nobody tells what" if given is None else len(given)
        raise ValueError(
            f"The model weighs {n_features} features, but its transformers make {found}. Pass features= with "
            f"{n_features} names, or give the transformer a get_feature_names_out."
        )
    return given


def _n_given(transformers, n_features):
    """How many columns the model takes, if it takes a table."""
    if not transformers:
        return n_features
    inputs = inputs_of(transformers[0])
    if inputs is None:
        raise ValueError("The model makes its features itself, so that they can't be named by features=.")
    return len(inputs)


def _named(part):
    table = inputs_of(part)
    return table if table is not None and hasattr(part, "feature_names_in_") else None


def _target_scale(wrappers, n_targets):
    scale = np.ones(n_targets)
    for wrapper in wrappers:
        transformer = getattr(wrapper, "transformer_", None)
        if transformer is None:
            continue
        table = columns_of(transformer, complete(as_table(None, n_targets), None))
        same = table is not None and len(table) == n_targets
        scale = scale * (table["scale"].to_numpy(dtype=np.float64) if same else np.nan)
    return scale
