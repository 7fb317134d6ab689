"""Do the features of one voxel predict another?"""

from typing import NamedTuple

import numpy as np
from scipy import sparse
from sklearn.model_selection import ShuffleSplit, check_cv
from sklearn.utils import check_array, gen_batches
from sklearn.utils.parallel import Parallel, delayed
from threadpoolctl import threadpool_limits

from sklearn_sae_encoding._fitted.tables import find_features
from sklearn_sae_encoding._solvers.transfer.scores import Source, prepare_fold, transfer_source
from sklearn_sae_encoding.fitted import weights_and_features
from sklearn_sae_encoding.metrics import fisher_mean, normalize_scores
from sklearn_sae_encoding.metrics._leaks import warn_of_leaks

# The products of features and targets of all folds are held for as many targets as fit in here.
_BYTES = 2**28
_SOURCES_AT_ONCE = 32
# Rounding leaves relative violations of the optimality conditions far below this.
_OPTIMAL = 1e-7


class _Penalty(NamedTuple):
    alpha: np.ndarray  # (n_sources,), used without a grid
    grid: np.ndarray | None  # (n_alphas,)


class TransferScores(NamedTuple):
    """How well the features of each source voxel predict each target voxel."""

    scores: np.ndarray  # (n_sources, n_targets), Fisher mean of r over folds; NaN where the target is the source itself
    normalized_scores: np.ndarray | None  # the same over the targets' noise ceilings; None without ceilings
    self_scores: np.ndarray  # (n_sources,), each source on itself: circular; NaN if it is not a target
    normalized_self_scores: np.ndarray | None  # (n_sources,)
    violation: float  # largest violation of the optimality conditions among all fits, relative


