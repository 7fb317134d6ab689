"""Responses read by blocks of voxels, from memory, a memory map or an HDF5 file."""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np
from sklearn.utils import check_array

# Bytes of double precision that are looked at at a time.
READ = 2**20
# The fewest voxels that are read from a file at a time: fewer would read the same pages of it again and again.
FROM_FILE = 512
# Packages whose arrays stay in files until they are sliced.
FILES = ("h5py", "zarr", "dask")


class Responses(NamedTuple):
    source: object  # (n_samples, n_voxels), whatever is sliced by columns
    means: np.ndarray  # (n_voxels,) float64; 0 without an intercept, NaN for absent voxels
    absent: np.ndarray  # (n_voxels,) bool, NaN in every sample
    constant: np.ndarray  # (n_voxels,) bool

    def read(self, voxels: np.ndarray, out: np.ndarray) -> None:
        """Read some voxels, in ascending order, less their means; some at a time, since that is done in doubles."""
        step = _voxels_at_a_time(len(out))
        for start, values in _pieces(self.source, voxels, step):
            some = voxels[start : start + step]
            # In double precision, number by number: no copy of the responses is made.
            np.subtract(values, self.means[some], out=out[:, start : start + step], casting="same_kind")


def is_read_by_block(y) -> bool:
    """Whether responses lie in a file that is too large to be copied."""
    in_file = isinstance(y, np.memmap) or type(y).__module__.split(".")[0] in FILES
    return in_file and len(y.shape) == 2


def check_responses(estimator, y, n_samples: int):
    """Validate responses in memory; take those in a file as they are, to be looked at block by block."""
    if y is None:
        name = type(estimator).__name__
        raise ValueError(f"This {name} estimator requires y to be passed, but the target y is None.")
    if not is_read_by_block(y):
        y = check_array(
            y,
            ensure_2d=False,
            ensure_all_finite="allow-nan",
            dtype=(np.float64, np.float32),
            input_name="y",
            estimator=estimator,
        )
    if y.ndim > 2:
        raise ValueError(f"y must have the shape (n_samples, n_targets), got {y.shape}.")
    if y.shape[0] != n_samples:
        raise ValueError(f"X has {n_samples} samples but y has {y.shape[0]} rows. They must be as many.")
    return y


def describe_responses(source, centre: bool) -> Responses:
    """Look at all responses once; raise if a voxel is NaN in some samples only, or infinite in any."""
    n_samples, n_voxels = source.shape
    means, absent, constant = np.zeros(n_voxels), np.zeros(n_voxels, dtype=bool), np.zeros(n_voxels, dtype=bool)
    step = _voxels_at_a_time(n_samples)
    for start, values in _pieces(source, np.arange(n_voxels), step):
        values = values.astype(np.float64)
        where = slice(start, start + values.shape[1])
        nan = np.isnan(values)
        absent[where] = nan[0]
        _check_block(values, nan, start)
        constant[where] = np.ptp(values, axis=0) == 0
        means[where] = values.mean(axis=0)
    if absent.all():
        raise ValueError(
            f"Input y contains NaN: all {n_voxels} voxels are NaN in every sample, so there is nothing to fit."
        )
    if not centre:
        means[~absent & ~constant] = 0.0
    return Responses(source, means, absent, constant & ~absent)


def _pieces(source, voxels, step):
    """Yield where each `step` of the (ascending) voxels begin, and their values as they come."""
    at_once = max(step, FROM_FILE // step * step) if is_read_by_block(source) else step
    for first in range(0, len(voxels), at_once):
        some = voxels[first : first + at_once]
        values = np.asarray(source[:, some[0] : some[-1] + 1])
        for start in range(0, len(some), step):
            chosen = some[start : start + step] - some[0]
            in_a_row = chosen[-1] - chosen[0] == len(chosen) - 1
            yield first + start, values[:, slice(chosen[0], chosen[-1] + 1) if in_a_row else chosen]


def _voxels_at_a_time(n_samples):
    return max(1, READ // (8 * n_samples))


def _check_block(values, nan, start):
    torn = nan != nan[0]
    if torn.any():
        voxel = int(np.flatnonzero(torn.any(axis=0))[0])
        sample = int(np.flatnonzero(nan[:, voxel])[0])
        raise ValueError(
            f"Input y contains NaN in some samples of voxel {start + voxel}, the first in sample {sample}. Drop those "
            "samples, fill the values, or set the voxel to NaN in every sample to leave it out."
        )
    infinite = np.isinf(values)
    if infinite.any():
        sample, voxel = (int(place[0]) for place in np.nonzero(infinite))
        raise ValueError(f"Input y contains infinity, the first in sample {sample}, voxel {start + voxel}.")


def warn_of_unfitted(responses: Responses, stacklevel: int) -> None:
    """Count the voxels that can't be fitted."""
    n_constant, n_absent = responses.constant.sum(), responses.absent.sum()
    if n_constant or n_absent:
        warnings.warn(
            f"Of {len(responses.means)} voxels, {n_constant} are constant and {n_absent} are NaN in every sample. "
            "They get no weights, and predictions of that constant or NaN.",
            UserWarning,
            stacklevel=stacklevel + 1,
        )
