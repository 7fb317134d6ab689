"""Do the features of one voxel predict another?"""

from typing import NamedTuple

import numpy as np
from scipy import sparse
from sklearn.base import clone
from sklearn.model_selection import ShuffleSplit, check_cv
from sklearn.utils import check_array, gen_batches

from sklearn_sae_encoding._fitted.tables import find_features
from sklearn_sae_encoding._solvers.running import solve_blocks
from sklearn_sae_encoding._solvers.transfer.scores import Source, as_problem, prepare_fold
from sklearn_sae_encoding._validation import some_folds
from sklearn_sae_encoding.fitted import FittedView, fitted_view, weights_and_features
from sklearn_sae_encoding.metrics import fisher_mean, normalize_scores
from sklearn_sae_encoding.metrics._leaks import warn_of_leaks

# The products of features and targets of all folds are held for as many targets as fit in here.
_BYTES = 2**28
_SOURCES_AT_ONCE = 32
# Rounding leaves relative violations of the optimality conditions far below this.
_OPTIMAL = 1e-7


class TransferScores(NamedTuple):
    """How well the features of each source voxel predict each target voxel."""

    scores: np.ndarray  # (n_sources, n_targets), Fisher mean of r over folds; NaN where the target is the source itself
    normalized_scores: np.ndarray | None  # the same over the targets' noise ceilings; None without ceilings
    self_scores: np.ndarray  # (n_sources,), each source on itself; NaN if it is not a target
    normalized_self_scores: np.ndarray | None  # (n_sources,)
    violation: float  # largest violation of the optimality conditions among all fits, relative


