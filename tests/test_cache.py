"""Entries of caches: whole, of today's format, usable by a group, and never dearer than a warning."""

import importlib.util
import json
import multiprocessing
import os
import stat
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy import sparse

from sklearn_sae_encoding import _cache
from sklearn_sae_encoding._cache import Cache, memory_folder, pack, unpack

KEY = ("pass", "abcdef")
ARRAYS = {"a": np.arange(6.0).reshape(2, 3), "file": np.array(["x", "yz"]), "n": np.array(3)}


def entries(folder):
    return sorted(folder.rglob("*.npz"))


def assert_same_arrays(found, expected):
    assert set(found) == set(expected)
    for name, array in expected.items():
        assert found[name].dtype == array.dtype
        assert_array_equal(found[name], array)


def test_what_was_put_is_got_by_its_key_and_names_alone(tmp_path):
    cache = Cache(tmp_path, "texts")
    cache.put(KEY, ARRAYS)
    cache.put(KEY, {"later": np.ones(2)})
    assert_same_arrays(cache.get(KEY, ARRAYS), ARRAYS)
    assert_same_arrays(cache.get(KEY, ["a", "later"]), {"a": ARRAYS["a"], "later": np.ones(2)})
    assert cache.get(KEY, ["a", "never"]) is None
    assert cache.get(("pass", "abcdee"), ["a"]) is None
    assert Cache(tmp_path, "blocks").get(KEY, ["a"]) is None


def test_whatever_byte_of_an_entry_changes_it_is_absent_or_the_same(tmp_path):
    cache = Cache(tmp_path, "texts")
    cache.put(KEY, ARRAYS)
    (path,) = entries(tmp_path)
    whole = path.read_bytes()
    n_absent = 0
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ (1 << place % 8)]) + whole[place + 1 :])
        found = cache.get(KEY)
        n_absent += found is None
        if found is not None:
            for name in set(found) & set(ARRAYS):
                assert_array_equal(found[name], ARRAYS[name])
    assert n_absent > len(whole) / 3
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        assert cache.get(KEY) is None
    cache.put(KEY, ARRAYS)
    assert entries(tmp_path) == [path], "a damaged file is replaced"
    assert_same_arrays(cache.get(KEY), ARRAYS)


def test_what_another_format_number_made_is_absent(tmp_path, monkeypatch):
    Cache(tmp_path, "texts").put(KEY, ARRAYS)
    monkeypatch.setitem(_cache.FORMATS, "texts", _cache.FORMATS["texts"] + 1)
    assert Cache(tmp_path, "texts").get(KEY) is None


def test_objects_are_neither_written_nor_read(tmp_path):
    cache = Cache(tmp_path, "texts")
    with pytest.raises(ValueError, match="Object arrays cannot be saved"):
        cache.put(KEY, {"a": np.array([{}], dtype=object)})
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    cache.put(KEY, ARRAYS)
    np.savez(entries(tmp_path)[0], a=np.array([{}], dtype=object))
    assert cache.get(KEY) is None


@pytest.mark.parametrize(("folder_mode", "file"), [(0o2775, 0o664), (0o755, 0o644), (0o700, 0o644)])
def test_a_group_can_use_what_one_of_it_wrote_where_the_folder_is_the_groups(tmp_path, folder_mode, file):
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(folder_mode)
    umask = os.umask(0o022)
    try:
        Cache(shared, "texts").put(KEY, ARRAYS)
    finally:
        os.umask(umask)
    for path in shared.rglob("*"):
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode & 0o777 == (file if path.is_file() else file | 0o111), path
    assert all(not path.name.endswith(".tmp") for path in shared.rglob("*"))


