"""Voxel scores to p-values: refitting on shuffled responses, and the false discovery rate over voxels."""

from typing import NamedTuple

import numpy as np
from scipy import stats
from sklearn.utils import check_random_state

from sklearn_sae_encoding._notes import gathering
from sklearn_sae_encoding._solvers.running import Problem, solve_blocks
from sklearn_sae_encoding.metrics._controls import shuffle_responses
from sklearn_sae_encoding.metrics._cross_val import cross_val_voxel_scores, masked
from sklearn_sae_encoding.metrics._nulls import surrogate_responses
from sklearn_sae_encoding.metrics._runs import is_runs


class VoxelPermutationTest(NamedTuple):
    """Scores of one model, what shuffled responses score, and how likely that is."""

    scores: np.ndarray  # (n_voxels,), of the responses as measured
    null_scores: np.ndarray  # (n_permutations, n_voxels), of shuffled responses
    p_values: np.ndarray  # (n_voxels,), one-sided
    adjusted_p_values: np.ndarray  # (n_voxels,), over voxels: at most q of those below q are false discoveries


def permutation_test_voxel_scores(
    estimator,
    X,
    Y,
    *,
    n_permutations=100,
    cv=5,
    groups=None,
    metric="pearson",
    pool=None,
    surrogate=None,
    shuffle_within=None,
    voxel_groups=None,
    adjust="bh",
    random_state=None,
    n_jobs=None,
    memory=None,
    verbose=0,
    params=None,
):
    """Test for every voxel whether the cross-validated score is better than chance.

    The null hypothesis is that the voxel's responses have nothing to do with ``X``. Each permutation shuffles the
    responses (:func:`shuffle_responses`; of runs :func:`surrogate_responses`), fits the model again in every fold and
    scores it. Refitting is needed: the folds' training sets share samples, so that scores of different folds go up and
    down together, and permuting the held-out responses against predictions that stay the same calls 12% of unrelated
    voxels significant at 0.05.

    Parameters
    ----------
    estimator : estimator
        The model to test. It is cloned for every fold and permutation.

    X : list of str, array-like, sparse matrix, DataFrame or TokenTable, of length n_samples
        Whatever the estimator takes.

    Y : array-like of shape (n_samples, n_voxels) or (n_samples,), list of arrays, or images
        Responses, as for :func:`cross_val_voxel_scores`.

    n_permutations : int, default=100
        Number of refits. The smallest p-value that can come out is 1 over one more than the null scores that a voxel
        is compared with, see ``pool``.

    cv, groups, metric, params
        As for :func:`cross_val_voxel_scores`. The same folds serve all permutations.

    pool : bool or array-like of shape (n_voxels,), default=None
        Which null scores a voxel is compared with: its own (None or False), those of all voxels (True), or those of
        voxels with the same label. Pooling gives small p-values from few permutations (20 permutations of 1,000
        voxels are 20,000 null scores), and assumes that chance scores are distributed alike in the pooled voxels.
        That is so for r where the responses have similar distributions.

    surrogate : {"phase", "shift", "block", "scan"}, default=None
        For lists of runs: how responses are made that have nothing to do with the story, see
        :func:`surrogate_responses`. None is ``"phase"``.

    shuffle_within : array-like of shape (n_samples,), default=None
        Labels of samples that may change places with each other, such as runs. None shuffles all of them.

    voxel_groups : array-like of shape (n_voxels,), default=None
        Voxels that are shuffled together. None shuffles each on its own.

    adjust : {"bh", "by", "bonferroni", "holm"} or None, default="bh"
        How p-values are adjusted over voxels, see :func:`adjust_p_values`.

    random_state : int, RandomState instance or None, default=None
        Seed of the permutations.

    n_jobs : int, default=None
        Folds, and then permutations, that run at once, through joblib. None is 1.

    memory : str or joblib.Memory, default=None
        Keep the scores of finished permutations here, so that an interrupted test resumes where it was.

    verbose : int, default=0
        Above 0, a status line says how many permutations are done and how much time is left.

    Returns
    -------
    test : VoxelPermutationTest
        A named tuple with ``scores``, ``null_scores``, ``p_values`` and ``adjusted_p_values``. A voxel without a
        score (NaN) has no p-value.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn_sae_encoding.metrics import permutation_test_voxel_scores
    >>> rng = np.random.default_rng(0)
    >>> X, Y = rng.normal(size=(60, 3)), rng.normal(size=(60, 4))
    >>> Y[:, 0] += X[:, 0]
    >>> test = permutation_test_voxel_scores(Ridge(), X, Y, n_permutations=50, pool=True, random_state=0)
    >>> test.adjusted_p_values < 0.05
    array([ True, False, False, False])
    """
    if n_permutations < 1:
        raise ValueError(f"n_permutations must be at least 1, got {n_permutations}.")
    Y, _ = masked(Y, {"": estimator})
    by_run = is_runs(X, Y)
    if surrogate is not None and not by_run:
        raise ValueError("surrogate= is for lists of runs; other responses are shuffled sample by sample.")
    if by_run and (shuffle_within is not None or voxel_groups is not None):
        raise ValueError("shuffle_within and voxel_groups are for samples in an array, not for lists of runs.")
    rng = check_random_state(random_state)
    common = {"groups": groups, "metric": metric, "params": params}
    measured = cross_val_voxel_scores(estimator, X, Y, cv=cv, n_jobs=n_jobs, verbose=verbose, **common)
    shuffling = _Shuffling(surrogate or "phase" if by_run else None, shuffle_within, voxel_groups)
    task = _Task(estimator, X, Y, measured.splits, common, shuffling, len(measured.scores))
    nulls = solve_blocks(
        Problem(task, _score_shuffled, _no_scores, noun="permutations"),
        _states(rng, Y, shuffling, n_permutations),
        block_size=1,
        n_jobs=n_jobs,
        memory=memory,
        verbose=verbose,
    )
    null_scores = nulls.scores
    p_values = permutation_p_values(measured.scores, null_scores, pool=pool)
    return VoxelPermutationTest(measured.scores, null_scores, p_values, adjust_p_values(p_values, adjust))


