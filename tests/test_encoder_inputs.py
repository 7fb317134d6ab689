"""Whatever form features and splits come in, SparseVoxelEncoder gives what LassoCV gives of the same numbers."""

import tempfile
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.base import clone
from sklearn.linear_model import Lasso, LassoCV, LinearRegression

from sklearn_sae_encoding.banded import BandedRidgeEncoder
from sklearn_sae_encoding.encoder import SparseVoxelEncoder

EXACT = {"tol": 1e-10, "max_iter": 100_000}
PROPERTY = settings(max_examples=25, deadline=None, derandomize=True)


def targets_of(X, rng, noise=0.5):
    """One voxel that follows two of the features, one that follows none."""
    spread = X.std(axis=0)
    standard = (X - X.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    return np.column_stack([standard[:, 0] - standard[:, -1], np.zeros(len(X))]) + noise * rng.normal(size=(len(X), 2))


def assert_errors_are_those_of_lasso_cv(encoder, X, Y, cv, rtol=1e-5):
    X = X.astype(np.float64) - X.astype(np.float64).mean(axis=0)
    for voxel, y in enumerate(Y.T):
        witness = LassoCV(alphas=encoder.alphas_[voxel], cv=cv, **EXACT).fit(X, y)
        solved = ~np.isnan(encoder.cv_mse_path_[voxel])  # up to where the errors turned up
        assert solved[:5].all()
        np.testing.assert_allclose(encoder.cv_mse_path_[voxel][solved], witness.mse_path_[solved], rtol=rtol)


def as_given(X, form, rng):
    """The same numbers as arrays, views and sparse arrays of all kinds."""
    if form == "C":
        return np.ascontiguousarray(X)
    if form == "F":
        return np.asfortranarray(X)
    if form == "read-only":
        X = X.copy()
        X.flags.writeable = False
        return X
    if form == "mapped":
        with tempfile.TemporaryFile() as file:
            file.write(X.tobytes())
            file.flush()
            return np.memmap(file, dtype=X.dtype, mode="r", shape=X.shape)
    if form == "strided":
        wide = np.zeros((2 * len(X), X.shape[1]), dtype=X.dtype)
        wide[::2] = X
        return wide[::2]
    rows, columns = np.nonzero(X)
    order = rng.permutation(len(rows))
    values, rows, columns = X[rows, columns][order], rows[order], columns[order]
    if form == "duplicates":  # each value in two parts, which must be added up, in no order
        halves = np.floor(values / 2)
        values, rows, columns = np.concatenate([halves, values - halves]), np.tile(rows, 2), np.tile(columns, 2)
    indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=len(X)))])
    by_row = np.argsort(rows, kind="stable")
    made = sparse.csr_array((values[by_row], columns[by_row], indptr), shape=X.shape)
    return made if form == "duplicates" else getattr(made, f"to{form}")()


@PROPERTY
@given(
    seed=st.integers(0, 10_000),
    dtype=st.sampled_from(["int8", "uint8", "int16", "int64", "float32", "float64"]),
    form=st.sampled_from(["C", "F", "read-only", "mapped", "strided", "csr", "csc", "coo", "duplicates"]),
    n_samples=st.integers(9, 40),
    n_features=st.integers(1, 30),
    power=st.integers(-12, 12),
)
def test_types_layouts_and_scales_do_not_matter(seed, dtype, form, n_samples, n_features, power):
    rng = np.random.default_rng(seed)
    X = rng.integers(0, 40, (n_samples, n_features)) * (rng.random((n_samples, n_features)) < 0.4)
    X = X.astype(dtype)
    if dtype.startswith("float"):
        X *= np.dtype(dtype).type(2.0) ** (3 * power)  # exact in either precision
    Y = targets_of(X.astype(np.float64), rng)
    X = as_given(X, form, rng)
    encoder = SparseVoxelEncoder(6, cv=3, standardize_targets=False).fit(X, Y)
    assert_errors_are_those_of_lasso_cv(encoder, X.toarray() if sparse.issparse(X) else np.array(X), Y, cv=3)


