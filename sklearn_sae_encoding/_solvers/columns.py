"""Feature columns, dense or sparse, read one at a time by compiled kernels."""

from __future__ import annotations

import math
import warnings
from typing import NamedTuple

import numpy as np
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic
from scipy import sparse

# Sums may be reordered so that they vectorise; NaN and infinity keep their meaning.
FASTMATH = {"reassoc", "contract", "nsz", "arcp"}


def _keeps_kernels() -> bool:
    """Whether compiled kernels find a place on disk: in a read-only installation without a cache folder they don't."""
    try:
        njit(cache=True)(_keeps_kernels)  # looks for the place, and compiles nothing
    except RuntimeError as error:
        warnings.warn(
            f"Kernels are compiled again in every process, which takes about half a minute: {error}. Set the "
            "environment variable NUMBA_CACHE_DIR to a folder that you can write.",
            stacklevel=2,
        )
        return False
    return True


JIT = {
    "nogil": True,
    "cache": _keeps_kernels(),
    "fastmath": FASTMATH,
    "error_model": "numpy",
    "no_cfunc_wrapper": True,
}
# Each kernel is compiled again within all that call it. So what is called from one place only becomes part of that
# place, and what Python never calls needs no entry from there: both take seconds off the first fit.
INLINED = {**JIT, "inline": "always"}
PART = {**JIT, "no_cpython_wrapper": True}
# They are compiled again for each other type of an argument, too: features come as int32, arrays in C order, and counts
# as variables (np.int64(0) where one starts, the shape of an array for a constant: a bare 0 is a type of its own).

# Features that fire in a larger share of the samples are also kept dense: products with them are then several times
# faster, for at most 1 / DENSE numbers of memory for each non-zero one.
DENSE = 1 / 16
# Bytes in a line of the cache.
LINE = 64


class Columns(NamedTuple):
    """Both kinds in one type, so that one compiled kernel serves both."""

    data: np.ndarray  # (nnz,), empty for a dense X
    indices: np.ndarray  # (nnz,) uint32, the samples
    indptr: np.ndarray  # (n_features + 1,) int64
    dense: np.ndarray  # (n_dense, n_samples), one row for each feature that is kept dense
    row_of: np.ndarray  # (n_features,) int32, row of `dense`, -1 for the others


def as_columns(X: np.ndarray | sparse.sparray) -> Columns:
    """Arrange `X` (n_samples, n_features) by columns; copies only what is not stored that way."""
    n_samples, n_features = X.shape
    if not sparse.issparse(X):
        nothing = np.zeros(0, dtype=X.dtype)
        return Columns(
            nothing,
            nothing.astype(np.uint32),
            np.zeros(n_features + 1, dtype=np.int64),
            np.ascontiguousarray(X.T),
            np.arange(n_features, dtype=np.int32),
        )
    X = X.tocsc()
    # Kernels needn't look out for negative indices if they are unsigned.
    indices = X.indices.astype(np.int32, copy=False).view(np.uint32)
    indptr = X.indptr.astype(np.int64, copy=False)
    often = np.flatnonzero(np.diff(indptr) > DENSE * n_samples)
    row_of = np.full(n_features, -1, dtype=np.int32)
    row_of[often] = np.arange(len(often))
    dense = aligned((len(often), n_samples), X.dtype)
    dense[:] = X[:, often].toarray().T
    return Columns(X.data, indices, indptr, dense, row_of)


