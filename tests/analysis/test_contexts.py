"""Texts that activate features."""

import numpy as np
import pytest
from scipy import sparse

from sklearn_sae_encoding.analysis import feature_contexts
from sklearn_sae_encoding.tokens import TokenTable


def corpus(n_texts, rng, width=3):
    """Texts of ten words w0 .. w9, in which column j is active on some words, the last column never."""
    texts, offsets, values = [], [], []
    for _ in range(n_texts):
        words = [f"w{i}" for i in rng.integers(0, 10, 10)]
        texts.append(" ".join(words))
        offsets.append([(3 * i, 3 * i + 2) for i in range(10)])
        active = (rng.random((10, width)) < 0.08) * rng.random((10, width))
        active[:, -1] = 0
        values.append(sparse.csr_array(active))
    return texts, offsets, values


def table(texts, offsets, values):
    return TokenTable.from_arrays(values, texts, offsets)


def test_contexts_do_not_depend_on_how_the_corpus_is_cut_into_batches():
    texts, offsets, values = corpus(60, np.random.default_rng(0))
    whole = feature_contexts(table(texts, offsets, values), corpus="toy", random_state=0)
    parts = (table(texts[i : i + 7], offsets[i : i + 7], values[i : i + 7]) for i in range(0, 60, 7))
    cut = feature_contexts(parts, corpus="toy", random_state=0)
    top = [frame[frame["kind"] == "top"].reset_index(drop=True) for frame in (whole, cut)]
    assert top[0].equals(top[1])
    assert whole["kind"].value_counts().to_dict() == cut["kind"].value_counts().to_dict()


def test_top_contexts_are_the_strongest_texts_and_silent_ones_have_no_active_token():
    texts, offsets, values = corpus(80, np.random.default_rng(1))
    contexts = feature_contexts(table(texts, offsets, values), corpus="toy", n_top=4, random_state=0)
    peaks = np.sort([value.toarray()[:, 0].max() for value in values])[::-1]
    first = contexts[contexts["index"] == 0]
    np.testing.assert_allclose(first.loc[first["kind"] == "top", "activation"], peaks[:4], rtol=1e-6)
    silent = first[first["kind"] == "silent"]
    assert len(silent) == 5
    assert (silent["activation"] == 0).all()
    assert not silent["marks"].map(len).any()
    assert not first["text"].duplicated().any()
    strengths = first[first["kind"] == "quantile"]["activation"]
    assert strengths.max() > 2 * strengths.min()


def test_marks_point_at_the_active_tokens_in_the_part_that_is_shown():
    text = "before " * 40 + "cat" + " after" * 40
    offsets = [(7 * i, 7 * i + 6) for i in range(40)] + [(280, 283)] + [(284 + 6 * i, 289 + 6 * i) for i in range(40)]
    values = np.zeros((81, 1))
    values[40], values[0] = 3.0, 1.0
    context = feature_contexts(
        table([text], [offsets], [sparse.csr_array(values)]), corpus="toy", n_characters=30
    ).iloc[0]
    assert len(context["text"]) < 80
    ((start, end, value),) = context["marks"]
    assert (context["text"][start:end], value) == ("cat", 3.0)
    assert set(context["text"].split()) == {"before", "cat", "after"}


def test_features_that_are_asked_for_are_the_only_ones():
    contexts = feature_contexts(table(*corpus(30, np.random.default_rng(2))), corpus="toy", features=[1])
    assert contexts["index"].unique().tolist() == [1]
    assert contexts["corpus"].unique().tolist() == ["toy"]


def test_tables_without_texts_or_of_other_columns_are_refused():
    with pytest.raises(ValueError, match="TokenTable with texts and offsets"):
        feature_contexts(TokenTable([np.ones((2, 1))]), corpus="toy")
    parts = [table(*corpus(2, np.random.default_rng(0), width)) for width in (2, 3)]
    with pytest.raises(ValueError, match="one has 3 after one with 2"):
        feature_contexts(parts, corpus="toy")
    with pytest.raises(ValueError, match="columns from 0 to 1, got 5"):
        feature_contexts(parts[0], corpus="toy", features=[5])
