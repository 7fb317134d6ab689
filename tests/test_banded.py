"""BandedRidgeEncoder against scikit-learn, himalaya and its own promises."""

import functools
import pickle
import warnings

import h5py
import numpy as np
import pandas as pd
import pytest
from nibabel import Nifti1Image
from nilearn.maskers import NiftiMasker
from scipy import sparse
from sklearn import config_context
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from sklearn_sae_encoding._banded import responses
from sklearn_sae_encoding._solvers.banded import search
from sklearn_sae_encoding.analysis import band_models, typical_effects
from sklearn_sae_encoding.banded import BandedRidgeEncoder
from sklearn_sae_encoding.fitted import fitted_view
from sklearn_sae_encoding.masking import MaskedTargetRegressor
from sklearn_sae_encoding.metrics import cross_val_voxel_scores, warn_once
from sklearn_sae_encoding.persistence import load_encoder, save_encoder
from sklearn_sae_encoding.pipeline import BandedFeatureRegressor

LAYOUTS = {"dense": np.asarray, "csr": sparse.csr_array, "csc": sparse.csc_array}
FORMS = ("kernel", "primal")
BANDS = {"words": slice(0, 30), "sound": slice(30, 45)}


def problem(seed=0, n_samples=80, n_voxels=8, noise=1.0):
    """Sparse uncentred words and dense sound; even voxels follow words, odd ones sound, the last one nothing."""
    rng = np.random.default_rng(seed)
    words = rng.gamma(2.0, 1.0, (n_samples, 30)) * (rng.random((n_samples, 30)) < 0.2)
    sound = rng.normal(4.0, 2.0, (n_samples, 15))
    X = np.column_stack([words, sound])
    W = np.zeros((45, n_voxels))
    W[:30, 0:-1:2] = rng.normal(size=(30, len(range(0, n_voxels - 1, 2))))
    W[30:, 1:-1:2] = rng.normal(size=(15, len(range(1, n_voxels - 1, 2))))
    return X, X @ W + noise * rng.normal(size=(n_samples, n_voxels)) + rng.normal(3.0, 2.0, n_voxels)


