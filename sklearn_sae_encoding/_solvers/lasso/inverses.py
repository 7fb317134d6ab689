"""The inverse of a symmetric matrix, of which rows and columns come and go.

An inverse is far larger than the nearest cache, so what costs time is to pass over it. Only blocks of WIDTH rows and
columns on and below its diagonal are kept, which halves it, and a change, which is a matrix of rank one, waits until
there are LATER of them, which then share a pass:

    inverse = matrix + sum_q factors[q] vectors[q] vectors[q]'

A row that comes or goes is written to the place of the next change first, by `solve` or `take_row`; what else depends
on it is then brought up to date, and `append` or `remove` makes it the change. Vectors are read up to the next multiple
of WIDTH, and must be zero there; so are the rows and columns of the matrix.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numba.extending import register_jitable

from ..columns import PART
from .panels import LATER, WIDTH, panel_add, panel_times


class Inverse(NamedTuple):
    """Of one matrix, or of a chunk of them with another dimension in front."""

    matrix: np.ndarray  # (room, room), blocks on and below the diagonal; room is a multiple of WIDTH
    vectors: np.ndarray  # (LATER, room), zero beyond the size, but for those that do not wait
    factors: np.ndarray  # (LATER,)
    waiting: np.ndarray  # (1,), how many changes wait


@register_jitable
def padded(size: int) -> int:
    """Return the next multiple of WIDTH."""
    return (size + WIDTH - 1) // WIDTH * WIDTH


def new_inverses(matrices: np.ndarray) -> Inverse:
    """Start with no row; what is in the `matrices` (n_problems, room, room) means nothing."""
    n_problems, room = matrices.shape[:2]
    return Inverse(
        matrices,
        np.zeros((n_problems, LATER, room)),
        np.zeros((n_problems, LATER)),
        np.zeros((n_problems, 1), dtype=np.int64),
    )


def wider(inverses: Inverse, room: int) -> Inverse:
    """Copy a chunk of inverses into arrays with room for so many rows, if that is more."""
    more = (0, max(0, room - inverses.matrix.shape[1]))
    return inverses._replace(
        matrix=np.pad(inverses.matrix, ((0, 0), more, more)), vectors=np.pad(inverses.vectors, ((0, 0), (0, 0), more))
    )


@njit(**PART)
def one_of(inverses, problem):
    """View the inverse of one problem of a chunk."""
    return Inverse(
        inverses.matrix[problem], inverses.vectors[problem], inverses.factors[problem], inverses.waiting[problem]
    )


@njit(**PART)
def reset(inverse):
    """Take all rows out."""
    inverse.waiting[0] = 0


@njit(**PART)
def times(inverse, size, count, vectors, out):
    """Write the inverse times the first `count` rows of `vectors` to those of `out`; they share the pass."""
    end = padded(size)
    for e in range(count):
        for k in range(end):
            out[e, k] = 0.0
    for row in range(0, size, WIDTH):
        for e in range(count):
            panel_times(inverse.matrix, row, vectors[e], out[e])
    for e in range(count):
        for q in range(inverse.waiting[0]):
            share = 0.0
            for k in range(end):
                share += inverse.vectors[q, k] * vectors[e, k]
            share *= inverse.factors[q]
            for k in range(end):
                out[e, k] += share * inverse.vectors[q, k]


@njit(**PART)
def solve(inverse, size, count, cross):
    """Write the inverse times one or two rows of `cross` where the next changes go."""
    if inverse.waiting[0] + count > LATER:
        _apply(inverse, size)
    times(inverse, size, count, cross, inverse.vectors[inverse.waiting[0] :])


@njit(**PART)
def append(inverse, size, pivot):
    """Let the row come in whose products with the others were solved for last; `pivot` is what they leave of it."""
    matrix, place, end = inverse.matrix, inverse.waiting[0], padded(size + 1)
    if size % WIDTH == 0:
        for i in range(size, end):
            for k in range(end):
                matrix[i, k] = 0.0
    for q in range(place + 1):
        for k in range(size, end):
            inverse.vectors[q, k] = 0.0
    inverse.vectors[place, size] = -1.0
    inverse.factors[place] = 1.0 / pivot
    inverse.waiting[0] = place + 1


@njit(**PART)
def take_row(inverse, size, gone):
    """Write a row of the inverse where the next change goes; return its place."""
    if inverse.waiting[0] == LATER:
        _apply(inverse, size)
    matrix, place, end = inverse.matrix, inverse.waiting[0], padded(size)
    row = inverse.vectors[place]
    for k in range(gone):
        row[k] = matrix[gone, k]
    for k in range(gone, size):
        row[k] = matrix[k, gone]
    for k in range(size, end):
        row[k] = 0.0
    for q in range(place):
        vector, share = inverse.vectors[q], inverse.factors[q] * inverse.vectors[q, gone]
        for k in range(end):
            row[k] += share * vector[k]
    return place


@njit(**PART)
def remove(inverse, size, gone):
    """Let the row go that was taken last; the last one takes its place."""
    matrix, place, last = inverse.matrix, inverse.waiting[0], size - 1
    inverse.factors[place] = -1.0 / inverse.vectors[place, gone]
    inverse.waiting[0] = place + 1
    if gone != last:
        begin = gone // WIDTH * WIDTH
        for k in range(gone):
            matrix[gone, k] = matrix[last, k]
        matrix[gone, gone] = matrix[last, last]
        for k in range(gone + 1, last):
            matrix[k, gone] = matrix[last, k]
        for k in range(begin, gone):
            matrix[k, gone] = matrix[gone, k]
        for k in range(gone + 1, min(begin + WIDTH, last)):
            matrix[gone, k] = matrix[k, gone]
    begin = last // WIDTH * WIDTH
    for k in range(begin + WIDTH):
        matrix[last, k] = 0.0
    for k in range(begin, last):
        matrix[k, last] = 0.0
    for q in range(place + 1):
        inverse.vectors[q, gone] = inverse.vectors[q, last]
        inverse.vectors[q, last] = 0.0


@njit(**PART)
def _apply(inverse, size):
    """Add the changes that wait to the matrix."""
    vectors, factors, waiting = inverse.vectors, inverse.factors, inverse.waiting
    for q in range(waiting[0], LATER):
        factors[q] = 0.0
        for k in range(padded(size)):
            vectors[q, k] = 0.0
    waiting[0] = 0
    for row in range(0, size, WIDTH):
        panel_add(inverse.matrix, row, vectors, factors)
