"""Tables of words: what a tiny language model says of each, in its text, in three languages, and by the shell."""

import warnings

import numpy as np
import pandas as pd
import pytest
from tiny_models import llama_tokenizer, metaspace_tokenizer, tiny_model, tiny_tokenizer

from sklearn_sae_encoding.__main__ import main
from sklearn_sae_encoding.activations import LMActivationTransformer
from sklearn_sae_encoding.language_model import LanguageModel
from sklearn_sae_encoding.reading import add_word_features, running_text, word_features, word_table
from sklearn_sae_encoding.surprisal import SurprisalTransformer

TEXTS = {"a": "The “old” dog barks. Nobody knows why!", "b": "He said: no."}
QUANTITIES = ("surprisal", "entropy", "rank", "probability")


@pytest.fixture
def words():
    rows = [(name, n, word) for name, text in TEXTS.items() for n, word in enumerate(text.split(), 1)]
    return pd.DataFrame(rows, columns=["text", "number", "word"], index=[f"row{i}" for i in range(len(rows))])


def test_a_table_comes_back_with_the_same_rows_and_what_the_model_says_of_each_word(words, tiny_lm_dir):
    mixed = words.sample(frac=1, random_state=0)
    table = add_word_features(mixed, model=tiny_lm_dir, quantities=QUANTITIES, frequency={"the": 2.0}, previous=1)
    pd.testing.assert_frame_equal(table[words.columns], mixed)
    scorer = SurprisalTransformer(tiny_lm_dir, level="word", quantities=QUANTITIES).fit(list(TEXTS.values()))
    expected = pd.concat(scorer.by_word(list(TEXTS.values())), ignore_index=True).set_axis(words.index)
    np.testing.assert_allclose(table[list(QUANTITIES)], expected.loc[mixed.index, list(QUANTITIES)], rtol=1e-6)
    ordered = table.loc[words.index]
    assert ordered["length"].tolist() == [3, 3, 3, 5, 6, 5, 3, 2, 4, 2]
    assert ordered["position"].tolist() == words["number"].tolist()
    assert ordered["surprisal_previous_1"].isna().tolist() == (words["number"] == 1).tolist()
    assert ordered["surprisal_previous_1"].iloc[1] == ordered["surprisal"].iloc[0]
    assert ordered["log_frequency"].iloc[0] == pytest.approx(np.log(2.0))


def test_punctuation_that_clings_to_a_word_counts_or_not(words, tiny_lm_dir):
    with_it, without = (
        add_word_features(words, model=tiny_lm_dir, punctuation=counts, punctuation_in_length=counts)
        for counts in (True, False)
    )
    bare = words["word"].str.fullmatch(r"\w+").to_numpy()
    # "said:" ends in a token of its own, whose surprisal is added; the end of other words is told by the token after.
    assert (with_it["surprisal"] != without["surprisal"]).to_numpy()[~bare].all()
    assert with_it["length"].tolist() == [3, 5, 3, 6, 6, 5, 4, 2, 5, 3]


def test_words_are_found_in_texts_that_are_given(words, tiny_lm_dir):
    own = add_word_features(words, model=tiny_lm_dir)
    spelled = words.assign(word=words["word"].str.replace(r"\W", "", regex=True).str.lower())
    given = add_word_features(spelled, model=tiny_lm_dir, texts=TEXTS)
    np.testing.assert_allclose(given["surprisal"], own["surprisal"], rtol=1e-6)
    with pytest.raises(ValueError, match=r"Text 'a': .*are not in the text"):
        add_word_features(words, model=tiny_lm_dir, texts={"a": TEXTS["b"], "b": TEXTS["a"]})


