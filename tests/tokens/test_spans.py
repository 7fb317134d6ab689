"""Spans as samples: a row a span, its text read whole."""

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import GroupKFold
from sklearn.utils import indexable

from sklearn_sae_encoding._tokens.spans import as_spans
from sklearn_sae_encoding.tokens import Spans

TEXTS = ["A dog barks.", "So what?"]


@pytest.fixture
def spans():
    return Spans(TEXTS, [(2, 5), (0, 2), (3, 8)], ids=[0, 1, 1])


def test_spans_give_their_text_and_place_and_slice_to_themselves(spans):
    assert len(spans) == 3
    assert spans.shape == (3,)
    assert [span.text[span.start : span.end] for span in spans] == ["dog", "So", "what?"]
    assert spans[-1] == (TEXTS[1], 3, 8)
    assert spans[[2, 0]].ids.tolist() == [1, 0]
    assert spans[np.array([True, False, False])] == spans[:1]
    assert repr(spans[1:2]) == "Spans(1 span in 1 text)"
    with pytest.raises(IndexError, match="indexed by"):
        spans["a"]
    with pytest.raises(TypeError, match="no table of numbers"):
        np.asarray(spans)


def test_texts_stay_in_one_fold_with_ids_as_groups(spans):
    assert indexable(spans, np.arange(3))[0] is spans
    for train, test in GroupKFold(2).split(spans, groups=spans.ids):
        assert not set(spans[train].ids) & set(spans[test].ids)


def test_a_frame_of_spans_is_spans_and_another_table_is_not(spans):
    frame = spans.to_frame()
    assert as_spans(frame) == spans == as_spans(spans)
    assert as_spans(frame).ids.tolist() == [0, 1, 1]
    assert as_spans(frame.assign(rt=1.0)) == spans
    assert as_spans(frame.drop(columns="end")) is None
    assert as_spans(TEXTS) is None
    assert as_spans(pd.DataFrame(np.ones((2, 3)))) is None


def test_spans_of_several_texts_are_stacked(spans):
    assert Spans.of_texts(TEXTS, [[(2, 5)], [(0, 2), (3, 8)]]) == spans
    assert Spans.of_texts([TEXTS[1], TEXTS[0]], [[], [(2, 5)]]) == spans[:1]
    with pytest.raises(ValueError, match="each of 2 texts, got those of 1"):
        Spans.of_texts(TEXTS, [[(2, 5)]])


@pytest.mark.parametrize(
    ("texts", "pairs", "ids", "message"),
    [
        ("A dog", [(0, 1)], None, "one string"),
        (TEXTS, [(0, 1)], None, "each of 1 spans, got 2 texts"),
        (TEXTS, [(0, 1)], [2], "Span 0 is in text 2, but there are 2 texts"),
        (TEXTS, [(0, 1)], [0.0], "dtype float64"),
        (TEXTS, [(0, 1), (2, 2)], None, r"Span 1 is \(2, 2\), which is not at least one character"),
        (TEXTS, [(0, 1), (2, 9)], None, r"Span 1 is \(2, 9\).*text of 8 characters: 'So what\?'"),
        (TEXTS, [(-1, 1), (2, 3)], None, r"Span 0 is \(-1, 1\)"),
        (TEXTS, [(0.5, 1), (2, 3)], None, "spans as integers"),
        (TEXTS, [(0, 1, 2), (2, 3, 4)], None, r"spans as integers of shape.*got shape \(2, 3\)"),
        ([1, "a"], [(0, 1), (0, 1)], None, "Text 0 is of type int"),
    ],
)
def test_spans_outside_their_texts_are_refused_by_number(texts, pairs, ids, message):
    with pytest.raises(ValueError, match=message):
        Spans(texts, pairs, ids)


def test_a_frame_with_a_missing_text_is_refused_by_number(spans):
    with pytest.raises(ValueError, match="text of span 1 is of type"):
        as_spans(spans.to_frame().assign(text=["A dog barks.", None, "So what?"]))
