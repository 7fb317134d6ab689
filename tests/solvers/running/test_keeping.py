"""Blocks on disk: the same bits as computed ones, or computed again."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from sklearn_sae_encoding.encoder import SparseVoxelEncoder

ATTRIBUTES = ("alpha_", "intercept_", "dual_gap_", "cv_mse_path_")


@pytest.fixture(scope="module")
def problem():
    rng = np.random.default_rng(0)
    X = rng.random((30, 8))
    return X, X[:, :5] + 0.1 * rng.standard_normal((30, 5))


@pytest.fixture(scope="module")
def alone(problem):
    return SparseVoxelEncoder(alphas=5, cv=3).fit(*problem)


def assert_same(encoder, other):
    assert_array_equal(encoder.coef_.toarray(), other.coef_.toarray())
    for name in ATTRIBUTES:
        assert_array_equal(getattr(encoder, name), getattr(other, name))


def test_a_flipped_bit_anywhere_in_a_block_changes_nothing(problem, alone, tmp_path):
    encoder = SparseVoxelEncoder(alphas=5, cv=3, memory=tmp_path).fit(*problem)
    assert_same(encoder, alone)
    (path,) = tmp_path.rglob("*.npz")
    whole = path.read_bytes()
    places = np.random.default_rng(1).integers(0, 8 * len(whole), 60)
    for place in places:
        content = bytearray(whole)
        content[place // 8] ^= 1 << place % 8
        path.write_bytes(content)
        assert_same(SparseVoxelEncoder(alphas=5, cv=3, memory=tmp_path).fit(*problem), alone)


def test_a_full_disk_costs_a_warning_and_not_the_fit(problem, alone, tmp_path, monkeypatch):
    def fail(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("numpy.save", fail)
    with pytest.warns(UserWarning, match="Results can't be kept in memory=.*No space left"):
        encoder = SparseVoxelEncoder(alphas=5, cv=3, memory=tmp_path).fit(*problem)
    assert_same(encoder, alone)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_memory_of_joblib_without_a_folder_keeps_nothing(problem, alone):
    import joblib

    assert_same(SparseVoxelEncoder(alphas=5, cv=3, memory=joblib.Memory(None)).fit(*problem), alone)
