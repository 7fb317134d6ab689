"""A sparse column times many vectors side by side, with the sums held in registers.

Compilers keep such sums in memory, where each of them is loaded and stored for each value of the column. Here a sum is
one LLVM vector of LANES numbers, which every processor can hold: LLVM spreads it over as many registers as that takes.
"""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

# Vectors that share a pass over a column.
LANES = 32


@intrinsic
def column_times_lanes(_context, data, indices, start, end, vectors, threshold, out):
    """Write the products of a column with LANES vectors to `out` (LANES,).

    The column has the values ``data[start:end]`` in the rows ``indices[start:end]``, which are unsigned; `vectors` are
    (n_rows, LANES), each row without gaps, and of the column's dtype, as is `out`. Returns the products whose absolute
    value is above the `threshold` as bits of a number, the first one as the lowest.
    """
    number = data.dtype
    if not number == vectors.dtype == out.dtype:
        raise TypeError(f"Column, vectors and products must have one dtype, got {data}, {vectors} and {out}.")
    places = types.int64
    return types.uint32(data, indices, places, places, vectors, number, out), _column_times_lanes


def _column_times_lanes(context, builder, signature, arguments):
    data, indices, vectors, out = (
        context.make_array(signature.args[place])(context, builder, arguments[place]) for place in (0, 1, 4, 6)
    )
    start, end, threshold = arguments[2], arguments[3], arguments[5]
    number = context.get_value_type(signature.args[0].dtype)
    aligned = context.get_abi_sizeof(number)  # numbers lie at multiples of their own size only
    several = ir.VectorType(number, LANES)
    width, nothing = cgutils.unpack_tuple(builder, vectors.strides)[0], ir.Constant(several, [0.0] * LANES)
    width = builder.udiv(width, ir.Constant(width.type, aligned))
    before, loop, after = builder.basic_block, builder.append_basic_block("values"), builder.append_basic_block("sums")
    builder.cbranch(builder.icmp_signed("<", start, end), loop, after)

    builder.position_at_end(loop)
    place, total = builder.phi(start.type), builder.phi(several)
    value = _spread(builder, builder.load(builder.gep(data.data, [place])), several)
    row = builder.zext(builder.load(builder.gep(indices.data, [place])), start.type)
    at = builder.gep(vectors.data, [builder.mul(row, width)])
    vector = builder.load(builder.bitcast(at, several.as_pointer()), align=aligned)
    product = builder.fmul(value, vector, flags=["contract"])
    more = builder.fadd(total, product, flags=["contract"])
    following = builder.add(place, ir.Constant(start.type, 1))
    for phi, at_first, later in ((place, start, following), (total, nothing, more)):
        phi.add_incoming(at_first, before)
        phi.add_incoming(later, loop)
    builder.cbranch(builder.icmp_signed("<", following, end), loop, after)

    builder.position_at_end(after)
    sums = builder.phi(several)
    sums.add_incoming(nothing, before)
    sums.add_incoming(more, loop)
    builder.store(sums, builder.bitcast(out.data, several.as_pointer()), align=aligned)
    bound = _spread(builder, threshold, several)
    above = builder.or_(
        builder.fcmp_ordered(">", sums, bound), builder.fcmp_ordered(">", builder.fsub(nothing, sums), bound)
    )
    return builder.bitcast(above, ir.IntType(LANES))


@intrinsic
def lowest_bit(_context, bits):
    """Return the place of the lowest bit that is set; there must be one."""

    def place(context, builder, signature, arguments):
        found = builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))
        return builder.zext(found, context.get_value_type(types.intp))

    return types.intp(types.uint32), place


def _spread(builder, value, several):
    """Repeat a number in all places of a vector."""
    nothing, integer = ir.Constant(several, ir.Undefined), ir.IntType(32)
    one = builder.insert_element(nothing, value, ir.Constant(integer, 0))
    return builder.shuffle_vector(one, nothing, ir.Constant(ir.VectorType(integer, LANES), [0] * LANES))
