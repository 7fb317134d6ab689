"""Which features do the voxels use, and which texts drive them?"""

import numpy as np
import pandas as pd
from scipy import sparse


def count_feature_use(coef, feature_names, *, as_published=False):
    """Count the voxels that use each feature, by the sign of its weight.

    A feature whose weight is positive in some voxels and negative in others gets a row for each sign, as in the
    published counts of signed features, but the sign is a column of its own, so that feature 0 keeps it too.

    Parameters
    ----------
    coef : {ndarray, sparse array} of shape (n_voxels, n_features)
        Weights, such as ``SparseVoxelEncoder.coef_``. A weight of zero is a feature not used.

    feature_names : array-like of str of shape (n_features,)
        Names, such as ``pipeline["features"].get_feature_names_out()``.

    as_published : bool, default=False
        Count as the published analysis does, which writes a signed feature as the product of sign and index: both signs
        of feature 0 become one row (its sign +1), and weights of exactly zero that are stored in a sparse `coef` (a
        selected feature to which the refit gave nothing) count as positive.

    Returns
    -------
    table : pandas.DataFrame
        Columns `feature` (str), `index` (int, column of `coef`), `sign` (+1 or -1), `n_voxels` (int) and `share`
        (of all voxels); the most used first, unused features left out.

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
    >>> count_feature_use([[0.5, 0.0], [0.1, 0.0], [-2.0, 1.0]], ["sae_00079", "surprisal_mean"])
              feature  index  sign  n_voxels     share
    0       sae_00079      0     1         2  0.666667
    1       sae_00079      0    -1         1  0.333333
    2  surprisal_mean      1     1         1  0.333333
    """
    coef = sparse.csr_array(coef)
    names = np.asarray(feature_names, dtype=object)
    n_voxels, n_features = coef.shape
    if len(names) != n_features:
        raise ValueError(f"Expected one name a column of coef: {n_features} columns, but {len(names)} names.")
    table = pd.concat([_count_sign(coef, sign) for sign in (1, -1)])
    if as_published:
        table = pd.concat([table, _count_stored_zeros(coef)])
        table.loc[table["index"] == 0, "sign"] = 1
        table = table.groupby(["index", "sign"], as_index=False, sort=False)["n_voxels"].sum()
    table = table.sort_values(["n_voxels", "index"], ascending=[False, True], kind="stable")
    table = table[table["n_voxels"] > 0].reset_index(drop=True)
    table.insert(0, "feature", names[table["index"]])
    table["share"] = table["n_voxels"] / n_voxels
    return table


def _count_sign(coef, sign):
    counts = (coef * sign > 0).sum(axis=0)
    return pd.DataFrame({"index": np.arange(coef.shape[1]), "sign": sign, "n_voxels": np.asarray(counts).ravel()})


def _count_stored_zeros(coef):
    zeros = np.bincount(coef.indices[coef.data == 0], minlength=coef.shape[1])
    return pd.DataFrame({"index": np.arange(coef.shape[1]), "sign": 1, "n_voxels": zeros})


def feature_use_by_group(coef, feature_names, groups):
    """Compute the share of each group's voxels that use each signed feature: the heat map of features and regions.

    Parameters
    ----------
    coef : {ndarray, sparse array} of shape (n_voxels, n_features)
        Weights, such as ``SparseVoxelEncoder.coef_``.

    feature_names : array-like of str of shape (n_features,)
        Names of the columns.

    groups : array-like of shape (n_voxels,)
        A label a voxel: its region, set or participant.

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
    >>> feature_use_by_group(coef, ["people", "surprisal"], ["IFG", "IFG", "MFG"])
                IFG  MFG
    +people     1.0  0.0
    -people     0.0  1.0
    +surprisal  0.0  1.0
    """
    coef = sparse.csr_array(coef)
    groups = check_groups(groups, coef.shape[0])
    order = count_feature_use(coef, feature_names)
    names = [f"{'+' if row.sign > 0 else '-'}{row.feature}" for row in order.itertuples()]
    signed = pd.MultiIndex.from_frame(order[["index", "sign"]])
    columns = {}
    for group in dict.fromkeys(groups.tolist()):
        use = count_feature_use(coef[groups == group], feature_names).set_index(["index", "sign"])["share"]
        columns[group] = use.reindex(signed, fill_value=0.0).to_numpy()
    return pd.DataFrame(columns, index=names)


