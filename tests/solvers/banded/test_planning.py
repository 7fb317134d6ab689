"""Memory that is said before a fit."""

import numpy as np
import pytest

from sklearn_sae_encoding._solvers.banded.planning import (
    GB,
    Size,
    check_memory,
    operations,
    peak_bytes,
    seconds,
    voxels_of_a_block,
)

HOURS = Size(
    n_samples=45_000,
    n_columns=131_084,
    n_kernels=4,
    n_voxels=95_000,
    n_candidates=20,
    n_alphas=20,
    n_folds=5,
    itemsize=4,
    primal=False,
    n_jobs=1,
)


def test_twenty_five_hours_are_refused_with_what_would_fit():
    with pytest.raises(MemoryError) as refusal:
        check_memory(HOURS, 1, 64 * GB)
    said = str(refusal.value)
    assert "45000 rows, 131084 columns and 95000 voxels takes about 98" in said
    fits = int(said.split("with at most ")[1].split()[0])
    check_memory(HOURS._replace(primal=True, n_columns=fits), 1, 64 * GB)
    with pytest.raises(MemoryError, match="more than max_memory=64"):
        check_memory(HOURS._replace(primal=True, n_columns=fits + 1), 1, 64 * GB)


def test_a_block_takes_what_memory_is_left():
    block = voxels_of_a_block(HOURS, 110 * GB)
    assert 1 < block < HOURS.n_voxels
    assert peak_bytes(HOURS, block) <= 110 * GB < peak_bytes(HOURS, block + 1)
    assert voxels_of_a_block(HOURS._replace(n_samples=100), None) == HOURS.n_voxels


def test_time_grows_with_candidates_and_falls_with_workers():
    size = HOURS._replace(n_samples=900)
    once = operations(size, 5000)
    assert operations(size._replace(n_candidates=400), 5000) > 5 * once
    assert operations(size._replace(n_jobs=16), 5000) < once
    assert operations(size._replace(n_voxels=2 * size.n_voxels), 5000) == pytest.approx(2 * once)
    assert 0 < seconds(size._replace(n_jobs=16), 5000, np.float32) < np.inf