def transfer_scores(
    X,
    Y,
    fitted,
    *,
    alpha=None,
    features=None,
    sources=None,
    cv=5,
    groups=None,
    scaled_features=None,
    noise_ceiling=None,
    tuning_alphas=None,
    tuning_cv=None,
    n_jobs=None,
    verbose=0,
):
    r"""Refit the features and signs of each source voxel on every target voxel, and score the predictions.

    For a source with features :math:`S` and signs :math:`s`, and a target :math:`y`, each fold minimises

    .. math:: \|y - X_S \mathrm{diag}(s) w - b\|^2 + a \|w\|^2 \quad\text{over } w \ge 0

    on its training texts: features and the direction of their effects are the source's, the size of the effects is the
    target's own. The solution is that of ``Ridge(alpha, positive=True)`` run to convergence; all targets of a source
    are solved at once. The :ref:`user guide <transfer>` tells how to read the scores.

    Parameters
    ----------
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Features of the texts, the same for all voxels.

    Y : array-like of shape (n_samples, n_targets)
        Responses of the targets, of any number of participants side by side. Standardised in each fold.

    fitted : estimator, FittedView or {array-like, sparse matrix} of shape (n_sources, n_features)
        A model fitted to the sources, its view, or weights such as ``SparseVoxelEncoder.coef_``, of which the signs are
        used. A weight of zero is a feature not used.

    alpha : float or array-like of shape (n_sources,), default=None
        Ridge penalty of each source, such as ``refit_alpha_``, in units of standardised responses. Sources without
        features may have NaN. Not needed with `tuning_alphas`.

    sources : array-like of int of shape (n_sources,), default=None
        Which target each source is, -1 for none of them. None means that sources and targets are the same voxels in the
        same order.

    cv : int, splitter or iterable of (train, test), default=5
        Folds over the texts. An int is that many contiguous ones.

    groups : array-like of shape (n_samples,), default=None
        Labels for a group splitter.

    features : transformer, FittedView, DataFrame or sequence of str, default=None
        Names of the features, for weights; see :func:`~sklearn_sae_encoding.fitted.fitted_view`.

    scaled_features : int, str or sequence of these, default=None
        Columns or names of what is divided by its standard deviation over each fold's training texts, such as
        surprisal in the published analysis. None scales nothing.

    noise_ceiling : array-like of shape (n_targets,), default=None
        Ceilings of the targets in units of r. None leaves the normalised scores at None.

    tuning_alphas : array-like, default=None
        Choose the penalty of every pair in every fold among these, by the least squared error on the splits of the
        training texts that `tuning_cv` makes. None takes the source's penalty.

    tuning_cv : splitter, default=None
        None is one split of 80 to 20, ``ShuffleSplit(1, test_size=0.2, random_state=19)``.

    n_jobs : int, default=None
        Threads that work at once. None is 1.

    verbose : int, default=0
        1 and more shows joblib's progress.

    Returns
    -------
    transfer : TransferScores
        A named tuple with

        - ``scores``, of shape `(n_sources, n_targets)`: Pearson's r in each fold (0 where the prediction is constant,
          as where the source has no features), averaged over folds on Fisher's z scale. It is NaN where the target is
          the source itself or is constant in a fold;
        - ``normalized_scores``, over the targets' noise ceilings, or None;
        - ``self_scores`` and ``normalized_self_scores``, of shape `(n_sources,)`: each source on itself. They are
          circular if its features were selected on the same texts, and must not be averaged with the others;
        - ``violation``, the largest relative violation of the optimality conditions of all fits.

    Raises
    ------
    ValueError
        If shapes disagree, values are not finite, or a penalty is missing or not positive.

    References
    ----------
    Lepori, Kay and Tuckute, arXiv:2606.06857, studies 2 and 3: ``cv=KFold(5, shuffle=True, random_state=19)``,
    ``scaled_features=[-1]``.

    Examples
    --------
    Two voxels share features, the third has one of its own.

    >>> import numpy as np
    >>> from sklearn_sae_encoding.analysis import transfer_scores
    >>> rng = np.random.default_rng(0)
    >>> X = rng.random((100, 3))
    >>> coef = np.array([[1.0, -1.0, 0.0], [2.0, -0.5, 0.0], [0.0, 0.0, 1.0]])
    >>> Y = X @ coef.T + 0.1 * rng.normal(size=(100, 3))
    >>> transfer = transfer_scores(X, Y, coef, alpha=0.1)
    >>> transfer.scores > 0.5
    array([[False,  True, False],
           [ True, False, False],
           [False, False, False]])
    >>> transfer.self_scores > 0.5
    array([ True,  True,  True])
    """
    coef, known = weights_and_features(fitted, features)
    X, Y, coef = _check_shapes(X, Y, coef)
    places = _check_places(sources, coef.shape[0], Y.shape[1])
    penalty = _check_penalty(alpha, tuning_alphas, coef)
    used = np.unique(coef.indices)
    values = X[:, used].toarray() if sparse.issparse(X) else X[:, used]
    scaled = np.isin(used, [] if scaled_features is None else find_features(known, scaled_features))
    splits = _splits(cv, len(Y), groups, tuning_cv, tuned=penalty.grid is not None)
    warn_of_leaks(X, [split[:2] for split in splits])

    def prepare(targets):
        return [prepare_fold(values, scaled, Y[:, targets], *split) for split in splits]

    sources = _sources_of(coef, used, penalty)
    bytes_a_target = 2 * 8 * max(len(used), 1) * sum(1 + len(tuning) for _, _, tuning in splits)
    targets_at_once = max(_BYTES // bytes_a_target, 1)
    with threadpool_limits(limits=1, user_api="blas"):  # its products are too small to share
        scores, violation = _score_all(sources, penalty.grid, prepare, Y.shape[1], targets_at_once, n_jobs, verbose)
    if not violation < _OPTIMAL:
        raise RuntimeError(
            f"A fit violates its optimality conditions by {violation:.1e} (relative). Please report this."
        )
    return _separate_self(scores, places, noise_ceiling, violation)


def _check_shapes(X, Y, coef):
    X = check_array(X, accept_sparse="csc", dtype=np.float64, input_name="X")
    Y = check_array(Y, dtype=np.float64, input_name="Y")
    coef = sparse.csr_array(check_array(coef, accept_sparse="csr", input_name="coef"), copy=True)
    coef.eliminate_zeros()
    if len(Y) != X.shape[0]:
        raise ValueError(f"X and Y must have a row a text, but have {X.shape[0]} and {len(Y)} rows.")
    if coef.shape[1] != X.shape[1]:
        raise ValueError(f"coef must have a column a feature of X, {X.shape[1]}, but has {coef.shape[1]}.")
    return X, Y, coef


def _check_places(sources, n_sources, n_targets):
    if sources is None:
        if n_sources != n_targets:
            raise ValueError(
                f"{n_sources} rows of coef (sources) can't be the {n_targets} columns of Y (targets). "
                "Pass sources: the column that each source is, or -1."
            )
        return np.arange(n_sources)
    sources = np.asarray(sources, dtype=np.intp)
    if sources.shape != (n_sources,) or np.any((sources < -1) | (sources >= n_targets)):
        raise ValueError(f"sources must hold {n_sources} columns of Y, 0 to {n_targets - 1}, or -1.")
    return sources


def _check_penalty(alpha, grid, coef):
    n_sources = coef.shape[0]
    if grid is not None:
        grid = np.atleast_1d(np.asarray(grid, dtype=np.float64))
        if grid.ndim != 1 or len(grid) == 0 or not np.all((grid > 0) & np.isfinite(grid)):
            raise ValueError(f"tuning_alphas must be positive and finite, got {grid}.")
        return _Penalty(np.ones(n_sources), grid)
    if alpha is None:
        raise ValueError("Pass alpha, the sources' ridge penalties, or tuning_alphas to tune them on the targets.")
    alpha = np.asarray(alpha, dtype=np.float64)
    if alpha.shape not in ((), (n_sources,)):
        raise ValueError(f"alpha must be one penalty or one a source, ({n_sources},), got shape {alpha.shape}.")
    alpha = np.broadcast_to(alpha, n_sources)
    wrong = np.flatnonzero((np.diff(coef.indptr) > 0) & ~((alpha > 0) & np.isfinite(alpha)))
    if len(wrong):
        raise ValueError(f"Penalties must be positive and finite, got alpha={alpha[wrong[0]]} for source {wrong[0]}.")
    # A source without features has nothing to be penalised.
    return _Penalty(np.where(np.diff(coef.indptr) > 0, alpha, 1.0), None)


def _sources_of(coef, used, penalty):
    """The columns among `used`, signs and penalty of each source."""
    columns = np.split(np.searchsorted(used, coef.indices), coef.indptr[1:-1])
    signs = np.split(np.sign(coef.data), coef.indptr[1:-1])
    return [Source(*source) for source in zip(columns, signs, penalty.alpha, strict=True)]


def _splits(cv, n_samples, groups, tuning_cv, tuned):
    """Rows of the training and test texts of each fold, with the splits of its training texts to tune on."""
    rows = np.arange(n_samples)
    splits = [(rows[train], rows[test]) for train, test in check_cv(cv).split(rows, groups=groups)]
    for fold, (train, test) in enumerate(splits):
        if min(len(train), len(test)) < 2:
            raise ValueError(
                f"Fold {fold} has {len(train)} training and {len(test)} test texts, but both need at least 2."
            )
    if not tuned:
        return [(train, test, []) for train, test in splits]
    tuning_cv = ShuffleSplit(1, test_size=0.2, random_state=19) if tuning_cv is None else tuning_cv
    return [(train, test, list(tuning_cv.split(train))) for train, test in splits]


def _score_all(sources, grid, prepare, n_targets, at_once, n_jobs, verbose):
    """Score in blocks of targets, whose products are held in memory, and of sources, which are shared among threads."""
    scores, violation = np.empty((len(sources), n_targets)), 0.0
    for targets in gen_batches(n_targets, at_once):
        folds = prepare(targets)
        # Threads: the folds are shared, and the solver lets others run.
        results = Parallel(n_jobs=n_jobs, require="sharedmem", verbose=verbose)(
            delayed(_score_block)(sources[block], folds, grid) for block in gen_batches(len(sources), _SOURCES_AT_ONCE)
        )
        scores[:, targets] = np.vstack([block_scores for block_scores, _ in results])
        violation = np.max([violation, *(block_violation for _, block_violation in results)])
    return scores, float(violation)


def _score_block(sources, folds, grid):
    fits = [transfer_source(source, folds, grid) for source in sources]
    return fisher_mean([fit.fold_scores for fit in fits], axis=1), np.max([fit.violation for fit in fits])


def _separate_self(scores, places, noise_ceiling, violation):
    """Take the pairs of a source with itself out of the matrices."""
    is_target = np.flatnonzero(places >= 0)
    matrices = [scores] if noise_ceiling is None else [scores, normalize_scores(scores, noise_ceiling)]
    own = np.full((len(matrices), len(scores)), np.nan)
    for matrix, diagonal in zip(matrices, own, strict=True):
        diagonal[is_target] = matrix[is_target, places[is_target]]
        matrix[is_target, places[is_target]] = np.nan
    if noise_ceiling is None:
        return TransferScores(scores, None, own[0], None, violation)
    return TransferScores(scores, matrices[1], own[0], own[1], violation)