@PROPERTY
@given(
    seed=st.integers(0, 10_000),
    mean=st.sampled_from([-2020.0, 2020.0, 1e5, 1.5e9]),
    dtype=st.sampled_from(["float32", "float64", "int64"]),
    form=st.sampled_from(["C", "F", "csc"]),
    copies=st.booleans(),
)
def test_a_constant_added_to_features_changes_nothing_but_the_intercept(seed, mean, dtype, form, copies):
    rng = np.random.default_rng(seed)
    step = 256.0 if dtype == "float32" and mean > 1e6 else 1.0  # what single precision can tell apart there
    X = step * rng.integers(0, 12, (60, 8)).astype(np.float64)
    X[:, 4] = X[:, 0] if copies else 3.0
    Y = targets_of(X, rng)
    shifted = X.copy()
    shifted[:, ::2] += step * np.round(mean / step)
    shifted = as_given(shifted.astype(dtype), form, rng)
    encoder = SparseVoxelEncoder(8, cv=3, standardize_targets=False).fit(shifted, Y)
    assert_errors_are_those_of_lasso_cv(encoder, X, Y, cv=3)
    plain = SparseVoxelEncoder(8, cv=3, standardize_targets=False).fit(X, Y)
    np.testing.assert_allclose(encoder.predict(shifted), plain.predict(X), rtol=1e-5, atol=1e-5)
    assert encoder.coef_[[0]].nnz > 0


def test_years_are_no_constant():
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.integers(2015, 2025, 80), rng.normal(size=(80, 3))]).astype(np.float32)
    y = 0.5 * (X[:, 0] - 2020.0) + 0.1 * rng.normal(size=80)
    encoder = SparseVoxelEncoder(standardize_targets=False).fit(X, y)
    witness = LassoCV(alphas=encoder.alphas_[0], cv=5, **EXACT).fit(X.astype(np.float64), y)
    np.testing.assert_allclose(encoder.coef_.toarray()[0], witness.coef_, rtol=1e-5, atol=1e-7)
    assert encoder.score(X, y) > 0.98


@pytest.mark.parametrize("refit", [None, "ridge"])
def test_features_far_from_zero_are_screened_forced_and_refitted_like_others(refit):
    rng = np.random.default_rng(0)
    X = rng.integers(0, 12, (60, 30)).astype(np.float64)
    Y = targets_of(X, rng)
    options = {"screening": 10, "forced_features": [0, 3], "refit": refit}
    plain = SparseVoxelEncoder(8, **options).fit(X, Y)
    for form in (np.asarray, sparse.csc_array):
        far = SparseVoxelEncoder(8, **options).fit(form(X + 1.5e9 * (np.arange(30) < 15)), Y)
        np.testing.assert_allclose(far.coef_.toarray(), plain.coef_.toarray(), rtol=1e-5, atol=1e-8)
    if refit is None:
        alone = SparseVoxelEncoder(1e6, forced_features=[0]).fit(X[:, :1] + 1.5e9, Y)
        witness = LinearRegression().fit(X[:, :1], Y)
        np.testing.assert_allclose(alone.coef_.toarray(), witness.coef_, rtol=1e-6)


@PROPERTY
@given(
    seed=st.integers(0, 10_000),
    n_folds=st.integers(2, 4),
    masks=st.booleans(),
    overlap=st.booleans(),
)
def test_any_splits_give_the_errors_of_lasso_cv(seed, n_folds, masks, overlap):
    rng = np.random.default_rng(seed)
    X = rng.integers(0, 9, (30, 6)).astype(np.float64)
    Y = targets_of(X, rng)
    splits = []
    for _ in range(n_folds):
        order, n_test = rng.permutation(30), rng.integers(1, 20)
        splits.append((order if overlap else order[n_test:], order[:n_test]))
    given_splits = [tuple(np.isin(np.arange(30), rows) if masks else rows for rows in split) for split in splits]
    encoder = SparseVoxelEncoder(6, cv=given_splits, standardize_targets=False).fit(X, Y)
    assert_errors_are_those_of_lasso_cv(encoder, X, Y, cv=splits)


