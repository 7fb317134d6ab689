"""TokenTable: one array a text that knows its tokens and words, slices to itself and is never mistaken for a table."""

import json
import mmap
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.model_selection import KFold, cross_val_predict, train_test_split
from sklearn.utils import check_array, indexable
from tiny_models import SENTENCES, llama_tokenizer, metaspace_tokenizer, tiny_tokenizer, wordpiece_tokenizer

from sklearn_sae_encoding.tokens import TokenTable

ORIGIN = {"model": "toy", "hook": "blocks.1.hook_resid_post", "bos_token": "<s>"}
TEXTS = ["A dog barks.", "猫!", "She can't  go", "So what?", "no"]
TOKENIZERS = [tiny_tokenizer(), llama_tokenizer(), metaspace_tokenizer(), wordpiece_tokenizer()]


def make_table(texts=TEXTS, seed=0, tokenizer=TOKENIZERS[0], is_sparse=False, width=6):
    rng = np.random.default_rng(seed)
    encoded = tokenizer(texts, add_special_tokens=False, return_offsets_mapping=True)
    values = [rng.normal(size=(len(ids), width)).astype(np.float32) for ids in encoded["input_ids"]]
    if is_sparse:
        values = [sparse.csr_array(np.where(array > 0.3, array, 0)) for array in values]
    tokens = [tokenizer.convert_ids_to_tokens(ids) for ids in encoded["input_ids"]]
    return TokenTable.from_arrays(values, texts, encoded["offset_mapping"], tokens=tokens, **ORIGIN)


@pytest.fixture(params=[False, True], ids=["dense", "sparse"])
def table(request):
    return make_table(is_sparse=request.param)


def is_mapped(array):
    """Whether an array's numbers are on disk."""
    while isinstance(array, np.ndarray) and array.base is not None:
        array = array.base
    return isinstance(array, mmap.mmap)


def dense(values):
    return values.toarray() if sparse.issparse(values) else values


def test_it_knows_its_texts_tokens_and_width(table):
    assert len(table) == 5
    assert table.shape == (5,)
    assert table.width == 6
    assert table.n_tokens.tolist() == [len(tokens) for tokens in table.tokens]
    assert [array.shape[0] for array in table] == table.n_tokens.tolist()
    assert table.concatenated().shape == (table.n_tokens.sum(), 6)
    assert sparse.issparse(table.concatenated()) == table.is_sparse
    assert repr(table).startswith("TokenTable(5 texts, 26 tokens, width=6, model='toy', hook='blocks.1.")


def test_an_integer_gives_the_array_of_one_text(table):
    for key, i in ((3, 3), (-1, 4), (np.int64(2), 2)):
        np.testing.assert_array_equal(dense(table[key]), dense(table.values[i]))


@pytest.mark.parametrize(
    ("key", "positions"),
    [
        (slice(1, 3), [1, 2]),
        ([4, 0], [4, 0]),
        (np.array([2, 2]), [2, 2]),
        (np.array([True, False, False, True, False]), [0, 3]),
        ([], []),
    ],
)
def test_every_other_key_gives_a_table_with_its_texts_tokens_and_origin(table, key, positions):
    part = table[key]
    assert isinstance(part, TokenTable)
    assert len(part) == len(positions)
    for j, i in enumerate(positions):
        np.testing.assert_array_equal(dense(part[j]), dense(table[i]))
        assert (part.tokens[j], part.texts[j]) == (table.tokens[i], table.texts[i])
        np.testing.assert_array_equal(part.offsets[j], table.offsets[i])
    assert part.origin() == {**ORIGIN, "names": None}


@pytest.mark.parametrize("key", ["a", 1.5, None, [[0, 1]], (0, 1)])
def test_a_key_of_another_kind_is_an_error(table, key):
    with pytest.raises(IndexError, match="indexed by"):
        table[key]


def test_scikit_learn_counts_splits_and_indexes_it(table):
    assert indexable(table, np.arange(5))[0] is table
    first, second = train_test_split(table, random_state=0)
    assert isinstance(first, TokenTable)
    assert sorted(first.texts + second.texts) == sorted(TEXTS)

    class FirstToken(BaseEstimator):
        def fit(self, X, y):
            assert isinstance(X, TokenTable)
            return self

        def predict(self, X):
            return np.array([dense(array)[0, 0] for array in X])

    predicted = cross_val_predict(FirstToken(), table, np.arange(5), cv=KFold(3))
    np.testing.assert_array_equal(predicted, [dense(array)[0, 0] for array in table])


def test_it_refuses_to_become_a_table_of_rows(table):
    for convert in (np.asarray, check_array):
        with pytest.raises(TypeError, match="Pool it first"):
            convert(table)