class _Shuffling(NamedTuple):
    surrogate: str | None  # of runs; None shuffles samples
    within: object
    voxel_groups: object

    def shuffled(self, Y, rng):
        if self.surrogate is not None:
            return surrogate_responses(Y, self.surrogate, random_state=rng)
        return shuffle_responses(Y, rng, groups=self.within, voxel_groups=self.voxel_groups)


class _Task(NamedTuple):
    """What all permutations share."""

    estimator: object
    X: object
    Y: object
    splits: list
    common: dict  # parameters of the cross-validation
    shuffling: _Shuffling
    n_voxels: int


class _Nulls(NamedTuple):
    scores: np.ndarray  # (n_permutations, n_voxels)


def _states(rng, Y, shuffling, n_permutations):
    """The state of the random generator before each permutation, so that each can be drawn by itself."""
    states = []
    for _ in range(n_permutations):
        states.append(rng.get_state())
        shuffling.shuffled(Y, rng)
    return states


def _score_shuffled(task, states, _n_threads):
    scores = np.empty((len(states), task.n_voxels))
    rng = np.random.RandomState()
    for row, state in zip(scores, states, strict=True):
        rng.set_state(state)
        shuffled = task.shuffling.shuffled(task.Y, rng)
        with gathering():  # what is said of shuffled responses is of no interest
            row[:] = cross_val_voxel_scores(task.estimator, task.X, shuffled, cv=task.splits, **task.common).scores
    return _Nulls(scores)


def _no_scores(task):
    return _Nulls(np.zeros((0, task.n_voxels)))


