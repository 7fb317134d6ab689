"""Kernels of bands against plain matrix products."""

import numpy as np
import pytest
from scipy import sparse

from sklearn_sae_encoding._solvers.banded import kernels
from sklearn_sae_encoding._solvers.banded.bands import Band, centred_rows, column_statistics, make_band


@pytest.fixture
def X():
    rng = np.random.default_rng(0)
    X = rng.gamma(2.0, 1.0, (40, 60)) * (rng.random((40, 60)) < 0.2)
    X[:, 3] = 7.0
    X[:, 4] = 0.0
    return X


@pytest.mark.parametrize("layout", [np.asarray, sparse.csr_array])
def test_statistics_are_numpys_and_find_constant_columns(X, layout):
    found = column_statistics(layout(X))
    np.testing.assert_allclose(found.means, X.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(found.deviations, X.std(axis=0), rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(found.fires, np.count_nonzero(X, axis=0))
    assert (found.deviations[[3, 4]] == 0).all()
    assert set(make_band(np.arange(10), found, centre=True, scale=False).columns) == set(range(10)) - {3, 4}
    assert len(make_band(np.arange(10), found, centre=False, scale=False).columns) == 10


@pytest.mark.parametrize("scale", [True, False])
@pytest.mark.parametrize("layout", [np.asarray, sparse.csr_array])
def test_kernels_are_products_of_centred_rows_block_by_block(X, layout, scale, monkeypatch):
    monkeypatch.setattr(kernels, "BLOCK", 7 * 40)
    monkeypatch.setattr(kernels, "ROWS", 3)
    monkeypatch.setattr(kernels, "STORED", 50)
    monkeypatch.setattr(kernels, "STORED_A_ROW", 1)
    band = make_band(np.arange(5, 50), column_statistics(X), centre=True, scale=scale)
    rows = (X[:, 5:50] - X[:, 5:50].mean(axis=0)) / (X[:, 5:50].std(axis=0) if scale else 1.0)
    kernel = kernels.band_kernel(layout(X), band, np.float64)
    np.testing.assert_allclose(kernel, rows @ rows.T, atol=1e-10)
    np.testing.assert_array_equal(kernel, kernel.T)
    np.testing.assert_allclose(centred_rows(layout(X), (band,)), rows, atol=1e-12)
    new = X[::-1][:11] + 1.0
    new_rows = (new[:, 5:50] - band.means) / band.scales
    blocks = [block for _, block in kernels.cross_blocks(layout(new), layout(X), band)]
    np.testing.assert_allclose(np.concatenate(blocks), new_rows @ rows.T, atol=1e-10)


def test_a_kernel_centred_by_some_rows_is_that_of_rows_centred_by_their_mean(X):
    train = np.arange(5, 30)
    kernel = X @ X.T
    kernels.centre_by(kernel, train)
    rows = X - X[train].mean(axis=0)
    np.testing.assert_allclose(kernel, rows @ rows.T, atol=1e-9)


def test_large_means_do_not_cancel_in_single_precision():
    rng = np.random.default_rng(1)
    X = (1000 + rng.normal(size=(30, 20))).astype(np.float32)
    expected = X.astype(np.float64) - X.mean(axis=0, dtype=np.float64)
    for layout in (np.asarray, sparse.csr_array):
        band = make_band(np.arange(20), column_statistics(layout(X)), centre=True, scale=False)
        kernel = kernels.band_kernel(layout(X), band, np.float32)
        np.testing.assert_allclose(kernel, expected @ expected.T, rtol=1e-3, atol=1e-3)


def test_a_band_without_columns_has_a_kernel_of_zeros(X):
    nothing = Band(np.zeros(0, dtype=np.int64), np.zeros(0), np.zeros(0))
    assert not kernels.band_kernel(sparse.csr_array(X), nothing, np.float32).any()


def test_weights_of_zero_leave_kernels_out():
    none = np.zeros((0, 0))
    both = (kernels.BandKernel(np.eye(3), none), kernels.BandKernel(none, np.full((3, 1), np.nan)))
    np.testing.assert_array_equal(kernels.weighted_sum(both, np.array([2.0, 0.0])), 2 * np.eye(3))


@pytest.mark.parametrize("layout", [np.asarray, sparse.csr_array])
def test_a_narrow_band_is_kept_as_its_rows(X, layout):
    statistics = column_statistics(layout(X))
    narrow, wide = (make_band(np.arange(5, stop), statistics, centre=True, scale=True) for stop in (7, 60))
    rows, kernel = (kernels.band_products(layout(X), band, np.float64) for band in (narrow, wide))
    assert rows.is_kept_as_rows
    assert rows.rows.shape == (40, 2)
    assert not kernel.is_kept_as_rows
    for band, products in ((narrow, rows), (wide, kernel)):
        expected = kernels.band_kernel(layout(X), band, np.float64)
        np.testing.assert_allclose(kernels.all_kernels((products,))[0], expected, atol=1e-10)
        np.testing.assert_allclose(kernels.weighted_sum((products,), np.array([3.0])), 3 * expected, atol=1e-10)
        assert kernels.is_finite(products)
    assert not kernels.is_finite(rows._replace(rows=rows.rows.astype(np.float32) * np.float32(1e25)))
