"""Features of tokens and words come as tables that know their tokens; pooled rows never reach an SAE unnoticed."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from tiny_saes import D_MODEL, encoded, make_sae, make_texts, pooled

from sklearn_sae_encoding.activations import LMActivationTransformer
from sklearn_sae_encoding.sae import SAEProjector
from sklearn_sae_encoding.tokens import TokenTable

POOLINGS = ("mean", "max", "sum", "last", "first", "fraction_active")


def table_of(texts, **known):
    """The activations as those of words of three letters; every third one is a piece of the word before it."""
    written, offsets = [], []
    for text in texts:
        starts = np.cumsum([0, *(3 if i % 3 == 1 else 4 for i in range(len(text) - 1))])
        offsets.append(np.column_stack([starts, starts + 3]))
        letters = np.full(starts[-1] + 3, " ")
        for start in starts:
            letters[start : start + 3] = list("abc")
        written.append("".join(letters))
    return TokenTable.from_arrays(texts, written, offsets, **known)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_words_are_encoded_token_by_token_and_then_pooled(pooling, texts):
    sae, table = make_sae("jumprelu"), table_of(texts, model="LM-1")
    projector = SAEProjector(sae, level="word", pooling=pooling, check_match=False, chunk_size=4)
    words = projector.fit_transform(table)
    assert words.is_sparse
    assert (words.texts, words.model) == (table.texts, "LM-1")
    assert words.tokens == [text.split() for text in table.texts]
    assert words.names == projector.get_feature_names_out().tolist()
    for found, of_text, text in zip(words, table.words(), texts, strict=True):
        parts = [encoded(sae, text)[a:b] for a, b in of_text.tokens]
        np.testing.assert_allclose(found.toarray(), pooled(parts, pooling), rtol=1e-5, atol=1e-6)
        assert len(parts) < len(text) or len(text) < 3


def test_features_of_tokens_know_their_tokens_and_are_named(texts, folder):
    table = table_of(texts)
    features = SAEProjector(folder, level="token", features=(8, 16)).fit_transform(table)
    assert (features.tokens, features.texts) == (table.tokens, table.texts)
    assert features.names == [f"sae_{j:05d}" for j in range(8, 16)]
    pool = SAEProjector(folder, features=(8, 16)).fit_transform(table)
    np.testing.assert_allclose(features.pool("text").toarray(), pool.toarray(), rtol=1e-5, atol=1e-7)
    dense = SAEProjector(folder, level="token", features=(8, 16), sparse_output=False).fit_transform(table)
    np.testing.assert_array_equal(dense.concatenated(), features.concatenated().toarray())


def test_reconstruction_of_a_word_is_over_its_tokens(texts, folder):
    table = table_of(texts)
    places = [np.arange(len(text))[:, None] + [0, 1] for text in texts]
    whole = TokenTable.from_arrays(texts, ["a" * len(text) for text in texts], places)
    asked = {"reconstruction": ["error", "explained_variance"], "sparse_output": False}
    by_text = SAEProjector(folder, **asked).fit_transform(table)
    by_word = SAEProjector(folder, level="word", **asked).fit_transform(whole)
    np.testing.assert_allclose(by_word.concatenated(), by_text, rtol=1e-5)
    assert by_word.names[-2:] == ["sae_reconstruction_error", "sae_explained_variance"]


def test_words_need_texts_and_a_container_is_for_rows_alone(texts, folder):
    with pytest.raises(ValueError, match="does not know its words"):
        SAEProjector(folder, level="word").fit_transform(texts)
    for level in ("token", "word"):
        projector = SAEProjector(folder, level=level, sparse_output=False).set_output(transform="pandas")
        assert isinstance(clone(projector).fit_transform(table_of(texts)), TokenTable)
    rows = clone(SAEProjector(folder, sparse_output=False).set_output(transform="pandas")).fit_transform(texts)
    assert rows.columns[0] == "sae_00000"


def test_rows_that_were_pooled_before_are_refused_and_a_token_a_row_is_not(tiny_lm_dir, folder):
    texts = ["The cat sat.", "A dog!"]
    words = table_of(make_texts()).pool("word")
    frame = pd.DataFrame(np.ones((2, D_MODEL)), columns=[f"blocks.2.hook_resid_post_{j}" for j in range(D_MODEL)])
    for pooled_before in (words, frame):
        with pytest.raises(ValueError, match="pooled over tokens, but an SAE was trained on those of single tokens"):
            SAEProjector(folder).fit(pooled_before)
        SAEProjector(folder, check_match=False).fit(pooled_before)
    for pooling in ("mean", "last"):
        rows = LMActivationTransformer(tiny_lm_dir, 1, level="text", pooling=pooling).fit_transform(texts)
        learner = SAEProjector(n_features=8, n_steps=1)
        if pooling == "mean":
            for part in (rows, rows[:1], pickle.loads(pickle.dumps(rows))):
                with pytest.raises(ValueError, match="level='token' in LMActivationTransformer"):
                    learner.fit(part)
        else:
            learner.fit(rows)
    with pytest.raises(ValueError, match="Expected activations, which are dense"):
        SAEProjector(folder).fit(SAEProjector(folder, level="token").fit_transform(table_of(make_texts())))
