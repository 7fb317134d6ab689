"""Which features do the voxels use, and which texts drive them?"""

import numpy as np
import pandas as pd
from scipy import sparse

from sklearn_sae_encoding._fitted.parts import is_estimator
from sklearn_sae_encoding._fitted.tables import find_feature
from sklearn_sae_encoding._fitted.weights import check_units
from sklearn_sae_encoding.analysis.stability import FeatureStability
from sklearn_sae_encoding.fitted import FittedView, features_of, fitted_view, weights_and_features


def count_feature_use(fitted, features=None):
    """Count the voxels that use each feature, by the sign of its weight.

    A feature whose weight is positive in some voxels and negative in others gets a row for each sign, as in the
    published counts of signed features, but the sign is a column of its own, so that feature 0 keeps it too.

    Parameters
    ----------
    fitted : estimator, FittedView, {ndarray, sparse array} of shape (n_voxels, n_features) or FeatureStability
        A fitted model, its view, or weights such as ``SparseVoxelEncoder.coef_``. A weight of zero is a feature not
        used. What :func:`stability_selection` gives counts a voxel by how often it uses the feature.

    features : transformer, FittedView, DataFrame or sequence of str, default=None
        Their names, for weights or a model that was fitted to features; see
        :func:`~sklearn_sae_encoding.fitted.fitted_view`.

    Returns
    -------
    table : pandas.DataFrame
        Columns `feature` (str), `index` (int, column of the weights), `sign` (+1 or -1), `n_voxels` (int, or for a
        stability the mean number in a half of the samples) and `share` (of all voxels, or their mean frequency), and
        `page` if the SAE says where it is shown (see :func:`link_features`); the most used first, unused features left
        out.

    Raises
    ------
    ValueError
        If the number of names differs from the number of columns.

    References
    ----------
    arXiv:2606.06857, study 1: most frequent signed features of 160 voxels.

    Examples
    --------
    >>> from sklearn_sae_encoding.analysis import count_feature_use
    >>> count_feature_use([[0.5, 0.0], [0.1, 0.0], [-2.0, 1.0]], ["people", "surprisal"])
         feature  index  sign  n_voxels     share
    0     people      0     1         2  0.666667
    1     people      0    -1         1  0.333333
    2  surprisal      1     1         1  0.333333
    """
    *signed, known = signed_use(fitted, features)
    n_columns = signed[0].shape[1]
    table = pd.concat(
        pd.DataFrame({"index": np.arange(n_columns), "sign": sign, "n_voxels": use.sum(axis=0)})
        for sign, use in zip((1, -1), signed, strict=True)
    )
    table = table.sort_values(["n_voxels", "index"], ascending=[False, True], kind="stable")
    table = table[table["n_voxels"] > 0].reset_index(drop=True)
    table.insert(0, "feature", known["feature"].to_numpy()[table["index"]])
    table["share"] = table["n_voxels"] / signed[0].shape[0]
    if "page" in known:
        table["page"] = known["page"].iloc[table["index"]].reset_index(drop=True)
    return table if isinstance(fitted, FeatureStability) else table.astype({"n_voxels": int})


def signed_use(fitted, features=None):
    """Say whether, or of a stability how often, each voxel uses each feature with a positive, and a negative weight.

    Parameters
    ----------
    fitted : as in :func:`count_feature_use`

    features : as in :func:`count_feature_use`

    Returns
    -------
    positive, negative : scipy.sparse.csr_array of shape (n_voxels, n_features)
        1 and 0, or shares of the halves.

    features : pandas.DataFrame
        What the columns are.
    """
    if isinstance(fitted, FeatureStability):
        positive = sparse.csr_array(fitted.positive)
        return positive, fitted.frequency - positive, features_of(features, positive.shape[1])
    coef, known = weights_and_features(fitted, features)
    return (coef > 0).astype(np.float64), (coef < 0).astype(np.float64), known