def transfer_scores(
    X,
    Y,
    fits,
    *,
    selection="training",
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
    memory=None,
    verbose=0,
):
    r"""Refit the features and signs of each source voxel on every target voxel, and score the predictions.

    For a source with features :math:`S` and signs :math:`s`, and a target :math:`y`, each fold minimises

    .. math:: \|y - X_S \mathrm{diag}(s) w - b\|^2 + a \|w\|^2 \quad\text{over } w \ge 0

    on its training texts: features and the direction of their effects are the source's, the size of the effects is the
    target's own. The solution is that of ``Ridge(alpha, positive=True)`` run to convergence; all targets of a source
    are solved at once. Features and signs come from fits to the same training texts, so that no test text has a say in
    them; the published analysis takes them from one fit to all texts instead. The :ref:`user guide <transfer>` tells
    what each answers, and how to read the scores.

    Parameters
    ----------
    X : {array-like, sparse matrix} of shape (n_samples, n_features), or what the fits take
        Features of the texts, the same for all voxels.

    Y : array-like of shape (n_samples, n_targets)
        Responses of the targets, of any number of participants side by side. Standardised in each fold.

    fits : estimator, sequence of estimator, FittedView or weights, or one of these
        With ``selection="training"``, an estimator that is cloned and fitted to the training texts of each fold and the
        responses of the sources; or what was fitted so, one a fold of `cv`, such as
        ``cross_val_voxel_scores(..., return_estimators=True).estimators`` with ``cv=result.splits``. With
        ``selection="published"``, one fit to all texts. Weights are of shape (n_sources, n_features); of them the signs
        are used, and a weight of zero is a feature not used.

    selection : {"training", "published"}, default="training"
        Which texts selected features and signs: those of training, in each fold anew; or all, the test texts among
        them, which lifts scores between voxels of one participant, who share the noise of every text, and lifts them
        less between participants, who heard the same texts.

    alpha : float or array-like of shape (n_sources,) or (n_folds, n_sources), default=None
        Ridge penalty of each source, in units of standardised responses. Sources without features may have NaN. None
        takes the ``refit_alpha_`` of the fits. Not used with `tuning_alphas`.

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
        None is one split of 80 to 20, ``ShuffleSplit(1, test_size=0.2, random_state=0)``, as in the authors' code.

    n_jobs : int, default=None
        Blocks of sources that are scored at a time, through joblib. None is 1.

    memory : str or joblib.Memory, default=None
        Keep finished blocks here, so that an interrupted call resumes where it was.

    verbose : int, default=0
        Above 0, a status line says how many sources are done and how much time is left.

    Returns
    -------
    transfer : TransferScores
        A named tuple with

        - ``scores``, of shape `(n_sources, n_targets)`: Pearson's r in each fold (0 where the prediction is constant,
          as where the source has no features), averaged over folds on Fisher's z scale. It is NaN where the target is
          the source itself or is constant in a fold;
        - ``normalized_scores``, over the targets' noise ceilings, or None;
        - ``self_scores`` and ``normalized_self_scores``, of shape `(n_sources,)`: each source on itself, which must not
          be averaged with the others. With ``selection="published"`` they are circular;
        - ``violation``, the largest relative violation of the optimality conditions of all fits.

    Raises
    ------
    ValueError
        If shapes or numbers of folds disagree, values are not finite, a penalty is missing or not positive, or one fit
        to all texts is given without ``selection="published"``.

    References
    ----------
    Lepori, Kay and Tuckute, arXiv:2606.06857, studies 2 and 3: ``selection="published"``,
    ``cv=KFold(5, shuffle=True, random_state=19)`` and surprisal as ``scaled_features``.

    Examples
    --------
    Two voxels share features, the third has one of its own.

    >>> import numpy as np
    >>> from sklearn_sae_encoding.analysis import transfer_scores
    >>> rng = np.random.default_rng(0)
    >>> X = rng.random((100, 3))
    >>> coef = np.array([[1.0, -1.0, 0.0], [2.0, -0.5, 0.0], [0.0, 0.0, 1.0]])
    >>> Y = X @ coef.T + 0.1 * rng.normal(size=(100, 3))
    >>> transfer = transfer_scores(X, Y, [coef] * 5, alpha=0.1)  # weights of each of the five folds
    >>> transfer.scores > 0.5
    array([[False,  True, False],
           [ True, False, False],
           [False, False, False]])
    >>> transfer.self_scores > 0.5
    array([ True,  True,  True])
    """
    Y = check_array(Y, dtype=np.float64, input_name="Y")
    grid = _check_grid(tuning_alphas)
    splits = _splits(cv, len(Y), groups, tuning_cv, tuned=grid is not None)
    warn_of_leaks(X, [split[:2] for split in splits])
    fitted = _fits_of(fits, selection, X, Y[:, _fitted_targets(sources, Y)], splits)
    folds = [_prepare_sources(fit, X, Y, alpha, grid, f, (features, scaled_features)) for f, fit in enumerate(fitted)]
    n_sources = {len(fold.sources) for fold in folds}
    if len(n_sources) > 1:
        raise ValueError(f"All folds must have the same sources, but have {sorted(n_sources)} of them.")
    places = _check_places(sources, n_sources.pop(), Y.shape[1])

    def prepare(targets):
        return [
            prepare_fold(fold.values, fold.scaled, Y[:, targets], *split)
            for fold, split in zip(folds, splits, strict=True)
        ]

    sources = list(zip(*[fold.sources for fold in folds], strict=True))
    widths = zip(folds, splits, strict=True)
    bytes_a_target = 2 * 8 * sum(max(fold.values.shape[1], 1) * (1 + len(tuning)) for fold, (_, _, tuning) in widths)
    targets_at_once = max(_BYTES // bytes_a_target, 1)
    scores, violation = np.empty((len(sources), Y.shape[1])), 0.0
    for targets in gen_batches(Y.shape[1], targets_at_once):  # whose products are held in memory
        problem = as_problem(prepare(targets), grid)
        fits = solve_blocks(
            problem, sources, block_size=_SOURCES_AT_ONCE, n_jobs=n_jobs, memory=memory, verbose=verbose
        )
        scores[:, targets] = fisher_mean(fits.fold_scores, axis=1)
        violation = np.max([violation, *fits.violations])
    if not violation < _OPTIMAL:
        raise RuntimeError(
            f"A fit violates its optimality conditions by {violation:.1e} (relative). Please report this."
        )
    return _separate_self(scores, places, noise_ceiling, violation)


class _FoldSources(NamedTuple):
    values: np.ndarray  # (n_samples, n_used), features that any source uses in this fold
    scaled: np.ndarray  # (n_used,), which are divided by their sd
    sources: list  # of Source, whose columns are among the used ones


def _fitted_targets(sources, Y):
    """The columns of Y to which an estimator is fitted: those that are sources."""
    if sources is None:
        return np.arange(Y.shape[1])
    sources = np.asarray(sources, dtype=np.intp)
    return sources[(sources >= 0) & (sources < Y.shape[1])]


def _fits_of(fits, selection, X, Y, splits):
    """Give a fit for each fold: as they come, fitted here, or the same one for all."""
    if selection not in ("training", "published"):
        raise ValueError(f"selection must be 'training' or 'published', got {selection!r}.")
    several = isinstance(fits, (list, tuple)) and not all(np.ndim(fit) == 1 for fit in fits)  # rows of weights are one
    if selection == "published":
        if several:
            raise ValueError("selection='published' takes one fit to all texts, got several. Pass one of them.")
        return [fits] * len(splits)
    if several:
        if len(fits) != len(splits):
            raise ValueError(f"Expected a fit for each of {len(splits)} folds, got {len(fits)}. Pass cv=result.splits.")
        return list(fits)
    if not hasattr(fits, "fit"):
        raise ValueError(
            "One fit to all texts has selected its features on the test texts, too. Pass an estimator, which is fitted "
            "to the training texts of each fold, or the fits of the folds; or selection='published'."
        )
    return [clone(fits).fit(_rows_of(X, train), Y[train]) for train, _, _ in splits]


def _rows_of(X, rows):
    if hasattr(X, "iloc"):
        return X.iloc[rows]
    if sparse.issparse(X):
        return sparse.csr_array(X)[rows]
    return X[rows] if isinstance(X, np.ndarray) else [X[i] for i in rows]


def _prepare_sources(fit, X, Y, alpha, grid, fold, about):
    """Take the features that any source uses, and each source's columns, signs and penalty."""
    features, scaled_features = about
    if hasattr(fit, "get_params"):
        fit = fitted_view(fit, features=features)
    coef, known = weights_and_features(fit, features)
    made = isinstance(fit, FittedView) and fit.transformers
    X, Y, coef = _check_shapes(fit.transform(X) if made else X, Y, coef)
    alpha = _alpha_of(alpha, fit, fold)
    penalty = np.ones(coef.shape[0]) if grid is not None else _check_alpha(alpha, coef)
    used = np.unique(coef.indices)
    values = X[:, used].toarray() if sparse.issparse(X) else X[:, used]
    scaled = np.isin(used, [] if scaled_features is None else find_features(known, scaled_features))
    return _FoldSources(values, scaled, _sources_of(coef, used, penalty))


def _alpha_of(alpha, fit, fold):
    if alpha is None and isinstance(fit, FittedView):
        alpha = getattr(fit.linear, "refit_alpha_", None)
        return None if alpha is None else np.ravel(alpha)
    return alpha[fold] if np.ndim(alpha) == 2 else alpha


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


def _check_grid(grid):
    if grid is None:
        return None
    grid = np.atleast_1d(np.asarray(grid, dtype=np.float64))
    if grid.ndim != 1 or len(grid) == 0 or not np.all((grid > 0) & np.isfinite(grid)):
        raise ValueError(f"tuning_alphas must be positive and finite, got {grid}.")
    return grid


def _check_alpha(alpha, coef):
    n_sources = coef.shape[0]
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
    return np.where(np.diff(coef.indptr) > 0, alpha, 1.0)


def _sources_of(coef, used, penalty):
    """The columns among `used`, signs and penalty of each source."""
    columns = np.split(np.searchsorted(used, coef.indices), coef.indptr[1:-1])
    signs = np.split(np.sign(coef.data), coef.indptr[1:-1])
    return [Source(*source) for source in zip(columns, signs, penalty, strict=True)]


def _splits(cv, n_samples, groups, tuning_cv, tuned):
    """Rows of the training and test texts of each fold, with the splits of its training texts to tune on."""
    rows = np.arange(n_samples)
    splits = [(rows[train], rows[test]) for train, test in check_cv(cv).split(rows, groups=groups)]
    for fold, (train, test) in enumerate(some_folds(splits)):
        if min(len(train), len(test)) < 2:
            raise ValueError(
                f"Fold {fold} has {len(train)} training and {len(test)} test texts, but both need at least 2."
            )
    if not tuned:
        return [(train, test, []) for train, test in splits]
    tuning_cv = ShuffleSplit(1, test_size=0.2, random_state=0) if tuning_cv is None else tuning_cv
    return [(train, test, list(tuning_cv.split(train))) for train, test in splits]


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
