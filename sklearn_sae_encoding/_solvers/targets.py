"""Responses to the targets that are solved: which voxels can be fitted, and in which units."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Targets(NamedTuple):
    values: np.ndarray  # (n_fitted, n_samples), one row a voxel that can be fitted
    voxels: np.ndarray  # (n_fitted,), their places among all voxels
    centres: np.ndarray  # (n_voxels,), the constant of a constant voxel, NaN for an absent one
    scales: np.ndarray  # (n_voxels,)
    absent: np.ndarray  # (n_voxels,) bool, NaN in every sample
    constant: np.ndarray  # (n_voxels,) bool, what needs no weights


def make_targets(Y: np.ndarray, standardize: bool, centre: bool) -> Targets:
    """Standardise the columns of `Y` (n_samples, n_voxels); raise if a voxel is NaN in some samples only."""
    absent = np.isnan(Y[0])
    torn = np.isnan(Y) != absent
    if torn.any() or absent.all():
        raise ValueError(_nan_message(Y))
    level = np.ptp(Y, axis=0) == 0
    constant = level if centre else level & (Y[0] == 0)  # other constants need weights where there is no intercept
    voxels = np.flatnonzero(~absent & ~constant)
    values = np.ascontiguousarray(Y[:, voxels].T, dtype=np.float64)
    centres, scales = np.where(constant, Y[0], np.nan).astype(np.float64), np.full(len(absent), np.nan)
    centres[voxels] = values.mean(axis=1) if standardize and centre else 0.0
    scales[voxels] = np.where(level[voxels], 1.0, values.std(axis=1)) if standardize else 1.0
    values -= centres[voxels, None]
    values /= scales[voxels, None]
    return Targets(values, voxels, centres, scales, absent, constant)


def _nan_message(Y):
    nan = np.isnan(Y)
    if nan.all():
        return f"Input y contains NaN: all {nan.shape[1]} voxels are NaN in every sample, so there is nothing to fit."
    torn = nan.any(axis=0) & ~nan.all(axis=0)
    sample = int(np.flatnonzero(nan[:, torn].any(axis=1))[0])
    voxel = int(np.flatnonzero(nan[sample] & torn)[0])
    return (
        f"Input y contains NaN in some samples of {torn.sum()} voxels ({nan[:, torn].sum()} values), the first in "
        f"sample {sample}, voxel {voxel}. Drop those samples, fill the values, or set these voxels to NaN in every "
        "sample to leave them out."
    )
