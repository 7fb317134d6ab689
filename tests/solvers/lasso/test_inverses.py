"""Inverses kept in blocks, with changes that wait, are those that numpy computes."""

import numpy as np
import pytest
from numba import njit

from sklearn_sae_encoding._solvers.lasso import inverses, panels
from sklearn_sae_encoding._solvers.lasso.inverses import new_inverses, padded, wider
from sklearn_sae_encoding._solvers.lasso.panels import LATER, WIDTH

ROOM = 40


# Kernels that other kernels alone call have no entry from Python.
@njit
def panel_times(matrix, row, x, out):
    panels.panel_times(matrix, row, x, out)


@njit
def panel_add(matrix, row, vectors, factors):
    panels.panel_add(matrix, row, vectors, factors)


@njit
def times(chunk, size, vectors, out):
    inverses.times(inverses.one_of(chunk, 0), size, len(vectors), vectors, out)


@njit
def solve(chunk, size, count, cross):
    inverses.solve(inverses.one_of(chunk, 0), size, count, cross)


@njit
def append(chunk, size, pivot):
    inverses.append(inverses.one_of(chunk, 0), size, pivot)


@njit
def take_row(chunk, size, gone):
    return inverses.take_row(inverses.one_of(chunk, 0), size, gone)


@njit
def remove(chunk, size, gone):
    inverses.remove(inverses.one_of(chunk, 0), size, gone)


def lower_blocks(symmetric):
    """What is kept of a matrix: the rest is not to be read."""
    kept = symmetric.copy()
    for row in range(len(kept)):
        kept[row, padded(row + 1) :] = np.nan
    return kept


@pytest.mark.parametrize("gaps", [0, 3], ids=["rows side by side", "rows of a larger matrix, not aligned"])
@pytest.mark.parametrize("row", range(0, ROOM, WIDTH))
def test_a_panel_gives_its_own_products_and_those_across_the_diagonal(row, gaps):
    rng = np.random.default_rng(row)
    symmetric = rng.normal(size=(ROOM, ROOM))
    symmetric += symmetric.T
    matrix = np.ascontiguousarray(np.hstack([lower_blocks(symmetric), np.full((ROOM, gaps), np.nan)]))
    x, before = rng.normal(size=(2, ROOM))
    out, own = before.copy(), slice(row, row + WIDTH)
    panel_times(matrix, row, x, out)
    expected = before.copy()
    expected[own] += symmetric[own, : row + WIDTH] @ x[: row + WIDTH]
    expected[:row] += symmetric[:row, own] @ x[own]
    np.testing.assert_allclose(out, expected, rtol=1e-12, atol=1e-12)

    vectors, factors = rng.normal(size=(LATER, ROOM)), rng.normal(size=LATER)
    changed = matrix.copy()
    panel_add(changed, row, vectors, factors)
    more = (vectors.T * factors) @ vectors
    matrix[own, : row + WIDTH] += more[own, : row + WIDTH]
    np.testing.assert_allclose(changed, matrix, rtol=1e-12, atol=1e-12)


def test_panels_of_other_numbers_are_refused():
    with pytest.raises(Exception, match="float64 alone"):
        panel_times(np.ones((WIDTH, WIDTH), np.float32), 0, np.ones(WIDTH), np.ones(WIDTH))
    with pytest.raises(Exception, match="float64 alone"):
        panel_add(np.ones((WIDTH, WIDTH)), 0, np.ones((LATER, WIDTH), np.float32), np.ones(LATER))


@pytest.mark.parametrize("seed", range(10))
def test_rows_come_and_go_as_in_the_inverse_of_the_whole_matrix(seed):
    rng = np.random.default_rng(seed)
    normal = rng.normal(size=(60, ROOM))
    normal = normal.T @ normal
    chunk, rows, x, out = new_inverses(np.full((1, ROOM, ROOM), np.nan)), [], np.zeros((2, ROOM)), np.zeros((2, ROOM))
    sizes = set()
    for _ in range(150):
        size, outside = len(rows), np.setdiff1d(np.arange(ROOM), rows)
        if size == 0 or (size < ROOM - 1 and rng.random() < 0.65):
            cross = np.zeros((2, ROOM + WIDTH))
            new, other = rng.permutation(outside)[:2]
            cross[:, :size] = normal[np.ix_([new, other], rows)]
            count = rng.integers(1, 3)
            solve(chunk, size, count, cross)
            place = chunk.waiting[0, 0]
            solved = chunk.vectors[0, place : place + count]
            inverse = np.linalg.inv(normal[np.ix_(rows, rows)])
            np.testing.assert_allclose(solved[:, :size], cross[:count, :size] @ inverse, rtol=1e-6, atol=1e-8)
            assert not solved[:, size : padded(size)].any()
            append(chunk, size, normal[new, new] - cross[0, :size] @ solved[0, :size])
            rows.append(new)
        else:
            gone = rng.integers(size)
            inverse = np.linalg.inv(normal[np.ix_(rows, rows)])
            np.testing.assert_allclose(
                chunk.vectors[0, take_row(chunk, size, gone), :size], inverse[gone], rtol=1e-6, atol=1e-9
            )
            remove(chunk, size, gone)
            rows[gone] = rows[-1]
            rows.pop()
        size = len(rows)
        sizes.add(size)
        x[:] = 0.0
        x[:, :size] = rng.normal(size=(2, size))
        times(chunk, size, x, out)
        np.testing.assert_allclose(out[:, :size] @ normal[np.ix_(rows, rows)], x[:, :size], rtol=1e-6, atol=1e-8)
        assert not out[:, size : padded(size)].any()
    assert max(sizes) > 2 * WIDTH  # several blocks, and back across their edges
    assert min(sizes) < WIDTH


def test_room_is_made_without_a_change():
    rng = np.random.default_rng(0)
    chunk, size, x = new_inverses(rng.normal(size=(1, WIDTH, WIDTH))), 3, np.zeros((1, 24))
    for k in range(size):
        solve(chunk, k, 1, np.zeros((1, WIDTH)))
        append(chunk, k, 2.0 + k)
    x[0, :size] = 1.0
    expected, found = np.zeros((2, 1, 24))
    times(chunk, size, x, expected)
    times(wider(chunk, 24), size, x, found)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_allclose(found[0, :size], [1 / 2, 1 / 3, 1 / 4])
    assert wider(chunk, 2).matrix.shape == chunk.matrix.shape