def test_a_folder_that_is_open_to_all_opens_nothing(tmp_path):
    open_to_all = tmp_path / "tmp"
    open_to_all.mkdir()
    open_to_all.chmod(0o1777)
    umask = os.umask(0o077)
    try:
        Cache(open_to_all / "mine", "texts").put(KEY, ARRAYS)
    finally:
        os.umask(umask)
    assert stat.S_IMODE((open_to_all / "mine").stat().st_mode) & 0o077 == 0
    assert stat.S_IMODE(entries(open_to_all)[0].stat().st_mode) == 0o600


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), PermissionError(13, "Permission denied")])
def test_a_folder_that_cannot_be_written_costs_one_warning(tmp_path, monkeypatch, error):
    def fail(*_args, **_kwargs):
        raise error

    monkeypatch.setattr(np, "save", fail)
    cache = Cache(tmp_path, "texts")
    with pytest.warns(UserWarning, match=rf"Results can't be kept in memory=.*{error.strerror}.*They are right"):
        cache.put(KEY, ARRAYS)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cache.put(KEY, ARRAYS)
        Cache(tmp_path, "texts").put(KEY, ARRAYS)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [], "nothing half is left"


def test_a_memory_that_is_a_file_costs_a_warning(tmp_path):
    (tmp_path / "file").write_text("")
    cache = Cache(tmp_path / "file", "texts")
    assert cache.get(KEY) is None
    with pytest.warns(UserWarning, match="Results can't be kept"):
        cache.put(KEY, ARRAYS)


def _put_often(folder):
    for i in range(20):
        Cache(folder, "texts").put(("pass", f"{i % 3:06d}"), {"a": np.full(2000, i % 3)})


def test_processes_that_write_at_once_leave_whole_entries(tmp_path):
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_put_often, args=(tmp_path,)) for _ in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    assert len(entries(tmp_path)) == 3
    for i in range(3):
        assert_array_equal(Cache(tmp_path, "texts").get(("pass", f"{i:06d}"))["a"], np.full(2000, i))


def test_a_memory_names_its_folder(tmp_path):
    import joblib

    assert memory_folder(None) is None
    assert memory_folder(joblib.Memory(None)) is None
    assert memory_folder(str(tmp_path)) == memory_folder(joblib.Memory(tmp_path, verbose=0)) == tmp_path


class Inner(NamedTuple):
    errors: np.ndarray


class Solution(NamedTuple):
    weights: sparse.csr_array
    gaps: np.ndarray
    inner: Inner


def solution(n_rows):
    weights = sparse.csr_array(np.array([[0.0, 2, 0], [1, 0, 3]]))[:n_rows]
    return Solution(weights, np.arange(4.0).reshape(2, 2)[:n_rows], Inner(np.arange(2)[:n_rows]))


def test_solutions_come_back(tmp_path):
    cache = Cache(tmp_path, "blocks")
    cache.put(KEY, pack(solution(2)))
    found = unpack(solution(0), cache.get(KEY), 2)
    assert_array_equal(found.weights.toarray(), solution(2).weights.toarray())
    assert_array_equal(found.gaps, solution(2).gaps)
    assert_array_equal(found.inner.errors, solution(2).inner.errors)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("weights.indices", [1, 0, 3]),
        ("weights.indices", [1, -1, 2]),
        ("weights.indptr", [0, 1, 4]),
        ("weights.shape", [2]),
        ("weights.shape", [2, 4]),
        ("weights.data", [1, 2, 3]),
        ("gaps", [[0.0, 1.0]]),
        ("gaps", [0.0, 1.0]),
        ("gaps", [["0", "1"], ["2", "3"]]),
        ("inner.errors", [0, 1, 2]),
        ("inner.errors", None),
    ],
)
def test_a_solution_of_another_shape_or_with_broken_weights_is_none(name, wrong):
    arrays = pack(solution(2))
    arrays[name] = np.array(wrong)
    if wrong is None:
        del arrays[name]
    assert unpack(solution(0), arrays, 2) is None


def test_code_that_makes_what_is_kept_does_not_change_without_its_format_number():
    path = Path(__file__).parent.parent / "tools" / "cache_formats.py"
    spec = importlib.util.spec_from_file_location("cache_formats", path)
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    record = json.loads(tool.RECORD.read_text(encoding="utf-8"))
    assert record.keys() == _cache.FORMATS.keys()
    changed = tool.changed(record, _cache.FORMATS)
    assert changed == set(), f"run `python tools/cache_formats.py`: other code makes {sorted(changed)}"
