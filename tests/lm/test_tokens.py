"""TokenActivations: a list of arrays that slices to itself and is never mistaken for a table."""

import pickle

import numpy as np
import pytest
from sklearn.model_selection import KFold, train_test_split
from sklearn.utils import _safe_indexing, check_array
from sklearn.utils.validation import _num_samples, indexable

from sklearn_sae_encoding.activations import TokenActivations

LENGTHS = [3, 1, 4, 2, 5]


@pytest.fixture
def acts():
    rng = np.random.default_rng(0)
    return TokenActivations(
        [rng.normal(size=(n, 6)).astype(np.float32) for n in LENGTHS],
        tokens=[[f"t{i}{j}" for j in range(n)] for i, n in enumerate(LENGTHS)],
        offsets=[[(j, j + 1) for j in range(n)] for n in LENGTHS],
        model="toy",
        hook="blocks.1.hook_resid_post",
        bos_token="<s>",
    )


def test_it_knows_its_texts_tokens_and_width(acts):
    assert len(acts) == 5
    assert acts.d_model == 6
    assert acts.n_tokens.tolist() == LENGTHS
    assert [len(array) for array in acts] == LENGTHS
    assert acts.concatenated().shape == (15, 6)


def test_an_integer_gives_the_array_of_one_text(acts):
    np.testing.assert_array_equal(acts[3], acts.values[3])
    np.testing.assert_array_equal(acts[-1], acts.values[4])
    np.testing.assert_array_equal(acts[np.int64(2)], acts.values[2])


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
def test_every_other_key_gives_token_activations_with_their_tokens_and_origin(acts, key, positions):
    part = acts[key]
    assert isinstance(part, TokenActivations)
    assert len(part) == len(positions)
    for j, i in enumerate(positions):
        np.testing.assert_array_equal(part[j], acts[i])
        assert part.tokens[j] == acts.tokens[i]
        np.testing.assert_array_equal(part.offsets[j], acts.offsets[i])
    assert (part.model, part.hook, part.bos_token) == ("toy", "blocks.1.hook_resid_post", "<s>")


@pytest.mark.parametrize("key", ["a", 1.5, None, [[0, 1]], (0, 1)])
def test_a_key_of_another_kind_is_an_error(acts, key):
    with pytest.raises(IndexError, match="indexed by"):
        acts[key]


def test_scikit_learn_counts_splits_and_indexes_it(acts):
    assert _num_samples(acts) == 5
    assert indexable(acts, np.arange(5))[0] is acts
    for train, test in KFold(3).split(acts):
        assert _safe_indexing(acts, train) == acts[train]
        assert _safe_indexing(acts, test) == acts[test]
    first, second = train_test_split(acts, random_state=0)
    assert isinstance(first, TokenActivations)
    assert len(first) + len(second) == 5


def test_it_refuses_to_become_a_table(acts):
    with pytest.raises(TypeError, match="Pool them first"):
        np.asarray(acts)
    with pytest.raises(TypeError, match="Pool them first"):
        check_array(acts)


def test_it_survives_pickling(acts):
    copy = pickle.loads(pickle.dumps(acts))
    assert copy == acts
    assert copy.tokens == acts.tokens


def test_half_precision_is_kept_in_store_and_given_out_as_float32(acts):
    half = TokenActivations([array.astype(np.float16) for array in acts])
    assert half.values[0].dtype == np.float16
    assert half[0].dtype == np.float32
    assert next(iter(half)).dtype == np.float32
    assert half.concatenated().dtype == np.float32
    np.testing.assert_allclose(half.concatenated(), acts.concatenated(), atol=2e-3)


