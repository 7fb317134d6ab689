"""Surprisal equals the log-softmax of transformers' own logits, and minicons with its word correction."""

import copy
import inspect
import re

import numpy as np
import pandas as pd
import pytest
import torch
from minicons.scorer import IncrementalLMScorer
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator
from tiny_models import (
    FAMILIES,
    SENTENCES,
    llama_tokenizer,
    metaspace_tokenizer,
    tiny_model,
    tiny_tokenizer,
    unmarking_tokenizer,
)
from transformers import AutoModelForCausalLM, AutoTokenizer

from sklearn_sae_encoding._lm import head
from sklearn_sae_encoding._lm.rows import Row
from sklearn_sae_encoding.activations import LMActivationTransformer
from sklearn_sae_encoding.datasets import fetch_lepori2026
from sklearn_sae_encoding.language_model import LanguageModel, forget_texts
from sklearn_sae_encoding.surprisal import SurprisalTransformer
from sklearn_sae_encoding.tokens import Spans, align_words


def by_log_softmax(model, tokenizer, text, bos=0):
    ids = torch.tensor([[bos, *tokenizer(text, add_special_tokens=False)["input_ids"]]])
    with torch.no_grad():
        log_p = model(ids).logits[0].double().log_softmax(-1)
    return -log_p[:-1].gather(1, ids[0, 1:, None])[:, 0].numpy()


def by_minicons(model, tokenizer, text, correction=True):
    if getattr(tokenizer, "add_bos_token", False):  # some versions of transformers: then there would be two
        tokenizer = copy.deepcopy(tokenizer)
        tokenizer.add_bos_token = False
    scorer = IncrementalLMScorer(model, "cpu", tokenizer=tokenizer)
    scores = scorer.word_score_tokenized(
        [text], lambda words: words.split(" "), bow_correction=correction, bos_token=True, surprisal=True
    )
    return [word for word, _ in scores[0]], np.array([score for _, score in scores[0]])


def test_scikit_learns_checks_pass(tiny_lm_dir):
    with pytest.warns(UserWarning, match="read as words"):
        results = check_estimator(SurprisalTransformer(tiny_lm_dir, pooling=["mean", "max"]))
    assert sum(result["status"] == "passed" for result in results) > 30


@pytest.mark.parametrize("transformer", [LanguageModel, LMActivationTransformer, SurprisalTransformer])
def test_every_parameter_is_documented_once_and_in_the_order_of_the_signature(transformer):
    documentation = inspect.getdoc(transformer)
    section = re.split(r"(?:Attributes|See Also)\n-+\n", documentation.split("Parameters\n----------\n")[1])[0]
    documented = re.findall(r"^(\w+) : ", section, flags=re.MULTILINE)
    assert documented == list(inspect.signature(transformer).parameters)


@pytest.mark.parametrize("name", FAMILIES)
def test_token_surprisal_equals_log_softmax_of_the_models_logits(name, texts):
    model, tokenizer = tiny_model(name), tiny_tokenizer()
    frames = SurprisalTransformer(LanguageModel(model, tokenizer=tokenizer)).fit(texts).by_token(texts)
    for text, frame in zip(texts, frames, strict=True):
        assert frame["token"].tolist() == tokenizer.tokenize(text)
        np.testing.assert_allclose(frame["surprisal"], by_log_softmax(model, tokenizer, text), atol=1e-5)


@pytest.mark.parametrize("make_tokenizer", [tiny_tokenizer, metaspace_tokenizer])
@pytest.mark.parametrize("name", ["llama", "gpt2", "gemma2", "opt"])
def test_word_surprisal_equals_minicons_with_its_whitespace_correction(name, make_tokenizer, texts):
    model, tokenizer = tiny_model(name), make_tokenizer()
    frames = SurprisalTransformer(LanguageModel(model, tokenizer=tokenizer)).fit(texts).by_word(texts)
    for text, frame in zip(texts, frames, strict=True):
        words, surprisal = by_minicons(model, tokenizer, text)
        assert frame["word"].tolist() == words
        np.testing.assert_allclose(frame["surprisal"], surprisal, atol=1e-5)
        _, uncorrected = by_minicons(model, tokenizer, text, correction=False)
        assert np.abs(frame["surprisal"] - uncorrected).max() > 0.01


