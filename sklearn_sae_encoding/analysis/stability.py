"""Does a voxel use this feature, or would another sample of texts have given it another?"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from joblib import Parallel, delayed
from scipy import sparse
from sklearn.base import clone
from sklearn.model_selection import check_cv
from sklearn.utils import check_random_state


class FeatureStability(NamedTuple):
    """What :func:`stability_selection` gives."""

    frequency: sparse.csr_array  # (n_voxels, n_features), share of the resamples in which a voxel uses a feature
    together: sparse.csr_array | None  # (n_voxels, n_features), share of the pairs in which both halves use it
    n_selected: np.ndarray  # (n_voxels,), mean number of features that a resample uses
    n_resamples: int
    positive: sparse.csr_array  # (n_voxels, n_features), share of the resamples in which a voxel's weight is above 0
    resampling: str = "halves"  # or "bootstrap", which has no `together`

    def selected(self, threshold=0.7):
        """Say which features a voxel uses in at least a share of the resamples, as a CSR array of bool.

        Parameters
        ----------
        threshold : float, default=0.7
            Share of the resamples.

        Returns
        -------
        selected : scipy.sparse.csr_array of bool of shape (n_voxels, n_features)
        """
        chosen = self.frequency.copy()
        chosen.data = chosen.data >= threshold - 1e-12
        chosen.eliminate_zeros()
        return chosen.astype(bool)

    def of_voxels(self, voxels):
        """Give the same of some of the voxels.

        Parameters
        ----------
        voxels : array-like of bool of shape (n_voxels,), or of int
            Which.

        Returns
        -------
        stability : FeatureStability
        """
        voxels = np.asarray(voxels)
        rows = np.flatnonzero(voxels) if voxels.dtype == bool else voxels
        frequency, positive = self.frequency[rows], self.positive[rows]
        together = None if self.together is None else self.together[rows]
        n_selected = self.n_selected[rows]
        return self._replace(frequency=frequency, together=together, n_selected=n_selected, positive=positive)

    def error_bound(self, threshold=0.7):
        """Bound the number of features of each voxel that are selected by chance.

        ``q**2 / ((2 threshold - 1) p)`` with `q` features used by a half of the samples, of `p`: the expected number of
        selected features that a half would select no more often than chance (Meinshausen and Bühlmann 2010; Shah and
        Samworth 2013 show it for complementary pairs without assuming that features are exchangeable).

        Parameters
        ----------
        threshold : float, default=0.7
            Above one half.

        Returns
        -------
        bound : ndarray of shape (n_voxels,)

        Raises
        ------
        ValueError
            If the threshold is not above one half and at most 1, or there were no complementary halves.
        """
        if self.resampling != "halves":
            raise ValueError(
                "The bound is proved for complementary halves alone; of bootstrap samples there are frequencies. Call "
                'stability_selection with resampling="halves".'
            )
        if not 0.5 < threshold <= 1:
            raise ValueError(f"threshold must be above 0.5 and at most 1, got {threshold}.")
        return self.n_selected**2 / ((2 * threshold - 1) * self.frequency.shape[1])


def stability_selection(
    encoder, X, Y, *, n_pairs=50, resampling="halves", groups=None, random_state=None, n_jobs=None, verbose=0
):
    """Fit voxels to random halves, or bootstrap samples, of the texts, and count how often they use each feature.

    Halves come in complementary pairs [2]_, and have a bound on errors. A lasso that predicts well selects too much for
    this purpose, so that the bound says little: give the encoder a fixed, larger penalty (``alphas=0.2``, say), the
    same for all halves, rather than a grid.

    Bootstrap samples [3]_ are as large as the data, with repeats, and say of the very encoder that predicts how often
    another sample of texts would have made it use the feature. They have no bound. Where the encoder chooses its
    penalty, its folds keep the repeats of a text together.

    Parameters
    ----------
    encoder : estimator with ``coef_``, such as SparseVoxelEncoder
        Cloned for each resample.

    X : {array-like, sparse array} of shape (n_samples, n_features)
        Features.

    Y : array-like of shape (n_samples, n_voxels)
        Responses.

    n_pairs : int, default=50
        Pairs of halves, or of bootstrap samples. 50 are the usual 100 resamples.

    resampling : {"halves", "bootstrap"}, default="halves"
        Halves in complementary pairs, or samples drawn with replacement.

    groups : array-like of shape (n_samples,), default=None
        Samples of one group go to one half, or are drawn together, such as repetitions of a text.

    random_state : int, RandomState instance or None, default=None
        Seed of the resamples.

    n_jobs : int, default=None
        Resamples that are fitted at once.

    verbose : int, default=0
        1 shows joblib's progress.

    Returns
    -------
    stability : FeatureStability
        A named tuple of ``frequency``, ``together``, ``n_selected``, ``n_resamples``, ``positive`` and ``resampling``,
        with ``selected(threshold)``, ``error_bound(threshold)`` and ``of_voxels(voxels)``. In place of weights, it goes
        to :func:`count_feature_use`, :func:`feature_use_by_group`, :func:`voxels_of_feature`,
        :func:`describe_population` and :func:`prevalence_entropy`, which then add up frequencies where they would count
        voxels, and to :func:`~sklearn_sae_encoding.report.encoder_report`.

    Raises
    ------
    ValueError
        If there are fewer than four samples or groups, numbers of samples differ, `resampling` is unknown, or an
        encoder that is fitted to bootstrap samples has a `cv` of ready rows.

    References
    ----------
    .. [1] Meinshausen and Bühlmann, "Stability selection", JRSS B 72 (2010) 417-473.
    .. [2] Shah and Samworth, "Variable selection with error control: another look at stability selection", JRSS B 75
       (2013) 55-80.
    .. [3] Bach, "Bolasso: model consistent lasso estimation through the bootstrap", ICML 2008, 33-40.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_sae_encoding.analysis import stability_selection
    >>> from sklearn_sae_encoding.encoder import SparseVoxelEncoder
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(200, 30))
    >>> Y = X[:, [4]] + X[:, [7]] + rng.normal(size=(200, 1))
    >>> stability = stability_selection(SparseVoxelEncoder(alphas=0.3), X, Y, n_pairs=20, random_state=0)
    >>> stability.selected(0.9).indices.tolist(), bool(stability.error_bound(0.9)[0] < 1)
    ([4, 7], True)
    """
    Y = np.asarray(Y)
    X = sparse.csr_array(X) if sparse.issparse(X) else np.asarray(X)
    labels = np.arange(X.shape[0]) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
    if len({X.shape[0], len(Y), len(labels)}) > 1:
        raise ValueError(f"X, Y and groups must have as many samples, got {X.shape[0]}, {len(Y)} and {len(labels)}.")
    n_units = int(labels.max()) + 1
    if n_units < 4:
        raise ValueError(f"Resamples need at least four samples (or groups), got {n_units}.")
    if resampling not in _DRAWN:
        raise ValueError(f"resampling must be one of {list(_DRAWN)}, got {resampling!r}.")
    rng, resamples = check_random_state(random_state), []
    for _ in range(n_pairs):
        resamples += _DRAWN[resampling](rng, labels, n_units)
    fits = (delayed(_signs)(_with_folds(clone(encoder), rows, labels), X[rows], Y[rows]) for rows in resamples)
    signs = Parallel(n_jobs=n_jobs, verbose=verbose)(fits)
    total, both, positive = signs[0] * 0, signs[0] * 0, signs[0] * 0
    for one, other in zip(signs[::2], signs[1::2], strict=True):
        total, both = total + abs(one) + abs(other), both + abs(one.multiply(other))
        positive = positive + (one > 0) + (other > 0)
    total, both, positive = (_without_zeros(counts) for counts in (total, both, positive))
    n = len(resamples)
    together = both / n_pairs if resampling == "halves" else None
    return FeatureStability(total / n, together, total.sum(axis=1) / n, n, positive / n, resampling)


def _halves(rng, labels, n_units):
    order = rng.permutation(n_units)
    return [np.flatnonzero(np.isin(labels, part)) for part in (order[: n_units // 2], order[n_units // 2 :])]


def _bootstrap(rng, labels, n_units):
    """Draw two samples of the units with replacement; repeats of a row stand beside each other."""
    times = [np.bincount(rng.randint(n_units, size=n_units), minlength=n_units) for _ in range(2)]
    return [np.repeat(np.arange(len(labels)), of_unit[labels]) for of_unit in times]


_DRAWN = {"halves": _halves, "bootstrap": _bootstrap}


def _with_folds(encoder, rows, labels):
    """Let the encoder's own folds split distinct samples, or groups, so that no repeat is on both sides of one."""
    if len(np.unique(rows)) == len(rows) or "cv" not in encoder.get_params(deep=False):
        return encoder
    cv, units = encoder.get_params(deep=False)["cv"], labels[rows]
    if not (cv is None or isinstance(cv, int | np.integer) or hasattr(cv, "split")):
        raise ValueError("Bootstrap samples need an encoder whose cv is a number of folds or a splitter, not rows.")
    drawn = np.unique(units)
    folds = check_cv(cv).split(drawn)
    rows_of = [tuple(np.flatnonzero(np.isin(units, drawn[part])) for part in fold) for fold in folds]
    return encoder.set_params(cv=rows_of)


def _without_zeros(counts):
    counts = sparse.csr_array(counts)
    counts.eliminate_zeros()
    return counts


def _signs(encoder, X, Y):
    coef = encoder.fit(X, Y).coef_
    coef = sparse.csr_array(coef if sparse.issparse(coef) else np.atleast_2d(coef))
    return sparse.csr_array(coef.sign(), dtype=np.float64)