def test_it_survives_pickling(table):
    copy = pickle.loads(pickle.dumps(table))
    assert copy == table
    assert (copy.tokens, copy.texts) == (table.tokens, table.texts)


def test_tables_differ_where_values_or_origin_do(table):
    changed = table[:]
    changed.values[1] = changed.values[1] * 2
    assert changed != table
    assert table[:] == table
    assert table[:2] != table
    shorter = [value[1:] for value in table.values]
    assert TokenTable(shorter, **ORIGIN) != table
    assert table != TokenTable(table.values, **{**ORIGIN, "bos_token": ""})
    assert make_table(is_sparse=True) != make_table()


def test_half_precision_is_kept_in_store_and_given_out_as_single():
    table = make_table()
    half = TokenTable([array.astype(np.float16) for array in table])
    assert half.values[0].dtype == np.float16
    assert half[0].dtype == next(iter(half)).dtype == half.concatenated().dtype == np.float32
    np.testing.assert_allclose(half.concatenated(), table.concatenated(), atol=2e-3)


def test_pieces_read_as_the_text_with_the_white_space_before_each_token():
    for tokenizer in TOKENIZERS[:3]:
        table = make_table(["The cat sat on the mat.", "Was it late?"], tokenizer=tokenizer)
        for text, pieces, offsets in zip(table.texts, table.pieces, table.offsets, strict=True):
            read, done = "", 0
            for piece, (start, end) in zip(pieces, offsets.tolist(), strict=True):
                assert piece.endswith(text[start:end])
                read += piece if start >= done else text[done:end]  # a token may share characters with the one before
                done = max(done, end)
            assert read == text
    table = TokenTable.from_arrays([np.ones((3, 1))], ["A dog  ran"], [[(0, 1), (1, 5), (7, 10)]])
    assert table.tokens == [["A", "dog", "ran"]]
    assert table.pieces == [["A", " dog", "  ran"]]


@settings(max_examples=40, deadline=None)
@given(
    texts=st.lists(st.text("abeT .'\n猫é👩", min_size=1, max_size=25).filter(str.strip), min_size=1, max_size=3),
    which=st.integers(0, len(TOKENIZERS) - 1),
    is_sparse=st.booleans(),
    pooling=st.sampled_from(["mean", "sum", "max", "last", "first"]),
)
def test_one_span_of_everything_is_pooled_as_the_text(texts, which, is_sparse, pooling):
    table = make_table(texts, tokenizer=TOKENIZERS[which], is_sparse=is_sparse)
    if table.n_tokens.min() == 0:  # WordPiece drops some characters
        return
    by_span = table.pool("word", pooling=pooling, spans=[[(0, len(text))] for text in texts])
    assert by_span.n_tokens.tolist() == [1] * len(texts)
    np.testing.assert_array_equal(dense(by_span.concatenated()), dense(table.pool("text", pooling=pooling)))


def test_text_rows_are_what_numpy_makes_of_the_tokens(table):
    for pooling, by_numpy in {"mean": np.mean, "sum": np.sum, "max": np.max}.items():
        expected = np.stack([by_numpy(dense(array), axis=0) for array in table])
        np.testing.assert_allclose(dense(table.pool(pooling=pooling)), expected, rtol=1e-5, atol=1e-6)
    assert sparse.issparse(table.pool()) == table.is_sparse


def test_words_are_a_table_of_words_that_know_their_place(table):
    words = table.pool("word", pooling="sum")
    assert words.tokens == [text.split() for text in TEXTS]
    assert words.n_tokens.tolist() == [len(text.split()) for text in TEXTS]
    assert words.is_sparse == table.is_sparse
    assert words.origin() == table.origin()
    assert "names" not in repr(TokenTable([np.ones((2, 2))], names=["some", "names"]))
    assert repr(words).startswith("TokenTable(5 texts, 10 words, width=6")
    at = table.words()[2].tokens
    expected = np.stack([dense(table[2])[first:last].sum(axis=0) for first, last in at])
    np.testing.assert_allclose(dense(words[2]), expected, rtol=1e-6, atol=1e-6)
    # A word of a table of words is one row of it.
    assert words.pool("word", pooling="max") == words