def voxels_of_feature(coef, feature, voxels=None):
    """Look up the voxels that use a feature.

    Parameters
    ----------
    coef : {ndarray, sparse array} of shape (n_voxels, n_features)
        Weights, such as ``SparseVoxelEncoder.coef_``.

    feature : int
        Column of `coef`.

    voxels : pandas.DataFrame of n_voxels rows, default=None
        What is known of each voxel; its columns are taken over.

    Returns
    -------
    table : pandas.DataFrame
        A row a voxel that uses it, `voxel` (its number) and `weight`, the largest magnitude first; then the columns of
        `voxels`.

    Raises
    ------
    ValueError
        If the column doesn't exist, or the table has another number of voxels.

    Examples
    --------
    >>> from sklearn_sae_encoding.analysis import voxels_of_feature
    >>> voxels_of_feature([[0.5, 0.0], [0.0, 1.0], [-2.0, 1.0]], feature=0)
       voxel  weight
    0      2    -2.0
    1      0     0.5
    """
    coef = sparse.csc_array(coef)
    _check_feature(feature, coef.shape[1], "coef")
    if voxels is not None and len(voxels) != coef.shape[0]:
        raise ValueError(f"Expected one row a voxel: coef has {coef.shape[0]}, but the table {len(voxels)}.")
    weights = coef[:, [feature]].toarray().ravel()
    order = np.argsort(-np.abs(weights), kind="stable")
    order = order[weights[order] != 0]
    table = pd.DataFrame({"voxel": order, "weight": weights[order]})
    return table if voxels is None else pd.concat([table, voxels.iloc[order].reset_index(drop=True)], axis=1)


def typical_effects(coef, X, *, typical="active", target_scale=None):
    """Turn weights into predictions: the change of the response for a typical activation of each feature.

    A weight is per unit of activation, and features have very different units. Its product with the feature's typical
    activation compares features with each other.

    Parameters
    ----------
    coef : {ndarray, sparse array} of shape (n_voxels, n_features)
        Weights, such as ``SparseVoxelEncoder.coef_``.

    X : {ndarray, sparse array} of shape (n_texts, n_features)
        Features of the texts.

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
    coef, X = sparse.csr_array(coef), sparse.csc_array(X)
    if coef.shape[1] != X.shape[1]:
        raise ValueError(f"coef and X must have the same columns, but have {coef.shape[1]} and {X.shape[1]}.")
    if typical == "active":
        n_active = np.asarray((X != 0).sum(axis=0)).ravel()
        scale = np.asarray(abs(X).sum(axis=0)).ravel() / np.maximum(n_active, 1)
    elif typical == "sd":
        mean, square = (np.asarray(values.mean(axis=0)).ravel() for values in (X, X.multiply(X)))
        scale = np.sqrt(np.maximum(square - mean**2, 0.0))
    else:
        raise ValueError(f"typical must be 'active' or 'sd', got {typical!r}.")
    effects = sparse.csr_array(coef.multiply(scale[None, :]))
    if target_scale is None:
        return effects
    return sparse.csr_array(effects.multiply(1.0 / np.asarray(target_scale, dtype=np.float64)[:, None]))


def top_texts(X, texts, feature, n_texts=5):
    """Find the texts in which a feature is most active.

    Parameters
    ----------
    X : {ndarray, sparse array} of shape (n_texts, n_features)
        Features of the texts, pooled to one row a text.

    texts : sequence of str
        The texts, in the order of the rows of `X`.

    feature : int
        Column of `X`.

    n_texts : int, default=5
        How many texts to give at most. Texts in which the feature is zero are never given.

    Returns
    -------
    table : pandas.DataFrame
        Columns `text` and `activation`, the most active text first; ties in the order of the texts.

    Raises
    ------
    ValueError
        If the number of texts differs from the number of rows, or the column doesn't exist.

    Examples
    --------
    >>> from sklearn_sae_encoding.analysis import top_texts
    >>> top_texts([[0.0], [2.0], [1.0]], ["A rose.", "A dog barks.", "A dog."], feature=0)
               text  activation
    0  A dog barks.         2.0
    1        A dog.         1.0
    """
    X = sparse.csc_array(X)
    if len(texts) != X.shape[0]:
        raise ValueError(f"Expected one text a row of X: {X.shape[0]} rows, but {len(texts)} texts.")
    _check_feature(feature, X.shape[1], "X")
    activation = X[:, [feature]].toarray().ravel()
    order = np.argsort(-activation, kind="stable")[:n_texts]
    order = order[activation[order] != 0]
    return pd.DataFrame({"text": [texts[i] for i in order], "activation": activation[order]})


def check_groups(groups, n_voxels):
    """Give the labels as an array, one a voxel."""
    groups = np.asarray(groups)
    if groups.shape != (n_voxels,):
        raise ValueError(f"Expected one label a voxel, ({n_voxels},), got labels of shape {groups.shape}.")
    return groups


def _check_feature(feature, n_features, name):
    if not 0 <= feature < n_features:
        raise ValueError(f"feature must be a column of {name}, 0 to {n_features - 1}, got {feature}.")