@PROPERTY
@given(n_samples=st.integers(1, 6), n_folds=st.integers(2, 7), seed=st.integers(0, 100), absent=st.booleans())
def test_few_samples_are_fitted_as_lasso_cv_does_it_or_refused_as_there(n_samples, n_folds, seed, absent):
    rng = np.random.default_rng(seed)
    X, Y = rng.normal(size=(n_samples, 3)), rng.normal(size=(n_samples, 2))
    X[:, 1] = 0.0 if absent else X[:, 1]
    encoder = SparseVoxelEncoder(4, cv=n_folds, standardize_targets=False)
    if n_samples < n_folds:
        for model, y in ((LassoCV(cv=n_folds), Y[:, 0]), (encoder, Y)):
            with pytest.raises(ValueError, match=r"n_splits|minimum of 2 is required|at least 2 samples|1 sample"):
                model.fit(X, y)
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # voxels at the end of their grid
        assert_errors_are_those_of_lasso_cv(encoder.fit(X, Y), X, Y, cv=n_folds, rtol=1e-4)


def example(seed=0):
    rng = np.random.default_rng(seed)
    X = rng.random((40, 10))
    return X, targets_of(X, rng)


def test_splits_that_are_spent_or_none_are_an_error():
    X, Y = example()
    splits = [(np.arange(20), np.arange(20, 40)), (np.arange(20, 40), np.arange(20))]
    encoder = SparseVoxelEncoder(5, cv=iter(splits)).fit(X, Y)
    for spent in (encoder, SparseVoxelEncoder(5, cv=[])):
        with pytest.raises(ValueError, match="cv gave no folds"):
            spent.fit(X, Y)
    SparseVoxelEncoder(0.1, cv=[]).fit(X, Y)  # nothing to choose


@pytest.mark.parametrize("power", [-40, -14, 14, 40])
@pytest.mark.parametrize("standardize", [True, False])
def test_features_are_selected_for_a_refit_whatever_their_scale_and_that_of_the_targets(power, standardize):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((120, 30))
    Y = X[:, :4] @ rng.standard_normal((4, 6)) + 2 * rng.standard_normal((120, 6))
    encoder = SparseVoxelEncoder(10, cv=3, refit="ridge", refit_alphas=[1e-200], standardize_targets=standardize)
    plain = clone(encoder).fit(X, Y)
    scaled = clone(encoder).fit(2.0**power * X, Y)  # exact, and no penalty of the refit
    np.testing.assert_array_equal(scaled.coef_.indices, plain.coef_.indices)
    np.testing.assert_allclose(scaled.predict(2.0**power * X), plain.predict(X), rtol=1e-8, atol=1e-8)
    small = clone(encoder).fit(X, 2.0**-power * Y)
    np.testing.assert_array_equal(small.coef_.indices, plain.coef_.indices)


@pytest.mark.parametrize("estimator", [SparseVoxelEncoder(5), BandedRidgeEncoder(alphas=5)])
@pytest.mark.parametrize("row", [40, -41])
def test_rows_that_are_not_there_are_an_error(estimator, row):
    X, Y = example()
    with pytest.raises(ValueError, match=rf"old 1 of cv .*{row}.* 40"):
        clone(estimator).set_params(cv=[([0, 1, 2], [3]), ([0, 1, 2], [row])]).fit(X, Y)


def test_a_mask_of_another_length_is_an_error():
    X, Y = example()
    with pytest.raises(ValueError, match=r"training rows of fold 0 of cv are a mask of shape \(39,\)"):
        SparseVoxelEncoder(5, cv=[(np.ones(39, dtype=bool), [3])]).fit(X, Y)


def test_a_fit_leaves_only_what_it_made():
    X, Y = example()
    encoder = SparseVoxelEncoder(5, refit="ridge", cv=2).fit(X, Y)
    fresh = SparseVoxelEncoder(0.1).fit(X, Y)
    again = encoder.set_params(alphas=0.1, refit=None, cv=5).fit(X, Y)
    assert vars(again).keys() == vars(fresh).keys()


