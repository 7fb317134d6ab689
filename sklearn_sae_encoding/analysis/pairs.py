"""Are pairs of voxels more alike within a participant or region than across?"""

from itertools import combinations

import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.model_selection import check_cv
from sklearn.utils import check_array

from sklearn_sae_encoding._validation import some_folds
from sklearn_sae_encoding.metrics import fisher_mean, normalize_scores

_SOURCE_AND_TARGET = ["source_participant", "source_region", "target_participant", "target_region"]
_SAME = ["same_participant", "same_region"]


def correlate_predictors(predictors, Y, *, noise_ceiling=None, cv=None, groups=None):
    """Correlate each predictor with each voxel, nothing fitted: the reference for transfer scores.

    What a source's features tell about a target is to be compared with what its response tells directly
    (``predictors=Y``), or with the scores of the texts on components of the stimuli.

    Parameters
    ----------
    predictors : array-like of shape (n_samples, n_predictors)
        One column a predictor.

    Y : array-like of shape (n_samples, n_voxels)
        Responses.

    noise_ceiling : array-like of shape (n_voxels,), default=None
        Divide by the ceilings of the voxels. Noise in the predictors is not corrected for.

    cv : int, splitter or iterable of (train, test), default=None
        Correlate over the test texts of each fold and average on Fisher's z scale, as scores of models are. None
        correlates over all texts.

    groups : array-like of shape (n_samples,), default=None
        Labels for a group splitter.

    Returns
    -------
    r : ndarray of shape (n_predictors, n_voxels)
        NaN where a voxel is constant, 0 where only the predictor is.

    Raises
    ------
    ValueError
        If the rows differ in number or hold NaN.

    Examples
    --------
    >>> from sklearn_sae_encoding.analysis import correlate_predictors
    >>> correlate_predictors([[1.0], [2.0], [3.0]], [[0.0, 3.0], [1.0, 2.0], [2.0, 1.0]])
    array([[ 1., -1.]])
    """
    predictors = check_array(predictors, dtype=np.float64, input_name="predictors")
    Y = check_array(Y, dtype=np.float64, input_name="Y")
    if len(predictors) != len(Y):
        raise ValueError(f"predictors and Y must have a row a text, but have {len(predictors)} and {len(Y)} rows.")
    if cv is None:
        r = _correlations(predictors, Y)
    else:
        tests = [test for _, test in some_folds(list(check_cv(cv).split(Y, groups=groups)))]
        r = fisher_mean([_correlations(predictors[test], Y[test]) for test in tests])
    return r if noise_ceiling is None else normalize_scores(r, noise_ceiling)


def average_pairs(participants, regions, **scores):
    """Average scores of voxel pairs over each combination of participants and regions.

    Parameters
    ----------
    participants, regions : array-like of shape (n_voxels,)
        Labels of the voxels.

    **scores : array-like of shape (n_voxels, n_voxels)
        Scores of sources (rows) on targets (columns) by the name of their column, such as
        ``transfer=transfer.normalized_scores, correlation=correlate_predictors(Y, Y)``. The diagonal, and pairs with a
        NaN in any of them, are left out of all.

    Returns
    -------
    table : pandas.DataFrame
        A row for each combination of `source_participant`, `source_region`, `target_participant` and `target_region`
        that has pairs; then `same_participant` and `same_region` (bool), `n_pairs` and the mean of each score.

    Raises
    ------
    ValueError
        If shapes disagree or no scores are given.

    See Also
    --------
    within_and_across : Summarise the table by same and different.
    compare_regions : Same against other region, balanced.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_sae_encoding.analysis import average_pairs
    >>> table = average_pairs(["p1", "p1"], ["IFG", "MFG"], transfer=np.array([[np.nan, 0.5], [0.3, np.nan]]))
    >>> table[["source_region", "target_region", "same_region", "n_pairs", "transfer"]]
      source_region target_region  same_region  n_pairs  transfer
    0           IFG           MFG        False        1       0.5
    1           MFG           IFG        False        1       0.3
    """
    n_voxels = len(participants)
    if len(regions) != n_voxels:
        raise ValueError(f"Expected one label a voxel, got {n_voxels} participants and {len(regions)} regions.")
    matrices = {name: _check_matrix(values, name, n_voxels) for name, values in scores.items()}
    counted = _counted_pairs(matrices, n_voxels)
    codes, groups = pd.MultiIndex.from_arrays([participants, regions]).factorize()
    member = sparse.csr_array((np.ones(n_voxels), (codes, np.arange(n_voxels))))
    table = pd.DataFrame([(*source, *target) for source in groups for target in groups], columns=_SOURCE_AND_TARGET)
    table["same_participant"] = table["source_participant"] == table["target_participant"]
    table["same_region"] = table["source_region"] == table["target_region"]
    n_pairs = _group_sums(member, counted)
    table["n_pairs"] = n_pairs.astype(int)
    for name, values in matrices.items():
        table[name] = _group_sums(member, np.where(counted, values, 0.0)) / np.maximum(n_pairs, 1)
    return table[table["n_pairs"] > 0].reset_index(drop=True)


