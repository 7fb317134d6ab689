"""The report of a banded ridge: its bands, penalties and features."""

import numpy as np
import pytest
from report_cases import FEATURES, given, make_texts, text_of
from tiny_models import SENTENCES

from sklearn_sae_encoding.analysis import rank_band_features
from sklearn_sae_encoding.banded import BandedRidgeEncoder
from sklearn_sae_encoding.pipeline import make_banded_encoder
from sklearn_sae_encoding.report import encoder_report

BANDS = {"content": slice(0, 30), "surprisal": [30]}


@pytest.mark.parametrize("form", ["kernel", "primal"])
def test_a_banded_ridge_is_told_by_bands_penalties_and_effects(case, form):
    X, Y, *_ = case
    encoder = BandedRidgeEncoder(BANDS, candidates=4, cv=3, form=form, scale="columns").fit(X, Y)
    report = encoder_report(encoder, make_texts(), Y, **given(X), n_features=3, n_texts=1)
    page = text_of(report)
    assert "in 2 bands (content, surprisal), by banded ridge regression, with a penalty for each band and voxel" in page
    assert "among 4 weightings of the bands and 20 penalties" in page
    assert "divided by their standard deviations over the training texts" in page
    median = np.median(encoder.band_alphas_[:, 1])
    assert f"{median:.3g}" in page
    first = rank_band_features(encoder, features=FEATURES).iloc[0]
    assert f"{first['feature']} {first['band']} {first['effect']:.3g}" in page
    assert "Features of the largest effect" in page
    assert "Other data" not in page


def test_predictions_of_columns_scaled_by_run_are_not_split_and_the_page_says_why(case):
    X, Y, *_ = case
    runs = np.arange(len(Y)) * 2 // len(Y)
    encoder = BandedRidgeEncoder(BANDS, candidates=2, cv=2, scale="runs").fit(X, Y, groups=runs)
    page = text_of(encoder_report(encoder, make_texts(), Y, **given(X), n_features=1))
    assert "divided by their standard deviations in each run" in page
    assert "Predictions are not split into surprisal’s and content’s parts" in page


def test_other_data_than_those_of_the_fit_are_found(case):
    X, Y, *_ = case
    encoder = BandedRidgeEncoder(BANDS, candidates=4, cv=3).fit(X, Y)
    page = text_of(encoder_report(encoder, make_texts(), Y[::-1].copy(), **given(X), n_features=1))
    assert "Other data than those of the fit. In 12 voxels" in page


def test_a_model_of_texts_is_told_with_its_language_model_and_the_tokens_that_drive_it(tiny_lm_dir):
    Y = np.random.default_rng(0).normal(3.0, 2.0, (len(SENTENCES), 4))
    encoder = BandedRidgeEncoder(candidates=3, cv=2)
    model = make_banded_encoder(
        tiny_lm_dir, 1, encoder=encoder, sae_params={"n_features": 12, "widths": [4, 12], "n_steps": 2}
    )
    page = text_of(encoder_report(model.fit(SENTENCES, Y), SENTENCES, Y, n_features=13, n_texts=1))
    assert "in 2 bands (sae, surprisal), by banded ridge regression" in page
    assert "Activations of every token were taken at blocks.1.hook_resid_post" in page
    assert "Strongest token" in page
    assert "surprisal_mean surprisal" in page
