"""Panels of a symmetric matrix: WIDTH of its rows, up to and with the block on the diagonal, held in registers.

As in lanes.py, the loops are spelled out in LLVM, whose vectors of WIDTH numbers every processor can hold. Compilers
take a row at a time, and spend longer on adding up the numbers of a register than on a row of so few blocks.
"""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

# Numbers of a vector, and rows of a panel; a register of AVX-512 holds so many.
WIDTH = 8
# Matrices of rank one that are added in one pass.
LATER = 4
NUMBER, PLACE = ir.DoubleType(), ir.IntType(64)
VECTOR = ir.VectorType(NUMBER, WIDTH)
# Rows that are changed together: with their factors they still fit the registers.
TOGETHER = 4


@intrinsic
def panel_times(_context, matrix, row, x, out):
    """Add to `out` what the panel from `row` on, and what stands across the diagonal for it, gives times `x`.

    The `matrix` has blocks of WIDTH x WIDTH on and below its diagonal, `row` is a multiple of WIDTH, and rows have no
    gaps.
    """
    _check(matrix, x, out)
    return types.void(matrix, types.intp, x, out), _panel_times


def _panel_times(context, builder, signature, arguments):
    matrix, x, out = _arrays(context, builder, signature, arguments, (0, 2, 3))
    row, rows = arguments[1], _rows(builder, matrix, arguments[1], WIDTH)
    own = _load(builder, x.data, row)
    each = [_spread(builder, own, r) for r in range(WIDTH)]
    # The block on the diagonal is complete; what is left of it goes to `out` along the columns as well.
    sums = [_product(builder, _load(builder, start, row), own) for start in rows]

    def block(place, sums):
        there, across = _load(builder, x.data, place), _load(builder, out.data, place)
        even = odd = None
        for r, start in enumerate(rows):
            numbers = _load(builder, start, place)
            sums[r] = _sum(builder, sums[r], _product(builder, numbers, there))
            part = _product(builder, numbers, each[r])
            if r % 2:  # two sums, so that an addition needn't wait for the one before
                odd = _sum(builder, odd, part) if odd else part
            else:
                even = _sum(builder, even, part) if even else part
        _store(builder, _sum(builder, across, _sum(builder, even, odd)), out.data, place)
        return sums

    sums = _for_each_block(builder, row, sums, block)
    _store(builder, _sum(builder, _load(builder, out.data, row), _sums_of(builder, sums)), out.data, row)
    return context.get_dummy_value()


@intrinsic
def panel_add(_context, matrix, row, vectors, factors):
    """Add ``sum_q factors[q] * outer(vectors[q], vectors[q])`` to the panel from `row` on.

    There are LATER of them; rows of `vectors` have no gaps.
    """
    _check(matrix, vectors, factors)
    return types.void(matrix, types.intp, vectors, factors), _panel_add


def _panel_add(context, builder, signature, arguments):
    matrix, vectors, factors = _arrays(context, builder, signature, arguments, (0, 2, 3))
    row, rows = arguments[1], _rows(builder, matrix, arguments[1], WIDTH)
    across = _rows(builder, vectors, ir.Constant(PLACE, 0), LATER)
    scaled = []
    for q, start in enumerate(across):
        factor = builder.load(builder.gep(factors.data, [ir.Constant(PLACE, q)]))
        scaled.append(_product(builder, _load(builder, start, row), _fill(builder, factor)))
    end = builder.add(row, ir.Constant(PLACE, WIDTH))
    for first in range(0, WIDTH, TOGETHER):
        each = [[_spread(builder, part, first + r) for part in scaled] for r in range(TOGETHER)]

        def block(place, _, first=first, each=each):
            there = [_load(builder, start, place) for start in across]
            for r in range(TOGETHER):
                numbers = _load(builder, rows[first + r], place)
                for share, vector in zip(each[r], there, strict=True):
                    numbers = _sum(builder, numbers, _product(builder, share, vector))
                _store(builder, numbers, rows[first + r], place)
            return []

        _for_each_block(builder, end, [], block)
    return context.get_dummy_value()


def _check(*arrays):
    if any(array.dtype != types.float64 for array in arrays):
        raise TypeError(f"Panels are of float64 alone, got {', '.join(map(str, arrays))}.")


def _arrays(context, builder, signature, arguments, places):
    return (context.make_array(signature.args[place])(context, builder, arguments[place]) for place in places)


def _rows(builder, matrix, first, count):
    """Point to so many rows of a matrix."""
    length = builder.udiv(cgutils.unpack_tuple(builder, matrix.strides)[0], ir.Constant(PLACE, 8))
    at = [builder.mul(builder.add(first, ir.Constant(PLACE, r)), length) for r in range(count)]
    return [builder.gep(matrix.data, [place]) for place in at]


def _for_each_block(builder, end, values, block):
    """Loop over blocks of columns before `end`, from `values` to those that the last `block` returns."""
    before, loop, after = builder.basic_block, builder.append_basic_block("block"), builder.append_basic_block("done")
    builder.cbranch(builder.icmp_signed("<", ir.Constant(PLACE, 0), end), loop, after)
    builder.position_at_end(loop)
    place, running = builder.phi(PLACE), [builder.phi(value.type) for value in values]
    changed = block(place, list(running))
    following = builder.add(place, ir.Constant(PLACE, WIDTH))
    place.add_incoming(ir.Constant(PLACE, 0), before)
    place.add_incoming(following, loop)
    builder.cbranch(builder.icmp_signed("<", following, end), loop, after)
    builder.position_at_end(after)
    ends = [builder.phi(value.type) for value in values]
    for phi, final, value, new in zip(running, ends, values, changed, strict=True):
        phi.add_incoming(value, before)
        phi.add_incoming(new, loop)
        final.add_incoming(value, before)
        final.add_incoming(new, loop)
    return ends


def _load(builder, start, place):
    pointer = builder.bitcast(builder.gep(start, [place]), VECTOR.as_pointer())
    return builder.load(pointer, align=8)  # numbers lie at multiples of their own size only


def _store(builder, value, start, place):
    builder.store(value, builder.bitcast(builder.gep(start, [place]), VECTOR.as_pointer()), align=8)


def _product(builder, left, right):
    return builder.fmul(left, right, flags=["contract"])


def _sum(builder, left, right):
    return builder.fadd(left, right, flags=["contract"])


def _shuffled(builder, left, right, places):
    return builder.shuffle_vector(left, right, ir.Constant(ir.VectorType(ir.IntType(32), WIDTH), places))


def _spread(builder, vector, place):
    """Repeat one number of a vector in all places."""
    return _shuffled(builder, vector, ir.Constant(VECTOR, ir.Undefined), [place] * WIDTH)


def _fill(builder, number):
    empty = ir.Constant(VECTOR, ir.Undefined)
    return _spread(builder, builder.insert_element(empty, number, ir.Constant(ir.IntType(32), 0)), 0)


def _sums_of(builder, vectors):
    """Return the vector of the sums of WIDTH vectors: neighbours are folded into one another, three times."""
    distance = 1
    while len(vectors) > 1:
        kept = [k if not k & distance else WIDTH + k for k in range(WIDTH)]
        other = [k ^ distance if not k & distance else WIDTH + (k ^ distance) for k in range(WIDTH)]
        vectors = [
            _sum(builder, _shuffled(builder, a, b, kept), _shuffled(builder, a, b, other))
            for a, b in zip(vectors[::2], vectors[1::2], strict=True)
        ]
        distance *= 2
    return vectors[0]