def test_features_are_forced_by_a_mask():
    X, Y = example()
    mask = np.arange(10) == 7
    for given_mask in (mask, list(mask), mask.tolist()):
        encoder = SparseVoxelEncoder(100.0, forced_features=given_mask).fit(X, Y)
        assert set(encoder.coef_.indices) == {7}
    with pytest.raises(ValueError, match="1 bools in 2 values; a mask has a bool for each of the 10 features"):
        SparseVoxelEncoder(forced_features=[True, 3]).fit(X, Y)


@pytest.mark.parametrize("alphas", [["0.1"], [b"1"], [True], [0.1, None]])
def test_penalties_are_numbers(alphas):
    X, Y = example()
    for encoder in (SparseVoxelEncoder(alphas), BandedRidgeEncoder(alphas=alphas)):
        with pytest.raises(ValueError, match="alphas must be positive numbers"):
            encoder.fit(X, Y)


@pytest.mark.parametrize("standardize", [False, True])
def test_a_constant_voxel_without_an_intercept_is_fitted_like_any_other(standardize):
    X, _ = example()
    Y = np.column_stack([np.full(40, 3.0), np.zeros(40)])
    with pytest.warns(UserWarning, match="Of 2 voxels, 1 are constant"):
        encoder = SparseVoxelEncoder(0.01, fit_intercept=False, standardize_targets=standardize).fit(X, Y)
    witness = Lasso(0.01, fit_intercept=False, **EXACT).fit(X, Y[:, 0])
    np.testing.assert_allclose(encoder.coef_.toarray()[0], witness.coef_, atol=1e-6)
    np.testing.assert_array_equal(encoder.predict(X)[:, 1], 0.0)
    assert encoder.coef_[[0]].nnz > 0


@pytest.mark.parametrize("case", ["no positive correlation", "a copy of a free column"])
def test_a_voxel_that_no_feature_explains_has_converged(case):
    rng = np.random.default_rng(0)
    x = rng.random((60, 1))
    if case == "no positive correlation":
        X, y, options = x, -x[:, 0], {"positive": True}
    else:
        X, y, options = np.hstack([x, x]), rng.normal(size=60), {"penalty_factor": [0.0, 1.0]}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        encoder = SparseVoxelEncoder(**options).fit(X, y)
    expected = np.full(60, y.mean()) if case[0] == "n" else LinearRegression().fit(x, y).predict(x)
    np.testing.assert_allclose(encoder.predict(X), expected, atol=1e-9)


def edges(encoder, X, Y):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        encoder.fit(X, Y)
    return [str(one.message) for one in caught]


def test_voxels_at_the_ends_of_the_penalties_given_are_counted():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(100, 20))
    Y = np.column_stack([X[:, :2] @ [1.0, 1.0] + 0.1 * rng.normal(size=100), rng.normal(size=(100, 2))])
    (message,) = edges(SparseVoxelEncoder(np.geomspace(1, 3, 5), standardize_targets=False), 1000 * X, 10000 * Y)
    assert message.startswith("Of 3 voxels, ")
    (message,) = edges(SparseVoxelEncoder([0.7, 0.6, 0.5]), X, Y)
    assert message.startswith("Of 3 voxels, 0 fit best with the largest and 1 with the smallest of the penalties")
    assert edges(SparseVoxelEncoder(np.geomspace(1e-3, 1, 20)), X, Y) == []  # noise has no weights at the largest


def test_voxels_at_the_end_of_their_own_grid_are_counted_where_there_is_signal():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(100, 5))
    Y = np.column_stack([X @ rng.normal(size=5), rng.normal(size=100)])
    (message,) = edges(SparseVoxelEncoder(), X, Y)
    assert message.startswith("1 of 2 voxels fit best with the smallest penalty of their grid")
    assert "Set eps below 0.01" in message
