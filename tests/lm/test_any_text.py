"""Whatever characters a text holds, its rows are those of the model's own logits, or it is refused by its number."""

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tiny_models import tiny_model, tiny_tokenizer

from sklearn_sae_encoding.activations import LMActivationTransformer
from sklearn_sae_encoding.language_model import LanguageModel, forget_texts
from sklearn_sae_encoding.surprisal import SurprisalTransformer

PIECES = [
    "the cat", " sat", "<s>", "</s>", "</s", "<", "  ", "\t", "\n", "\r\n", "\u00a0", "\u2003", "\u2028", "\u200b", "é",
    "e\u0301", "中文", "שלום", "مرحبا", "👩‍👩‍👧", "\ufffd", "\x00", "\ud83d", "\udc69", "'s", "1984", "ſ", "İ",
]  # fmt: skip
texts_of_pieces = st.lists(st.sampled_from(PIECES), max_size=8).map("".join)
any_texts = texts_of_pieces | st.text(st.characters(), max_size=12)
SPECIAL = {0, 1}  # <s> and </s>, which only ever come from being spelled out


@pytest.fixture(scope="module")
def model():
    network = tiny_model()
    return network, tiny_tokenizer(), LanguageModel(network, tokenizer=tiny_tokenizer())


def logits_of(network, ids):
    with torch.no_grad():
        return network(torch.tensor([ids])).logits[0].double()


@settings(max_examples=80, deadline=None, derandomize=True, database=None)
@given(texts=st.lists(any_texts, min_size=1, max_size=4))
@example(texts=["", "a"])
@example(texts=["a"])
@example(texts=["<s></s>", "a"])
@example(texts=["ok", "half \ud83d"])
def test_any_text_has_the_surprisal_of_the_models_logits_or_is_refused_by_its_number(model, texts):
    network, tokenizer, language_model = model
    forget_texts()
    surprisal = SurprisalTransformer(language_model, level="token")
    refused = [i for i, text in enumerate(texts) if is_refused(text, tokenizer)]
    if refused:
        with pytest.raises(ValueError, match=rf"sample {refused[0]}\b"):
            surprisal.fit_transform(texts)
        return
    found = surprisal.fit_transform(texts)
    for text, rows in zip(texts, found, strict=True):
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        ids = ids[1:] if ids[0] == 0 else ids  # a beginning that is typed is not doubled
        log = logits_of(network, [0, *ids]).log_softmax(-1)[:-1]
        counted = [i for i, token in enumerate(ids) if token not in SPECIAL]
        expected = -log[counted, [ids[i] for i in counted]].numpy()
        np.testing.assert_allclose(rows[:, 0], expected, rtol=1e-4, atol=1e-5)


def is_refused(text, tokenizer):
    """Tell texts of nothing, with half a character, or of special tokens alone."""
    if not text.strip() or any("\ud800" <= letter <= "\udfff" for letter in text):
        return True
    return set(tokenizer(text, add_special_tokens=False)["input_ids"]) <= SPECIAL


@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(
    words=st.lists(st.sampled_from(["the", "cat", "sat", "שלום", "don't", "1984,"]), min_size=1, max_size=6),
    spaces=st.lists(
        st.sampled_from([" ", "  ", "\t", "\n", "\r\n", "\u00a0", " \u2003", "\u2028"]), min_size=7, max_size=7
    ),
)
def test_white_space_of_any_kind_is_one_space(model, words, spaces):
    pieces = [part for word, space in zip(words, spaces, strict=False) for part in (space, word)]
    found, expected = (
        SurprisalTransformer(model[2], level="word").fit_transform([text])[0]
        for text in ("".join([*pieces, spaces[-1]]), " ".join(words))
    )
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_a_text_of_ten_thousand_words_is_that_of_its_windows(model):
    text = " ".join(["the cat sat"] * 3334)
    acts = LMActivationTransformer(model[2], 1).fit_transform([text, "the cat"])
    assert acts.n_tokens[0] >= 10_000
    assert np.isfinite(acts[0]).all()
    words = SurprisalTransformer(model[2], level="word").fit_transform([text])[0]
    assert words.shape == (10_002, 1)
