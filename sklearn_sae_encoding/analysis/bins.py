"""Do the voxels need the coarse or the fine features of a Matryoshka SAE?"""

from itertools import pairwise

import numpy as np
import pandas as pd
from sklearn.utils import check_random_state

from sklearn_sae_encoding._fitted.tables import edges_of
from sklearn_sae_encoding.analysis.features import as_columns
from sklearn_sae_encoding.analysis.restricted import restrict_encoder
from sklearn_sae_encoding.fitted import features_of, weights_and_features


def matryoshka_models(widths, *, surprisal=True, features=None, encoder=None):
    """Build encoders restricted to the bins and prefixes of a Matryoshka SAE.

    Score them on identical folds with :func:`~sklearn_sae_encoding.metrics.cross_val_voxel_scores`, on the features of
    all texts; then compare a bin with the rest by
    :func:`~sklearn_sae_encoding.analysis.compare_models`, for example ``models=["0-128"], reference="128+"``.

    Parameters
    ----------
    widths : sequence of int
        The SAE's prefix widths, such as ``SAEProjector.widths_``.

    surprisal : bool, default=True
        Whether each model also has surprisal, as published.

    features, encoder
        As for :func:`restrict_encoder`.

    Returns
    -------
    models : dict of str to Pipeline
        In this order: each bin (``"0-128"``, ``"128-512"``, ...), the longer prefixes (``"0-512"``, ...), what is left
        beyond each prefix (``"128+"``, ...; where that is not a bin), and ``"all"``.

    Raises
    ------
    ValueError
        If the widths don't increase.

    References
    ----------
    Lepori, Kay and Tuckute, arXiv:2606.06857, study 3 and appendix: columns of one SAE, otherwise the same pipeline.

    Examples
    --------
    >>> from sklearn_sae_encoding.analysis import matryoshka_models
    >>> list(matryoshka_models([128, 512, 2048, 8192]))
    ['0-128', '128-512', '512-2048', '2048-8192', '0-512', '0-2048', '128+', '512+', 'all']
    """
    edges = edges_of(widths)
    bins = list(pairwise(edges))
    ranges = {f"{lo}-{hi}": (lo, hi) for lo, hi in bins}
    ranges |= {f"0-{hi}": (0, hi) for hi in edges[2:-1]}
    ranges |= {f"{lo}+": (lo, edges[-1]) for lo in edges[1:-2]}
    ranges["all"] = (0, edges[-1])
    options = {"surprisal": surprisal, "features": features, "encoder": encoder}
    return {name: restrict_encoder(columns, **options) for name, columns in ranges.items()}


def bin_occupancy(fitted, features=None, *, X=None, n_permutations=1000, random_state=None):
    """Count the selected features in each Matryoshka bin, against chance given how often features fire.

    Coarse features fire on more texts, and a feature that hardly ever fires can't be selected. Chance therefore
    compares like with like: features are sorted into strata by the number of texts in which they are active (a factor
    of the square root of 2 wide), and each selection is as likely to be any other feature of its stratum. The p-value
    permutes the bins of the features within the strata: features are the units, since voxels share them.

    Parameters
    ----------
    fitted : estimator, FittedView or {ndarray, sparse array} of shape (n_voxels, n_features)
        A fitted model, its view, or weights such as ``SparseVoxelEncoder.coef_``.

    features : transformer, FittedView or DataFrame, default=None
        For weights, or a model that was fitted to features: the fitted transformer that made them, or a table with
        their bins, such as :func:`~sklearn_sae_encoding.fitted.feature_table` makes of an SAE's widths. What lies in no
        bin (surprisal) is not counted.

    X : {ndarray, sparse array} of shape (n_texts, n_features), default=None
        Features of the texts. None leaves out the columns about chance.

    n_permutations : int, default=1000
        For the p-value.

    random_state : int, RandomState instance or None, default=None
        Seed of the permutations.

    Returns
    -------
    table : pandas.DataFrame
        A row a bin: `bin`, `lo`, `hi`, `n_features` (that were offered), `n_used` (features that a voxel selects),
        `mean_count` (a voxel), `share` (of all selections). With `X`: `n_firing` (features that fire at all),
        `expected_share`, `ratio` (of the two) and `p_value` (two-sided).

    Raises
    ------
    ValueError
        If the weights, features and widths don't belong together, or nothing is selected.

    References
    ----------
    Lepori, Kay and Tuckute, arXiv:2606.06857, figure 5 (counts and shares; chance is this library's).

    Examples
    --------
    >>> from sklearn_sae_encoding.analysis import bin_occupancy
    >>> from sklearn_sae_encoding.fitted import feature_table
    >>> table = feature_table(4, kinds=["sae", "sae", "sae", "surprisal"], widths=[1, 3])
    >>> bin_occupancy([[1.0, 0.0, -2.0, 0.5], [1.0, 0.0, 0.0, 0.5]], table)[["bin", "mean_count", "share"]]
       bin  mean_count     share
    0  0-1         1.0  0.666667
    1  1-3         0.5  0.333333
    """
    coef, known = weights_and_features(fitted, features)
    bins, columns, bin_of = _binned(known)
    counts = np.asarray((coef[:, columns] != 0).sum(axis=0)).ravel()
    if counts.sum() == 0:
        raise ValueError("No voxel selects any of the features.")
    per_bin = np.bincount(bin_of, counts, minlength=len(bins))
    table = bins.assign(
        n_used=np.bincount(bin_of, counts > 0, minlength=len(bins)).astype(int),
        mean_count=per_bin / coef.shape[0],
        share=per_bin / counts.sum(),
    )
    if X is None:
        return table
    X = as_columns(X)
    if X.shape[1] != coef.shape[1]:
        raise ValueError(f"X must have the columns of the weights, {coef.shape[1]}, but has {X.shape[1]}.")
    n_active = _n_active(X, columns)
    fires = n_active > 0
    strata = np.floor(2 * np.log2(n_active[fires])).astype(int)
    expected, p_values = _chance(counts[fires], bin_of[fires], strata, len(table), n_permutations, random_state)
    return table.assign(
        n_firing=np.bincount(bin_of[fires], minlength=len(table)),
        expected_share=expected,
        ratio=table["share"] / np.where(expected > 0, expected, np.nan),
        p_value=p_values,
    )


