"""Features that the model's own distribution of next tokens did not foretell."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.pipeline import FeatureUnion, make_pipeline
from tiny_models import save_tiny_model

from sklearn_sae_encoding._lm.loading import load_model
from sklearn_sae_encoding.activations import LMActivationTransformer
from sklearn_sae_encoding.expectations import NextTokenPredictionError
from sklearn_sae_encoding.fitted import fitted_view
from sklearn_sae_encoding.language_model import LanguageModel, source_of
from sklearn_sae_encoding.sae import SAEProjector
from sklearn_sae_encoding.surprisal import SurprisalTransformer
from sklearn_sae_encoding.timing import StoryRun, WordsToScans
from sklearn_sae_encoding.tokens import Spans, TokenTable

torch = pytest.importorskip("torch")
LAYER, K = 1, 4


@pytest.fixture(scope="module")
def projector(tiny_lm_dir, texts):
    table = LMActivationTransformer(tiny_lm_dir, LAYER).fit_transform(texts)
    return SAEProjector(SAEProjector(n_features=16, n_steps=3, random_state=0).fit(table).learnt_)


def by_hand(folder, text, projector, k=K):
    """Errors by one pass of transformers a candidate, each behind the words before it."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    ids = [tokenizer.bos_token_id, *tokenizer(text, add_special_tokens=False)["input_ids"]]
    project = SAEProjector(projector.sae, level="token", sparse_output=False)
    errors = []
    for place in range(1, len(ids)):
        with torch.no_grad():
            before = model(torch.tensor([ids[:place]])).logits[0, -1].softmax(-1)
            top = before.topk(k)
            read = [
                model(torch.tensor([[*ids[:place], token]]), output_hidden_states=True).hidden_states[LAYER + 1][0, -1]
                for token in [ids[place], *top.indices.tolist()]
            ]
        features = project.fit_transform(TokenTable([torch.stack(read).numpy()]))[0]
        errors.append(features[0] - np.average(features[1:], axis=0, weights=top.values.numpy()))
    return np.array(errors)


@pytest.mark.parametrize("family", ["llama", "gpt2", "opt", "gemma2", "bloom"])
def test_errors_are_those_of_reading_every_candidate_on_its_own(family, tmp_path, texts):
    folder = save_tiny_model(tmp_path / family, family)
    activations = LMActivationTransformer(folder, LAYER).fit_transform(texts)
    learnt = SAEProjector(SAEProjector(n_features=16, n_steps=3, random_state=0).fit(activations).learnt_)
    model = NextTokenPredictionError(LanguageModel(folder, batch_tokens=40), LAYER, learnt, k=K, level="token")
    for text, found in zip(texts[:3], model.fit_transform(texts[:3]), strict=True):
        np.testing.assert_allclose(found.toarray(), by_hand(folder, text, learnt), atol=1e-4)


def test_a_family_with_passes_of_many_candidates_runs_few_and_others_one_row_a_candidate(
    tiny_lm_dir, tmp_path, texts, projector
):
    calls = {}
    for family, folder in (("llama", tiny_lm_dir), ("bloom", save_tiny_model(tmp_path / "bloom", "bloom"))):
        model = LanguageModel(folder, batch_tokens=4000)
        error = NextTokenPredictionError(model, LAYER, clone(projector).set_params(check_match=False), k=K).fit(
            texts[:1]
        )
        seen = []
        handle = load_model(source_of(model)).model.register_forward_pre_hook(
            lambda _m, _args, kwargs, seen=seen: seen.append(tuple(kwargs["input_ids"].shape)), with_kwargs=True
        )
        error.transform(texts[:1])
        handle.remove()
        calls[family] = seen
    n = len(by_hand(tiny_lm_dir, texts[0], projector))
    # The text itself is known from fit; one pass for the probabilities, one for all candidates.
    assert calls["llama"] == [(1, n + 1), (1, n + K * n + 1)]
    assert sum(rows for rows, _ in calls["bloom"][1:]) == K * n


def test_long_texts_in_windows_see_as_much_as_their_activations_do(tiny_lm_dir, texts, projector):
    text = " ".join(texts)
    model = LanguageModel(tiny_lm_dir, window=24, stride=12, batch_tokens=60)
    error = NextTokenPredictionError(model, LAYER, projector, k=400, level="token").fit([text])
    activations = LMActivationTransformer(model, LAYER).fit_transform([text])
    (features,) = SAEProjector(projector.sae, level="token", sparse_output=False).fit_transform(activations)
    (found,) = error.transform([text])
    # With all 400 tokens of the vocabulary the token itself is one of the candidates: no expectation is beyond the
    # most active of them, and what is covered is everything.
    expected = features - found.toarray()
    assert expected.shape == features.shape
    assert expected.min() > -1e-5
    np.testing.assert_allclose(error.covered([text])[0], 1, atol=1e-4)