def aligned(shape: tuple[int, ...], dtype=np.float64) -> np.ndarray:
    """Like ``np.empty``, but starting where a line of the cache does: registers are fastest to fill from there."""
    size, width = math.prod(shape), np.dtype(dtype).itemsize
    numbers = np.empty(size + LINE // width, dtype=dtype)
    start = -numbers.ctypes.data % LINE // width
    return numbers[start : start + size].reshape(shape)


def is_dense(columns: Columns) -> bool:
    return len(columns.dense) == len(columns.row_of)


def as_csc(columns: Columns) -> sparse.csc_array:
    """View the columns of a sparse X as scipy's, of shape (n_samples, n_features)."""
    shape = (columns.dense.shape[1], len(columns.row_of))
    return sparse.csc_array((columns.data, columns.indices.view(np.int32), columns.indptr), shape=shape)


def column_dot(columns: Columns, feature: int, vector: np.ndarray) -> float:
    """Multiply one column with a vector, outside the kernels."""
    row, stored = columns.row_of[feature], slice(columns.indptr[feature], columns.indptr[feature + 1])
    if row >= 0:
        return np.sum(columns.dense[row] * vector)
    return np.sum(columns.data[stored] * vector[columns.indices[stored]])


def frozen(parts: NamedTuple) -> NamedTuple:
    """View all arrays of a named tuple as read-only.

    Memory-mapped arrays, which joblib sends to its workers, are read-only, and the kernels are compiled for each kind.
    """
    return type(parts)(*(_read_only(part) for part in parts))


def _read_only(part):
    if isinstance(part, tuple):
        return frozen(part)
    if not isinstance(part, np.ndarray):
        return part
    view = part.view()
    view.flags.writeable = False
    return view


@intrinsic
def borrowed(_context, arrays):
    """Return an array, or those of a named tuple, without their count of references, for kernels to pass on.

    Each of those would count each array up and down, in memory that all threads share, which took a tenth of a fit.
    Whoever calls from Python must hold the arrays meanwhile.
    """

    def without_count(context, builder, signature, args):
        return _without_count(context, builder, signature.args[0], args[0])

    return arrays(arrays), without_count


def _without_count(context, builder, kind, value):
    if isinstance(kind, types.BaseTuple):
        parts = zip(kind.types, cgutils.unpack_tuple(builder, value), strict=True)
        return context.make_tuple(builder, kind, [_without_count(context, builder, *part) for part in parts])
    if isinstance(kind, types.Array):
        array = context.make_array(kind)(context, builder, value)
        array.meminfo = context.get_constant_null(types.MemInfoPointer(types.voidptr))
        return array._getvalue()
    return value


# The kernels below take many columns in a call, unpack the tuple once and call nothing: counting references for each
# column would take longer than a product. Dense columns wait until there are four, which then share a pass over what
# they are multiplied with.


@njit(**PART)
def column_dots(columns, features, count, slot, vector, out):
    """Products of the first `count` of the `features` with `vector` (n_samples,).

    Features whose `slot` is not negative are left out; an empty one leaves out none.
    """
    data, indices, indptr, dense, row_of = columns
    first, second, third, waiting = np.int64(0), np.int64(0), np.int64(0), np.int64(0)
    for place in range(count):
        if slot.shape[0] > 0 and slot[place] >= 0:
            continue
        row = row_of[features[place]]
        # Four sums, so that an addition needn't wait for the one before.
        a, b, c, d = 0.0, 0.0, 0.0, 0.0
        if row < 0:
            start, end = indptr[features[place]], indptr[features[place] + 1]
            for _ in range((end - start) // 4):
                a += data[start] * vector[indices[start]]
                b += data[start + 1] * vector[indices[start + 1]]
                c += data[start + 2] * vector[indices[start + 2]]
                d += data[start + 3] * vector[indices[start + 3]]
                start += 4
            for k in range(start, end):
                a += data[k] * vector[indices[k]]
            out[place] = (a + b) + (c + d)
        elif waiting < 3:
            first, second, third = second, third, place
            waiting += 1
        else:
            waiting = np.int64(0)
            p, q, r = row_of[features[first]], row_of[features[second]], row_of[features[third]]
            for i in range(vector.shape[0]):
                a += dense[p, i] * vector[i]
                b += dense[q, i] * vector[i]
                c += dense[r, i] * vector[i]
                d += dense[row, i] * vector[i]
            out[first], out[second], out[third], out[place] = a, b, c, d
    for w in range(waiting):
        place = third if w == 0 else (second if w == 1 else first)
        row, a = row_of[features[place]], 0.0
        for i in range(vector.shape[0]):
            a += dense[row, i] * vector[i]
        out[place] = a


@njit(**PART)
def column_dots_of_two(columns, features, count, vectors, out):
    """Products of the first `count` of the `features` with two `vectors` (2, n_samples); `out` is (2, count)."""
    data, indices, indptr, dense, row_of = columns
    v, w, left, right = vectors[0], vectors[1], out[0], out[1]
    first, second, third, waiting = np.int64(0), np.int64(0), np.int64(0), np.int64(0)
    for place in range(count):
        row = row_of[features[place]]
        a, b, c, d, e, f, g, h = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        if row < 0:
            for k in range(indptr[features[place]], indptr[features[place] + 1]):
                a += data[k] * v[indices[k]]
                b += data[k] * w[indices[k]]
            left[place], right[place] = a, b
        elif waiting < 3:
            first, second, third = second, third, place
            waiting += 1
        else:
            waiting = np.int64(0)
            p, q, r = row_of[features[first]], row_of[features[second]], row_of[features[third]]
            for i in range(v.shape[0]):
                a += dense[p, i] * v[i]
                b += dense[q, i] * v[i]
                c += dense[r, i] * v[i]
                d += dense[row, i] * v[i]
                e += dense[p, i] * w[i]
                f += dense[q, i] * w[i]
                g += dense[r, i] * w[i]
                h += dense[row, i] * w[i]
            left[first], left[second], left[third], left[place] = a, b, c, d
            right[first], right[second], right[third], right[place] = e, f, g, h
    for u in range(waiting):
        place = third if u == 0 else (second if u == 1 else first)
        row, a, b = row_of[features[place]], 0.0, 0.0
        for i in range(v.shape[0]):
            a += dense[row, i] * v[i]
            b += dense[row, i] * w[i]
        left[place], right[place] = a, b


@njit(**PART)
def centred_columns(columns, features, count, train, n_train, fit_intercept, squares, out):
    """Write the first `count` of the `features`, centred as by `centre`, to the rows of `out`.

    Also writes the sums of their squares on training rows, before centring, to `squares`.
    """
    data, indices, indptr, dense, row_of = columns
    for e in range(count):
        row, column = row_of[features[e]], out[e]
        if row >= 0:
            for i in range(train.shape[0]):
                column[i] = train[i] * dense[row, i]
        else:
            for i in range(train.shape[0]):
                column[i] = 0.0
            for k in range(indptr[features[e]], indptr[features[e] + 1]):
                column[indices[k]] = train[indices[k]] * data[k]
        total, square = 0.0, 0.0
        for i in range(train.shape[0]):
            total += column[i]
            square += column[i] * column[i]
        squares[e] = square
        if fit_intercept:
            mean = total / n_train
            for i in range(train.shape[0]):
                column[i] -= train[i] * mean


@njit(**PART)
def add_columns(columns, features, count, factors, out):
    """Add the first `count` of the `features`, each times its factor, to `out` (n_samples,)."""
    data, indices, indptr, dense, row_of = columns
    first, second, third, waiting = np.int64(0), np.int64(0), np.int64(0), np.int64(0)
    for place in range(count):
        factor, row = factors[place], row_of[features[place]]
        if factor == 0.0:
            continue
        if row < 0:
            for k in range(indptr[features[place]], indptr[features[place] + 1]):
                out[indices[k]] += factor * data[k]
        elif waiting < 3:
            first, second, third = second, third, place
            waiting += 1
        else:
            waiting = np.int64(0)
            p, q, r = row_of[features[first]], row_of[features[second]], row_of[features[third]]
            a, b, c = factors[first], factors[second], factors[third]
            for i in range(out.shape[0]):
                out[i] += (a * dense[p, i] + b * dense[q, i]) + (c * dense[r, i] + factor * dense[row, i])
    for w in range(waiting):
        place = third if w == 0 else (second if w == 1 else first)
        row, factor = row_of[features[place]], factors[place]
        for i in range(out.shape[0]):
            out[i] += factor * dense[row, i]


@njit(**PART)
def centre(vector, train, n_train, fit_intercept, out):
    """Write `vector` less its mean over the training rows to `out`, zero on held-out rows; return the mean.

    The product of a raw column with such a vector equals that of the centred column: centring `X` is never needed.
    """
    mean = 0.0
    if fit_intercept:
        for i in range(vector.shape[0]):
            mean += train[i] * vector[i]
        mean /= n_train
    for i in range(vector.shape[0]):
        out[i] = train[i] * (vector[i] - mean)
    return mean
