"""What the report warns of, and what it refuses."""

import re

import numpy as np
import pytest
from report_cases import given, make_encoder, make_texts, text_of
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Lasso, LinearRegression, Ridge

from sklearn_sae_encoding.analysis import stability_selection
from sklearn_sae_encoding.banded import BandedRidgeEncoder
from sklearn_sae_encoding.metrics import cross_val_voxel_scores
from sklearn_sae_encoding.report import encoder_report


@pytest.mark.parametrize(
    ("encoder", "message"),
    [
        (make_encoder(alphas=[0.5, 0.4]), r"12 voxels? chose the smallest penalty tried"),
        (make_encoder(alphas=[1e-3, 1e-4]), r"\d+ voxels? chose the largest penalty tried, and still use features"),
    ],
)
def test_penalties_at_the_edge_of_the_grid_are_warned_of(case, encoder, message):
    X, Y, *_ = case
    assert re.search(
        message,
        text_of(encoder_report(encoder.fit(X, Y), make_texts(), Y, **given(X), n_features=1)),
    )


def test_empty_models_are_counted_and_no_reason_to_extend_the_grid(case):
    X, Y, *_ = case
    page = text_of(
        encoder_report(
            make_encoder(alphas=[50.0, 49.0]).fit(X, Y),
            make_texts(),
            Y,
            **given(X),
            n_features=1,
        )
    )
    assert "voxels without a content feature 12" in page
    assert "chose the largest penalty" not in page


OTHER = "Other data than those of the fit. In 12 voxels"
MODELS = [make_encoder, lambda: make_encoder(refit="ridge"), Ridge, lambda: Lasso(0.01), LinearRegression]


def page_of(model, Y, X):
    return text_of(encoder_report(model, [f"text {i}" for i in range(len(Y))], Y, **given(X), n_features=1))


@pytest.mark.parametrize("make", MODELS)
def test_features_or_responses_that_are_not_those_of_the_fit_are_noticed(case, make):
    X, Y, *_ = case
    model, order = make().fit(X, Y), np.random.default_rng(0).permutation(60)
    assert "Other data" not in page_of(model, Y, X)
    assert "Other data" not in page_of(model, Y[order], X.iloc[order])  # both in another order are the same data
    assert "Other data" not in page_of(model, Y, X + 1e-7)  # what was computed again
    assert OTHER in page_of(model, Y, X + 1)
    assert OTHER in page_of(model, Y + 1, X)
    assert OTHER in page_of(model, Y[order], X)  # the same means
    assert OTHER in page_of(model, Y, X.iloc[order])


def test_two_texts_that_changed_places_are_noticed_by_what_the_encoder_keeps(case):
    X, Y, encoder, _ = case
    swapped = np.r_[1, 0, np.arange(2, 60)]
    assert OTHER in page_of(encoder, Y[swapped], X)
    assert OTHER in page_of(encoder, Y, X.iloc[swapped])


def test_texts_and_images_in_another_order_are_noticed(pipeline_case, image_case):
    model, texts, Y = pipeline_case
    order = np.random.default_rng(1).permutation(len(texts))
    assert "Other data" not in text_of(encoder_report(model, texts, Y, n_features=1))
    assert "Other data" in text_of(encoder_report(model, [texts[i] for i in order], Y, n_features=1))
    X, images, masked, _ = image_case
    order = np.random.default_rng(1).permutation(60)
    moved = type(images)(images.get_fdata()[..., order].astype(np.float32), images.affine)
    assert "Other data" not in text_of(encoder_report(masked, make_texts(), images, **given(X), n_features=1))
    page = text_of(encoder_report(masked, make_texts(), moved, **given(X), n_features=1))
    assert "Other data than those of the fit. In 119 voxels" in page