def test_what_is_covered_grows_with_the_candidates_and_is_what_transformers_says(tiny_lm_dir, texts, projector):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model, tokenizer = AutoModelForCausalLM.from_pretrained(tiny_lm_dir), AutoTokenizer.from_pretrained(tiny_lm_dir)
    ids = [tokenizer.bos_token_id, *tokenizer(texts[0], add_special_tokens=False)["input_ids"]]
    with torch.no_grad():
        top = model(torch.tensor([ids])).logits[0, :-1].softmax(-1).topk(K).values.sum(-1).numpy()
    error = NextTokenPredictionError(tiny_lm_dir, LAYER, projector, k=K).fit(texts)
    np.testing.assert_allclose(error.covered(texts[:1])[0].ravel(), top, rtol=1e-4)
    more = error.set_params(k=3 * K).covered(texts)
    assert all((m > t).all() for m, t in zip(more, error.set_params(k=K).covered(texts), strict=True))


def test_words_spans_and_texts_pool_the_errors_of_their_tokens(tiny_lm_dir, texts, projector):
    error = NextTokenPredictionError(tiny_lm_dir, LAYER, projector, k=K, level="token").fit(texts)
    tokens = error.transform(texts)
    by_text = error.set_params(level="text", pooling="sum").transform(texts)
    assert sparse.issparse(by_text)
    np.testing.assert_allclose(by_text.toarray(), [one.sum(axis=0) for one in tokens], atol=1e-5)
    words = error.set_params(level="word").transform(texts)
    assert words.tokens == tokens.pool(by="word").tokens
    assert words.names[0] == "prediction_error_sae_00000"
    spans = Spans([texts[0]], [(0, 3), (4, 7)], ids=[0, 0])
    by_span = error.set_params(level="text").transform(spans)
    np.testing.assert_allclose(by_span.toarray(), words[0][:2].toarray(), atol=1e-5)


def test_it_is_a_band_beside_surprisal(tiny_lm_dir, texts, projector):
    model = LanguageModel(tiny_lm_dir)
    union = FeatureUnion(
        [
            ("unexpected", NextTokenPredictionError(model, LAYER, projector, k=2)),
            ("surprisal", SurprisalTransformer(model)),
        ]
    )
    Y = np.random.default_rng(0).normal(size=(len(texts), 2))
    fitted = make_pipeline(union, Ridge()).fit(texts, Y)
    kinds = fitted_view(fitted).features["kind"].tolist()
    assert kinds[-1] == "surprisal"
    assert set(kinds[:-1]) == {"control"}


def test_words_of_stories_become_scans_of_what_came_unexpected(tiny_lm_dir, texts, projector):
    text = " ".join(texts[:3])
    error = NextTokenPredictionError(tiny_lm_dir, LAYER, projector, k=2, level="word")
    (by_word,) = error.fit_transform([text])
    onsets = np.arange(by_word.shape[0]) / 2.0
    table = pd.DataFrame({"word": text.split(), "onset": onsets, "offset": onsets + 0.3})
    run = StoryRun(text, table, n_scans=6, t_r=2.0, onset=0.0)
    (scans,) = WordsToScans(error.set_params(level="text"), method="sum", word_time="onset").fit_transform([run])
    scans = scans.toarray() if sparse.issparse(scans) else scans
    np.testing.assert_allclose(scans.sum(axis=0), by_word.sum(axis=0), atol=1e-4)


def test_without_a_token_before_the_text_nothing_is_expected(tiny_lm_dir, texts, projector):
    model = LanguageModel(tiny_lm_dir, bos_token=None)
    error = NextTokenPredictionError(model, LAYER, clone(projector).set_params(check_match=False)).fit(texts)
    with pytest.raises(ValueError, match="Nothing stands before the first token of a text"):
        error.transform(texts)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"k": 0}, "'k' parameter of NextTokenPredictionError must be"),
        ({"projector": None}, "'projector' parameter of NextTokenPredictionError must be"),
        ({"layer": 9}, "has 4 layers"),
    ],
)
def test_what_cannot_be_is_refused(change, message, tiny_lm_dir, texts, projector):
    with pytest.raises(ValueError, match=message):
        NextTokenPredictionError(tiny_lm_dir, LAYER, projector).set_params(**change).fit(texts)
