"""Features and a number of voxels to how long an encoder will take, and how much memory."""

from __future__ import annotations

import numbers
import time
import tracemalloc
import warnings
from typing import NamedTuple

import numpy as np
from scipy import sparse, stats
from sklearn.base import clone
from sklearn.model_selection import check_cv
from sklearn.utils import check_array, check_random_state
from sklearn.utils.validation import check_scalar

from ._solvers.lasso.cross_validation import voxels_of_a_chunk
from .encoder import SparseVoxelEncoder

__all__ = ["CostEstimate", "estimate_cost"]

# Fits that are timed, of as many voxels as are solved together.
FITS = 5
# Features that a simulated voxel follows.
PLANTED = 20


class CostEstimate(NamedTuple):
    """What a fit is expected to cost on a machine like this one.

    Attributes
    ----------
    seconds : float
        Time of one processor core; divide it by the cores that the fit will have.
    low, high : float
        A 95 % interval of `seconds`, from how much the measured voxels differ.
    memory : float
        Bytes at the peak, beside `X` and `y` themselves, for each process that fits (see `n_jobs` of the encoder).
    """

    seconds: float
    low: float
    high: float
    memory: float

    def __str__(self):
        unit, word = (3600, "hours") if self.seconds >= 7200 else (60, "minutes") if self.seconds >= 120 else (1, "s")
        low, middle, high = (f"{value / unit:.3g}" for value in (self.low, self.seconds, self.high))
        return f"{middle} {word} of one core ({low} to {high}), {self.memory / 1e9:.2g} GB beside X and y"


def estimate_cost(X, n_voxels, *, y=None, encoder=None, random_state=0):
    """Fit a few voxels, and say what many will take.

    Voxels are independent of each other, so that seconds grow in proportion to their number. How many each takes
    depends on the data: those that nothing explains cost most, and features that often fire together, more samples
    and a longer grid add to it. So this measures: five fits of as many voxels as are solved together (with five folds
    32 of up to 256 samples, 12 of more or by an elastic net), after one that compiles.

    Parameters
    ----------
    X : {array-like, sparse array} of shape (n_samples, n_features)
        The features of the fit to come.
    n_voxels : int
        How many voxels that will have.
    y : array-like of shape (n_samples, n_some_voxels), default=None
        Responses to draw voxels from, the more the better; at least 2 voxels. Without it they are simulated: half of
        them follow twenty features and as much noise, half are noise.
    encoder : SparseVoxelEncoder, default=None
        With the parameters of the fit to come, its `cv` and `alphas` above all. None has the default ones.
    random_state : int, RandomState instance or None, default=0
        Which voxels are drawn.

    Returns
    -------
    cost : CostEstimate
        Its ``print`` is a sentence.

    Raises
    ------
    ValueError
        If `y` has another number of samples than `X`, or fewer than two voxels.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_sae_encoding.cost import estimate_cost
    >>> rng = np.random.default_rng(0)
    >>> X = rng.random((80, 500)) * (rng.random((80, 500)) < 0.1)
    >>> cost = estimate_cost(X, 80_000)
    >>> bool(cost.low < cost.seconds < cost.high)
    True
    """
    check_scalar(n_voxels, "n_voxels", (int, np.integer), min_val=1)
    X = check_array(X, accept_sparse="csc", dtype=(np.float64, np.float32), input_name="X")
    rng = check_random_state(random_state)
    encoder = clone(SparseVoxelEncoder() if encoder is None else encoder)
    one_alpha = not isinstance(encoder.alphas, numbers.Integral) and np.size(encoder.alphas) == 1  # needs no folds
    n_folds = 0 if one_alpha else check_cv(encoder.cv).get_n_splits(X, np.zeros(X.shape[0]))
    together = voxels_of_a_chunk(n_folds, X.shape[0], encoder.l1_ratio)
    Y = _simulated(X, FITS * together, rng) if y is None else _drawn(X, y, FITS * together, rng)
    encoder.set_params(n_jobs=1, memory=None, verbose=0, block_size="auto")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of voxels that have no signal or lie at an end of the grid
        memory = _memory(encoder, X, Y[:, np.arange(min(together, n_voxels)) % Y.shape[1]], n_voxels)
        # Constant voxels need no solver: what is left is what all voxels share.
        shared = _seconds(encoder, X, np.zeros((len(Y), 1)))
        parts = np.array_split(np.arange(Y.shape[1]), min(FITS, Y.shape[1]))
        each = [max(_seconds(encoder, X, Y[:, part]) - shared, 0.0) / len(part) for part in parts]
    reach = stats.t.ppf(0.975, len(each) - 1) * np.std(each, ddof=1) / np.sqrt(len(each))
    middle = np.mean(each)
    low, high = max(middle - reach, min(each) / 2), middle + reach
    return CostEstimate(*(float(shared + n_voxels * value) for value in (middle, low, high)), memory)


def _seconds(encoder, X, Y):
    # A device computes while the processor waits.
    clock = time.process_time if encoder.device == "cpu" else time.perf_counter
    start = clock()
    encoder.fit(X, Y)
    return clock() - start


def _memory(encoder, X, Y, n_voxels):
    """Bytes at the peak of a small fit, and what each further voxel adds: its target and what is kept of it."""
    for compiled in (encoder, clone(encoder).set_params(max_iter=2)):  # which goes on by coordinate descent
        compiled.fit(X, Y[:, :2])
    tracemalloc.start()
    try:
        encoder.fit(X, Y)
        kept, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # Blocks of results are put together while they are still there, and a target is copied and standardised.
    more = 2 * kept / Y.shape[1] + 3 * 8 * len(Y)
    return float(peak + max(0, n_voxels - Y.shape[1]) * more)


def _drawn(X, y, most, rng):
    Y = check_array(y, ensure_all_finite="allow-nan", dtype=(np.float64, np.float32), input_name="y")
    if len(Y) != X.shape[0]:
        raise ValueError(f"X has {X.shape[0]} samples (texts) but y has {len(Y)} rows. They must be as many.")
    Y = Y[:, ~np.isnan(Y).all(axis=0)]
    if Y.shape[1] < 2:
        raise ValueError(f"y must have at least 2 voxels that are not NaN to draw from, got {Y.shape[1]}.")
    return Y[:, rng.permutation(Y.shape[1])[:most]]


def _simulated(X, n_voxels, rng):
    X = sparse.csc_array(X) if sparse.issparse(X) else X
    count, signal = min(PLANTED, X.shape[1]), np.zeros((X.shape[0], n_voxels))
    for voxel in range(0, n_voxels, 2):
        signal[:, voxel] = X[:, rng.choice(X.shape[1], count, replace=False)] @ rng.normal(size=count)
    sd = signal.std(axis=0)
    return signal / np.where(sd > 0, sd, 1.0) + rng.normal(size=signal.shape)