@pytest.mark.parametrize("tokenizer", [tiny_tokenizer, metaspace_tokenizer])
@pytest.mark.parametrize(
    ("listed", "separator", "text"),
    [
        (["The", "cat", "did", "n't", "sit", "."], " ", "The cat didn't sit ."),
        (["j'", "avais", "vu", "l'", "été", " ", "-il"], " ", "j'avais vu l'été-il"),
        (["他", "听说过", "老板", "，", "并且", "记得", "他。"], "", "他听说过老板，并且记得他。"),
    ],
)
def test_surprisal_of_a_texts_words_adds_up_to_that_of_its_tokens_in_every_language(listed, separator, text, tokenizer):
    """The white-space correction moves probability between neighbours, and there is none where no white space is."""
    lm = LanguageModel(tiny_model("llama"), tokenizer=tokenizer())
    frame = pd.DataFrame({"text": 1, "number": np.arange(len(listed)), "word": listed})
    table = add_word_features(frame, model=lm, separator=separator)
    tokens = SurprisalTransformer(lm).fit([text]).by_token([text])[0]
    assert table["no_spelling"].tolist() == [word == " " for word in listed]
    assert (table.loc[table["shared_token"] | table["no_spelling"], "surprisal"] == 0).all()
    difference = table["surprisal"].sum() - tokens["surprisal"].sum()
    if separator:
        assert difference < 5  # what is left is the end of the last word
    else:
        assert difference == pytest.approx(0, abs=1e-4)


def by_hand(tokenizer, model, text, spans, *, ends_in_space):
    """Surprisal of words from the model's own logits; a word is over where a token with white space in front may come.

    Pimentel and Meister (2024), equation 8, with white space marked by Ġ (byte-level) or ▁ (SentencePiece).
    """
    import torch

    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    with torch.no_grad():
        logits = model(torch.tensor([[tokenizer.bos_token_id, *encoded["input_ids"]]])).logits[0]
    log_p = logits.double().log_softmax(-1).numpy()  # row i predicts token i
    marked = np.array([i for token, i in tokenizer.get_vocab().items() if token.startswith(("Ġ", "▁"))])
    log_start = np.logaddexp.reduce(log_p[:, marked], axis=1)
    log_start[0] = 0.0  # a text begins with a word
    costs = -log_p[np.arange(len(log_p) - 1), encoded["input_ids"]]
    letters = [a + len(text[a:b]) - len(text[a:b].lstrip()) for a, b in encoded["offset_mapping"]]
    firsts = [next(i for i, at in enumerate(letters) if at >= start) for start, _ in spans]
    # A token of white space alone stands at its end: it belongs to the word after it.
    firsts = [first - (first > 0 and text[slice(*encoded["offset_mapping"][first - 1])].isspace()) for first in firsts]
    is_marked = [*np.isin(encoded["input_ids"], marked), ends_in_space]
    for first, after in zip(firsts, [*firsts[1:], len(costs)], strict=True):
        before = log_start[first] if is_marked[first] else 0.0
        yield costs[first:after].sum() + before - (log_start[after] if is_marked[after] else 0.0)


@pytest.mark.parametrize("make_tokenizer", [tiny_tokenizer, metaspace_tokenizer, llama_tokenizer])
@pytest.mark.parametrize(
    ("listed", "separator"),
    [
        (["Rain", "fell", "on", "the", "old", "bridge."], " "),
        (["Quand", "j'", "avais", "six", "ans,", "l'", "été", "était", "long."], " "),
        (["他", "听说过", "老板，", "并且", "记得", "他。"], ""),
    ],
    ids=["english", "french", "chinese"],
)
def test_white_space_is_corrected_for_where_it_is_in_each_language_and_family_of_tokenizers(
    listed, separator, make_tokenizer
):
    tokenizer, model, running = make_tokenizer(), tiny_model("llama"), running_text(listed, separator=separator)
    frame = pd.DataFrame({"text": 1, "number": np.arange(len(listed)), "word": listed})
    table = add_word_features(frame, model=LanguageModel(model, tokenizer=tokenizer), separator=separator)
    expected = list(by_hand(tokenizer, model, running.text, running.spans, ends_in_space=bool(separator)))
    assert not table["shared_token"].any()
    np.testing.assert_allclose(table["surprisal"], expected, atol=1e-4)