def test_shared_and_joined_words_have_the_values_of_the_token_they_stand_for():
    table = TokenTable.from_arrays([[[1.0], [2.0]]], ["小王子来"], [[(0, 3), (3, 4)]])
    words = table.pool("word", spans=[[(0, 1), (1, 3), (3, 3), (3, 4)]])
    assert words.tokens == [["小", "王子", "", "来"]]
    assert words[0].ravel().tolist() == [1.0, 1.0, 1.0, 2.0]
    assert words.shared[0].tolist() == [False, True, False, False]
    assert words.joined[0].tolist() == [False, False, True, False]
    assert words[[0]].shared[0].tolist() == words.shared[0].tolist()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"by": "sentence"}, "by must be 'text' or 'word'"),
        ({"by": "text", "spans": [[(0, 1)]]}, "spans go with by='word'"),
        ({"pooling": "median"}, "pooling must be one of mean, sum"),
        ({"by": "word", "spans": [[(0, 1)]]}, "spans of each of 5 texts, got those of 1"),
        ({"by": "word", "spans": [[(0, 1)]] * 4 + [[(0, 9)]]}, "Span 0 of text 4"),
    ],
)
def test_what_cannot_be_pooled_so_is_said(table, arguments, message):
    with pytest.raises(ValueError, match=message):
        table.pool(**arguments)


def test_without_texts_there_are_no_words_and_without_tokens_no_rows():
    bare = TokenTable([np.ones((2, 3)), np.ones((0, 3))])
    with pytest.raises(ValueError, match="does not know its words"):
        bare.words()
    with pytest.raises(ValueError, match="Text 1 has no tokens"):
        bare.pool()
    empty = TokenTable([])
    assert repr(empty) == "TokenTable(0 texts, 0 tokens)"
    for ask in (empty.concatenated, lambda: empty.width):
        with pytest.raises(ValueError, match="holds no text"):
            ask()
    with pytest.raises(ValueError, match="no text to pool"):
        empty.pool()


@pytest.mark.parametrize(
    ("values", "keywords", "message"),
    [
        ([np.zeros((2, 3)), np.zeros(3)], {}, r"text 1 has shape \(3,\)"),
        ([np.zeros((2, 3)), np.zeros((1, 4))], {}, "text 0 has 3 columns and text 1 has 4"),
        ([np.zeros((2, 3)), sparse.csr_array((1, 3))], {}, "dense or all sparse, but text 1"),
        ([np.array([["a"]])], {}, "Expected numbers, but the array of text 0 has dtype"),
        ([np.zeros((2, 3)), np.zeros((1, 3))], {"tokens": [["a", "b"]]}, "2 texts but tokens of 1"),
        ([np.zeros((1, 3))], {"offsets": [[(0, 1), (1, 2)]]}, "Text 0 has values of 1 tokens but 2 offsets"),
        ([np.zeros((1, 3))], {"names": ["a"]}, "1 names for 3 columns"),
    ],
)
def test_parts_that_do_not_fit_are_refused_by_text(values, keywords, message):
    with pytest.raises(ValueError, match=message):
        TokenTable(values, **keywords)


@pytest.mark.parametrize(
    ("values", "texts", "offsets", "message"),
    [
        ([np.ones((1, 2))], "ab", [[(0, 1)]], "one string"),
        ([np.ones((1, 2))], ["ab", "c"], [[(0, 1)]], "values of 1 texts, 2 texts, and offsets of 1"),
        ([np.ones((1, 2))], [1], [[(0, 1)]], "Text 0 is of type int"),
        ([[[1.0, 0.0], [1.0, np.nan]]], ["ab"], [[(0, 1), (1, 2)]], "text 0 contain NaN or infinity, first in token 1"),
        ([sparse.csr_array([[0.0], [0.0], [np.inf]])], ["abc"], [[(0, 1), (1, 2), (2, 3)]], "first in token 2"),
        ([np.ones((2, 2))], ["ab"], [[(0, 1)]], r"offsets of text 0 as integers of shape \(2, 2\)"),
        ([np.ones((1, 2))], ["ab"], [[(0.0, 1.0)]], "dtype float64"),
        ([np.ones((1, 2))], ["ab"], [[(0, 3)]], r"Token 0 of text 0 stands at characters \(0, 3\)"),
        ([np.ones((2, 2))], ["ab"], [[(1, 2), (0, 1)]], "token 1 of text 0 begins before"),
    ],
)
def test_arrays_made_elsewhere_are_checked_in_full(values, texts, offsets, message):
    with pytest.raises(ValueError, match=message):
        TokenTable.from_arrays(values, texts, offsets)


def test_offsets_of_any_tokenizer_are_trimmed_of_white_space():
    table = TokenTable.from_arrays([np.ones((2, 1))], ["A dog"], [[(0, 1), (1, 5)]])
    np.testing.assert_array_equal(table.offsets[0], [(0, 1), (2, 5)])