def test_where_tokens_do_not_mark_white_space_word_surprisal_is_the_sum_over_tokens(texts):
    model, tokenizer = tiny_model(), unmarking_tokenizer()
    transformer = SurprisalTransformer(LanguageModel(model, tokenizer=tokenizer)).fit(texts)
    for text, words, tokens in zip(texts, transformer.by_word(texts), transformer.by_token(texts), strict=True):
        assert words["word"].tolist() == text.split()
        sums = [
            tokens["surprisal"][(tokens["start"] >= start) & (tokens["end"] <= end)].sum()
            for start, end in zip(words["start"], words["end"], strict=True)
        ]
        np.testing.assert_allclose(words["surprisal"], sums, atol=1e-5)
        np.testing.assert_allclose(tokens["surprisal"], by_log_softmax(model, tokenizer, text), atol=1e-5)


@pytest.mark.real_model
def test_the_real_models_surprisal_equals_minicons(smollm2):
    model, tokenizer = AutoModelForCausalLM.from_pretrained(smollm2), AutoTokenizer.from_pretrained(smollm2)
    tokenizer.bos_token = "<|endoftext|>"  # of pretraining
    surprisal = SurprisalTransformer(smollm2).fit(SENTENCES)
    for text, tokens, words in zip(SENTENCES, surprisal.by_token(SENTENCES), surprisal.by_word(SENTENCES), strict=True):
        expected = by_log_softmax(model, tokenizer, text, tokenizer.bos_token_id)
        np.testing.assert_allclose(tokens["surprisal"], expected, rtol=1e-5, atol=1e-5)
        names, expected = by_minicons(model, tokenizer, text)
        assert words["word"].tolist() == names
        np.testing.assert_allclose(words["surprisal"], expected, rtol=1e-5, atol=1e-4)


@pytest.mark.real_model
def test_with_the_token_of_its_pretraining_the_real_model_agrees_better_with_the_studys_gpt2_xl(smollm2):
    try:
        study = fetch_lepori2026("p1", ["abstract"], download_if_missing=False)
    except OSError as error:
        pytest.skip(f"the published surprisal is not here: {error}")
    theirs = study.stimuli["surprisal-gpt2-xl_mean"]
    agreement = {
        token: np.corrcoef(
            SurprisalTransformer(LanguageModel(smollm2, bos_token=token)).fit_transform(study.texts).T, theirs
        )
        for token in ("auto", "<|im_start|>")
    }
    assert agreement["<|im_start|>"][0, 1] + 0.05 < agreement["auto"][0, 1] > 0.75


