"""What was done, in the words and settings of the report."""

import pickle
import shutil

import numpy as np
import pytest
from report_cases import (
    given,
    make_texts,
    text_of,
)
from sklearn.linear_model import Ridge
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import StandardScaler

from sklearn_sae_encoding._data_hash import hash_data
from sklearn_sae_encoding.activations import LMActivationTransformer
from sklearn_sae_encoding.encoder import SparseVoxelEncoder
from sklearn_sae_encoding.metrics import cross_val_voxel_scores
from sklearn_sae_encoding.persistence import read_manifest, save_encoder
from sklearn_sae_encoding.report import encoder_report
from sklearn_sae_encoding.sae import SAEProjector
from sklearn_sae_encoding.surprisal import SurprisalTransformer


def test_the_methods_name_what_was_fitted_and_what_is_not_known(report, case):
    page = text_of(report)
    encoder = case[2]
    assert "Responses of 12 voxels to 60 texts" in page
    assert "the lasso" in page
    assert "12 log-spaced values from the smallest that empties its model to 0.001 of it" in page
    assert "(3 contiguous folds; least mean squared error)" in page
    assert "Always in the model: surprisal_mean." in page
    folds = "KFold(n_splits=4, random_state=0, shuffle=True)"
    assert f"4 outer folds (15 texts each; {folds}), on features made beforehand, the regression being fitted" in page
    assert f"splitter {folds}" in page
    assert "Pearson's correlation, averaged over folds by Fisher's z and divided by the voxel's noise ceiling" in page
    assert "Not known to this report" in page
    for name in encoder.get_params():
        if name not in ("n_jobs", "verbose", "memory", "block_size"):
            assert f" {name} " in page


def test_the_methods_name_model_hook_sae_and_surprisal(pipeline_case, tiny_lm_dir, sae_dir):
    model, texts, Y = pipeline_case
    scores = cross_val_voxel_scores(Ridge(), np.arange(len(texts))[:, None], Y, cv=2)
    page = text_of(encoder_report(model, texts, Y, scores=scores, n_features=1))
    assert "The language model tiny-llama (a local copy) read each text on its own, preceded by its beginning" in page
    assert "Activations of every token were taken at blocks.2.hook_resid_post." in page
    assert "all 40 features were averaged over the tokens of a text" in page
    assert "negative log probability in nats given what came before, standardised over texts" in page
    assert "refitted by ridge regression, each voxel's penalty chosen among 8 values from 0.01 to 100,000" in page
    assert "all that is fitted being fitted anew in each; a voxel's score" in page
    assert f"SHA-256 of the texts {hash_data(texts)}" in page
    assert str(tiny_lm_dir) not in page  # where files lie on somebody's disk is not for the co-author
    assert sae_dir not in page


@pytest.mark.parametrize(
    ("pooling", "sentence"),
    [
        ("last", "The activation of each text's last token was taken at blocks.2.hook_resid_post."),
        ("mean", "Activations at blocks.2.hook_resid_post were averaged over the tokens of a text."),
        ("max", "Activations at blocks.2.hook_resid_post were reduced to their maximum over the tokens of a text."),
        ("sum", "Activations at blocks.2.hook_resid_post were summed over the tokens of a text."),
    ],
)
def test_the_methods_say_how_pooled_activations_were_encoded(pooling, sentence, pipeline_case, tiny_lm_dir, sae_dir):
    _, texts, Y = pipeline_case
    activations = LMActivationTransformer(tiny_lm_dir, 2, level="text", pooling=pooling)
    encoder = SparseVoxelEncoder(alphas=[0.1])
    for steps in ([activations], [activations, SAEProjector(sae_dir, check_match=False)]):
        page = text_of(encoder_report(make_pipeline(*steps, encoder).fit(texts, Y), texts, Y, n_features=1))
        assert sentence in page
        assert "Activations of every token" not in page
        assert "Each token's activation" not in page
        assert f"pooling of activations {pooling}" in page
        assert ("Each text's one activation vector was encoded by the sparse auto" in page) == (len(steps) == 2)