def feature_use_by_group(fitted, groups, features=None):
    """Compute the share of each group's voxels that use each signed feature: the heat map of features and regions.

    Parameters
    ----------
    fitted : estimator, FittedView, {ndarray, sparse array} of shape (n_voxels, n_features) or FeatureStability
        A fitted model, its view, or weights such as ``SparseVoxelEncoder.coef_``. What :func:`stability_selection`
        gives makes shares mean frequencies.

    groups : array-like of shape (n_voxels,)
        A label a voxel: its region, set or participant.

    features : transformer, FittedView, DataFrame or sequence of str, default=None
        Their names, for weights or a model that was fitted to features; see
        :func:`~sklearn_sae_encoding.fitted.fitted_view`.

    Returns
    -------
    table : pandas.DataFrame
        A row a signed feature that any voxel uses, named like ``"+sae_00079"``, the one that most voxels use first; a
        column a group, in order of appearance. :func:`~sklearn_sae_encoding.plotting.plot_feature_heatmap` draws it.

    Raises
    ------
    ValueError
        If the numbers of labels or names are wrong.

    Examples
    --------
    >>> from sklearn_sae_encoding.analysis import feature_use_by_group
    >>> coef = [[0.5, 0.0], [0.1, 0.0], [-2.0, 1.0]]
    >>> feature_use_by_group(coef, ["IFG", "IFG", "MFG"], ["people", "surprisal"])
                IFG  MFG
    +people     1.0  0.0
    -people     0.0  1.0
    +surprisal  0.0  1.0
    """
    *signed, known = signed_use(fitted, features)
    groups = check_groups(groups, signed[0].shape[0])
    order = count_feature_use(fitted, known if isinstance(fitted, FeatureStability) else features)
    names = [f"{'+' if row.sign > 0 else '-'}{row.feature}" for row in order.itertuples()]
    columns = {}
    for group in dict.fromkeys(groups.tolist()):
        own = groups == group
        positive, negative = (use[own].sum(axis=0) / own.sum() for use in signed)
        columns[group] = np.where(order["sign"] > 0, positive[order["index"]], negative[order["index"]])
    return pd.DataFrame(columns, index=names)


def voxels_of_feature(fitted, feature, voxels=None, *, features=None):
    """Look up the voxels that use a feature.

    Parameters
    ----------
    fitted : estimator, FittedView, {ndarray, sparse array} of shape (n_voxels, n_features) or FeatureStability
        A fitted model, its view, or weights such as ``SparseVoxelEncoder.coef_``; or what :func:`stability_selection`
        gives.

    feature : int or str
        Its column (negative ones count from the end), or its name.

    voxels : pandas.DataFrame of n_voxels rows, default=None
        What is known of each voxel; its columns are taken over.

    features : transformer, FittedView, DataFrame or sequence of str, default=None
        Their names, for weights or a model that was fitted to features; see
        :func:`~sklearn_sae_encoding.fitted.fitted_view`.

    Returns
    -------
    table : pandas.DataFrame
        A row a voxel that uses it, `feature` and `index` (its name and column), `voxel` (its number) and `weight`, the
        largest magnitude first; then the columns of `voxels`. Of a stability, `frequency` and `positive`, the shares of
        the halves in which the voxel uses it, and with a positive weight, take the place of `weight`.

    Raises
    ------
    ValueError
        If there is no such feature, or the table has another number of voxels.

    Examples
    --------
    >>> from sklearn_sae_encoding.analysis import voxels_of_feature
    >>> voxels_of_feature([[0.5, 0.0], [0.0, 1.0], [-2.0, 1.0]], "people", features=["people", "surprisal"])
      feature  index  voxel  weight
    0  people      0      2    -2.0
    1  people      0      0     0.5
    """
    if isinstance(fitted, FeatureStability):
        shown, known = fitted._asdict(), features_of(features, fitted.frequency.shape[1])
        shown = {name: shown[name] for name in ("frequency", "positive")}
    else:
        coef, known = weights_and_features(fitted, features)
        shown = {"weight": coef}
    column, (main, *_) = find_feature(known, feature), shown
    n_voxels = shown[main].shape[0]
    if voxels is not None and len(voxels) != n_voxels:
        raise ValueError(f"Expected one row a voxel: the weights have {n_voxels}, but the table {len(voxels)}.")
    shown = {name: values[:, [column]].toarray().ravel() for name, values in shown.items()}
    order = np.argsort(-np.abs(shown[main]), kind="stable")
    order = order[shown[main][order] != 0]
    table = {"feature": known["feature"].iloc[column], "index": column, "voxel": order}
    table = pd.DataFrame(table | {name: values[order] for name, values in shown.items()})
    return table if voxels is None else pd.concat([table, voxels.iloc[order].reset_index(drop=True)], axis=1)


