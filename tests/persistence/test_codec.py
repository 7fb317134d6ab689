"""Anything that is saved comes back, and anything else is an error of one class."""

import copy
import json

import hypothesis.extra.numpy as npst
import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from numpy.testing import assert_array_equal
from scipy import sparse
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import Bunch

from sklearn_sae_encoding.encoder import SparseVoxelEncoder
from sklearn_sae_encoding.persistence import SavedEncoderError
from sklearn_sae_encoding.persistence._decoding import decode
from sklearn_sae_encoding.persistence._encoding import encode

calm = settings(deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))

text = st.text(st.characters(exclude_categories=()), max_size=5)  # lone surrogates, too
plain = st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats() | text
keys = text.filter(lambda key: key not in ("memory", "memory_")) | st.integers(-5, 5)


def nested(inner):
    return st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(keys, inner, max_size=3),
    )


@st.composite
def arrays(draw):
    """Arrays of any kind of numbers or text, any shape (none, empty), byte order, memory order and writability."""
    kinds = (
        npst.boolean_dtypes()
        | npst.integer_dtypes(endianness="?")
        | npst.unsigned_integer_dtypes(endianness="?")
        | npst.floating_dtypes(endianness="?", sizes=(16, 32, 64))
        | npst.complex_number_dtypes(endianness="?", sizes=(64, 128))
        | npst.unicode_string_dtypes(max_len=3)
    )
    array = draw(npst.arrays(kinds, npst.array_shapes(min_dims=0, min_side=0, max_side=3)))
    if draw(st.booleans()):
        array = array.T
    if array.dtype.kind == "U" and draw(st.booleans()):
        array = array.astype(object)
    array.setflags(write=draw(st.booleans()))
    return array


def same(first, second):
    assert type(first) is type(second)
    if isinstance(first, dict):
        assert list(first) == list(second)
        for key in first:
            same(first[key], second[key])
    elif isinstance(first, (list, tuple)):
        assert len(first) == len(second)
        for a, b in zip(first, second, strict=True):
            same(a, b)
    elif isinstance(first, np.ndarray):
        assert first.dtype.kind == second.dtype.kind
        assert first.dtype.kind in "UO" or first.dtype == second.dtype.newbyteorder("=")
        assert_array_equal(first, second)
        assert first.flags.writeable
    else:
        assert first == second or (first != first and second != second)
        assert not isinstance(first, float) or np.signbit(first) == np.signbit(second)


def there_and_back(value):
    tree, given = encode(value)
    from safetensors.numpy import load, save

    return decode(json.loads(json.dumps(tree, allow_nan=False)), load(save(given)))


@calm
@given(st.recursive(plain | arrays(), nested, max_leaves=8))
def test_any_nesting_of_values_and_arrays_comes_back(value):
    same(there_and_back(value), value)


@calm
@given(
    npst.arrays(
        npst.floating_dtypes(sizes=(32, 64), endianness="="),
        npst.array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=5),
        elements=st.sampled_from([0.0, 1.5, -2.0]),
    ),
    st.sampled_from(["csr_array", "csc_array", "csr_matrix", "csc_matrix"]),
    st.randoms(use_true_random=False),
)
def test_any_sparse_array_comes_back_whatever_the_order_of_its_entries(dense, kind, random):
    entries = [*zip(*np.nonzero(dense), strict=True)]
    random.shuffle(entries)
    rows, columns = np.array(entries, dtype=int).reshape(-1, 2).T
    matrix = getattr(sparse, kind)(sparse.coo_array((dense[rows, columns], (rows, columns)), shape=dense.shape))
    before = copy.deepcopy(matrix)
    found = there_and_back({"a": matrix})["a"]
    assert type(found) is type(matrix)
    assert found.dtype == matrix.dtype
    assert_array_equal(found.toarray(), dense)
    assert_array_equal(matrix.indices, before.indices)  # left as it came


def test_duplicate_entries_come_back_as_their_sum():
    matrix = sparse.csr_array((np.array([1.0, 2.0, 4.0]), np.array([1, 1, 0]), np.array([0, 3])), shape=(1, 2))
    assert_array_equal(there_and_back([matrix])[0].toarray(), [[4.0, 3.0]])
    assert matrix.nnz == 3


@pytest.mark.parametrize(
    "value", [slice(1, None, 2), range(3, 9, 2), np.dtype("float32"), Bunch(a=1), np.float32(0.1), np.int8(-3)]
)
def test_other_plain_values_come_back(value):
    found = there_and_back([value])[0]
    assert type(found) is type(value)
    assert found == value


def test_a_table_comes_back_with_its_index():
    import pandas as pd

    frame = pd.DataFrame({"name": ["a", "b"], "value": [1.5, np.nan]}, index=["x", "y"])
    pd.testing.assert_frame_equal(there_and_back([frame])[0], frame)


@pytest.mark.parametrize(
    "value",
    [
        np.ma.masked_array([1.0, 2.0], [True, False]),
        np.array([1, 2], dtype="datetime64[D]"),
        np.zeros(2, dtype=[("a", int)]),
        np.zeros(2, dtype=np.longdouble),
        np.random.default_rng(0),
        {1, 2},
        b"bytes",
        len,
    ],
)
def test_what_would_not_come_back_is_not_saved(value):
    with pytest.raises(TypeError, match=r"Cannot save estimator\.a\[0\]"):
        encode({"a": [value]})


