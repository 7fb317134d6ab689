"""Screening through torch: products of all features with a block of residuals, on a GPU or another device.

Only these products leave the processor; the small problems of single voxels stay where they are, in double precision.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .screening import Found, Screened

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class DeviceScreened:
    """What `Screened` is and does, by tensors on one device."""

    dense: torch.Tensor  # (n_dense, n_samples)
    sparse: torch.Tensor  # (n_sparse, n_samples), COO
    features: np.ndarray  # (n_dense + n_sparse,) int32
    inverse_factors: torch.Tensor  # (n_dense + n_sparse, 1)
    rounding: torch.Tensor  # (n_dense + n_sparse, 1)

    def list_above(self, residuals, reach, eligible, capacity):
        import torch

        sizes = (self._sizes(residuals, eligible) + self.rounding * reach).T
        hits = torch.nonzero(sizes > 1, as_tuple=True)
        problems, places, above = (part.cpu().numpy() for part in (*hits, sizes[hits]))
        features = self.features[places]
        if eligible.allowed.shape[0]:
            kept = eligible.allowed[eligible.rows[problems], features] > 0
            problems, features, above = problems[kept], features[kept], above[kept]
        lengths = np.bincount(problems, minlength=len(eligible.rows))
        shape = len(lengths), max(capacity, int(lengths.max(initial=0)))
        found, listed = Found(np.empty(shape, np.int32), np.empty(shape, np.float32), lengths), np.arange(shape[1])
        for array, values in ((found.lists, features), (found.sizes, above)):
            array[listed < lengths[:, None]] = values
        return found

    def largest_sizes(self, residuals, eligible):
        sizes = self._sizes(residuals, eligible)
        if eligible.allowed.shape[0]:
            allowed = eligible.allowed[eligible.rows][:, self.features]
            sizes *= self._put(np.ascontiguousarray(allowed.T))
        if len(sizes) == 0:
            return np.zeros(len(eligible.rows))
        return sizes.amax(dim=0).clamp(min=0).cpu().numpy().astype(np.float64)

    @property
    def dtype(self):
        return np.float32 if self.dense.itemsize == 4 else np.float64

    def _sizes(self, residuals, eligible):
        import torch

        by_sample = self._put(residuals[:, : len(eligible.rows)])
        products = torch.cat([self.dense @ by_sample, torch.sparse.mm(self.sparse, by_sample)])
        return (products if eligible.positive else products.abs_()) * self.inverse_factors

    def _put(self, array):
        import torch

        return torch.as_tensor(array, dtype=self.dense.dtype, device=self.dense.device)


def on_device(screened: Screened, device) -> Screened | DeviceScreened:
    """Copy to a device of torch; the string "cpu" stands for the compiled kernels, without torch."""
    if isinstance(device, str) and device == "cpu":
        return screened
    import torch

    # Where torch may cut products of single precision short (TF32), only double precision is exact enough.
    whole = torch.get_float32_matmul_precision() == "highest" and screened.data.dtype == np.float32
    dtype = torch.float32 if whole else torch.float64

    def put(array):
        return torch.as_tensor(np.array(array), dtype=dtype, device=device)

    lengths = np.diff(screened.indptr)
    places = np.stack([np.repeat(np.arange(len(lengths)), lengths), screened.indices])
    sparse = torch.sparse_coo_tensor(
        torch.as_tensor(places, dtype=torch.int64, device=device),
        put(screened.data),
        size=(len(lengths), screened.dense.shape[1]),
        check_invariants=False,
        is_coalesced=True,
    )
    return DeviceScreened(
        put(screened.dense),
        sparse,
        np.array(screened.features),
        put(screened.inverse_factors[:, None]),
        put(screened.rounding[:, None]),
    )