def test_features_of_words_are_their_tokens_pooled_in_the_order_of_the_table(words, tiny_lm_dir):
    dense = LMActivationTransformer(tiny_lm_dir, layer=1, level="token")
    named = words.assign(item=words["text"] + words["number"].astype(str))
    features = word_features(named.sample(frac=1, random_state=0), dense, pooling="sum")
    tokens = dense.fit_transform(list(TEXTS.values()))
    expected = tokens.pool("word", pooling="sum").concatenated()
    np.testing.assert_allclose(features.rows_of(named["item"]), expected, rtol=1e-5)
    assert sorted(features.texts) == sorted(words["text"])
    with pytest.raises(ValueError, match="set level='token' in its steps"):
        word_features(named, LMActivationTransformer(tiny_lm_dir, layer=1, level="text"))
    with pytest.raises(ValueError, match="Each word must have one row"):
        word_features(named.assign(item="same"), dense)


@pytest.mark.parametrize(
    ("change", "options", "match"),
    [
        (lambda w: pd.concat([w, w[:1]]), {}, "Each word must have one row, but 2 rows"),
        (lambda w: w.assign(surprisal=0.0), {}, r"Column\(s\) \['surprisal'\] are in the table already"),
        (lambda w: w.drop(columns="word"), {}, r"Column\(s\) \['word'\] not in the table of words"),
        (lambda w: w, {"quantities": ("loudness",)}, r"Unknown quantities \['loudness'\]"),
        (lambda w: w.assign(word=""), {}, "Text 'a': Expected at least one word with letters"),
    ],
)
def test_bad_tables_are_named(words, tiny_lm_dir, change, options, match):
    with pytest.raises(ValueError, match=match):
        add_word_features(change(words), model=tiny_lm_dir, **options)


def test_the_shell_command_writes_the_same_table(words, tiny_lm_dir, tmp_path, capsys):
    words.to_csv(tmp_path / "in.csv", index=False)
    options = ["--model", tiny_lm_dir, "--quantities", "surprisal", "rank", "--previous", "1"]
    for ending in ("out.csv", "out.tsv", "out.parquet"):
        assert main(["words", str(tmp_path / "in.csv"), str(tmp_path / ending), *options]) == 0
    expected = add_word_features(words, model=tiny_lm_dir, quantities=("surprisal", "rank"), previous=1)
    written = pd.read_csv(tmp_path / "out.csv")
    pd.testing.assert_frame_equal(written, expected.reset_index(drop=True), check_dtype=False)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "out.parquet"), written, check_dtype=False)
    assert "NA" in (tmp_path / "out.tsv").read_text().split()
    assert main(["words", str(tmp_path / "none.csv"), str(tmp_path / "out.csv"), *options]) == 2
    assert "There is no file" in capsys.readouterr().err
    assert main(["words", str(tmp_path / "in.csv"), str(tmp_path / "out.xlsx"), *options]) == 2
    assert "ends in .csv, .tsv" in capsys.readouterr().err


def test_words_that_a_reader_of_tables_took_for_missing_are_counted_in_a_warning(words, tiny_lm_dir):
    lost = words.assign(word=words["word"].where(np.arange(len(words)) != 3))
    with pytest.warns(UserWarning, match=rf"1 of {len(words)} words are missing .* in row {words.index[3]}") as seen:
        table = add_word_features(lost, model=tiny_lm_dir)
    assert [one.filename for one in seen] == [__file__]
    assert table["no_spelling"].tolist() == [i == 3 for i in range(len(words))]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        add_word_features(lost.fillna({"word": ""}), model=tiny_lm_dir)


def test_words_named_none_and_na_stay_words(tiny_lm_dir, tmp_path):
    word_table(["None said NA"]).to_csv(tmp_path / "in.csv", index=False)
    assert main(["words", str(tmp_path / "in.csv"), str(tmp_path / "out.csv"), "--model", tiny_lm_dir]) == 0
    assert pd.read_csv(tmp_path / "out.csv", keep_default_na=False)["word"].tolist() == ["None", "said", "NA"]