def test_voxels_that_did_not_converge_are_counted(case):
    X, Y, encoder, scores = case
    late = make_encoder().fit(X, Y)
    late.dual_gap_ = late.dual_gap_.copy()
    late.dual_gap_[:3] = 2 * late.tol * Y[:, :3].var(axis=0)
    page = text_of(encoder_report(late, make_texts(), Y, scores=scores, **given(X), n_features=1))
    assert "Not converged. In 3 voxels the duality gap exceeds tol = 0.0001" in page
    assert "Not converged" not in text_of(encoder_report(encoder, make_texts(), Y, **given(X), n_features=1))


def test_missing_scores_repeated_texts_and_constant_voxels_are_warned_of(case):
    X, Y, *_ = case
    Y = Y.copy()
    Y[:, 4] = 7.0
    with pytest.warns(UserWarning, match="1 are constant"):
        encoder = make_encoder().fit(X, Y)
    texts = ["same"] * 3 + make_texts()[3:]
    page = text_of(encoder_report(encoder, texts, Y, **given(X), n_features=1))
    assert "No cross-validated scores." in page
    assert "2 of 60 texts equal an earlier one" in page
    assert "1 voxel never changed" in page


def test_a_report_without_findings_says_what_was_looked_at(case):
    X, Y, encoder, scores = case
    page = text_of(
        encoder_report(
            encoder,
            [f"text {i}" for i in range(60)],
            Y,
            scores=scores,
            **given(X),
            n_features=1,
        )
    )
    assert "Warnings 0" in page
    assert "Nothing was found. Looked at, as far as the model tells: convergence" in page


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"features": None}, "takes 31 features, not texts. Pass features="),
        ({"features": np.zeros((60, 3))}, r"features of shape \(60, 31\), a row a text, got \(60, 3\)"),
        ({"texts": make_texts()[:5]}, "5 texts, but 60 rows or images"),
        ({"texts": "one text"}, "single string: 'one text'"),
        ({"texts": [*make_texts()[:59], None]}, "text 59 is None"),
        ({"texts": []}, "There is no text"),
        ({"Y": np.zeros((60, 3))}, "fitted to 12 voxels, but Y has 3"),
        ({"scores": np.zeros(12)}, "what cross_val_voxel_scores gives"),
        ({"scores": {"a": np.zeros(12)}}, "got ndarray for 'a'"),
    ],
)
def test_what_does_not_belong_together_is_refused(case, changes, message):
    X, Y, encoder, _ = case
    arguments = {"texts": make_texts(), "Y": Y, "features": X, **changes}
    with pytest.raises((ValueError, TypeError), match=message):
        encoder_report(encoder, **arguments)


def test_a_stability_of_other_voxels_or_for_a_model_that_selects_nothing_is_refused(case):
    X, Y, encoder, _ = case
    stability = stability_selection(Lasso(0.2), X, Y[:, :3], n_pairs=2, random_state=0)
    with pytest.raises(ValueError, match=r"stability must be of the voxels .*\(12, 31\); it is of \(3, 31\)"):
        encoder_report(encoder, make_texts(), Y, **given(X), stability=stability)
    ridge = BandedRidgeEncoder({"all": slice(None)}, candidates=2, cv=3).fit(X, Y)
    with pytest.raises(ValueError, match="a BandedRidgeEncoder selects none"):
        encoder_report(ridge, make_texts(), Y, **given(X), stability=stability)


def test_noise_ceilings_of_other_voxels_are_refused(case):
    X, Y, encoder, scores = case
    with pytest.raises(ValueError, match=r"a noise ceiling a voxel, \(12,\), got shape \(3,\)"):
        encoder_report(encoder, make_texts(), Y, **given(X), scores=scores, noise_ceiling=[0.5, 0.5, 0.5])


def test_scores_of_other_voxels_are_refused(case):
    X, Y, encoder, _ = case
    scores = cross_val_voxel_scores(Ridge(), X, Y[:, :3], cv=3)
    with pytest.raises(ValueError, match="a score a voxel, 12, but 'model' has 3"):
        encoder_report(encoder, make_texts(), Y, **given(X), scores=scores)


def test_a_model_that_is_not_fitted_is_refused(case):
    with pytest.raises(NotFittedError, match="not fitted"):
        encoder_report(make_encoder(), make_texts(), case[1], features=case[0])
