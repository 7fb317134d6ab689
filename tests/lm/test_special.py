"""Special tokens never enter a result, however a tokenizer declares them, and a tokenizer belongs to its model."""

import numpy as np
import pytest
import torch
from tiny_models import SENTENCES, tiny_bert, tiny_model, tiny_tokenizer, unmarking_tokenizer
from transformers import AddedToken

from sklearn_sae_encoding._lm.tokenize import special_ids, tokenize, word_start_ids
from sklearn_sae_encoding.activations import LMActivationTransformer
from sklearn_sae_encoding.language_model import LanguageModel
from sklearn_sae_encoding.surprisal import SurprisalTransformer


def by_role():
    tokenizer = tiny_tokenizer()
    tokenizer.add_special_tokens({"sep_token": "<x>"})
    return tokenizer


def by_list():
    tokenizer = tiny_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<x>"]})
    return tokenizer


def by_flag():
    tokenizer = tiny_tokenizer()
    tokenizer.add_tokens([AddedToken("<x>", special=True)], special_tokens=True)
    return tokenizer


def by_unknown_token():
    tokenizer = tiny_tokenizer()
    tokenizer.add_special_tokens({"eos_token": "<x>"})
    tokenizer.unk_token = "<x>"  # as SmolLM2's, whose one is also the end of a text
    return tokenizer


def by_backend_alone():
    from tokenizers import AddedToken as BackendToken

    tokenizer = tiny_tokenizer()
    tokenizer.backend_tokenizer.add_special_tokens([BackendToken("<x>")])
    return tokenizer


DECLARED = [by_role, by_list, by_flag, by_unknown_token, by_backend_alone]


@pytest.fixture(scope="module")
def roomy_model():
    """Embeddings for tokens that are added."""
    model = tiny_model()
    with torch.random.fork_rng(devices=[]):
        model.resize_token_embeddings(420, mean_resizing=False)
    return model.eval()


@pytest.mark.parametrize("declare", DECLARED)
def test_a_special_token_that_is_spelled_out_reaches_the_model_and_never_the_result(declare, roomy_model):
    tokenizer = declare()
    model = LanguageModel(roomy_model, tokenizer=tokenizer)
    special = int(tokenizer.convert_tokens_to_ids("<x>"))
    assert special in special_ids(tokenizer)
    plain, spelled = "The cat sat.", "The cat<x> sat."
    surprisal = SurprisalTransformer(model, pooling="sum").fit([plain])
    tokens = surprisal.by_token([plain, spelled, f"<x>{plain}"])
    assert all("<x>" not in frame["token"].tolist() for frame in tokens)
    assert tokens[0]["token"].tolist() == tokens[2]["token"].tolist()
    acts = LMActivationTransformer(model, 1).fit_transform([plain, spelled])
    assert acts.n_tokens.tolist() == [len(frame) for frame in tokens[:2]]
    # what stands behind it is read after it
    ids = torch.tensor([[0, special, *tokenizer(plain, add_special_tokens=False)["input_ids"]]])
    with torch.no_grad():
        log_p = roomy_model(ids).logits[0].log_softmax(-1)
    expected = -log_p[1:-1].gather(1, ids[0, 2:, None]).sum().item()
    assert surprisal.transform([f"<x>{plain}"])[0, 0] == pytest.approx(expected, rel=1e-4)
    with pytest.raises(ValueError, match="sample 1 has no token besides special ones"):
        surprisal.transform([plain, "<x><x>"])


def test_a_beginning_that_is_typed_is_not_doubled(tiny_lm_dir):
    surprisal = SurprisalTransformer(tiny_lm_dir).fit(SENTENCES)
    acts = LMActivationTransformer(tiny_lm_dir, 2).fit(SENTENCES)
    typed = ["<s>" + text for text in SENTENCES]
    np.testing.assert_allclose(surprisal.transform(typed), surprisal.transform(SENTENCES), rtol=1e-5)
    np.testing.assert_allclose(
        acts.transform(typed).concatenated(), acts.transform(SENTENCES).concatenated(), rtol=1e-4, atol=1e-5
    )
    starts = [int(offsets[0, 0]) for offsets in acts.transform(typed).offsets]
    assert starts == [3] * len(typed)
    context = LanguageModel(tiny_lm_dir, context="<s>It is late.")
    plain = LanguageModel(tiny_lm_dir, context="It is late.")
    np.testing.assert_allclose(
        SurprisalTransformer(context).fit_transform(SENTENCES), SurprisalTransformer(plain).fit_transform(SENTENCES)
    )


def test_an_unknown_word_counts_and_the_unknown_token_spelled_out_does_not():
    tokenizer = unmarking_tokenizer()
    word, spelled = tokenize(tokenizer, ["The zebra sat", "The <unk> sat"])
    assert word.tokens == ["The", "<unk>", "sat"]
    assert spelled.tokens == ["The", "sat"]


def test_word_starts_are_found_again_when_tokens_were_added():
    tokenizer = tiny_tokenizer()
    before = word_start_ids(tokenizer)
    tokenizer.add_tokens(["Ġzebra"])
    assert len(word_start_ids(tokenizer)) == len(before) + 1


def test_a_tokenizer_with_far_fewer_tokens_than_the_model_is_another_ones(texts):
    small = tiny_tokenizer(vocab_size=300)
    message = r"embeddings of 400 tokens, but its tokenizer \(\w+\) has 300: it is another model's"
    for transformer in (SurprisalTransformer, lambda model: LMActivationTransformer(model, 1)):
        with pytest.raises(ValueError, match=message):
            transformer(LanguageModel(tiny_model(), tokenizer=small)).fit_transform(texts)


def test_a_tokenizer_of_another_numbering_is_refused_where_the_model_has_its_own(tiny_lm_dir, texts, tmp_path):
    other = tiny_tokenizer(sentences=[" ".join(sorted(" ".join(SENTENCES).split()))])
    other.save_pretrained(tmp_path)
    assert len(other) > 320
    for given in (other, str(tmp_path)):
        with pytest.raises(ValueError, match=r"have the number that they have in the tokenizer of tiny-llama"):
            SurprisalTransformer(LanguageModel(tiny_lm_dir, tokenizer=given)).fit_transform(texts)
    own = LanguageModel(tiny_lm_dir, tokenizer=tiny_lm_dir)
    np.testing.assert_array_equal(
        SurprisalTransformer(own).fit_transform(texts), SurprisalTransformer(tiny_lm_dir).fit_transform(texts)
    )


def test_a_token_without_an_embedding_is_named_with_its_sample(texts):
    tokenizer = tiny_tokenizer()
    tokenizer.add_tokens(["zebra"])
    transformer = SurprisalTransformer(LanguageModel(tiny_model(), tokenizer=tokenizer)).fit(texts)
    transformer.transform(texts)
    with pytest.raises(ValueError, match=r"Sample 1 holds the token 'zebra', number 400, but .* 400 tokens alone"):
        transformer.transform([texts[0], "A zebra."])


def test_special_tokens_of_an_encoder_are_left_out(texts):
    tokenizer = tiny_tokenizer()
    tokenizer.add_special_tokens({"cls_token": "<s>", "sep_token": "</s>"})
    model = LanguageModel(tiny_bert(), tokenizer=tokenizer, bos_token="<s>", blocks_path="bert.encoder.layer", keep=())
    acts = LMActivationTransformer(model, 1).fit_transform(["<s>A dog!</s>", "A dog!"])
    assert acts.tokens[0] == acts.tokens[1]
