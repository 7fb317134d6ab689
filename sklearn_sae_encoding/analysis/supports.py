"""Are the selected features the same in every fold?"""

from itertools import combinations

import numpy as np
import pandas as pd
from scipy import sparse

from sklearn_sae_encoding._fitted.tables import find_features
from sklearn_sae_encoding.fitted import weights_and_features
from sklearn_sae_encoding.metrics._recovery import row_sums, support_of


def support_stability(fits, *, full=None, exclude=None, features=None):
    """Compare the features that each voxel selects in the folds, and on all texts.

    Parameters
    ----------
    fits : sequence of estimator, FittedView or {ndarray, sparse array} of shape (n_voxels, n_features)
        The model that was fitted in each fold, or its weights: ``cross_val_voxel_scores(...,
        return_estimators=True).estimators``.

    full : estimator, FittedView or {ndarray, sparse array} of shape (n_voxels, n_features), default=None
        The model fitted to all texts, which the interpretation reads.

    exclude : int, str or sequence of these, default=None
        Features (columns or names) that every support must contain and that say nothing, such as surprisal:
        ``view.of_kind("surprisal")``. The published sizes count it.

    features : transformer, FittedView, DataFrame or sequence of str, default=None
        Names of the features, for weights; see :func:`~sklearn_sae_encoding.fitted.fitted_view`.

    Returns
    -------
    table : pandas.DataFrame
        A row a voxel:

        - `n_intersection` and `n_union`, features selected in all folds and in any;
        - `mean_size` and `sd_size` (population) over folds;
        - `jaccard`, the mean over pairs of folds of shared over joint features (1 where both are empty);
        - `stability` of Nogueira, Sechidis and Brown (2018), 1 if all folds agree and 0 as by chance, whatever the
          sizes; NaN where no fold or every fold selects everything there is;
        - with `full`: `full_size`, and `full_in_folds`, the share of its features that a fold selects, on average
          (NaN if it is empty).

    Raises
    ------
    ValueError
        If there are fewer than two folds, or shapes differ.

    References
    ----------
    Nogueira, Sechidis and Brown (2018), "On the stability of feature selection algorithms", JMLR 18(174).

    Examples
    --------
    >>> from sklearn_sae_encoding.analysis import support_stability
    >>> folds = [[[1.0, 0.5, 0.0, 0.0]], [[2.0, 0.0, 0.0, 0.0]]]
    >>> support_stability(folds)[["n_intersection", "n_union", "mean_size", "jaccard"]]
       n_intersection  n_union  mean_size  jaccard
    0               1        2        1.5      0.5
    """
    fits = list(fits)
    if len(fits) < 2:
        raise ValueError(f"Stability needs the weights of at least two folds, got {len(fits)}.")
    weights = [weights_and_features(fit, features) for fit in fits]
    exclude = None if exclude is None else find_features(weights[0][1], exclude)
    supports = [support_of(coef, exclude=exclude) for coef, _ in weights]
    if len({support.shape for support in supports}) > 1:
        raise ValueError(f"All folds must have the same shape, got {[support.shape for support in supports]}.")
    selected = sparse.csr_array(sum(supports[1:], supports[0]))  # number of folds that select a feature
    sizes = np.array([row_sums(support) for support in supports])
    n_offered = selected.shape[1] - (0 if exclude is None else len(np.unique(exclude)))
    table = pd.DataFrame(
        {
            "n_intersection": row_sums(selected == len(supports)),
            "n_union": row_sums(selected > 0),
            "mean_size": sizes.mean(axis=0),
            "sd_size": sizes.std(axis=0),
            "jaccard": np.mean([_jaccard(a, b) for a, b in combinations(supports, 2)], axis=0),
            "stability": _nogueira(selected, len(supports), n_offered),
        }
    )
    if full is None:
        return table
    full = support_of(weights_and_features(full)[0], exclude=exclude)
    if full.shape != selected.shape:
        raise ValueError(f"full must have the shape of the folds' weights, {selected.shape}, got {full.shape}.")
    size = row_sums(full)
    found = row_sums(full.multiply(selected)) / len(supports)
    return table.assign(full_size=size, full_in_folds=found / np.where(size > 0, size, np.nan))


def _jaccard(a, b):
    both, either = row_sums(a.multiply(b)), row_sums((a + b) > 0)
    return np.where(either > 0, both / np.maximum(either, 1), 1.0)


def _nogueira(selected, n_folds, n_features):
    """One minus the variance of selections over folds, over its value if each fold selected at random."""
    frequency = selected / n_folds
    variance = row_sums(frequency - frequency.multiply(frequency)) * n_folds / (n_folds - 1) / n_features
    share = row_sums(frequency) / n_features
    by_chance = share * (1 - share)
    return np.where(by_chance > 0, 1 - variance / np.where(by_chance > 0, by_chance, 1.0), np.nan)
