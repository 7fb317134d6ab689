"""Which features do the voxels use, and which texts drive them?"""

import numpy as np
import pandas as pd
from scipy import sparse


def count_feature_use(coef, feature_names):
    """Count the voxels that use each feature, by the sign of its weight.

    A feature whose weight is positive in some voxels and negative in others gets a row for each sign, as in the
    published counts of signed features, but the sign is a column of its own, so that feature 0 keeps it too.

    Parameters
    ----------
    coef : {ndarray, sparse array} of shape (n_voxels, n_features)
        Weights, such as ``SparseVoxelEncoder.coef_``. A weight of zero is a feature not used.

    feature_names : array-like of str of shape (n_features,)
        Names, such as ``pipeline["features"].get_feature_names_out()``.

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
    signed = [_count_sign(coef, sign) for sign in (1, -1)]
    table = pd.concat(signed).sort_values(["n_voxels", "index"], ascending=[False, True], kind="stable")
    table = table[table["n_voxels"] > 0].reset_index(drop=True)
    table.insert(0, "feature", names[table["index"]])
    table["share"] = table["n_voxels"] / n_voxels
    return table


def _count_sign(coef, sign):
    counts = (coef * sign > 0).sum(axis=0)
    return pd.DataFrame({"index": np.arange(coef.shape[1]), "sign": sign, "n_voxels": np.asarray(counts).ravel()})


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
    if not 0 <= feature < X.shape[1]:
        raise ValueError(f"feature must be a column of X, 0 to {X.shape[1] - 1}, got {feature}.")
    activation = X[:, [feature]].toarray().ravel()
    order = np.argsort(-activation, kind="stable")[:n_texts]
    order = order[activation[order] != 0]
    return pd.DataFrame({"text": [texts[i] for i in order], "activation": activation[order]})
