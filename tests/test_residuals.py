"""What features leave out, and what was not foretold."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_sae_encoding.activations import LMActivationTransformer
from sklearn_sae_encoding.fitted import fitted_view
from sklearn_sae_encoding.residuals import FeaturePredictionError, SAEResidual
from sklearn_sae_encoding.sae import SAEProjector
from sklearn_sae_encoding.tokens import TokenTable


@pytest.fixture(scope="module")
def activations():
    rng = np.random.default_rng(0)
    return TokenTable([rng.standard_normal((n, 8)).astype(np.float32) for n in (3, 6, 1, 9)])


def chain(rng, n_texts=40, n_rows=30, noise=0.3):
    """Features whose next row is a fixed mixture of the row before, and noise."""
    mixing = np.linalg.qr(rng.normal(size=(5, 5)))[0] * 0.8
    texts = []
    for _ in range(n_texts):
        rows = [rng.normal(size=5)]
        for _ in range(n_rows - 1):
            rows.append(rows[-1] @ mixing + noise * rng.normal(size=5) + 1)
        texts.append(np.array(rows))
    return texts, mixing


def test_features_and_residual_add_up_to_the_activations(activations):
    projector = SAEProjector(n_features=16, random_state=0, level="token")
    residual = SAEResidual(projector, level="token").fit(activations)
    features = residual.projector_.transform(activations)
    for value, of_text, error in zip(activations, features, residual.transform(activations), strict=True):
        np.testing.assert_allclose(residual.projector_.inverse_transform(of_text) + error, value, atol=1e-5)


def test_the_residual_is_what_sae_lens_leaves_of_each_token_and_pooled_afterwards(activations):
    torch = pytest.importorskip("torch")
    residual = SAEResidual(SAEProjector(n_features=16, random_state=0)).fit(activations)
    sae = residual.projector_.learnt_.build("cpu", "float32")
    with torch.no_grad():
        expected = [x.mean(axis=0) - sae(torch.from_numpy(x)).mean(0).numpy() for x in activations]
    np.testing.assert_allclose(residual.transform(activations), expected, atol=1e-5)


def test_the_residual_of_words_knows_its_words(tiny_lm_dir, texts):
    table = LMActivationTransformer(tiny_lm_dir, 1).fit_transform(texts)
    words = SAEResidual(SAEProjector(n_features=8, n_steps=2, random_state=0), level="word").fit_transform(table)
    assert words.tokens == table.pool(by="word").tokens
    assert words.names[0] == "sae_residual_0"


def test_prediction_errors_are_those_of_scikit_learns_ridge():
    texts, _ = chain(np.random.default_rng(1))
    error = FeaturePredictionError(alpha=3.0, level="token").fit(TokenTable(texts))
    scaler = StandardScaler(with_mean=False).fit(np.vstack(texts))
    before, after = (np.vstack([text[part] for text in texts]) for part in (slice(-1), slice(1, None)))
    ridge = Ridge(3.0).fit(scaler.transform(before), after)
    given = error.transform(TokenTable(texts[:2]))
    for text, of_text in zip(texts, given, strict=False):
        expected = text[1:] - ridge.predict(scaler.transform(text[:-1]))
        np.testing.assert_allclose(of_text[1:], expected, atol=1e-4)
        np.testing.assert_allclose(of_text[0], text[0] - np.vstack(texts).mean(axis=0), atol=1e-4)


def test_what_a_text_foretells_is_taken_away_and_only_the_noise_stays():
    texts, _ = chain(np.random.default_rng(2), noise=0.3)
    held_out = TokenTable(texts[20:])
    errors = FeaturePredictionError(level="token").fit(TokenTable(texts[:20])).transform(held_out)
    assert np.std(np.vstack([one[1:] for one in errors])) == pytest.approx(0.3, rel=0.03)


def test_sparse_features_and_texts_of_one_row_are_taken_like_others():
    texts, _ = chain(np.random.default_rng(3), n_texts=6)
    texts = [np.maximum(text, 0) for text in texts]
    dense, packed = (
        TokenTable([*texts, texts[0][:1]]),
        TokenTable([sparse.csr_array(t) for t in [*texts, texts[0][:1]]]),
    )
    one, other = (FeaturePredictionError().fit_transform(table) for table in (dense, packed))
    np.testing.assert_allclose(one, other, atol=1e-5)
    assert one.shape == (7, 5)


def test_words_that_are_samples_foretell_the_next_of_their_story(tiny_lm_dir, texts):
    model = LMActivationTransformer(tiny_lm_dir, 1)
    stories = [" ".join(texts[:5]), " ".join(texts[5:])]
    project = SAEProjector(n_features=12, n_steps=3, random_state=0).fit(model.fit_transform(stories)).learnt_
    words = SAEProjector(project, level="word").fit_transform(model.transform(stories))
    spans = [(story, *span) for story, of in zip(stories, words.offsets, strict=True) for span in of.tolist()]
    samples = pd.DataFrame(spans, columns=["text", "start", "end"])
    by_row = FeaturePredictionError(level="token").fit_transform(words)
    chain = make_pipeline(model, SAEProjector(project, level="token"), FeaturePredictionError(unit="sample"))
    found = chain.fit_transform(samples)
    np.testing.assert_allclose(found, np.concatenate(list(by_row)), atol=1e-5)


def test_both_stand_in_a_pipeline_as_controls(tiny_lm_dir, texts):
    residual = SAEResidual(SAEProjector(n_features=8, n_steps=2, random_state=0))
    Y = np.random.default_rng(4).normal(size=(len(texts), 2))
    model = make_pipeline(LMActivationTransformer(tiny_lm_dir, 1), residual, Ridge()).fit(texts, Y)
    features = fitted_view(model).features
    assert features["feature"][0] == "sae_residual_0"
    assert set(features["kind"]) <= {"control", "activation"}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda t: SAEResidual(SAEProjector()).fit(np.ones((3, 8))), "Expected a TokenTable of activations"),
        (lambda t: SAEResidual(None).fit(t), "'projector' parameter of SAEResidual must be"),
        (lambda t: FeaturePredictionError(unit="sample").fit(t), "needs a TokenTable that knows its texts"),
        (lambda t: FeaturePredictionError().fit(t[:0]), "at least one text"),
        (lambda t: FeaturePredictionError(alpha=0).fit(t), "'alpha' parameter of FeaturePredictionError must be"),
        (lambda t: FeaturePredictionError().fit(TokenTable([np.ones((1, 2))])), "No text has two rows"),
        (lambda t: FeaturePredictionError().fit(TokenTable([np.ones((2, 9000))])), "at most 8192 fit"),
        (lambda t: FeaturePredictionError().fit(t).transform(TokenTable([np.ones((2, 3))])), "X has 3 features"),
    ],
)
def test_what_cannot_be_taken_is_refused(activations, call, message):
    with pytest.raises(ValueError, match=message):
        call(activations)
