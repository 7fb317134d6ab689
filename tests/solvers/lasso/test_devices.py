"""Screening by torch finds what the compiled kernels find; tested on torch's own processor device."""

import numpy as np
import pytest
import torch
from scipy import sparse

from sklearn_sae_encoding._solvers.columns import as_columns
from sklearn_sae_encoding._solvers.lasso.devices import on_device
from sklearn_sae_encoding._solvers.lasso.ftest import EVERY_FEATURE, column_norms
from sklearn_sae_encoding._solvers.lasso.problems import make_penalty
from sklearn_sae_encoding._solvers.lasso.screening import Eligible, largest, make_screened, scan

TORCH = torch.device("cpu")


def problem(layout, n_samples=60, n_features=400, n_problems=11):
    rng = np.random.default_rng(0)
    # A few features fire often, most hardly ever, some are large.
    rates = np.geomspace(1, 0.01, n_features)
    X = rng.gamma(2.0, size=(n_samples, n_features)) * (rng.random((n_samples, n_features)) < rates)
    residuals = rng.normal(size=(n_problems, n_samples))
    residuals -= residuals.mean(axis=1, keepdims=True)
    columns = as_columns(layout(X))
    factors = rng.choice([0.5, 1.0, 2.0], n_features)
    norms = column_norms(columns, True)
    screened = make_screened(columns, make_penalty(factors).inverse_factors, norms, prune=False)
    return X, factors, residuals, screened


@pytest.mark.parametrize("layout", [np.asarray, sparse.csc_array], ids=["dense", "sparse"])
@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("screens", [False, True])
def test_lists_and_largest_products_are_those_of_plain_products(layout, positive, screens):
    X, factors, residuals, screened = problem(layout)
    rows = np.arange(len(residuals)) % 2
    allowed = EVERY_FEATURE
    products = residuals @ X / factors
    products = products if positive else np.abs(products)
    if screens:
        allowed = (np.random.default_rng(1).random((2, X.shape[1])) < 0.3).astype(np.uint8)
        products = np.where(allowed[rows], products, 0.0)
    constant = X.std(axis=0) == 0
    products[:, constant] = 0.0
    eligible = Eligible(allowed, rows, positive)
    for by in (screened, on_device(screened, TORCH)):
        np.testing.assert_allclose(largest(by, residuals, eligible), products.max(axis=1), rtol=1e-4)
        bounds = np.quantile(products, 0.9, axis=1)
        found = scan(by, residuals, bounds, eligible, 4)
        for features, upper, length, sizes, bound in zip(*found, products, bounds, strict=True):
            listed = set(features[:length])
            np.testing.assert_allclose(upper[:length], sizes[features[:length]] / bound, rtol=1e-3)
            assert set(np.flatnonzero(sizes > bound)) <= listed <= set(np.flatnonzero(sizes > 0.999 * bound))
            assert len(listed) == length


def test_products_that_torch_may_round_to_fewer_bits_are_made_in_double_precision():
    screened = problem(sparse.csc_array)[-1]
    assert on_device(screened, TORCH).dense.dtype == torch.float32
    torch.set_float32_matmul_precision("high")
    try:
        assert on_device(screened, TORCH).sparse.dtype == torch.float64
    finally:
        torch.set_float32_matmul_precision("highest")


def test_the_string_cpu_stands_for_the_compiled_kernels():
    screened = problem(np.asarray)[-1]
    assert on_device(screened, "cpu") is screened