def test_mismatched_parts_are_refused_by_text():
    two = [np.zeros((2, 3)), np.zeros((1, 3))]
    with pytest.raises(ValueError, match=r"text 1 has shape \(3,\)"):
        TokenActivations([np.zeros((2, 3)), np.zeros(3)])
    with pytest.raises(ValueError, match="text 1 has 4"):
        TokenActivations([np.zeros((2, 3)), np.zeros((1, 4))])
    with pytest.raises(ValueError, match="2 texts but tokens of 1"):
        TokenActivations(two, tokens=[["a", "b"]])
    with pytest.raises(ValueError, match="Text 1 has activations of 1 tokens but 2 offsets"):
        TokenActivations(two, offsets=[[(0, 1), (1, 2)], [(0, 1), (1, 2)]])


def test_without_texts_there_is_no_width_and_nothing_to_stack():
    empty = TokenActivations([])
    assert repr(empty) == "TokenActivations(0 texts, 0 tokens)"
    with pytest.raises(ValueError, match="hold no text"):
        empty.concatenated()
    with pytest.raises(ValueError, match="hold no text"):
        _ = empty.d_model


def test_lists_of_one_origin_add_up(acts):
    both = acts[:2] + acts[2:]
    assert both == acts
    assert both.tokens == acts.tokens
    np.testing.assert_array_equal(np.concatenate(both.offsets), np.concatenate(acts.offsets))
    other = TokenActivations(acts.values, model="toy", hook="blocks.2.hook_resid_post", bos_token="<s>")
    with pytest.raises(ValueError, match=r"blocks\.1\.hook_resid_post.*blocks\.2\.hook_resid_post"):
        acts + other
    assert (acts + TokenActivations(acts.values, **acts._origin())).tokens is None


@pytest.mark.parametrize("mmap", [True, False])
def test_a_saved_corpus_stays_on_disk_in_half_precision_and_loses_nothing_else(acts, tmp_path, mmap):
    TokenActivations.save_parts((acts[i : i + 2] for i in range(0, 5, 2)), tmp_path / "corpus")
    loaded = TokenActivations.load(tmp_path / "corpus", mmap=mmap)
    assert all(value.dtype == np.float16 for value in loaded.values)
    assert all(isinstance(value, np.memmap) == mmap for value in loaded.values)
    assert (loaded.tokens, loaded._origin()) == (acts.tokens, acts._origin())
    np.testing.assert_array_equal(np.concatenate(loaded.offsets), np.concatenate(acts.offsets))
    np.testing.assert_allclose(loaded.concatenated(), acts.concatenated(), atol=2e-3)
    assert pickle.loads(pickle.dumps(loaded[1:3])) == loaded[1:3]
    assert [path.name for path in tmp_path.iterdir()] == ["corpus"]


def test_tokens_and_offsets_that_one_part_lacks_are_missing_for_the_whole_corpus(acts, tmp_path):
    bare = TokenActivations(acts.values[2:], **acts._origin())
    for name, parts in {"first": [bare, acts[:2]], "last": [acts[:2], bare]}.items():
        TokenActivations.save_parts(parts, tmp_path / name, dtype="float32")
        loaded = TokenActivations.load(tmp_path / name)
        assert (loaded.tokens, loaded.offsets) == (None, None)
        assert loaded == parts[0] + parts[1]


def test_what_half_precision_cannot_hold_is_refused_and_single_precision_is_exact(acts, tmp_path):
    acts.values[2][0, 0] = 1e6
    with pytest.raises(ValueError, match=r"Text 2 has activations up to 1e\+06, which float16 cannot hold"):
        acts.save(tmp_path / "half")
    assert list(tmp_path.iterdir()) == []
    acts.save(tmp_path / "single", dtype="float32")
    assert TokenActivations.load(tmp_path / "single") == acts
    with pytest.raises(FileExistsError, match="exists already"):
        acts.save(tmp_path / "single")


def test_a_damaged_corpus_is_refused(acts, tmp_path):
    acts.save(tmp_path / "corpus")
    values = tmp_path / "corpus" / "values.bin"
    values.write_bytes(values.read_bytes()[:-2])
    with pytest.raises(ValueError, match="178 bytes where 180 were written"):
        TokenActivations.load(tmp_path / "corpus")
    with pytest.raises(ValueError, match="no activations to write"):
        TokenActivations.save_parts([], tmp_path / "nothing")
