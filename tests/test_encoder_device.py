"""A fit whose screening runs on a device of torch is the fit without torch."""

import numpy as np
import pytest
import torch
from scipy import sparse
from sklearn.base import clone

from sklearn_sae_encoding.encoder import SparseVoxelEncoder

TORCH = torch.device("cpu")


def problem(n_samples=60, n_features=300, n_voxels=7):
    rng = np.random.default_rng(0)
    rates = np.geomspace(1, 0.02, n_features)
    X = rng.gamma(2.0, size=(n_samples, n_features)) * (rng.random((n_samples, n_features)) < rates)
    weights = np.zeros((n_features, n_voxels))
    weights[rng.choice(100, 8, replace=False)] = rng.normal(size=(8, n_voxels))
    return X, X @ weights + 2 * rng.normal(size=(n_samples, n_voxels)) + 5


@pytest.mark.parametrize("layout", [np.asarray, sparse.csr_array], ids=["dense", "sparse"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"l1_ratio": 0.5},
        {"positive": True},
        {"penalty_factor": np.tile([1.0, 0.5, 2.0], 100)},
        {"screening": 40, "alphas": [0.3, 0.1, 0.03]},
        {"forced_features": [5], "refit": "ridge"},
    ],
    ids=["lasso", "elastic net", "positive", "penalty factors", "screening", "forced features, refit"],
)
def test_torch_gives_the_solutions_of_the_compiled_kernels(layout, options):
    X, Y = problem()
    X = layout(X)
    plain = SparseVoxelEncoder(10, cv=3).set_params(**options).fit(X, Y)
    by_torch = clone(plain).set_params(device=TORCH).fit(X, Y)
    assert plain.coef_.nnz > 0
    np.testing.assert_allclose(by_torch.alpha_, plain.alpha_, rtol=1e-9)
    np.testing.assert_allclose(by_torch.cv_mse_path_, plain.cv_mse_path_, rtol=1e-8)
    np.testing.assert_allclose(by_torch.coef_.toarray(), plain.coef_.toarray(), rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(by_torch.intercept_, plain.intercept_, rtol=1e-8)


@pytest.mark.parametrize("device", ["gpu", "cuda:99", "meta", 1.5])
def test_a_device_that_is_not_there_is_named(device):
    X, Y = problem()
    with pytest.raises(
        ValueError, match=rf'device={device!r} cannot be used: .*Expected "cpu", or a device that torch'
    ):
        SparseVoxelEncoder(device=device).fit(X, Y)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here: not running the kernels on one")
def test_a_gpu_gives_the_solutions_of_the_compiled_kernels():
    X, Y = problem()
    plain, by_gpu = SparseVoxelEncoder().fit(X, Y), SparseVoxelEncoder(device="cuda").fit(X, Y)
    np.testing.assert_allclose(by_gpu.coef_.toarray(), plain.coef_.toarray(), rtol=1e-7, atol=1e-9)