def test_what_contains_itself_is_not_saved():
    loop = []
    loop.append(loop)
    with pytest.raises(TypeError, match="contains itself"):
        encode(loop)


def test_weights_that_are_not_finite_are_neither_saved_nor_loaded():
    rng = np.random.default_rng(0)
    ridge = Ridge().fit(rng.random((9, 3)), rng.random((9, 2)))
    tree, given = encode(ridge)
    (name,) = (name for name in given if "coef_" in name)
    given[name][0, 0] = np.nan
    with pytest.raises(SavedEncoderError, match="coef_ of a Ridge holds values that are not finite"):
        decode(tree, given)
    ridge.coef_[0, 0] = np.inf
    with pytest.raises(ValueError, match="Cannot save estimator: coef_ of a Ridge holds values that are not finite"):
        encode(ridge)


@pytest.fixture(scope="module")
def encoder():
    rng = np.random.default_rng(0)
    X = rng.random((20, 6))
    model = make_pipeline(StandardScaler(), SparseVoxelEncoder(alphas=[0.01]))
    return model.fit(X, X[:, :3] + 0.1 * rng.random((20, 3))), X


@pytest.mark.parametrize(
    ("part", "wrong", "says"),
    [
        (1, lambda indices: indices + 1_000_000, "indices"),
        (1, lambda indices: indices - 7, "indices"),
        (1, lambda indices: indices[::-1].copy(), "not in order"),
        (1, lambda indices: np.zeros_like(indices), "not in order"),
        (1, lambda indices: indices.astype(np.int16), "are int16"),
        (1, lambda indices: indices[:-1], "indices"),
        (2, lambda indptr: indptr + 1, "indptr|index pointer"),
        (2, lambda indptr: indptr[::-1].copy(), "indptr|index pointer"),
        (2, lambda indptr: np.append(indptr, indptr[-1]), "index pointer|indptr"),
        (0, lambda data: data * np.nan, "not finite"),
        (0, lambda data: data.reshape(-1, 1), "shape"),
    ],
)
def test_sparse_weights_out_of_bounds_or_order_are_refused(encoder, part, wrong, says):
    tree, given = encode(encoder[0])

    def find(node):
        if isinstance(node, dict) and "$sparse" in node:
            return node["$sparse"]
        children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
        return next(filter(None, map(find, children)), None)

    name = find(tree)[part]
    given[name] = wrong(given[name])
    with pytest.raises(SavedEncoderError, match=says):
        decode(tree, given)


def nodes(tree):
    """All places in a tree, as a container and the key in it."""
    for key, item in tree.items() if isinstance(tree, dict) else enumerate(tree):
        yield tree, key
        if isinstance(item, (dict, list)):
            yield from nodes(item)


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.sampled_from([0, -1, 2**63, 10**40, "", "x", "/etc/passwd", "__class__", "predict", "$array", "$object"])
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["$list", "$array", "shape"]), inner),
    max_leaves=4,
)


@settings(calm, max_examples=400)
@given(st.data())
def test_a_forged_tree_gives_an_encoder_that_runs_or_one_error(encoder, data):
    model, X = encoder
    tree, given = encode(model)
    tree = json.loads(json.dumps(tree))
    places = list(nodes(tree))
    place, key = places[data.draw(st.integers(0, len(places) - 1))]
    where, other = places[data.draw(st.integers(0, len(places) - 1))]
    place[key] = data.draw(st.just(copy.deepcopy(where[other])) | anything)
    try:
        loaded = decode(tree, given)
    except SavedEncoderError:
        return
    try:
        loaded.predict(X)
    except (ValueError, TypeError, AttributeError, IndexError):
        return  # Python's own words for a part that doesn't fit: nothing ran, and no memory was read


def test_a_masker_opens_no_path(tmp_path):
    for name in ("mask_img", "labels_img", "lut"):
        for path in ("/etc/passwd", {"$path": "/etc/passwd"}):
            for fitted in (True, False):
                tree = {"$masker": "nilearn.maskers.NiftiLabelsMasker", "params": [[name, path]], "fitted": fitted}
                with pytest.raises(SavedEncoderError, match=f"{name} of a masker is no image: .*passwd.*not opened"):
                    decode(tree, {})


@pytest.mark.parametrize("params", [[["target_shape", [10**6, 10**6, 10**6]]], [["target_affine", "tiny"]]])
def test_a_masker_resamples_to_no_endless_grid(params):
    from nibabel import Nifti1Image

    mask = Nifti1Image(np.ones((5, 5, 5), dtype=np.int8), np.eye(4))
    tree, given = encode({"mask_img": mask, "target_affine": np.eye(3) * 1e-4})
    params = [[key, tree["$dict"][1][1] if value == "tiny" else value] for key, value in params]
    tree = {"$masker": "nilearn.maskers.NiftiMasker", "params": [tree["$dict"][0], *params], "fitted": True}
    with pytest.raises(SavedEncoderError, match=r"target_shape|too large"):
        decode(tree, given)


def test_memories_are_dropped_however_deep():
    tree, _ = encode({"a": [{"memory": "cache", "b": {"memory_": "cache", "c": 1}}]})
    assert "cache" not in json.dumps(tree)
    forged = {"$dict": [["a", {"$dict": [["memory", "cache"], ["b", {"$bunch": [["memory", "x"]]}]]}]]}
    assert decode(forged, {}) == {"a": {"memory": None, "b": {"memory": None}}}