def within_and_across(table):
    """Average the table of pairs by same and different participant and region, for each target participant.

    This describes the pairs as they are: large regions have most pairs, and nearly all pairs of the same region are
    theirs. To compare same with different region use :func:`compare_regions`.

    Parameters
    ----------
    table : pandas.DataFrame
        From :func:`average_pairs`.

    Returns
    -------
    means : pandas.DataFrame
        A row for each `target_participant`, `same_participant` and `same_region` that has pairs; `n_pairs` and the mean
        over pairs of each score in the table.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_sae_encoding.analysis import average_pairs, within_and_across
    >>> table = average_pairs(["p1", "p1", "p1"], ["IFG", "IFG", "MFG"], transfer=np.arange(9.0).reshape(3, 3))
    >>> within_and_across(table)
      target_participant  same_participant  same_region  n_pairs  transfer
    0                 p1              True        False        4       5.0
    1                 p1              True         True        2       2.0
    """
    names = [name for name in table.columns if name not in {*_SOURCE_AND_TARGET, *_SAME, "n_pairs"}]
    sums = table.assign(**{name: table[name] * table["n_pairs"] for name in names})
    means = sums.groupby(["target_participant", *_SAME])[["n_pairs", *names]].sum().reset_index()
    means[names] = means[names].div(means["n_pairs"], axis=0)
    return means


def compare_regions(table, value):
    """Compare pairs of the same region with pairs of two regions, for one pair of regions and participants at a time.

    Regions differ in how well their voxels are predicted and in how much their features tell, and in their numbers of
    voxels, so that plain means over same and different regions differ whatever is shared. For a source participant `s`,
    a target participant `t` and two regions `A` and `B` that both of them have,

        same  = (S(sA, tA) + S(sB, tB)) / 2
        other = (S(sA, tB) + S(sB, tA)) / 2

    hold each region once as source and once as target: what any region is as source or target cancels.

    Parameters
    ----------
    table : pandas.DataFrame
        From :func:`average_pairs`.

    value : str
        Column to compare, such as ``"transfer"``.

    Returns
    -------
    comparison : pandas.DataFrame
        A row for each `source_participant`, `target_participant`, `region` and `other_region` for which all four means
        exist: `same_participant` (bool), `same` and `other`. Average it for each target participant before testing.

    Raises
    ------
    ValueError
        If the table has no such column.

    Examples
    --------
    The second region is the better target, whatever the source: nothing is shared within regions.

    >>> import numpy as np
    >>> from sklearn_sae_encoding.analysis import average_pairs, compare_regions
    >>> scores = np.tile([0.2, 0.6, 0.2, 0.6], (4, 1))
    >>> table = average_pairs(["p1", "p1", "p2", "p2"], ["IFG", "MFG", "IFG", "MFG"], transfer=scores)
    >>> compare_regions(table, "transfer")[["source_participant", "target_participant", "same", "other"]]
      source_participant target_participant  same  other
    0                 p1                 p2   0.4    0.4
    1                 p2                 p1   0.4    0.4
    """
    if value not in table:
        raise ValueError(f"The table has no column {value!r}; it has {list(table.columns)}.")
    participants, regions = ["source_participant", "target_participant"], ["source_region", "target_region"]
    wide = table.pivot(index=participants, columns=regions, values=value)
    parts = []
    for a, b in combinations(dict.fromkeys(table["target_region"]), 2):
        four = wide.reindex(columns=[(a, a), (b, b), (a, b), (b, a)]).dropna()
        means = {"same": four.iloc[:, :2].mean(axis=1), "other": four.iloc[:, 2:].mean(axis=1)}
        parts.append(pd.DataFrame(means).reset_index().assign(region=a, other_region=b))
    columns = [*participants, "same_participant", "region", "other_region", "same", "other"]
    if not parts:
        return pd.DataFrame(columns=columns)
    comparison = pd.concat(parts, ignore_index=True)
    return comparison.assign(same_participant=comparison[participants[0]] == comparison[participants[1]])[columns]


def _correlations(predictors, Y):
    """Pearson's r of each predictor (row) with each voxel (column)."""
    Y = _unit_columns(Y)
    r = np.clip(_unit_columns(predictors).T @ Y, -1, 1)
    r[:, ~Y.any(axis=0)] = np.nan
    return r


def _unit_columns(values):
    """Centre columns and scale them to norm one; those that are constant up to rounding become zero."""
    centred = values - values.mean(axis=0)
    largest = np.abs(centred).max(axis=0)
    constant = largest <= 8 * np.finfo(np.float64).eps * np.abs(values).max(axis=0)
    centred = np.where(constant, 0.0, centred / np.where(constant, 1.0, largest))  # squares can't underflow
    return centred / np.where(constant, 1.0, np.linalg.norm(centred, axis=0))


def _check_matrix(values, name, n_voxels):
    values = np.asarray(values, dtype=np.float64)
    if values.shape != (n_voxels, n_voxels):
        raise ValueError(f"{name} must score all pairs of the {n_voxels} labelled voxels, got shape {values.shape}.")
    return values


def _counted_pairs(matrices, n_voxels):
    if not matrices:
        raise ValueError("Pass at least one matrix of scores by name, such as transfer=scores.")
    counted = ~np.eye(n_voxels, dtype=bool)
    for values in matrices.values():
        counted &= ~np.isnan(values)
    return counted


def _group_sums(member, values):
    """Sum over the pairs of each source group and target group; flat, target groups running fastest."""
    return (member @ (member @ values.astype(np.float64)).T).T.ravel()
