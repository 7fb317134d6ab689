"""A corpus' words in a running text: placed in order, or named."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_sae_encoding.tokens import align_words


def spelled(text, words, **settings_):
    return [text[start:end] for start, end in align_words(text, words, **settings_)]


@pytest.mark.parametrize(
    ("text", "words", "expected"),
    [
        ("`What's this?' thought Alice.", "what 's this thought alice", "What 's this thought Alice"),
        ("I don\u2019t; she wouldn't.", "i do n't she would n't", "I do n\u2019t she would n't"),
        ("J\u2019avais six ans, aujourd'hui.", "j' avais six ans aujourd'hui", "J\u2019 avais six ans aujourd'hui"),
        ("rabbit-hole", "rabbit hole", "rabbit hole"),
        ("a daisy chain", "a daisy-chain", "a|daisy chain"),
        ("Cafe\u0301 ÉTÉ", "café été", "Cafe\u0301 ÉTÉ"),
        ("Straße ﬁn", "STRASSE fin", "Straße ﬁn"),
        ("TOOK A WATCH", "took a watch", "TOOK A WATCH"),
    ],
)
def test_case_accents_punctuation_and_the_cut_of_words_do_not_matter(text, words, expected):
    expected = expected.split("|") if "|" in expected else expected.split(" ")
    assert spelled(text, words.split(" ")) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("the here he is", "he is"),
        ("go forgo go", "forgo"),
        ("a ago go", "go"),
        ("hers saw he now is", "he is"),
        ("a aaa a", "a a"),
    ],
)
def test_a_word_is_placed_where_it_stands_alone_rather_than_inside_another(text, words):
    spans = align_words(text, words.split(" "), similar=1)
    assert [text[start:stop] for start, stop in spans] == words.split(" ")
    assert all((" " + text + " ")[start] == " " == (" " + text + " ")[stop + 1] for start, stop in spans)


def test_chinese_words_are_found_without_white_space():
    text = "当我还只有六岁的时候，在一本书中，看到了一幅插画。"
    words = [
        "当",
        "我",
        "还",
        "只有",
        "六",
        "岁",
        "的",
        "时候",
        "在",
        "一",
        "本",
        "书",
        "中",
        "看到",
        "了",
        "一",
        "幅",
        "插画",
    ]
    assert spelled(text, words) == words


def test_punctuation_that_a_word_spells_belongs_to_it():
    text = '"Well," she said -- and left (at last).'
    assert spelled(text, text.split()) == text.split()
    nested = '("Well," (she said): "[so]...")'
    assert spelled(nested, nested.split()) == nested.split()
    assert spelled(text, ["well", "she", "said", "--", "and", "left", "at", "last"])[3] == "--"


def test_clinging_punctuation_is_given_to_words_on_request():
    text = '  "Well," she said -- and left (at last). '
    words = ["well", "she", "said", "and", "left", "at", "last"]
    assert spelled(text, words, punctuation=True) == ['"Well,"', "she", "said", "and", "left", "(at", "last)."]
    text = "他说：“你好，小王子。”（完）"
    assert spelled(text, ["他", "说", "你好", "小", "王子", "完"], punctuation=True) == [
        "他",
        "说：",
        "“你好，",
        "小",
        "王子。”",
        "（完）",
    ]


def test_text_without_words_is_passed_over():
    text = "CHAPTER I. Down the Rabbit-Hole\n\nAlice was beginning to get very tired. [note] She sat."
    words = ["alice", "was", "beginning", "to", "get", "very", "tired", "she", "sat"]
    assert [word.lower() for word in spelled(text, words)] == words


def test_words_that_are_spelled_otherwise_are_placed_between_their_neighbours():
    text = "it was labelled all round with mixed flavour and what is more"
    words = ["it", "was", "labled", "all", "around", "with", "mixed", "flavor", "and", "what", "'s", "more"]
    assert spelled(text, words) == text.split()
    with pytest.raises(
        ValueError, match=r"4 of 12 words.*'labled' \(2\), 'around' \(4\), 'flavor' \(7\), \"'s\" \(10\)"
    ):
        align_words(text, words, similar=1)


def test_words_that_are_not_there_are_named_and_get_empty_spans():
    text = "for fear of killing somebody, so managed to put it there"
    words = ["for", "fear", "of", "killing", "somebody", "so", "she", "managed", "to", "put", "it", "there"]
    with pytest.raises(ValueError, match=r"1 of 12 words are not in the text.*'she' \(6\)"):
        align_words(text, words)
    with pytest.warns(UserWarning, match=r"'she' \(6\)"):
        spans = align_words(text, words, on_unplaced="warn")
    assert tuple(spans[6]) == (spans[5, 1], spans[5, 1])
    kept = np.delete(np.arange(12), 6)
    assert [text[a:b] for a, b in spans[kept]] == [words[i] for i in kept]


def test_a_missing_short_word_does_not_take_letters_of_another():
    text = "she sat and had an apple"
    words = ["she", "sat", "a", "and", "had", "an", "apple"]
    spans = align_words(text, words, on_unplaced="ignore")
    assert spans[2, 0] == spans[2, 1]
    assert [text[a:b] for a, b in np.delete(spans, 2, axis=0)] == text.split()


def test_words_without_spelling_get_empty_spans_without_a_complaint():
    text = "Il mange du pain"
    spans = align_words(text, [None, "il", "mange", "du", float("nan"), " ", "pain"])
    assert [text[a:b] for a, b in spans] == ["", "Il", "mange", "du", "", "", "pain"]
    np.testing.assert_array_equal(spans[[0, 4, 5]], [(0, 0), (11, 11), (11, 11)])


@settings(max_examples=60, deadline=None)
@given(
    words=st.lists(st.text(st.sampled_from("abcdé猫在"), min_size=1, max_size=4), min_size=1, max_size=60),
    dropped=st.sets(st.integers(0, 59)),
    gap=st.sampled_from([" ", ", ", "  —\n"]),
)
def test_words_of_the_text_itself_are_all_placed_and_spans_keep_their_order(words, dropped, gap):
    text = gap.join(words)
    assert spelled(text, words) == words
    left = [word for i, word in enumerate(words) if i not in dropped] or words
    spans = align_words(text, left)
    assert (spans[:, 0] < spans[:, 1]).all()
    assert (spans[1:, 0] >= spans[:-1, 1]).all()


def test_long_lists_with_whole_passages_missing_on_either_side_find_their_way_back():
    rng = np.random.default_rng(0)
    vocabulary = ["".join(rng.choice(list("abcdefgh"), size=rng.integers(1, 7))) for _ in range(300)]
    story = [vocabulary[i] for i in rng.zipf(1.3, 3000) % 300]
    heard = story[:700] + story[1100:2000] + ["zzz"] * 60 + story[2000:]
    text = " ".join(story)
    spans = align_words(text, heard, on_unplaced="ignore")
    starts = np.cumsum([0, *(len(word) + 1 for word in story)])[:-1]
    expected = np.concatenate([starts[:700], starts[1100:2000], np.full(60, -1), starts[2000:]])
    right = spans[:, 0] == expected
    assert right[expected >= 0].mean() > 0.995
    assert (spans[1600:1660, 0] == spans[1600:1660, 1]).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("a b", "a b"), "split a string into words"),
        ((["a"], ["a"]), "Expected a text"),
        (("a b", ["a", 1]), "Word 1 is of type int"),
        (("a b", []), "at least one word"),
        (("", ["a"]), r"1 of 1 words.*'a' \(0\)"),
    ],
)
def test_what_is_no_text_or_list_of_words_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        align_words(*arguments)
    with pytest.raises(ValueError, match="on_unplaced must be one of"):
        align_words("a", ["a"], on_unplaced="skip")