def permutation_p_values(scores, null_scores, *, pool=None):
    """Compare scores with scores under the null hypothesis.

    ``(1 + number of null scores at least as large) / (1 + number of null scores)``: one-sided, and never 0.

    Parameters
    ----------
    scores : array-like of shape (n_voxels,)
        Scores, larger is better.

    null_scores : array-like of shape (n_permutations, n_voxels)
        Scores of shuffled responses. NaN ones are left out.

    pool : bool or array-like of shape (n_voxels,), default=None
        Compare with the voxel's own null scores (None or False), all (True), or those of voxels with the same label.

    Returns
    -------
    p_values : ndarray of shape (n_voxels,)
        NaN where the score is NaN or there is no null score.

    Examples
    --------
    >>> from sklearn_sae_encoding.metrics import permutation_p_values
    >>> permutation_p_values([0.5, 0.1], [[0.0, 0.2], [0.1, 0.0], [0.2, 0.3]])
    array([0.25, 0.75])
    >>> permutation_p_values([0.5, 0.1], [[0.0, 0.2], [0.1, 0.0], [0.2, 0.3]], pool=True).round(2)
    array([0.14, 0.71])
    """
    scores, null_scores = np.asarray(scores, dtype=np.float64), np.asarray(null_scores, dtype=np.float64)
    if scores.ndim != 1 or null_scores.ndim != 2 or null_scores.shape[1] != len(scores):
        raise ValueError(
            f"Expected scores of shape (n_voxels,) and null scores of shape (n_permutations, n_voxels), got "
            f"{scores.shape} and {null_scores.shape}."
        )
    p_values = np.full(len(scores), np.nan)
    for voxels in _pools(pool, len(scores)):
        null = np.sort(null_scores[:, voxels], axis=None)
        null = null[: np.count_nonzero(~np.isnan(null))]  # sorting puts NaN last
        if len(null):
            as_large = len(null) - np.searchsorted(null, scores[voxels], side="left")
            p_values[voxels] = (1 + as_large) / (1 + len(null))
    p_values[np.isnan(scores)] = np.nan
    return p_values


def _pools(pool, n_voxels):
    """Yield the voxels that are compared with each other's null scores."""
    if pool is None or pool is False:
        yield from ([voxel] for voxel in range(n_voxels))
        return
    labels = np.zeros(n_voxels) if pool is True else np.asarray(pool)
    if labels.shape != (n_voxels,):
        raise ValueError(f"pool must be a bool or one label a voxel, ({n_voxels},), got shape {labels.shape}.")
    for label in np.unique(labels):
        yield np.flatnonzero(labels == label)


def adjust_p_values(p_values, method="bh"):
    """Adjust p-values for many tests: the false discovery rate of a map, or the chance of any error among a few.

    Calling what has an adjusted value of at most `q` keeps the expected share of false ones among the called at `q`
    (``"bh"``, ``"by"``), or the chance that any called one is false (``"bonferroni"``, ``"holm"``).

    Parameters
    ----------
    p_values : array-like of any shape
        NaN stands for no test: it stays NaN and does not count.

    method : {"bh", "by", "bonferroni", "holm"} or None, default="bh"
        Benjamini-Hochberg, for voxels that are independent or positively dependent, or Benjamini-Yekutieli, for any
        dependence, computed by :func:`scipy.stats.false_discovery_control`; for a few planned tests Bonferroni, or
        Holm, which is never less powerful, both for any dependence. None leaves p-values as they are.

    Returns
    -------
    adjusted : ndarray of the shape of `p_values`

    Raises
    ------
    ValueError
        If the method is unknown, or a value lies outside [0, 1].

    Examples
    --------
    >>> from sklearn_sae_encoding.metrics import adjust_p_values
    >>> adjust_p_values([0.01, 0.02, float("nan"), 0.9])
    array([0.03, 0.03,  nan, 0.9 ])
    >>> adjust_p_values([0.01, 0.04, 0.03], "holm")
    array([0.03, 0.06, 0.06])
    """
    if method not in ("bh", "by", "bonferroni", "holm", None):
        raise ValueError(f"adjust must be 'bh', 'by', 'bonferroni', 'holm' or None, got {method!r}.")
    p_values = np.asarray(p_values, dtype=np.float64)
    adjusted, tested = p_values.copy(), ~np.isnan(p_values)
    p = p_values[tested]
    if np.any((p < 0) | (p > 1)):
        raise ValueError(f"p-values lie in [0, 1], got {p[(p < 0) | (p > 1)][0]}.")
    if method in ("bh", "by") and len(p):
        adjusted[tested] = stats.false_discovery_control(p, method=method)
    elif method == "bonferroni":
        adjusted[tested] = np.minimum(p * len(p), 1.0)
    elif method == "holm":
        order = np.argsort(p, kind="stable")
        stepped = np.empty(len(p))
        stepped[order] = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
        adjusted[tested] = np.minimum(stepped, 1.0)
    return adjusted
