"""Tokens to words: every tokenizer gives words their tokens, and words tile the text."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import llama_tokenizer, metaspace_tokenizer, tiny_tokenizer, wordpiece_tokenizer

from sklearn_sae_encoding._tokens.alignment import trimmed, word_spans, words_of, words_within

TOKENIZERS = {
    "GPT-2": tiny_tokenizer,
    "Llama": llama_tokenizer,
    "SentencePiece": metaspace_tokenizer,
    "WordPiece": wordpiece_tokenizer,
}
SAMPLES = {
    "plain": "The cat sat on the old stone bridge.",
    "emoji": "A dog 👩‍🚀 sat 👍🏽!",
    "Chinese": "猫坐在垫子上，狗也来了。",
    "Chinese and Latin": "the 猫 sat 在bridge上",
    "combining marks": "Cafe\u0301 o\u0308ffnet e\u0301te\u0301",
    "contractions": "They don't know what he'd said, wouldn't it?",
    "white space": "\u00a0 He  left\tthe\n\nroom \u3000 now  ",
}
_tokenizers = {}


def offsets_of(kind, text):
    tokenizer = _tokenizers.setdefault(kind, TOKENIZERS[kind]())
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    return np.array(encoded["offset_mapping"], dtype=np.int64).reshape(-1, 2)


random_texts = st.text(
    st.one_of(st.sampled_from(list("aeinot  \n\t.',-")), st.sampled_from(list("é\u0301猫在，👩\u200d🚀\u00a0ß'’中"))),
    min_size=1,
    max_size=40,
).filter(str.strip)


def owners(offsets, words):
    """How many words each token makes, those that only share it left out."""
    counts = np.zeros(len(offsets), dtype=int)
    for (first, last), shared, joined in zip(words.tokens, words.shared, words.joined, strict=True):
        counts[first:last] += not (shared or joined)
    return counts


@pytest.mark.parametrize("kind", TOKENIZERS)
@settings(max_examples=60, deadline=None)
@given(text=random_texts)
def test_words_tile_a_text_and_tokens_tile_its_words(kind, text):
    offsets = offsets_of(kind, text)
    words = words_of(text, offsets)
    spelled = [text[start:end] for start, end in words.spans]
    # WordPiece has no token for some characters: a word of such characters alone is none.
    assert spelled == text.split() if kind != "WordPiece" else set(spelled) <= set(text.split())
    assert (words.spans[1:, 0] >= words.spans[:-1, 1]).all()
    visible = np.array([bool(text[start:end].strip()) for start, end in offsets], dtype=bool)
    np.testing.assert_array_equal(owners(offsets, words)[visible], 1)
    assert owners(offsets, words).max(initial=0) <= 1
    assert (words.tokens[:, 0] < words.tokens[:, 1]).all()


@pytest.mark.parametrize("kind", TOKENIZERS)
@settings(max_examples=40, deadline=None)
@given(text=random_texts)
def test_words_given_as_spans_are_the_words_between_white_space(kind, text):
    offsets = offsets_of(kind, text)
    words = words_of(text, offsets)
    if len(words.spans):
        as_spans = words_of(text, offsets, words.spans)
        for given_, found in zip(as_spans[:-1], words[:-1], strict=True):  # index: which of those that were asked for
            np.testing.assert_array_equal(given_, found)


@pytest.mark.parametrize("kind", TOKENIZERS)
@settings(max_examples=40, deadline=None)
@given(text=random_texts)
def test_one_span_of_everything_holds_all_tokens(kind, text):
    offsets = offsets_of(kind, text)
    if len(offsets):
        words = words_of(text, offsets, [(0, len(text))])
        np.testing.assert_array_equal(words.tokens, [[0, len(offsets)]])


@pytest.mark.parametrize("kind", TOKENIZERS)
@pytest.mark.parametrize("text", SAMPLES.values(), ids=SAMPLES)
def test_the_characters_of_a_words_tokens_are_those_of_the_word(kind, text):
    offsets = trimmed(text, offsets_of(kind, text))
    words = words_of(text, offsets)
    for (start, end), (first, last) in zip(words.spans, words.tokens, strict=True):
        covered = {i for a, b in offsets[first:last] for i in range(a, b)}
        # BERT's normalizer drops accents and joiners.
        assert covered == set(range(start, end)) or (kind == "WordPiece" and covered < set(range(start, end)))


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_every_chinese_character_can_be_a_word(kind):
    text = SAMPLES["Chinese"]
    spans = np.column_stack([np.arange(len(text)), np.arange(1, len(text) + 1)])
    words = words_of(text, offsets_of(kind, text), spans)
    assert len(words.spans) == len(text)
    assert not words.shared.any()
    assert np.unique(words.tokens[:, 0]).size == len(text)


def test_a_split_contraction_gives_each_part_the_tokens_that_begin_in_it():
    text = "They don't"
    offsets = np.array([(0, 4), (5, 8), (8, 10)])  # They| don|'t
    words = words_of(text, offsets, [(0, 4), (5, 7), (7, 10)])
    np.testing.assert_array_equal(words.tokens, [(0, 1), (1, 2), (2, 3)])
    assert not words.shared.any()


def test_a_token_across_two_spans_belongs_to_the_one_that_holds_its_first_visible_character():
    text = "a  bc d"
    offsets = np.array([(0, 1), (1, 5), (5, 7)])
    words = words_of(text, offsets, [(0, 3), (3, 4), (4, 7)])
    np.testing.assert_array_equal(words.tokens, [(0, 1), (1, 2), (2, 3)])


def test_a_word_inside_another_words_token_shares_it_and_is_flagged():
    text = "小王子来了"
    offsets = np.array([(0, 3), (3, 4), (4, 5)])  # 小王子|来|了
    words = words_of(text, offsets, [(0, 1), (1, 3), (3, 5)])
    np.testing.assert_array_equal(words.tokens, [(0, 1), (0, 1), (1, 3)])
    np.testing.assert_array_equal(words.shared, [False, True, False])


def test_bytes_of_one_character_stay_together_and_a_token_of_two_halves_goes_to_the_first():
    text = "猫在"
    offsets = np.array([(0, 1), (0, 1), (0, 2), (1, 2)])  # the third token ends one character and begins the next
    words = words_of(text, offsets, [(0, 1), (1, 2)])
    np.testing.assert_array_equal(words.tokens, [(0, 3), (3, 4)])
    assert not words.shared.any()


def test_rows_without_spelling_stand_for_the_word_before_and_are_flagged():
    text = "du pain"
    offsets = np.array([(0, 2), (3, 7)])
    words = words_of(text, offsets, [(0, 0), (0, 2), (2, 2), (3, 7), (7, 7)])
    np.testing.assert_array_equal(words.tokens, [(0, 1), (0, 1), (0, 1), (1, 2), (1, 2)])
    np.testing.assert_array_equal(words.joined, [True, False, True, False, True])
    with pytest.raises(ValueError, match="No span of text 4 has any character"):
        words_of(text, offsets, [(2, 2)], of="text 4")


def test_words_within_a_span_are_those_of_the_text_that_lie_in_it():
    text = "one <pad> two three"
    offsets = np.array([(0, 3), (10, 13), (14, 19)])  # the tokenizer dropped <pad>
    for found, expected in zip(words_within(text, offsets, None, of="it"), words_of(text, offsets), strict=True):
        np.testing.assert_array_equal(found, expected)
    inside = words_within(text, offsets, (4, 16), of="it")
    np.testing.assert_array_equal(inside.spans, [(10, 13), (14, 16)])
    np.testing.assert_array_equal(inside.tokens, [(1, 2), (2, 3)])


def test_tokens_of_white_space_alone_are_no_words_but_belong_to_a_span_around_them():
    text = "a \n b"
    offsets = np.array([(0, 1), (1, 3), (3, 5)])
    np.testing.assert_array_equal(words_of(text, offsets).tokens, [(0, 1), (2, 3)])
    np.testing.assert_array_equal(words_of(text, offsets, [(0, 3), (3, 5)]).tokens, [(0, 2), (2, 3)])


def test_a_white_space_word_that_the_tokenizer_drops_is_left_out_and_a_span_of_it_is_an_error():
    text = "one <pad> two"
    offsets = np.array([(0, 3), (10, 13)])
    np.testing.assert_array_equal(words_of(text, offsets).spans, [(0, 3), (10, 13)])
    with pytest.raises(
        ValueError, match=r"Span 1 of text 2, characters 4 to 9, '<pad>', has no character of any token"
    ):
        words_of(text, offsets, [(0, 3), (4, 9)], of="text 2")


@pytest.mark.parametrize(
    ("spans", "message"),
    [
        ([(0, 4)], r"Span 0 of the text is \(0, 4\), which is not inside its 3 characters"),
        ([(0, 1), (2, 1)], r"Span 1 of the text is \(2, 1\)"),
        ([(-1, 1)], r"\(-1, 1\)"),
        ([(0.0, 1.0)], "as integers of shape"),
        ([0, 1], "as integers of shape"),
        ([], "at least one span"),
    ],
)
def test_spans_that_are_none_are_refused(spans, message):
    with pytest.raises(ValueError, match=message):
        words_of("abc", np.array([(0, 3)]), spans)


def test_a_long_text_is_cut_short_in_errors():
    with pytest.raises(ValueError, match=r"its 100 characters: 'a{57}\.\.\.'"):
        words_of("a" * 100, np.array([(0, 100)]), [(0, 101)])
    with pytest.raises(ValueError, match=r"its 60 characters: 'a{60}'"):
        words_of("a" * 60, np.array([(0, 60)]), [(0, 61)])


def test_trimming_leaves_white_space_alone_where_it_is_all_there_is():
    text = " a \n b "
    np.testing.assert_array_equal(trimmed(text, np.array([(0, 3), (3, 4), (4, 7)])), [(1, 2), (3, 4), (5, 6)])


def test_words_between_white_space_are_those_of_str_split():
    text = SAMPLES["white space"]
    assert [text[start:end] for start, end in word_spans(text)] == text.split()
