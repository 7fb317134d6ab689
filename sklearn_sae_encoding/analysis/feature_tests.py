"""Does a voxel use this feature, given all the others? A test of each, and the share of false ones among the found."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import sparse, stats
from sklearn.base import clone

from sklearn_sae_encoding._notes import gathering
from sklearn_sae_encoding._solvers.running import Problem, solve_blocks
from sklearn_sae_encoding.encoder import SparseVoxelEncoder
from sklearn_sae_encoding.fitted import weights_and_features
from sklearn_sae_encoding.metrics import adjust_p_values


class FeatureUseTest(NamedTuple):
    """What :func:`feature_use_test` gives."""

    table: pd.DataFrame  # a row a tested pair: `voxel`, `group`, `partial_r`, `p_value`, `q_value`
    groups: np.ndarray  # (n_groups,), labels of what was tested; columns of X if no groups were given
    n_tests: int  # pairs of a voxel and a group that count, most of which no weight makes worth a test
    n_voxels: int

    def selected(self, level=0.1):
        """Give the pairs that are found, as weights.

        Parameters
        ----------
        level : float, default=0.1
            False discovery rate: the expected share of wrong pairs among those given.

        Returns
        -------
        found : scipy.sparse.csr_array of shape (n_voxels, n_groups)
            The partial correlation of each pair that is found, for
            :func:`~sklearn_sae_encoding.analysis.count_feature_use` and whatever else counts weights.
        """
        found = self.table[self.table["q_value"] <= level]
        column = pd.Series(np.arange(len(self.groups)), index=self.groups)[found["group"]]
        where = found["voxel"].to_numpy(), column.to_numpy()
        return sparse.csr_array((found["partial_r"].to_numpy(), where), shape=(self.n_voxels, len(self.groups)))


def feature_use_test(
    encoder,
    X,
    Y,
    *,
    groups=None,
    candidates=None,
    feature_encoder=None,
    more_X=None,
    adjust="bh",
    n_jobs=None,
    memory=None,
    verbose=0,
):
    r"""Test whether a voxel uses a feature, given all other features, and control the false discovery rate.

    A lasso takes up one of several correlated features, and often a stand-in of the right one. So each feature that it
    takes up is tested against what the others leave: with :math:`e` the residuals of the voxel's responses without
    feature `j`, and :math:`r` those of feature `j` itself, each predicted from all others by a sparse model, the
    partial correlation of :math:`r` and :math:`e` is zero on average if the feature adds nothing. This is the distilled
    conditional randomisation test [1]_ with the t distribution in place of a model's draws. A feature that the lasso
    doesn't take up has a p-value of 1, which costs no validity.

    Parameters
    ----------
    encoder : estimator with ``coef_``, such as SparseVoxelEncoder
        Cloned, and fitted to all features, and without each feature that any voxel takes up. A fixed penalty makes it
        fast, one that predicts well makes the test powerful.

    X : {array-like, sparse array} of shape (n_samples, n_features)
        Features of the texts, each text once.

    Y : array-like of shape (n_samples, n_voxels)
        Responses.

    groups : array-like of shape (n_features,), default=None
        Labels of features that are tested together: does a voxel use any of them? Features that correlate by .9 say
        nearly the same, and hardly any number of texts tells which of them a voxel uses. None tests each alone.

    candidates : array-like of columns or of bool, default=None
        The features that may be found, chosen without these responses; fewer leave more power. None takes all
        that vary.

    feature_encoder : estimator, default=None
        Predicts a feature from the others. None is ``SparseVoxelEncoder(alphas=10, cv=3)``.

    more_X : {array-like, sparse array} of shape (n_others, n_features), default=None
        Features of further texts without responses, from which `feature_encoder` learns, too. Any texts of the kind
        serve, and make the test more powerful and more exact.

    adjust : {"bh", "by"}, default="bh"
        How p-values become q-values over all pairs, see :func:`~sklearn_sae_encoding.metrics.adjust_p_values`.

    n_jobs, memory, verbose
        Blocks of pairs at a time, where finished ones are kept, and whether to show progress, as in
        :class:`~sklearn_sae_encoding.encoder.SparseVoxelEncoder`.

    Returns
    -------
    test : FeatureUseTest
        A named tuple with the ``table`` of the pairs that were tested (`voxel`, `group`, which is the column of X if no
        groups were given, `partial_r`, `p_value`, `q_value`), the labels of all ``groups``, ``n_tests``, ``n_voxels``,
        and ``selected(level)``. `partial_r` of several features is their multiple correlation, without a sign.

    Raises
    ------
    ValueError
        If numbers of samples, features or labels differ, or no candidate varies.

    References
    ----------
    .. [1] Liu, Katsevich, Janson and Ramdas, "Fast and powerful conditional randomization testing via distillation",
       Biometrika 109 (2022) 277-293.
    .. [2] Candès, Fan, Janson and Lv, "Panning for gold: model-X knockoffs for high dimensional controlled variable
       selection", JRSS B 80 (2018) 551-577.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_sae_encoding.analysis import feature_use_test
    >>> from sklearn_sae_encoding.encoder import SparseVoxelEncoder
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(200, 30))
    >>> X[:, 5] = X[:, 4] + 0.5 * rng.normal(size=200)  # a stand-in of feature 4
    >>> Y = X[:, [4]] - X[:, [7]] + rng.normal(size=(200, 1))
    >>> test = feature_use_test(SparseVoxelEncoder(), X, Y)
    >>> test.selected(0.1).indices.tolist()
    [4, 7]
    """
    X, Y = sparse.csr_array(X) if sparse.issparse(X) else np.asarray(X, dtype=np.float64), np.asarray(Y)
    if more_X is not None:
        more_X = sparse.csr_array(more_X) if sparse.issparse(X) else np.asarray(more_X, dtype=np.float64)
    _check(X, Y, more_X)
    names, group = _labelled(groups, X.shape[1])
    offered = _varying(X) & _as_mask(candidates, X.shape[1])
    if not offered.any():
        raise ValueError("No candidate varies over the texts, so that there is nothing to test.")
    fitted = clone(encoder).fit(X, Y)
    used = weights_and_features(fitted)[0].astype(bool) @ _membership(group, offered, len(names))
    by_group = sparse.coo_array(used.T)
    pairs = np.column_stack([by_group.row, by_group.col])
    pairs = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
    if feature_encoder is None:
        feature_encoder = SparseVoxelEncoder(alphas=10, cv=3)
    task = _Task(encoder, feature_encoder, X, Y, more_X, np.where(offered, group, -1))
    problem = Problem(task, _test, _nothing, noun="pairs")
    tested = solve_blocks(problem, pairs, n_jobs=n_jobs, memory=memory, verbose=verbose)
    n_tests = Y.shape[1] * len(np.unique(group[offered]))
    table = pd.DataFrame({"voxel": pairs[:, 1], "group": names[pairs[:, 0]], **tested._asdict()})
    padded = np.concatenate([tested.p_value, np.ones(n_tests - len(pairs))])
    table["q_value"] = adjust_p_values(padded, adjust)[: len(pairs)]
    return FeatureUseTest(table, names, n_tests, Y.shape[1])


class _Task(NamedTuple):
    """What all pairs share."""

    encoder: object
    feature_encoder: object
    X: object
    Y: np.ndarray
    more_X: object
    group: np.ndarray  # (n_features,), number of the group, -1 for what is not tested


class _Tested(NamedTuple):
    partial_r: np.ndarray  # (n_pairs,)
    p_value: np.ndarray


def _nothing(_task):
    return _Tested(np.zeros(0), np.zeros(0))


def _test(task, pairs, _n_threads):
    """Test pairs of a group and a voxel, sorted by group."""
    starts = np.flatnonzero(np.diff(pairs[:, 0], prepend=-1))
    parts = []
    with gathering():  # edges of penalties here are no news: the same voxels were fitted to all features before
        for own in np.split(pairs, starts[1:]):
            parts.append(_test_group(task, own[0, 0], own[:, 1]))
    return _Tested(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _test_group(task, group, voxels):
    tested = task.group == group
    rest, own = _without(task.X, tested), _dense(task.X[:, np.flatnonzero(tested)])
    learn, more = rest, own
    if task.more_X is not None:
        stack = sparse.vstack if sparse.issparse(rest) else np.vstack
        learn = stack([rest, _without(task.more_X, tested)])
        more = np.vstack([own, _dense(task.more_X[:, np.flatnonzero(tested)])])
    predicted = clone(task.feature_encoder).fit(learn, more).predict(rest)
    unlike = own - np.reshape(predicted, own.shape)
    model = clone(task.encoder).fit(rest, task.Y[:, voxels])
    left = task.Y[:, voxels] - np.reshape(model.predict(rest), (len(own), len(voxels)))
    n_used = weights_and_features(model)[0][:, np.flatnonzero(~tested)].astype(bool).sum(axis=1)
    return _partial_correlation(unlike, left, np.ravel(n_used), np.linalg.norm(own - own.mean(axis=0)))


def _partial_correlation(x, y, n_used, size):
    """Correlate each column of `y` with those of `x` together, both residuals of others, of which `y` used so many.

    `size` is that of `x` before: what is far smaller is rounding.
    """
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    directions, sizes, _ = np.linalg.svd(x, full_matrices=False)
    directions = directions[:, sizes > 1e-7 * size]
    norms = np.linalg.norm(y, axis=0)
    along = directions.T @ y / np.where(norms > 0, norms, 1.0)
    share = np.minimum((along**2).sum(axis=0), 1.0)
    n = max(directions.shape[1], 1)
    left = np.maximum(len(y) - 1 - n - n_used, 1)
    with np.errstate(divide="ignore"):
        p = stats.f.sf(share / n / ((1 - share) / left), n, left)
    r = np.sqrt(share)
    if x.shape[1] == 1:
        r = r * np.sign(x[:, 0] @ y)
    return r, p


def _check(X, Y, more_X):
    if Y.ndim != 2 or X.shape[0] != len(Y):
        raise ValueError(f"Expected Y of shape (n_samples, n_voxels) for the {X.shape[0]} samples of X, got {Y.shape}.")
    if more_X is not None and more_X.shape[1] != X.shape[1]:
        raise ValueError(f"more_X must have the {X.shape[1]} features of X, got {more_X.shape[1]}.")


def _labelled(groups, n_features):
    """The labels of groups, in order of appearance, and each feature's number among them."""
    labels = np.arange(n_features) if groups is None else np.asarray(groups)
    if labels.shape != (n_features,):
        raise ValueError(f"groups must be one label a feature, ({n_features},), got shape {labels.shape}.")
    numbers, names = pd.factorize(labels)
    if (numbers < 0).any():
        raise ValueError(f"Feature {np.argmin(numbers)} has no group: its label is {labels[np.argmin(numbers)]!r}.")
    return names, numbers


def _as_mask(candidates, n_features):
    if candidates is None:
        return np.ones(n_features, dtype=bool)
    candidates = np.asarray(candidates)
    if candidates.dtype == bool and candidates.shape != (n_features,):
        raise ValueError(f"candidates must be columns, or one bool a feature, ({n_features},), got {candidates.shape}.")
    mask = np.zeros(n_features, dtype=bool)
    mask[candidates] = True
    return mask


def _varying(X):
    """Which columns are not constant."""
    if not sparse.issparse(X):
        return np.ptp(X, axis=0) > 0
    return (X.max(axis=0) - X.min(axis=0)).toarray().ravel() > 0


def _membership(group, offered, n_groups):
    """(n_features, n_groups), which feature is of which group, without those that are not offered."""
    columns = np.flatnonzero(offered)
    ones = np.ones(len(columns), dtype=bool)
    return sparse.csr_array((ones, (columns, group[columns])), shape=(len(group), n_groups))


def _without(X, columns):
    """The same features, some of which are zero, so that what knows columns by their place serves."""
    kept = (~columns).astype(np.float64)
    return sparse.csr_array(X.multiply(kept[None, :])) if sparse.issparse(X) else X * kept


def _dense(X):
    return X.toarray() if sparse.issparse(X) else X