@pytest.mark.real_model
def test_the_real_model_gives_a_text_the_same_row_alone_and_in_any_batch_and_order(smollm2):
    def run(some, **params):
        forget_texts()
        rows = LMActivationTransformer(LanguageModel(smollm2, **params), 15, level="text").fit_transform(some)
        return rows, SurprisalTransformer(LanguageModel(smollm2, **params)).fit_transform(some)

    alone = [np.concatenate(parts) for parts in zip(*(run([text]) for text in SENTENCES), strict=True)]
    for params in ({"batch_tokens": 1}, {"batch_tokens": 60}, {"batch_tokens": 4096, "window": 64, "stride": 7}):
        for one, expected in zip(run(SENTENCES[::-1], **params), alone, strict=True):
            np.testing.assert_allclose(one[::-1], expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


def test_words_are_what_stands_between_white_space_whatever_it_is(tiny_lm_dir):
    texts = ["One  two\n\nthree.", "  Led by space, followed too. ", "don't stop-it"]
    frames = SurprisalTransformer(tiny_lm_dir).fit(texts).by_word(texts)
    for text, frame in zip(texts, frames, strict=True):
        assert frame["word"].tolist() == text.split()
        assert [text[a:b] for a, b in zip(frame["start"], frame["end"], strict=True)] == text.split()
        assert frame["surprisal"].notna().all()


def test_without_correction_word_surprisals_would_sum_to_the_texts(texts):
    """The correction moves probability from word to word: what the last word is charged for ending is all it adds."""
    model, tokenizer = tiny_model(), tiny_tokenizer()
    words = SurprisalTransformer(LanguageModel(model, tokenizer=tokenizer), over="word", pooling="sum").fit_transform(
        texts
    )
    tokens = SurprisalTransformer(LanguageModel(model, tokenizer=tokenizer), pooling="sum").fit_transform(texts)
    starts = [i for token, i in tokenizer.get_vocab().items() if token.startswith("Ġ")]
    for text, difference in zip(texts, (words - tokens)[:, 0], strict=True):
        ids = torch.tensor([[0, *tokenizer(text, add_special_tokens=False)["input_ids"]]])
        with torch.no_grad():
            end = model(ids).logits[0, -1].log_softmax(-1)[starts].logsumexp(0)
        np.testing.assert_allclose(difference, -end, atol=1e-4)


@pytest.mark.parametrize("level", ["token", "word"])
def test_a_column_for_each_reduction_in_the_unit_asked_for(tiny_lm_dir, texts, level):
    transformer = SurprisalTransformer(tiny_lm_dir, pooling=["sum", "mean", "max"], over=level).fit(texts)
    frames = transformer.by_token(texts) if level == "token" else transformer.by_word(texts)
    columns = transformer.transform(texts)
    expected = [[f["surprisal"].sum(), f["surprisal"].mean(), f["surprisal"].max()] for f in frames]
    np.testing.assert_allclose(columns, expected)
    assert (columns > 0).all()
    prefix = "word_" if level == "word" else ""
    assert transformer.get_feature_names_out().tolist() == [
        f"{prefix}surprisal_{name}" for name in ("sum", "mean", "max")
    ]
    bits = SurprisalTransformer(tiny_lm_dir, pooling=["sum", "mean", "max"], over=level, unit="bits")
    np.testing.assert_allclose(bits.fit_transform(texts) * np.log(2), columns)


def test_a_text_gives_the_same_alone_and_in_any_batch_and_order(texts):
    def run(some, **params):
        fresh = SurprisalTransformer(
            LanguageModel(tiny_model(), tokenizer=tiny_tokenizer(), **params), pooling=["mean", "max"]
        )
        return fresh.fit_transform(some)

    alone = np.vstack([run([text]) for text in texts])
    for batch_tokens in (1, 70, 10_000):
        np.testing.assert_allclose(run(texts[::-1], batch_tokens=batch_tokens)[::-1], alone, atol=1e-5)


def test_context_conditions_the_text_and_is_not_counted(texts):
    model, tokenizer = tiny_model(), tiny_tokenizer()
    context = "Rain fell on the bridge"
    frames = SurprisalTransformer(LanguageModel(model, tokenizer=tokenizer, context=context)).fit(texts).by_token(texts)
    for text, frame in zip(texts, frames, strict=True):
        whole = by_log_softmax(model, tokenizer, f"{context} {text}")
        np.testing.assert_allclose(frame["surprisal"], whole[-len(frame) :], atol=1e-5)
        assert text.startswith(frame["token"][0].lstrip("Ġ"))


@pytest.mark.parametrize("column", [0, 1])
def test_every_text_may_have_a_context_of_its_own_in_a_column(texts, column):
    model, tokenizer = tiny_model(), tiny_tokenizer()
    contexts = ["", *[" ".join(texts[:i])[-60:] for i in range(1, len(texts))]]
    columns = [texts, contexts] if column else [contexts, texts]
    table = pd.DataFrame(dict(zip("ab", columns, strict=True)))
    surprisal = SurprisalTransformer(LanguageModel(model, tokenizer=tokenizer, context=column)).fit(table)
    for text, context, frame in zip(texts, contexts, surprisal.by_token(table), strict=True):
        whole = by_log_softmax(model, tokenizer, f"{context} {text}" if context else text)
        np.testing.assert_allclose(frame["surprisal"], whole[-len(frame) :], atol=1e-5)
    plain = SurprisalTransformer(LanguageModel(model, tokenizer=tokenizer)).fit(texts)
    np.testing.assert_allclose(surprisal.transform(table)[0], plain.transform(texts)[0], atol=1e-5)
    assert [frame["word"].tolist() for frame in surprisal.by_word(table)] == [t.split() for t in texts]


def test_the_same_text_after_another_context_is_another_text(tiny_lm_dir, texts, count_passes):
    counter = count_passes(tiny_lm_dir)
    table = [[context, texts[0]] for context in ("It is late.", "It is early.", "It is late.", "")]
    table.append(["It is", "late. " + texts[0]])
    transformer = SurprisalTransformer(LanguageModel(tiny_lm_dir, context=0)).fit(table)
    values = transformer.transform(table)[:, 0]
    assert values[0] == values[2]
    assert len(set(values.tolist())) == 4
    transformer.transform(table[::-1])
    assert set(counter.values()) <= {1, 2}  # two of the texts with contexts are the same tokens
    assert sum(counter.values()) == 4
    same = SurprisalTransformer(LanguageModel(tiny_lm_dir, context="It is late.")).fit_transform(texts[:1])
    np.testing.assert_allclose(same[0, 0], values[0], atol=1e-5)


def test_a_context_column_that_is_not_there_or_not_filled_is_an_error(tiny_lm_dir, texts):
    transformer = SurprisalTransformer(LanguageModel(tiny_lm_dir, context=1))
    for X in (texts, [[text] for text in texts]):
        with pytest.raises(
            ValueError, match=r"context=1 names a column .* but X has 1 column\. .* give it as a string"
        ):
            transformer.fit(X)
    with pytest.raises(ValueError, match="context of sample 2 is missing: got None"):
        transformer.fit([[text, None if i == 2 else "Before."] for i, text in enumerate(texts)])
    with pytest.raises(ValueError, match="text of sample 1 is empty"):
        transformer.fit([["A text.", ""], ["", "Before."]])


def test_without_bos_the_first_token_has_no_probability_and_is_left_out(tiny_lm_dir, texts):
    transformer = SurprisalTransformer(LanguageModel(tiny_lm_dir, bos_token=None), pooling="sum").fit(texts)
    frames = transformer.by_token(texts)
    assert all(frame["surprisal"].isna().tolist() == [True] + [False] * (len(frame) - 1) for frame in frames)
    np.testing.assert_allclose(transformer.transform(texts)[:, 0], [frame["surprisal"][1:].sum() for frame in frames])
    with pytest.raises(ValueError, match="Sample 1 has one token and nothing before it"):
        transformer.transform([texts[0], "A"])


def test_surprisal_and_activations_share_one_pass_in_a_union(tiny_lm_dir, texts, count_passes):
    counter = count_passes(tiny_lm_dir)
    union = FeatureUnion(
        [
            ("content", LMActivationTransformer(tiny_lm_dir, 1, level="text")),
            ("surprisal", make_pipeline(SurprisalTransformer(tiny_lm_dir), StandardScaler())),
        ],
        verbose_feature_names_out=False,
    )
    out = union.fit_transform(texts)
    assert set(counter.values()) == {1}
    assert len(counter) == len(texts)
    assert union.get_feature_names_out()[-1] == "surprisal_mean"
    surprisal = SurprisalTransformer(tiny_lm_dir).fit_transform(texts)
    np.testing.assert_allclose(out[:, -1:], StandardScaler().fit_transform(surprisal), atol=1e-6)


def test_frames_come_out_on_request(tiny_lm_dir, texts):
    frame = SurprisalTransformer(tiny_lm_dir).set_output(transform="pandas").fit_transform(pd.Series(texts))
    assert frame.columns.tolist() == ["surprisal_mean"]


def test_it_must_be_fitted_first(tiny_lm_dir, texts):
    for method in ("transform", "by_token", "by_word"):
        with pytest.raises(NotFittedError, match="not fitted yet"):
            getattr(SurprisalTransformer(tiny_lm_dir), method)(texts)


@pytest.mark.parametrize("pooling", [[], ["mean", "median"]])
def test_unknown_poolings_are_refused(tiny_lm_dir, texts, pooling):
    with pytest.raises(ValueError, match="pooling must be one or a list of mean, sum, max"):
        SurprisalTransformer(tiny_lm_dir, pooling=pooling).fit(texts)


@pytest.mark.parametrize(
    "params", [{"pooling": "median"}, {"unit": "bans"}, {"level": "sentence"}, {"over": "sentence"}]
)
def test_parameters_of_the_wrong_kind_are_refused_by_name(tiny_lm_dir, texts, params):
    with pytest.raises(ValueError, match=f"The '{next(iter(params))}' parameter"):
        SurprisalTransformer(tiny_lm_dir, **params).fit(texts)


def of_words(model, tokenizer, text, **settings):
    return SurprisalTransformer(LanguageModel(model, tokenizer=tokenizer), **settings).fit([text]).by_word([text])[0]


@pytest.mark.parametrize("make_tokenizer", [tiny_tokenizer, metaspace_tokenizer, llama_tokenizer])
@pytest.mark.parametrize(
    "text",
    ["He  left   the room.", "He left\nthe\troom.", "\u00a0He\u00a0left the\r\n\r\nroom. ", "He left\u3000the room.\n"],
)
def test_a_word_has_the_surprisal_of_running_text_whatever_white_space_is_around_it(make_tokenizer, text):
    model, tokenizer = tiny_model(), make_tokenizer()
    found, plain = of_words(model, tokenizer, text), of_words(model, tokenizer, "He left the room.")
    np.testing.assert_allclose(found["surprisal"], plain["surprisal"], atol=1e-5)
    assert found["word"].tolist() == plain["word"].tolist()
    assert [text[a:b] for a, b in zip(found["start"], found["end"], strict=True)] == text.split()


@pytest.mark.parametrize("make_tokenizer", [tiny_tokenizer, llama_tokenizer])
def test_words_without_white_space_between_them_are_sums_of_their_tokens_without_correction(make_tokenizer):
    model, tokenizer = tiny_model(), make_tokenizer()
    text, words = "猫坐在垫子上，狗来了。", ["猫", "坐", "在", "垫子", "上", "狗", "来", "了"]
    transformer = SurprisalTransformer(LanguageModel(model, tokenizer=tokenizer)).fit([text])
    tokens = transformer.by_token([text])[0]
    found = transformer.by_word([text], spans=[align_words(text, words)])[0]
    for row in found.itertuples():
        own = tokens["surprisal"][(tokens["start"] >= row.start) & (tokens["end"] <= row.end)]
        assert row.surprisal == pytest.approx(own.sum(), abs=1e-5)
    by_segmenter = transformer.by_word([text], spans=lambda _text: words)[0]
    pd.testing.assert_frame_equal(by_segmenter, found)


def test_a_chinese_text_is_charged_for_no_white_space_at_its_end_and_an_english_one_is():
    model, tokenizer = tiny_model(), tiny_tokenizer()
    for text, corrected in (("猫坐在垫子上。", False), ("他说：“好”", False), ("狗A", True), ("The cat.", True)):
        transformer = SurprisalTransformer(LanguageModel(model, tokenizer=tokenizer)).fit([text])
        total = transformer.by_token([text])[0]["surprisal"].sum()
        assert (abs(transformer.by_word([text])[0]["surprisal"].sum() - total) > 1e-3) == corrected


def test_punctuation_and_clitics_inside_a_word_need_no_correction(tiny_lm_dir):
    text = "They don't sit, she said."
    transformer = SurprisalTransformer(tiny_lm_dir).fit([text])
    whole = transformer.by_word([text])[0]["surprisal"]
    spans = align_words(text, ["they", "do", "n't", "sit", "she", "said"])
    parts = transformer.by_word([text], spans=[spans])[0]["surprisal"]
    assert parts[1] + parts[2] == pytest.approx(whole[1], abs=1e-4)
    assert parts[4] == pytest.approx(whole[3], abs=1e-4)
    # With its comma a word is charged for the space after it, too.
    with_comma = transformer.by_word([text], spans=[align_words(text, ["sit,"])])[0]["surprisal"][0]
    assert with_comma == pytest.approx(whole[2], abs=1e-4)


def test_a_shared_or_unspelled_word_counts_nothing_and_the_first_one_all():
    model, tokenizer = tiny_model(), unmarking_tokenizer()
    text = "The cat sat"
    transformer = SurprisalTransformer(LanguageModel(model, tokenizer=tokenizer)).fit([text])
    found = transformer.by_word([text], spans=[[(0, 3), (3, 3), (4, 5), (5, 7), (8, 11)]])[0]
    assert found["shared"].tolist() == [False, False, False, True, False]
    assert found["joined"].tolist() == [False, True, False, False, False]
    np.testing.assert_allclose(found["surprisal"][[0, 2, 4]], transformer.by_word([text])[0]["surprisal"], atol=1e-5)
    assert (found["surprisal"][[1, 3]] == 0).all()
    rows = SurprisalTransformer(LanguageModel(model, tokenizer=tokenizer), over="word", pooling="sum")
    by_span = rows.fit_transform(Spans([text] * 2, [(4, 5), (5, 7)]))
    np.testing.assert_allclose(by_span[:, 0], found["surprisal"][[2, 3]], atol=1e-5)


@pytest.mark.parametrize("over", ["token", "word"])
def test_a_span_has_the_surprisal_of_its_own_tokens_or_words_in_the_whole_text(tiny_lm_dir, texts, over, count_passes):
    counter = count_passes(tiny_lm_dir)
    spans = Spans.of_texts(texts, [[*(m.span() for m in re.finditer(r"\S+", t)), (0, len(t))] for t in texts])
    transformer = SurprisalTransformer(tiny_lm_dir, over=over, pooling=["sum", "max", "first", "last"])
    found = transformer.fit_transform(spans)
    assert set(counter.values()) == {1}
    frames = iter(transformer.by_token(spans) if over == "token" else transformer.by_word(spans))
    for row, span, frame in zip(found, spans, frames, strict=True):
        values = frame["surprisal"].to_numpy()
        np.testing.assert_allclose(row, [values.sum(), values.max(), values[0], values[-1]])
        assert frame["start"].min() >= span.start
        assert frame["end"].max() <= span.end
    if over == "word":
        words = np.concatenate([np.append(f["surprisal"], f["surprisal"].sum()) for f in transformer.by_word(texts)])
        np.testing.assert_allclose(found[:, 0], words, atol=1e-5)


@pytest.mark.parametrize("level", ["token", "word"])
def test_tables_of_surprisal_know_their_texts_and_columns(tiny_lm_dir, texts, level):
    transformer = SurprisalTransformer(tiny_lm_dir, level=level, unit="bits").fit(texts)
    table = transformer.transform(texts)
    frames = transformer.by_token(texts) if level == "token" else transformer.by_word(texts)
    assert table.names == (["surprisal"] if level == "token" else ["word_surprisal"])
    assert table.texts == texts
    for values, frame in zip(table, frames, strict=True):
        np.testing.assert_allclose(values[:, 0], frame["surprisal"], rtol=1e-6)
    assert (table.shared is None) == (level == "token")
    if level == "word":
        assert table.tokens == [text.split() for text in texts]


@pytest.mark.parametrize("name", ["llama", "gemma2"])
def test_entropy_rank_and_probability_are_those_of_the_models_logits(name, texts, monkeypatch):
    model, tokenizer = tiny_model(name), tiny_tokenizer()
    quantities = ("entropy", "surprisal", "rank", "probability")
    transformer = SurprisalTransformer(LanguageModel(model, tokenizer=tokenizer), quantities=quantities).fit(texts)
    at_once = transformer.by_token(texts)
    for text, frame in zip(texts, at_once, strict=True):
        ids = torch.tensor([[0, *tokenizer(text, add_special_tokens=False)["input_ids"]]])
        with torch.no_grad():
            log_p = model(ids).logits[0, :-1].double().log_softmax(-1)
        chosen = log_p.gather(1, ids[0, 1:, None])
        np.testing.assert_allclose(frame["entropy"], -(log_p.exp() * log_p).sum(-1), rtol=1e-5, atol=1e-5)
        np.testing.assert_array_equal(frame["rank"], (log_p > chosen).sum(-1) + 1)
        np.testing.assert_allclose(frame["probability"], chosen[:, 0].exp(), rtol=1e-4, atol=1e-7)
        assert frame.columns.tolist()[3:] == list(quantities)
    monkeypatch.setattr(head, "_LOGIT_ROWS", 3)
    forget_texts()
    for frame, expected in zip(transformer.by_token(texts), at_once, strict=True):
        pd.testing.assert_frame_equal(frame, expected, rtol=1e-5)


def test_a_word_has_entropy_rank_and_probability_of_its_first_token(tiny_lm_dir, texts, count_passes):
    counter = count_passes(tiny_lm_dir)
    model = LanguageModel(tiny_lm_dir, keep=("surprisal", "entropy"))
    quantities = ("surprisal", "entropy", "rank", "probability")
    bits = SurprisalTransformer(model, quantities=quantities, unit="bits", over="word").fit(texts)
    LMActivationTransformer(model, 1).fit_transform(texts)
    tokens, words = bits.by_token(texts), bits.by_word(texts)
    assert set(counter.values()) == {1}  # activations kept entropy and rank for the others
    for of_tokens, of_words_ in zip(tokens, words, strict=True):
        first = of_tokens.set_index("start").loc[of_words_["start"]]
        same = first["token"].str.startswith("Ġ").to_numpy() | (of_words_["start"] == 0).to_numpy()
        for name in quantities[1:]:
            np.testing.assert_allclose(of_words_[name][same], first[name][same], rtol=1e-6)
    assert bits.get_feature_names_out().tolist() == [f"word_{name}_mean" for name in quantities]
    nats = SurprisalTransformer(model, quantities=["entropy"]).fit(texts).by_token(texts)
    np.testing.assert_allclose(nats[0]["entropy"], tokens[0]["entropy"] * np.log(2), rtol=1e-6)


def test_entropy_of_a_model_that_rules_tokens_out_is_that_of_the_others():
    logits = torch.tensor([[0.0, 0.0, -torch.inf, 0.0]])
    scored = head.score(Row(0, np.array([1, 2]), 1, 0), [torch.cat([logits, logits])], head.Scoring(None, True))
    assert scored[0, head.ENTROPY] == pytest.approx(np.log(3))
    assert scored[0, head.RANK] == 4


@pytest.mark.parametrize("quantities", [[], ["entropy", "perplexity"], ["rank", "rank"]])
def test_unknown_quantities_are_refused(tiny_lm_dir, texts, quantities):
    with pytest.raises(ValueError, match="quantities must be some of surprisal, entropy, rank, probability"):
        SurprisalTransformer(tiny_lm_dir, quantities=quantities).fit(texts)