def test_the_methods_name_every_language_model_and_site(pipeline_case, tiny_lm_dir, sae_dir, tmp_path):
    _, texts, Y = pipeline_case
    shutil.copytree(tiny_lm_dir, tmp_path / "other-llama")
    first, second = LMActivationTransformer(tiny_lm_dir, 2), LMActivationTransformer(tiny_lm_dir, 1, level="text")
    surprisal = SurprisalTransformer(str(tmp_path / "other-llama"))
    union = make_union(make_pipeline(first, SAEProjector(sae_dir)), second, surprisal)
    model = make_pipeline(union, SparseVoxelEncoder(alphas=[0.1])).fit(texts, Y)
    page = text_of(encoder_report(model, texts, Y, n_features=1))
    assert "Activations of every token were taken at blocks.2.hook_resid_post of tiny-llama (a local copy)." in page
    assert "Activations at blocks.1.hook_resid_post were averaged over the tokens of a text of tiny-llama" in page
    assert "Surprisal of other-llama (a local copy), the mean over a text's tokens" in page
    assert page.count("read each text on its own") == 2
    assert page.count("Language model name") == 2


def test_r2_is_told_from_correlations(case):
    X, Y, encoder, _ = case
    scores = cross_val_voxel_scores(Ridge(), X, Y, cv=4, metric="r2")
    page = text_of(encoder_report(encoder, make_texts(), Y, scores=scores, **given(X), n_features=1))
    assert "a voxel's score is R², averaged over folds." in page
    assert "Cross-validated R²" in page


def test_r2_of_one_fold_between_0_and_1_is_not_taken_for_a_correlation(case):
    # Here no number tells: one fold's average is the fold, whatever the metric.
    X, Y, encoder, _ = case
    split = [(np.arange(40), np.arange(40, 60))]
    scores = cross_val_voxel_scores(encoder, X, Y, cv=split, metric="r2")
    assert scores.metric == "r2"
    assert np.abs(scores.scores).max() < 1
    page = text_of(encoder_report(encoder, make_texts(), Y, scores=scores, **given(X), n_features=1))
    assert "Cross-validated R²" in page


def test_data_have_the_hashes_of_the_saved_encoder(case, image_case, tmp_path):
    X, Y, encoder, _ = case
    images, masked = image_case[1], image_case[2]
    for name, model, responses in (("array", encoder, Y), ("images", masked, images)):
        page = text_of(encoder_report(model, make_texts(), responses, **given(X), n_features=1))
        save_encoder(model, tmp_path / name, X=X, Y=responses)
        data = read_manifest(tmp_path / name)["data"]
        assert f"SHA-256 of the features {data['X']['sha256']}" in page
        assert f"SHA-256 of the responses {data['Y']['sha256']}" in page
    again = text_of(encoder_report(encoder, make_texts(), np.asfortranarray(Y), features=X.to_numpy(), n_features=1))
    assert hash_data(Y) in again
    assert hash_data(Y + 1e-9) not in again


@pytest.mark.parametrize(
    ("cv", "words"),
    [
        (4, "KFold(n_splits=4, random_state=None, shuffle=False)"),
        ([(np.arange(40), np.arange(40, 60))], "folds given one by one"),
        (GroupKFold(3), "GroupKFold(n_splits=3, random_state=None, shuffle=False) by groups"),
    ],
)
def test_scores_remember_their_splitter_also_after_pickling(cv, words, case):
    X, Y, _, _ = case
    groups = np.arange(60) // 6 if isinstance(cv, GroupKFold) else None
    scores = pickle.loads(pickle.dumps(cross_val_voxel_scores(Ridge(), X, Y, cv=cv, groups=groups)))
    assert scores.splits.made_by == words
    assert len(scores.splits) == len(scores.fold_scores)


@pytest.mark.parametrize(
    ("step", "standardised"),
    [(StandardScaler(), True), (StandardScaler(with_std=False), False), (None, False)],
    ids=["standardised", "centred", "as it is"],
)
def test_surprisal_is_called_standardised_only_if_it_is(step, standardised, pipeline_case, tiny_lm_dir):
    _, texts, Y = pipeline_case
    content = make_pipeline(LMActivationTransformer(tiny_lm_dir, 2, level="text"), StandardScaler())
    surprisal = make_pipeline(*filter(None, [SurprisalTransformer(tiny_lm_dir), step]))
    model = make_pipeline(make_union(content, surprisal), SparseVoxelEncoder(alphas=[0.1])).fit(texts, Y)
    page = text_of(encoder_report(model, texts, Y, n_features=1))
    assert "log probability in nats given what came before" in page
    assert ("given what came before, standardised over texts, was a feature" in page) is standardised