def typical_effects(fitted, X, *, typical="active", target_scale=None):
    """Turn weights into predictions: the change of the response for a typical activation of each feature.

    A weight is per unit of activation, and features have very different units. Its product with the feature's typical
    activation compares features with each other.

    Parameters
    ----------
    fitted : estimator, FittedView or {ndarray, sparse array} of shape (n_voxels, n_features)
        A fitted model, its view, or weights such as ``SparseVoxelEncoder.coef_``.

    X : {ndarray, sparse array, DataFrame} of shape (n_texts, n_features)
        Features of the texts, as the weights belong to them.

    typical : {"active", "sd"}, default="active"
        ``"active"`` is the mean magnitude over the texts in which the feature is not zero: what a text gains that has
        the feature. ``"sd"`` is the standard deviation over all texts, which also serves dense columns such as
        surprisal, and makes rare features small.

    target_scale : array-like of shape (n_voxels,), default=None
        Divide by these, such as ``Y.std(axis=0)``: effects in standard deviations of each voxel. None keeps the units
        of the responses.

    Returns
    -------
    effects : scipy.sparse.csr_array of shape (n_voxels, n_features)

    Raises
    ------
    ValueError
        If the columns differ in number, or `typical` is unknown.

    Examples
    --------
    >>> from sklearn_sae_encoding.analysis import typical_effects
    >>> typical_effects([[2.0, -1.0]], [[0.0, 3.0], [0.5, 5.0]]).toarray()
    array([[ 1., -4.]])
    """
    if is_estimator(fitted) or isinstance(fitted, FittedView):
        check_units(fitted_view(fitted).linear if is_estimator(fitted) else fitted.linear)
    coef, _ = weights_and_features(fitted)
    X = as_columns(X)
    if coef.shape[1] != X.shape[1]:
        raise ValueError(f"The weights and X must have the same columns, but have {coef.shape[1]} and {X.shape[1]}.")
    if typical == "active":
        n_active = np.asarray((X != 0).sum(axis=0)).ravel()
        scale = np.asarray(abs(X).sum(axis=0)).ravel() / np.maximum(n_active, 1)
    elif typical == "sd":
        scale = _standard_deviations(X)
    else:
        raise ValueError(f"typical must be 'active' or 'sd', got {typical!r}.")
    effects = sparse.csr_array(coef.multiply(scale[None, :]))
    if target_scale is None:
        return effects
    return sparse.csr_array(effects.multiply(1.0 / np.asarray(target_scale, dtype=np.float64)[:, None]))


def _standard_deviations(X):
    """Of each column: squares of what is centred, since the square of a large mean swallows a small variance."""
    mean = np.asarray(X.mean(axis=0)).ravel()
    centred = X.copy()
    centred.data -= np.repeat(mean, np.diff(X.indptr))
    n_stored = np.diff(X.indptr)
    squares = np.asarray(centred.multiply(centred).sum(axis=0)).ravel() + (X.shape[0] - n_stored) * mean**2
    return np.sqrt(squares / X.shape[0])


def top_texts(X, texts, feature, *, n_texts=5, features=None):
    """Find the texts in which a feature is most active.

    Parameters
    ----------
    X : {ndarray, sparse array, DataFrame} of shape (n_texts, n_features)
        Features of the texts, pooled to one row a text.

    texts : sequence of str
        The texts, in the order of the rows of `X`.

    feature : int or str
        Its column (negative ones count from the end), or its name.

    n_texts : int, default=5
        How many texts to give at most. Texts in which the feature is zero are never given.

    features : transformer, FittedView, DataFrame or sequence of str, default=None
        Their names; see :func:`~sklearn_sae_encoding.fitted.fitted_view`. None takes those of a DataFrame.

    Returns
    -------
    table : pandas.DataFrame
        Columns `feature` and `index` (its name and column), `text` and `activation`, the most active text first; ties
        in the order of the texts.

    Raises
    ------
    ValueError
        If the number of texts differs from the number of rows, or there is no such feature.

    Examples
    --------
    >>> from sklearn_sae_encoding.analysis import top_texts
    >>> top_texts([[0.0], [2.0], [1.0]], ["A rose.", "A dog barks.", "A dog."], "animals", features=["animals"])
       feature  index          text  activation
    0  animals      0  A dog barks.         2.0
    1  animals      0        A dog.         1.0
    """
    if features is None and hasattr(X, "columns"):
        features = list(X.columns)
    X = as_columns(X)
    if len(texts) != X.shape[0]:
        raise ValueError(f"Expected one text a row of X: {X.shape[0]} rows, but {len(texts)} texts.")
    known = features_of(features, X.shape[1])
    column = find_feature(known, feature)
    activation = X[:, [column]].toarray().ravel()
    order = np.argsort(-activation, kind="stable")[:n_texts]
    order = order[activation[order] != 0]
    found = {"text": [texts[i] for i in order], "activation": activation[order]}
    return pd.DataFrame({"feature": known["feature"].iloc[column], "index": column, **found})


def as_columns(X):
    """Give features as a CSC array of float64: products and signs of small or unsigned integers would overflow."""
    X = X.to_numpy() if hasattr(X, "to_numpy") else X
    X = sparse.csc_array(X, dtype=np.float64, copy=sparse.issparse(X))
    X.sum_duplicates()
    return X


def check_groups(groups, n_voxels):
    """Give the labels as an array, one a voxel."""
    groups = np.asarray(groups)
    if groups.shape != (n_voxels,):
        raise ValueError(f"Expected one label a voxel, ({n_voxels},), got labels of shape {groups.shape}.")
    return groups