@parametrize_with_checks([BandedRidgeEncoder()])
def test_scikit_learn_accepts_the_estimator(estimator, check):
    check(estimator)


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_one_band_of_fixed_penalty_is_ridge(layout, form, fit_intercept):
    X, Y = problem()
    encoder = BandedRidgeEncoder(alphas=7.0, form=form, fit_intercept=fit_intercept).fit(LAYOUTS[layout](X), Y)
    ridge = Ridge(7.0, fit_intercept=fit_intercept).fit(X, Y)
    assert not hasattr(encoder, "cv_scores_")
    np.testing.assert_array_equal(encoder.band_alphas_, 7.0)
    np.testing.assert_allclose(encoder.predict(LAYOUTS[layout](X + 1)), ridge.predict(X + 1), rtol=1e-6)
    np.testing.assert_allclose(encoder.primal_weights(), ridge.coef_, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(encoder.intercept_, ridge.intercept_, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("form", FORMS)
def test_two_bands_of_equal_penalty_are_one(form):
    X, Y = problem()
    two = BandedRidgeEncoder(BANDS, alphas=7.0, candidates=[[1.0, 1.0]], form=form).fit(X, Y)
    np.testing.assert_allclose(two.predict(X), Ridge(7.0).fit(X, Y).predict(X), rtol=1e-6)


@pytest.mark.parametrize("form", FORMS)
def test_penalties_of_two_bands_are_those_of_ridge_on_scaled_columns(form):
    X, Y = problem()
    encoder = BandedRidgeEncoder(BANDS, alphas=6.0, candidates=[[2.0, 0.5]], form=form).fit(X, Y)
    np.testing.assert_allclose(encoder.band_alphas_, np.tile([3.0, 12.0], (8, 1)))
    root = np.sqrt(np.repeat([3.0, 12.0], [30, 15]))
    ridge = Ridge(1.0).fit(X / root, Y)
    np.testing.assert_allclose(encoder.predict(X), ridge.predict(X / root), rtol=1e-6)
    np.testing.assert_allclose(encoder.primal_weights("sound"), (ridge.coef_ / root)[:, 30:], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("form", FORMS)
def test_himalaya_finds_the_same_on_the_same_folds_and_candidates(form):
    from himalaya.kernel_ridge import MultipleKernelRidgeCV

    X, Y = problem(n_samples=60)
    candidates = np.random.default_rng(1).dirichlet([0.5, 0.5], 12)
    alphas, cv = np.logspace(-2, 4, 9), KFold(4, shuffle=True, random_state=0)
    encoder = BandedRidgeEncoder(BANDS, alphas=alphas, candidates=candidates, cv=cv, form=form).fit(X, Y)
    kernels = np.array([X[:, columns] @ X[:, columns].T for columns in BANDS.values()])
    theirs = MultipleKernelRidgeCV(
        kernels="precomputed",
        cv=cv,
        fit_intercept=True,
        solver_params={"n_iter": candidates, "alphas": alphas, "progress_bar": False},
    ).fit(kernels, Y)
    np.testing.assert_allclose(encoder.band_alphas_, np.exp(-theirs.deltas_).T, rtol=1e-8)
    np.testing.assert_allclose(encoder.cv_scores_, theirs.cv_scores_.T, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(encoder.predict(X), theirs.predict(kernels), rtol=1e-7)
    if form == "kernel":
        np.testing.assert_allclose(encoder.dual_coef_, theirs.dual_coef_, rtol=1e-6, atol=1e-8)


def test_both_forms_and_all_layouts_give_the_same():
    X, Y = problem()
    first = BandedRidgeEncoder(BANDS, candidates=6, form="kernel").fit(X, Y)
    for form in FORMS:
        for layout in LAYOUTS.values():
            other = BandedRidgeEncoder(BANDS, candidates=6, form=form).fit(layout(X), Y)
            np.testing.assert_allclose(other.cv_scores_, first.cv_scores_, rtol=1e-8)
            np.testing.assert_allclose(other.band_alphas_, first.band_alphas_, rtol=1e-8)
            np.testing.assert_allclose(other.predict(layout(X)), first.predict(X), rtol=1e-8)
            np.testing.assert_allclose(
                other.primal_weights("words", targets=[2, 3]), first.primal_weights("words", targets=[2, 3]), atol=1e-10
            )


@pytest.mark.parametrize("search", ["random", "gradient"])
def test_blocks_and_workers_change_nothing(search):
    X, Y = problem(n_voxels=70)
    encoder = BandedRidgeEncoder(BANDS, candidates=5, search=search, n_steps=3, form="auto").fit(X, Y)
    for params in ({"block_size": 64}, {"n_jobs": 2}):
        other = clone(encoder).set_params(**params).fit(X, Y)
        np.testing.assert_allclose(other.cv_scores_, encoder.cv_scores_, rtol=1e-8)
        np.testing.assert_allclose(other.predict(X), encoder.predict(X), rtol=1e-8)


def test_the_order_of_bands_changes_nothing_for_given_candidates():
    X, Y = problem()
    candidates = np.random.default_rng(0).dirichlet([1.0, 1.0], 5)
    one = BandedRidgeEncoder(BANDS, candidates=candidates).fit(X, Y)
    other = BandedRidgeEncoder(dict(reversed(BANDS.items())), candidates=candidates[:, ::-1]).fit(X, Y)
    np.testing.assert_allclose(other.band_alphas_[:, ::-1], one.band_alphas_, rtol=1e-8)
    np.testing.assert_allclose(other.predict(X), one.predict(X), rtol=1e-8)


def test_scaled_columns_are_those_of_a_scaler_before():
    X, Y = problem()
    scaler = StandardScaler()
    plain = make_pipeline(scaler, BandedRidgeEncoder(BANDS, candidates=4)).fit(X, Y)
    for form in FORMS:
        for layout in (LAYOUTS["dense"], LAYOUTS["csr"]):
            encoder = BandedRidgeEncoder(BANDS, candidates=4, scale="columns", form=form).fit(layout(X), Y)
            np.testing.assert_allclose(encoder.predict(layout(X)), plain.predict(X), rtol=1e-8)
            np.testing.assert_allclose(
                encoder.primal_weights(), plain[-1].primal_weights() / scaler.scale_, rtol=1e-6, atol=1e-9
            )


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("layout", [np.asarray, sparse.csr_array])
def test_columns_scaled_by_run_are_those_of_a_scaler_for_each_run_before(form, layout):
    X, Y = problem()
    runs = np.arange(len(X)) * 3 // len(X)
    X = X * (1.0 + 4 * runs)[:, None]
    X[runs == 0, 1] = 2.0  # constant in a run
    by_hand = np.vstack([StandardScaler(with_mean=False).fit_transform(X[runs == run]) for run in range(3)])
    params = {"candidates": 3, "cv": GroupKFold(3), "form": form}
    before = BandedRidgeEncoder(BANDS, **params).fit(by_hand, Y, groups=runs)
    inside = BandedRidgeEncoder(BANDS, scale="runs", **params).fit(layout(X), Y, groups=runs)
    np.testing.assert_allclose(inside.band_alphas_, before.band_alphas_)
    np.testing.assert_allclose(inside.predict(layout(X), groups=runs), before.predict(by_hand), rtol=1e-6)
    parts = inside.predict_by_band(layout(X), groups=runs)
    np.testing.assert_allclose(parts.sum(axis=0) + inside.target_means_, before.predict(by_hand), rtol=1e-6)
    shares = before.band_scores(by_hand, Y)
    np.testing.assert_allclose(inside.band_scores(layout(X), Y, groups=runs), shares, rtol=1e-6)
    scores = before.voxel_scores(by_hand, Y)
    np.testing.assert_allclose(inside.voxel_scores(layout(X), Y, groups=runs), scores, rtol=1e-6)
    assert inside.score(layout(X), Y, groups=runs) == pytest.approx(before.score(by_hand, Y), rel=1e-6)


def test_rows_whose_run_is_not_said_are_refused_where_runs_were_scaled_one_by_one():
    X, Y = problem()
    runs = np.arange(len(X)) * 3 // len(X)
    encoder = BandedRidgeEncoder(BANDS, scale="runs", candidates=3, cv=GroupKFold(3))
    with pytest.raises(ValueError, match=r"scale='runs' needs the run of each row: fit\(X, y, groups=runs\)"):
        encoder.fit(X, Y)
    encoder.fit(X, Y, groups=runs)
    rows = f"scale='runs' was fitted to 3 runs: say the run of each of these {len(X)} rows, too, by groups="
    for ask in (encoder.predict, encoder.predict_by_band):
        with pytest.raises(ValueError, match=rows):
            ask(X)
    for ask in (encoder.band_scores, encoder.voxel_scores, encoder.score):
        with pytest.raises(ValueError, match=rows):
            ask(X, Y)
    with pytest.raises(ValueError, match=r"groups must hold the run of each of the \d+ rows, got shape \(3,\)"):
        encoder.predict(X, groups=[0, 1, 2])
    # One run is told apart from none by nothing.
    alone = BandedRidgeEncoder(BANDS, scale="runs", candidates=3).fit(X, Y, groups=np.zeros(len(X)))
    np.testing.assert_array_equal(alone.predict(X), alone.predict(X, groups=np.full(len(X), 7)))
    assert alone.n_runs_ == 1
    assert not hasattr(alone.set_params(scale=None).fit(X, Y), "n_runs_")


def test_the_runs_of_held_out_rows_reach_predictions_in_cross_validation_and_searches():
    X, Y = problem(n_samples=120)
    runs = np.arange(len(X)) * 6 // len(X)
    X = X * (1.0 + 4 * runs)[:, None]
    by_hand = np.vstack([StandardScaler(with_mean=False).fit_transform(X[runs == run]) for run in range(6)])
    outer, params = GroupKFold(3), {"candidates": 3, "cv": GroupKFold(2)}
    plain = BandedRidgeEncoder(BANDS, **params)
    encoder = BandedRidgeEncoder(BANDS, scale="runs", **params)
    about = {"cv": outer, "groups": runs}
    expected = cross_val_voxel_scores(plain, by_hand, Y, params={"groups": runs}, **about).scores
    ways = {
        "groups": (
            encoder,
            BandedFeatureRegressor(FunctionTransformer(feature_names_out="one-to-one"), encoder, bands=BANDS),
        ),
        "bandedridgeencoder__groups": (make_pipeline(FunctionTransformer(), encoder),),
    }
    for name, models in ways.items():
        for model in models:
            found = cross_val_voxel_scores(model, X, Y, params={name: runs}, **about)
            np.testing.assert_allclose(found.scores, expected, rtol=1e-6)
    mask = Nifti1Image(np.ones((2, 2, 2), dtype="int8"), np.eye(4))
    masked = MaskedTargetRegressor(encoder, NiftiMasker(mask, standardize=None)).fit(X, Y, groups=runs)
    np.testing.assert_allclose(
        masked.voxel_scores(X, Y, groups=runs), masked.regressor_.voxel_scores(X, Y, groups=runs), rtol=1e-4
    )
    with config_context(enable_metadata_routing=True):
        routed = cross_val_voxel_scores(encoder, X, Y, cv=outer, groups=runs)
        np.testing.assert_allclose(routed.scores, expected, rtol=1e-6)
        search = GridSearchCV(encoder, {"candidates": [2, 3]}, cv=outer).fit(X, Y, groups=runs)
        by_itself = GridSearchCV(plain, {"candidates": [2, 3]}, cv=outer).fit(by_hand, Y, groups=runs)
        BandedRidgeEncoder(BANDS, scale="runs", candidates=2, cv=3).fit(X, Y, groups=runs)
    np.testing.assert_allclose(
        search.cv_results_["mean_test_score"], by_itself.cv_results_["mean_test_score"], rtol=1e-6
    )


def test_weights_of_runs_deviations_are_not_multiplied_with_rows_whose_run_is_unknown():
    X, Y = problem()
    runs = np.arange(len(X)) * 3 // len(X)
    encoder = BandedRidgeEncoder(BANDS, scale="runs", candidates=3, cv=GroupKFold(3)).fit(X, Y, groups=runs)
    view = fitted_view(encoder)
    assert np.isnan(view.scale).all()
    for ask in (
        lambda: view.contributions(X, 0),
        lambda: typical_effects(view, X),
        lambda: typical_effects(encoder, X),
    ):
        with pytest.raises(
            ValueError, match=r"by their standard deviation in each run \(scale='runs'\), and whose run"
        ):
            ask()


@pytest.mark.parametrize("form", FORMS)
def test_planted_bands_are_found_voxel_by_voxel(form):
    X, Y = problem(n_samples=200, noise=0.5)
    encoder = BandedRidgeEncoder(BANDS, scale="columns", form=form).fit(X, Y)
    words, sound = encoder.band_alphas_.T
    assert (words[:-1:2] < sound[:-1:2] / 10).all()
    assert (sound[1:-1:2] < words[1:-1:2] / 10).all()
    new_X, new_Y = problem(seed=0, n_samples=200, noise=0.5)
    assert encoder.band_scores(new_X, new_Y)[0, 0] > 0.8


@pytest.mark.parametrize("form", FORMS)
def test_parts_of_bands_add_up(form):
    X, Y = problem()
    encoder = BandedRidgeEncoder(BANDS, candidates=4, form=form).fit(X[:60], Y[:60])
    parts = encoder.predict_by_band(X)
    np.testing.assert_allclose(parts.sum(axis=0) + encoder.target_means_, encoder.predict(X), rtol=1e-10)
    np.testing.assert_allclose(parts[1] + encoder.target_means_, encoder.predict(X, bands="sound"), rtol=1e-10)
    np.testing.assert_allclose(parts[:, :60].mean(axis=1), 0, atol=1e-8)
    r2 = encoder.voxel_scores(X[60:], Y[60:], metric="r2")
    mean = encoder.predict(X[60:], bands=[])
    null = 1 - np.sum((Y[60:] - mean) ** 2, axis=0) / np.sum((Y[60:] - Y[60:].mean(axis=0)) ** 2, axis=0)
    np.testing.assert_allclose(encoder.band_scores(X[60:], Y[60:]).sum(axis=1), r2 - null, rtol=1e-8)


def test_the_split_of_r2_is_himalayas_on_centred_rows():
    from himalaya.scoring import r2_score_split

    X, Y = problem()
    encoder = BandedRidgeEncoder(BANDS, candidates=4).fit(X, Y)
    theirs = r2_score_split(Y - Y.mean(axis=0), encoder.predict_by_band(X))
    np.testing.assert_allclose(encoder.band_scores(X, Y).T, theirs, rtol=1e-8)


def test_a_gradient_search_goes_on_from_the_best_candidate():
    X, Y = problem(n_samples=60)
    random = BandedRidgeEncoder(BANDS, candidates=3).fit(X, Y)
    gradient = BandedRidgeEncoder(BANDS, candidates=3, search="gradient").fit(X, Y)
    np.testing.assert_allclose(gradient.cv_scores_, random.cv_scores_, rtol=1e-8)
    assert (gradient.gradient_scores_[:, -1] >= gradient.gradient_scores_[:, 0] - 1e-9).all()
    # What it arrives at is ridge with these penalties.
    root = np.sqrt(np.repeat(gradient.band_alphas_[1], [30, 15]))
    ridge = Ridge(1.0).fit(X / root, Y[:, 1])
    np.testing.assert_allclose(gradient.predict(X)[:, 1], ridge.predict(X / root), rtol=1e-4)


@pytest.mark.parametrize("form", FORMS)
def test_a_model_of_some_bands_is_that_of_their_columns(form):
    X, Y = problem()
    whole = BandedRidgeEncoder(BANDS, candidates=5, form=form).fit(X, Y)
    words = clone(whole).set_params(only="words").fit(X, Y)
    alone = BandedRidgeEncoder(candidates=5, form=form).fit(X[:, :30], Y)
    np.testing.assert_allclose(words.predict(X), alone.predict(X[:, :30]), rtol=1e-8)
    assert np.isinf(words.band_alphas_[:, 1]).all()
    assert (words.primal_weights("sound") == 0).all()
    assert words.candidates_.shape == (1, 2)  # of one band, all candidates are the same
    three = {"first": slice(0, 10), "rest": slice(10, 30), "sound": slice(30, 45)}
    two = BandedRidgeEncoder(three, candidates=5, only=["first", "sound"], form=form).fit(X, Y)
    drawn = BandedRidgeEncoder(three, candidates=5, alphas=1.0, form=form).fit(X, Y).candidates_
    drawn = drawn[:, [0, 2]] / drawn[:, [0, 2]].sum(axis=1, keepdims=True)
    given = BandedRidgeEncoder([slice(0, 10), slice(10, 25)], candidates=drawn, form=form)
    given.fit(X[:, [*range(10), *range(30, 45)]], Y)
    np.testing.assert_allclose(two.band_alphas_[:, [0, 2]], given.band_alphas_, rtol=1e-8)
    with pytest.raises(ValueError, match=r"only=\['smell'\] must name at least one of the bands"):
        clone(whole).set_params(only="smell").fit(X, Y)


@pytest.mark.parametrize("form", FORMS)
def test_awkward_bands_are_solved(form):
    """A band of zeros, a band given twice, collinear columns, more bands than rows."""
    X, Y = problem(n_samples=30)
    zero = np.zeros((30, 2))
    for features, bands in (
        (np.column_stack([X, zero]), {**BANDS, "zero": slice(45, 47)}),
        (np.column_stack([X, X[:, 30:]]), {**BANDS, "again": slice(45, 60)}),
        (np.column_stack([X, X[:, :30] @ np.ones((30, 3))]), {**BANDS, "sums": slice(45, 48)}),
        (X, list(range(45))),
    ):
        encoder = BandedRidgeEncoder(bands, candidates=4, form=form).fit(features, Y)
        assert np.isfinite(encoder.predict(features)).all()
        assert (encoder.cv_scores_.max(axis=1)[:-1] > -Y.var(axis=0)[:-1] * 1.1).all()
    again = BandedRidgeEncoder(
        {**BANDS, "again": slice(45, 60)}, alphas=5.0, candidates=[[1.0, 0.5, 0.5]], form=form
    ).fit(np.column_stack([X, X[:, 30:]]), Y)
    np.testing.assert_allclose(again.predict(np.column_stack([X, X[:, 30:]])), Ridge(5.0).fit(X, Y).predict(X))


def test_bands_are_named_by_columns_of_a_data_frame_or_by_a_label_a_column():
    X, Y = problem()
    frame = pd.DataFrame(X, columns=[f"w{i}" for i in range(30)] + [f"s{i}" for i in range(15)])
    given = BandedRidgeEncoder(BANDS, candidates=3).fit(X, Y)
    named = {"words": list(frame.columns[:30]), "sound": list(frame.columns[30:])}
    labels = np.repeat(["words", "sound"], [30, 15])
    for data, bands in ((frame, named), (X, labels), (X, list(labels)), (X, [slice(0, 30), np.arange(45) >= 30])):
        other = BandedRidgeEncoder(bands, candidates=3).fit(data, Y)
        np.testing.assert_allclose(other.band_alphas_, given.band_alphas_)
    encoder = BandedRidgeEncoder(named, candidates=3).fit(frame, Y)
    np.testing.assert_allclose(encoder.primal_weights(features=["s3", "w1"]), given.primal_weights(features=[33, 1]))


def test_columns_that_fire_too_rarely_or_too_often_leave_and_are_counted():
    X, Y = problem(n_samples=100)
    X[:, 0] = 0.0
    X[:3, 0] = 1.0  # in 3 % of the rows
    X[:, 1] = 5.0
    X[:, 2] = np.arange(100)  # in 99 %
    encoder = BandedRidgeEncoder(BANDS, candidates=3, firing={"words": (0.05, 0.95)}).fit(X, Y)
    assert encoder.left_out_ == {
        "words": {"rare": 1, "frequent": 2, "constant": 0},
        "sound": {"rare": 0, "frequent": 0, "constant": 0},
    }
    rest = BandedRidgeEncoder({"words": slice(0, 27), "sound": slice(27, 42)}, candidates=3).fit(X[:, 3:], Y)
    np.testing.assert_allclose(encoder.predict(X), rest.predict(X[:, 3:]), rtol=1e-8)
    assert (encoder.primal_weights(features=[0, 1, 2]) == 0).all()


def test_absent_and_constant_voxels_are_counted_and_predicted_as_such():
    X, Y = problem()
    Y[:, 1], Y[:, 2] = np.nan, 4.0
    with pytest.warns(UserWarning, match="Of 8 voxels, 1 are constant and 1 are NaN"):
        encoder = BandedRidgeEncoder(BANDS, candidates=3).fit(X, Y)
    alone = BandedRidgeEncoder(BANDS, candidates=3).fit(X, np.delete(Y, [1, 2], axis=1))
    predictions = encoder.predict(X)
    assert np.isnan(predictions[:, 1]).all()
    assert (predictions[:, 2] == 4.0).all()
    np.testing.assert_allclose(np.delete(predictions, [1, 2], axis=1), alone.predict(X))
    assert np.isnan(encoder.band_alphas_[[1, 2]]).all()
    assert np.isnan(encoder.predict_by_band(X)[:, :, 1]).all()


def test_a_shift_of_the_responses_moves_only_the_intercept():
    X, Y = problem()
    encoder = BandedRidgeEncoder(BANDS, candidates=3).fit(X, Y)
    moved = clone(encoder).fit(X, Y + 100.0)
    np.testing.assert_allclose(moved.band_alphas_, encoder.band_alphas_)
    np.testing.assert_allclose(moved.primal_weights(), encoder.primal_weights(), atol=1e-9)
    np.testing.assert_allclose(moved.intercept_, encoder.intercept_ + 100.0)


def test_single_precision_is_close_to_double():
    X, Y = problem()
    double = BandedRidgeEncoder(BANDS, candidates=3).fit(X, Y)
    single = clone(double).fit(sparse.csr_array(X.astype(np.float32)), Y.astype(np.float32))
    assert single.predict(X.astype(np.float32)).dtype == np.float32
    np.testing.assert_allclose(single.cv_scores_, double.cv_scores_, rtol=1e-3)
    np.testing.assert_allclose(single.predict(X.astype(np.float32)), double.predict(X), rtol=1e-2, atol=1e-2)


def test_the_users_backend_is_as_it_was_also_after_an_error():
    from himalaya.backend import get_backend, set_backend

    X, Y = problem(n_samples=20)
    set_backend("torch")
    try:
        BandedRidgeEncoder(BANDS, candidates=2).fit(X, Y)
        assert get_backend().name == "torch"
        with pytest.raises(ValueError, match="trains on 1 row"):
            BandedRidgeEncoder(BANDS, candidates=2, cv=[([0], [1, 2])]).fit(X, Y)
        with pytest.raises(ValueError, match="lost in the rounding"):
            BandedRidgeEncoder(BANDS, alphas=[1e-30, 2e-30], candidates=2, form="kernel").fit(X[:, :45], Y)
        assert get_backend().name == "torch"
    finally:
        set_backend("numpy")


def test_torch_finds_what_numpy_finds():
    import torch

    X, Y = problem()
    for params in ({}, {"search": "gradient", "n_steps": 3}):
        ours = BandedRidgeEncoder(BANDS, candidates=3, **params).fit(X, Y)
        theirs = clone(ours).set_params(device=torch.device("cpu")).fit(X, Y)
        np.testing.assert_allclose(theirs.cv_scores_, ours.cv_scores_, rtol=1e-8)
        np.testing.assert_allclose(theirs.predict(X), ours.predict(X), rtol=1e-5, atol=1e-5)


def test_stored_duplicates_are_summed():
    X, Y = problem()
    twice = sparse.csr_array(X)
    twice = sparse.csr_array(
        (np.repeat(twice.data / 2, 2), np.repeat(twice.indices, 2), twice.indptr * 2), shape=twice.shape
    )
    encoder = BandedRidgeEncoder(BANDS, candidates=3, firing=(0.1, 1.0), form="kernel")
    np.testing.assert_allclose(encoder.fit(twice, Y).predict(twice), clone(encoder).fit(X, Y).predict(X), rtol=1e-8)
    assert not twice.has_canonical_format


def test_voxels_that_a_smaller_penalty_would_predict_better_are_counted():
    X, Y = problem()
    with pytest.warns(UserWarning, match="^7 of 8 voxels are predicted best with the smallest of 2 penalties"):
        BandedRidgeEncoder(BANDS, alphas=[10.0, 1e3], candidates=3).fit(X, Y)


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_all_fits_of_a_cross_validation_warn_once(n_jobs):
    X, Y = problem()
    models = band_models(BandedRidgeEncoder(BANDS, alphas=[10.0, 1e3], candidates=3))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        cross_val_voxel_scores(models, X, Y, n_jobs=n_jobs)
    caught = [one for one in caught if issubclass(one.category, UserWarning)]
    assert [one.filename for one in caught] == [__file__]
    assert str(caught[0].message).startswith("In 15 fits up to 7 of 8 voxels are predicted best")


def test_all_fits_of_a_search_warn_once_where_that_is_asked_for():
    X, Y = problem()
    encoder = BandedRidgeEncoder(BANDS, alphas=[10.0, 1e3], candidates=3)
    search = GridSearchCV(encoder, {"scale": [None, "columns"]}, cv=2)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with warn_once():
            search.fit(X, Y)
    caught = [one for one in caught if issubclass(one.category, UserWarning)]
    assert [one.filename for one in caught] == [__file__]
    assert str(caught[0].message).startswith("In 5 fits up to ")


def test_nothing_is_said_of_the_smallest_penalty_of_noise_or_of_a_plateau():
    X, _ = problem()
    noise = np.random.default_rng(1).normal(size=(80, 20))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        clean = BandedRidgeEncoder(BANDS, alphas=[1e-7, 1e-6], candidates=3).fit(X, problem(noise=1e-4)[1])
        BandedRidgeEncoder(BANDS, alphas=[1e2, 1e3], candidates=3).fit(X, noise)
    assert (clean.band_alphas_.min(axis=1)[:-1] < 9e-7).any()  # the smallest was chosen


def test_folds_that_are_used_up_are_said():
    X, Y = problem()
    with pytest.raises(ValueError, match="cv gives no folds"):
        BandedRidgeEncoder(BANDS, candidates=3, cv=iter([])).fit(X, Y)


def test_groups_reach_the_splitter():
    X, Y = problem()
    runs = np.repeat(np.arange(4), 20)
    folds = list(GroupKFold(4).split(X, groups=runs))
    by_folds = BandedRidgeEncoder(BANDS, candidates=3, cv=folds).fit(X, Y)
    by_groups = BandedRidgeEncoder(BANDS, candidates=3, cv=GroupKFold(4)).fit(X, Y, groups=runs)
    np.testing.assert_array_equal(by_groups.cv_scores_, by_folds.cv_scores_)
    with config_context(enable_metadata_routing=True):
        routed = BandedRidgeEncoder(BANDS, candidates=3, cv=GroupKFold(4)).fit(X, Y, groups=runs)
    np.testing.assert_array_equal(routed.cv_scores_, by_folds.cv_scores_)
    with pytest.raises(ValueError, match=r"takes groups= for its splitter, got \['weights'\]"):
        BandedRidgeEncoder().fit(X, Y, weights=runs)


def test_grid_search_tries_bands_and_scales():
    X, Y = problem()
    grid = GridSearchCV(
        BandedRidgeEncoder(BANDS, candidates=2), {"scale": [None, "columns"], "bands": [None, BANDS]}, cv=2
    ).fit(X, Y)
    assert grid.best_params_["bands"] == BANDS


def test_an_interrupted_fit_resumes_from_its_candidates(tmp_path, capsys):
    X, Y = problem()
    first = BandedRidgeEncoder(BANDS, candidates=3, memory=tmp_path).fit(X, Y)
    again = BandedRidgeEncoder(BANDS, candidates=3, memory=tmp_path, verbose=1).fit(X, Y)
    np.testing.assert_array_equal(again.cv_scores_, first.cv_scores_)
    said = capsys.readouterr().err
    assert "primal form: 80 rows, 45 columns in 2 bands, 8 voxels, 3 candidates of 20 penalties, 5 folds: about" in said
    assert "3 candidates in" in said


@pytest.mark.parametrize("form", FORMS)
def test_a_fit_that_was_cut_off_searches_only_the_candidates_that_were_left(form, tmp_path, monkeypatch):
    X, Y = problem()
    encoder = BandedRidgeEncoder(BANDS, candidates=10, form=form, memory=tmp_path)
    whole = clone(encoder).set_params(memory=None).fit(X, Y)
    solve, searched = search.search_candidates, []

    @functools.wraps(solve)
    def cut_off(task, weights, *threads):
        if sum(searched) >= 8:
            raise KeyboardInterrupt
        searched.append(len(weights))
        return solve(task, weights, *threads)

    monkeypatch.setattr(search, "search_candidates", cut_off)
    with pytest.raises(KeyboardInterrupt):
        encoder.fit(X, Y)
    assert sum(searched) == 8
    searched.clear()
    encoder.fit(X, Y)
    assert sum(searched) == 2
    np.testing.assert_array_equal(encoder.cv_scores_, whole.cv_scores_)
    np.testing.assert_array_equal(encoder.predict(X), whole.predict(X))


@pytest.mark.parametrize("kind", ["memory map", "HDF5"])
def test_responses_may_lie_in_a_file(kind, tmp_path):
    X, Y = problem()
    Y = Y.astype(np.float32)
    Y[:, 3] = np.nan
    if kind == "HDF5":
        file = h5py.File(tmp_path / "y.h5", "w")
        mapped = file.create_dataset("y", data=Y, chunks=(80, 2))
    else:
        mapped = np.memmap(tmp_path / "y", dtype=np.float32, mode="w+", shape=Y.shape)
        mapped[:] = Y
    with pytest.warns(UserWarning, match="1 are NaN"):
        whole = BandedRidgeEncoder(BANDS, candidates=3).fit(X, Y)
    with pytest.warns(UserWarning, match="1 are NaN"):
        parts = BandedRidgeEncoder(BANDS, candidates=3, block_size=3).fit(X, mapped)
    np.testing.assert_allclose(parts.predict(X), whole.predict(X), rtol=1e-8)


def test_responses_in_a_file_are_read_many_voxels_at_a_time_and_come_out_in_their_places(tmp_path, monkeypatch):
    monkeypatch.setattr(responses, "READ", 8 * 10 * 3)  # three voxels of ten samples
    monkeypatch.setattr(responses, "FROM_FILE", 6)
    Y = np.random.default_rng(0).normal(size=(10, 17)).astype(np.float32)
    Y[:, 4] = np.nan
    file = np.memmap(tmp_path / "Y", dtype=np.float32, mode="w+", shape=Y.shape)
    file[:] = Y
    for source in (Y, file):
        described = responses.describe_responses(source, centre=True)
        np.testing.assert_allclose(described.means, Y.mean(axis=0, dtype=np.float64))
        assert np.flatnonzero(described.absent).tolist() == [4]
        voxels = np.flatnonzero(~described.absent)
        out = np.empty((10, 16), dtype=np.float32)
        described.read(voxels, out)
        np.testing.assert_allclose(out, Y[:, voxels] - Y[:, voxels].mean(axis=0), atol=1e-6)
    read = [values.shape[1] for _, values in responses._pieces(file, voxels, 3)]
    assert read == [3, 3, 3, 3, 3, 1]


def test_penalties_may_be_all_that_is_kept():
    X, Y = problem()
    encoder = BandedRidgeEncoder(BANDS, candidates=3, keep="penalties").fit(X, Y)
    whole = BandedRidgeEncoder(BANDS, candidates=3).fit(X, Y)
    np.testing.assert_array_equal(encoder.band_alphas_, whole.band_alphas_)
    with pytest.raises(AttributeError, match="keeps penalties only"):
        encoder.predict(X)


@pytest.mark.parametrize(
    ("bands", "message"),
    [
        ({"a": slice(0, 3), "b": slice(2, 5)}, "Bands 'a' and 'b' overlap in 1 columns: 'c2'"),
        ({"a": slice(0, 3)}, "2 of 5 columns are in no band: 'c3', 'c4'"),
        ({"a": ["c0", "d"]}, "Band 'a' names 'd', which is not among the 5 feature names"),
        ({"a": [0, 5]}, "Band 'a' must hold a slice, names, or indices of the 5 columns, got 5"),
        ({"a": [0, 0, 1, 2, 3, 4]}, "Band 'a' holds a column twice"),
        (["a", "b"], "bands holds 2 labels, but X has 5 columns"),
        ("a", "one string"),
        ({}, "bands is empty"),
    ],
)
def test_bands_that_make_no_sense_are_named(bands, message):
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(10, 5)), columns=[f"c{i}" for i in range(5)])
    with pytest.raises(ValueError, match=message):
        BandedRidgeEncoder(bands).fit(frame, np.arange(10.0))


def test_other_bad_input_is_named():
    X, Y = problem(n_samples=20)
    for params, message in (
        ({"candidates": [[1.0, -1.0]]}, "weight of at least 0 for each of the 2 bands"),
        ({"candidates": [[1.0]]}, "for each of the 2 bands in each row"),
        ({"alphas": [-1.0, 1.0]}, "alphas must be positive numbers"),
        ({"firing": {"smell": (0, 1)}}, r"firing names the bands \['smell'\]"),
        ({"firing": (0.5, 0.1)}, "two shares of the rows"),
        ({"search": "gradient", "form": "primal"}, "works on kernels"),
        ({"device": "mps"}, "device='mps' cannot be used"),
        ({"form": "dual"}, "'form' parameter of BandedRidgeEncoder must be one of"),
    ):
        with pytest.raises(ValueError, match=message):
            BandedRidgeEncoder(BANDS).set_params(**params).fit(X, Y)
    Y[3, 2] = np.nan
    with pytest.raises(ValueError, match="NaN in some samples of voxel 2, the first in sample 3"):
        BandedRidgeEncoder(BANDS).fit(X, Y)
    huge = X.astype(np.float32)
    huge[0, 0] = 1e30
    with pytest.raises(ValueError, match="kernel of band 'words' is not finite"):
        BandedRidgeEncoder(BANDS, form="kernel").fit(huge, Y[:, :1])
    encoder = BandedRidgeEncoder(BANDS, candidates=2).fit(X, Y[:, :1])
    with pytest.raises(ValueError, match=r"no bands \['smell'\]; the bands are \['words', 'sound'\]"):
        encoder.predict(X, bands="smell")
    with pytest.raises(ValueError, match="bands or features, not both"):
        encoder.primal_weights("words", features=[1])


def test_a_fit_that_takes_too_much_memory_is_refused_with_what_would_fit():
    X, Y = sparse.random_array((400, 5000), density=0.01, rng=np.random.default_rng(0)), np.ones((400, 3))
    Y += np.arange(400)[:, None]
    with pytest.raises(MemoryError, match=r"more than max_memory=0.0135.*What would fit: \d+ rows in the kernel form"):
        BandedRidgeEncoder([slice(0, 2500), slice(2500, 5000)], max_memory=0.0135).fit(X, Y)
    with pytest.raises(MemoryError, match="nothing of this kind"):
        BandedRidgeEncoder(max_memory=1e-6).fit(X, Y)


@pytest.mark.parametrize("form", FORMS)
def test_what_is_saved_predicts_the_same(form, tmp_path):
    X, Y = problem()
    X = sparse.csr_array(X)
    encoder = BandedRidgeEncoder(BANDS, candidates=3, form=form, cv=KFold(3)).fit(X, Y)
    for loaded in (
        pickle.loads(pickle.dumps(encoder)),
        load_encoder(save_encoder(encoder, tmp_path / "encoder") and tmp_path / "encoder"),
    ):
        np.testing.assert_array_equal(loaded.predict(X), encoder.predict(X))
        np.testing.assert_array_equal(loaded.primal_weights("sound"), encoder.primal_weights("sound"))


def test_images_are_predicted_through_a_mask():
    import nibabel

    X, Y = problem()
    mask = nibabel.Nifti1Image(np.ones((2, 2, 2), dtype=np.int8), np.eye(4))
    images = nibabel.Nifti1Image(Y.T.reshape(2, 2, 2, -1), np.eye(4))
    model = MaskedTargetRegressor(BandedRidgeEncoder(BANDS, candidates=3), NiftiMasker(mask, standardize=False))
    predicted = model.fit(X, images).predict(X)
    alone = BandedRidgeEncoder(BANDS, candidates=3).fit(X, Y).predict(X)
    np.testing.assert_allclose(predicted, alone, rtol=1e-3, atol=1e-3)  # nilearn masks in single precision
    penalties = model.alpha_img("words").get_fdata().ravel()
    np.testing.assert_allclose(penalties, model.regressor_.band_alphas_[:, 0], rtol=1e-5)
    with pytest.raises(ValueError, match=r"band must be one of \['words', 'sound'\], got None"):
        model.alpha_img()