def bin_firing(X, features, *, at_least=(1, 50, 100)):
    """Count the features of each Matryoshka bin that fire on many texts.

    Parameters
    ----------
    X : {ndarray, sparse array} of shape (n_texts, n_features)
        Features of the texts.

    features : transformer, FittedView or DataFrame
        What they are, as for :func:`bin_occupancy`. What lies in no bin (surprisal) is not counted.

    at_least : int or sequence of int, default=(1, 50, 100)
        Numbers of texts.

    Returns
    -------
    table : pandas.DataFrame
        A row a bin: `bin`, `lo`, `hi`, `n_features` (in it), and for each number of texts the features that are active
        in at least so many, a column such as `50+`.

    Raises
    ------
    ValueError
        If no feature has a bin, their numbers differ, or `at_least` isn't whole numbers.

    References
    ----------
    Lepori, Kay and Tuckute, arXiv:2606.06857, appendix, for 200 sentences.

    Examples
    --------
    >>> from sklearn_sae_encoding.analysis import bin_firing
    >>> from sklearn_sae_encoding.fitted import feature_table
    >>> table = feature_table(3, kinds="sae", widths=[1, 3])
    >>> bin_firing([[1.0, 0.0, 2.0], [1.0, 0.0, 0.0]], table, at_least=(1, 2))
       bin  lo  hi  n_features  1+  2+
    0  0-1   0   1           1   1   1
    1  1-3   1   3           2   1   0
    """
    thresholds = np.atleast_1d(at_least)
    if thresholds.ndim > 1 or thresholds.dtype.kind not in "iu":
        raise ValueError(f"at_least must be a number of texts, such as 50, or a list of these, got {at_least!r}.")
    X = as_columns(X)
    table, columns, bin_of = _binned(features_of(features, X.shape[1]))
    n_active = _n_active(X, columns)
    for n_texts in thresholds:
        table[f"{n_texts}+"] = np.bincount(bin_of, n_active >= n_texts, minlength=len(table)).astype(int)
    return table


def _binned(known):
    """Give a table of the bins in their order, the columns that lie in one, and which."""
    columns = np.flatnonzero(known["bin"] != "")
    if len(columns) == 0:
        raise ValueError(
            "None of the features has a Matryoshka bin. Pass features=: the SAEProjector that made them, or "
            "feature_table(..., kinds='sae', widths=widths)."
        )
    names = known["bin"].to_numpy()[columns]
    limits = sorted({tuple(int(limit) for limit in name.split("-")) for name in names})
    ordered = [f"{lo}-{hi}" for lo, hi in limits]
    bin_of = pd.Index(ordered).get_indexer(names)
    lo, hi = zip(*limits, strict=True)
    n_features = np.bincount(bin_of, minlength=len(ordered))
    return pd.DataFrame({"bin": ordered, "lo": lo, "hi": hi, "n_features": n_features}), columns, bin_of


def _n_active(X, columns):
    return np.asarray((X[:, columns] != 0).sum(axis=0)).ravel()


def _chance(counts, bin_of, strata, n_bins, n_permutations, random_state):
    """Return the expected share of each bin and the two-sided p-value of the share observed."""
    rng = check_random_state(random_state)
    members = [np.flatnonzero(strata == stratum) for stratum in np.unique(strata)]
    expected = sum(counts[m].sum() * np.bincount(bin_of[m], minlength=n_bins) / len(m) for m in members)
    observed = np.bincount(bin_of, counts, minlength=n_bins)
    extreme = np.zeros(n_bins)
    for _ in range(n_permutations):
        permuted = bin_of.copy()
        for m in members:
            permuted[m] = rng.permutation(bin_of[m])
        null = np.bincount(permuted, counts, minlength=n_bins)
        extreme += np.abs(null - expected) >= np.abs(observed - expected) - 1e-9 * counts.sum()
    return expected / counts.sum(), (1 + extreme) / (1 + n_permutations)
