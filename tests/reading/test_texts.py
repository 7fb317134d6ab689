"""Words put together to texts, placed in texts, counted and looked up."""

import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from sklearn_sae_encoding.reading import log_frequency, running_text, word_table
from sklearn_sae_encoding.reading._texts import n_letters, place_words


@pytest.mark.parametrize(
    ("words", "separator", "text"),
    [
        (["do", "n't", "he", "'s"], " ", "don't he's"),
        (["j'", "avais", "parle", "-t", "-il"], " ", "j'avais parle-t-il"),
        (["l’", "ami", "-", "là"], " ", "l’ami - là"),
        (["当", "我", "还"], "", "当我还"),
        (["du", None, " ", "pain", float("nan")], " ", "du pain"),
    ],
)
def test_words_are_put_together_as_they_are_written(words, separator, text):
    running = running_text(words, separator=separator)
    assert running.text == text
    spelled = [text[start:end] for start, end in running.spans]
    assert spelled == [word.strip() if isinstance(word, str) else "" for word in words]


def test_words_are_placed_in_a_given_text_with_or_without_the_punctuation_that_clings_to_them():
    table = pd.DataFrame({"text": "a", "number": [2, 1, 3], "word": ["dog", "The", "barks."]})
    for punctuation, expected in ((True, ["The", "“dog”", "barks."]), (False, ["The", "dog", "barks"])):
        placed = place_words(
            table, word="word", by="text", order="number", texts={"a": "The “dog” barks."}, punctuation=punctuation
        )
        assert [placed.texts[0][start:end] for start, end in placed.spans[0]] == expected
        assert placed.rows[0].tolist() == [1, 0, 2]


@pytest.mark.parametrize(
    ("texts", "match"),
    [
        ({"b": "The dog barks."}, r"Text 'a': no text is given for it; texts has such as \['b'\]"),
        ({"a": "The cat sleeps soundly tonight."}, "Text 'a': .* words are not in the text"),
    ],
)
def test_words_without_their_text_and_texts_without_their_words_are_named(texts, match):
    table = pd.DataFrame({"text": "a", "number": [1, 2, 3], "word": ["The", "dog", "barks"]})
    with pytest.raises(ValueError, match=match):
        place_words(table, word="word", by="text", order="number", texts=texts)


def test_length_counts_letters_of_any_script_and_punctuation_only_if_asked():
    assert [n_letters(word) for word in ["don't", "barks.", "l’été", "他。", "--", None, "e\u0301"]] == [
        4,
        5,
        4,
        1,
        0,
        0,
        1,
    ]
    assert [n_letters(word, punctuation=True) for word in ["don't", "barks.", "他。"]] == [5, 6, 2]


def test_frequencies_come_from_the_users_list_or_from_wordfreq(monkeypatch):
    own = log_frequency(["The", "(cat)", "zzz", "--", None], frequencies=pd.Series({"the": 8.0, "cat": 2.0}))
    np.testing.assert_allclose(own, np.log([8, 2, 1, np.nan, np.nan]))
    asked = []
    fake = SimpleNamespace(word_frequency=lambda *a, **k: asked.append((a, k)) or 1e-4)
    monkeypatch.setitem(sys.modules, "wordfreq", fake)
    np.testing.assert_allclose(log_frequency(["Chat!"], language="fr"), np.log([1e-4]))
    assert asked == [(("chat", "fr"), {"wordlist": "best"})]
    fake.word_frequency = lambda *a, **k: __import__("a_missing_segmenter")
    with pytest.raises(ImportError, match="wordfreq needs the package a_missing_segmenter for language 'zh'"):
        log_frequency(["猫"], language="zh")
    monkeypatch.setitem(sys.modules, "wordfreq", None)
    with pytest.raises(ImportError, match=r"sklearn-sae-encoding\[frequency\]"):
        log_frequency(["chat"])
    with pytest.raises(ValueError, match="no positive number"):
        log_frequency(["chat"], frequencies={"chat": 0})


def test_a_table_of_words_has_the_words_between_white_space_or_those_of_spans():
    words = word_table(["A dog  barks.", "So"], ids=["x", "y"])
    assert words["item"].tolist() == ["x.0001", "x.0002", "x.0003", "y.0001"]
    assert words[["word", "start"]].to_numpy().tolist() == [["A", 0], ["dog", 2], ["barks.", 7], ["So", 0]]
    assert word_table(["他听说过"], spans=[[(0, 1), (1, 4)]])["word"].tolist() == ["他", "听说过"]
    with pytest.raises(ValueError, match="There are 1 texts, but 2 ids"):
        word_table(["a"], ids=[1, 2])