def test_tables_of_one_origin_add_up(table):
    both = table[:2] + table[2:]
    assert both == table
    assert (both.tokens, both.texts) == (table.tokens, table.texts)
    other = TokenTable(table.values, **{**ORIGIN, "hook": "blocks.2.hook_resid_post"})
    with pytest.raises(ValueError, match=r"blocks\.1\.hook_resid_post.*blocks\.2\.hook_resid_post"):
        table + other
    with pytest.raises(ValueError, match="all dense or all sparse, make one table"):
        make_table(is_sparse=True) + make_table()
    with pytest.raises(ValueError, match="BOS token and width"):
        table + make_table(is_sparse=table.is_sparse, width=5)
    assert (table + TokenTable(table.values, **table.origin())).tokens is None


@pytest.mark.parametrize("mapped", [True, False])
def test_a_saved_corpus_stays_on_disk_in_half_precision_and_loses_nothing_else(table, tmp_path, mapped):
    TokenTable.save_parts((table[i : i + 2] for i in range(0, 5, 2)), tmp_path / "corpus")
    loaded = TokenTable.load(tmp_path / "corpus", mmap=mapped)
    numbers = [value.data if loaded.is_sparse else value for value in loaded.values]
    assert all(value.dtype == np.float16 for value in numbers)
    assert all(is_mapped(value) == mapped for value in numbers if value.size)
    assert (loaded.tokens, loaded.texts, loaded.origin()) == (table.tokens, table.texts, table.origin())
    np.testing.assert_array_equal(np.concatenate(loaded.offsets), np.concatenate(table.offsets))
    np.testing.assert_allclose(dense(loaded.concatenated()), dense(table.concatenated()), atol=2e-3)
    np.testing.assert_allclose(dense(loaded.pool("text")), dense(table.pool("text")), atol=2e-3)
    assert pickle.loads(pickle.dumps(loaded[1:3])) == loaded[1:3]
    assert [path.name for path in tmp_path.iterdir()] == ["corpus"]


def test_a_saved_table_of_words_keeps_its_flags(table, tmp_path):
    words = table.pool("word")
    words.save(tmp_path / "words", dtype="float32")
    loaded = TokenTable.load(tmp_path / "words")
    assert loaded == words
    assert [flags.tolist() for flags in loaded.shared] == [flags.tolist() for flags in words.shared]
    assert repr(loaded) == repr(words)


def test_tokens_and_offsets_that_one_part_lacks_are_missing_for_the_whole_corpus(table, tmp_path):
    bare = TokenTable(table.values[2:], **table.origin())
    for name, parts in {"first": [bare, table[:2]], "last": [table[:2], bare]}.items():
        TokenTable.save_parts(parts, tmp_path / name, dtype="float32")
        loaded = TokenTable.load(tmp_path / name)
        assert (loaded.texts, loaded.tokens, loaded.offsets) == (None, None, None)
        assert loaded == parts[0] + parts[1]


def test_what_half_precision_cannot_hold_is_refused_and_single_precision_is_exact(table, tmp_path):
    table.values[2] = table.values[2] * np.float32(1e6)
    with pytest.raises(ValueError, match=r"Text 2 has values up to .*e\+06, which float16 cannot hold"):
        table.save(tmp_path / "half")
    assert list(tmp_path.iterdir()) == []
    table.save(tmp_path / "single", dtype="float32")
    assert TokenTable.load(tmp_path / "single") == table
    with pytest.raises(FileExistsError, match="exists already"):
        table.save(tmp_path / "single")


def test_a_damaged_corpus_is_refused(table, tmp_path):
    def saved(name):
        table.save(tmp_path / name)
        return tmp_path / name

    values = saved("short") / "values.bin"
    values.write_bytes(values.read_bytes()[:-2])
    (saved("cut") / "table.json").write_text("{")
    rest = saved("old") / "table.json"
    rest.write_text(json.dumps({**json.loads(rest.read_text()), "format": 0}))
    for name, message in {
        "short": "it is damaged",
        "cut": "is no JSON",
        "old": "format 0, but this version reads 1",
    }.items():
        with pytest.raises(ValueError, match=message):
            TokenTable.load(tmp_path / name)
    with pytest.raises(ValueError, match="nothing to write"):
        TokenTable.save_parts([], tmp_path / "nothing")


def test_sparse_files_that_point_outside_are_refused(tmp_path):
    table = make_table(SENTENCES[:2], is_sparse=True)
    for name, file, kind in (("columns", "columns.bin", np.int32), ("ends", "ends.bin", np.int64)):
        table.save(tmp_path / name)
        path = tmp_path / name / file
        numbers = np.fromfile(path, dtype=kind)
        numbers[3] = 99_999
        numbers.tofile(path)
        with pytest.raises(ValueError, match="damaged"):
            TokenTable.load(tmp_path / name)
