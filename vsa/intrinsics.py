"""Machine words, masks and prefetches for compiled code, as LLVM has them on every processor. Needs numba."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

_BYTE, _INT, _WORD, _FLOAT = ir.IntType(8), ir.IntType(32), ir.IntType(64), ir.FloatType()

LANES = 16
"""Float32 numbers that `plus` takes at once: a cache line of them."""


def _pointer(context: Any, builder: Any, array_type: Any, array: Any, at: Any) -> Any:
    """Address of an element of a one-dimensional contiguous array."""
    start = cgutils.create_struct_proxy(array_type)(context, builder, array).data
    return builder.gep(start, [at])


@intrinsic
def load64(typing, data, at):
    """The eight bytes from `at` on as one little-endian word; they need no alignment, but must be there."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address = _pointer(context, builder, signature.args[0], *arguments)
        return builder.load(builder.bitcast(address, _WORD.as_pointer()), align=1)

    return types.uint64(data, types.int64), codegen


@intrinsic
def marks64(typing, data, at):
    """Where in the 64 bytes from `at` on are quotes, backslashes and brackets, commas or colons: three masks."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        block_type = ir.VectorType(_BYTE, 64)
        address = _pointer(context, builder, signature.args[0], *arguments)
        block = builder.load(builder.bitcast(address, block_type.as_pointer()), align=1)

        def every(byte: int) -> Any:
            return ir.Constant(block_type, [byte] * 64)

        def mask(bits: Any) -> Any:
            return builder.bitcast(bits, _WORD)

        def equal(vector: Any, byte: int) -> Any:
            return builder.icmp_unsigned("==", vector, every(byte))

        folded = builder.or_(block, every(0x20))  # brackets to braces
        structure = equal(folded, 0x7B)
        for found in (equal(folded, 0x7D), equal(block, 0x2C), equal(block, 0x3A)):
            structure = builder.or_(structure, found)
        masks = [mask(equal(block, 0x22)), mask(equal(block, 0x5C)), mask(structure)]
        return context.make_tuple(builder, signature.return_type, masks)

    return types.UniTuple(types.uint64, 3)(data, types.int64), codegen


@intrinsic
def lowest(typing, word):
    """Number of the lowest bit set in a word that is not 0."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.uint64), codegen


def _ask(builder: Any, address: Any) -> None:
    """Have a cache line brought near, to be read."""
    pointer = builder.bitcast(address, _BYTE.as_pointer())
    kind = ir.FunctionType(ir.VoidType(), [_BYTE.as_pointer(), _INT, _INT, _INT])
    function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
    builder.call(function, [pointer, *(ir.Constant(_INT, value) for value in (0, 2, 1))])


@intrinsic
def prefetch_byte(typing, data, at):
    """Ask for the cache line of an element of a one-dimensional contiguous array."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _ask(builder, _pointer(context, builder, signature.args[0], *arguments))
        return context.get_dummy_value()

    return types.void(data, types.int64), codegen


@intrinsic
def prefetch(typing, table, row, column):
    """Ask for the cache line of an element of a two-dimensional contiguous array."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _ask(builder, _element(context, builder, signature.args[0], *arguments))
        return context.get_dummy_value()

    return types.void(table, types.int64, types.int64), codegen


def _element(context: Any, builder: Any, array_type: Any, array: Any, row: Any, column: Any) -> Any:
    """Address of an element of a two-dimensional contiguous array."""
    view = cgutils.create_struct_proxy(array_type)(context, builder, array)
    width = cgutils.unpack_tuple(builder, view.shape)[1]
    return builder.gep(view.data, [builder.add(builder.mul(row, width), column)])


@intrinsic
def address_of(typing, table, row):
    """Where a row of a two-dimensional contiguous array begins in memory."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, row = arguments
        start = _element(context, builder, signature.args[0], array, row, ir.Constant(_WORD, 0))
        return builder.ptrtoint(start, _WORD)

    return types.int64(table, types.int64), codegen


def _sum(shape: Any, context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    total, at, *rows = arguments
    target = builder.bitcast(_pointer(context, builder, signature.args[0], total, at), shape.as_pointer())
    offset = builder.mul(at, ir.Constant(_WORD, 4))
    found = builder.load(target, align=4)
    for row in rows:
        source = builder.inttoptr(builder.add(row, offset), shape.as_pointer())
        found = builder.fadd(found, builder.load(source, align=4))
    builder.store(found, target, align=4)
    return context.get_dummy_value()


@intrinsic
def plus(typing, total, at, a, b, c, d):
    """Add `LANES` numbers, from `at` on, of four float32 rows given by address to those of `total`."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _sum(ir.VectorType(_FLOAT, LANES), context, builder, signature, arguments)

    return types.void(total, *[types.int64] * 5), codegen


@intrinsic
def plus_one(typing, total, at, a):
    """Add one number of a float32 row given by address to that of `total`."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _sum(_FLOAT, context, builder, signature, arguments)

    return types.void(total, *[types.int64] * 2), codegen


def _weighted(lanes: int, context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    """Add `lanes` numbers at each of several addresses, times their weights, to a part of the first argument."""
    total, at, *terms = arguments
    shape = ir.VectorType(_FLOAT, lanes)
    nothing, first = ir.Constant(shape, ir.Undefined), ir.Constant(_INT, 0)
    everywhere = ir.Constant(ir.VectorType(_INT, lanes), [0] * lanes)
    target = builder.bitcast(_pointer(context, builder, signature.args[0], total, at), shape.as_pointer())
    found = builder.load(target, align=4)
    for address, weight in zip(terms[::2], terms[1::2], strict=True):
        part = builder.load(builder.inttoptr(address, shape.as_pointer()), align=4)
        factor = builder.shuffle_vector(builder.insert_element(nothing, weight, first), nothing, everywhere)
        found = builder.fadd(found, builder.fmul(part, factor))
    builder.store(found, target, align=4)
    return context.get_dummy_value()


@intrinsic
def plus_eights(typing, total, at, a, a_weight, b, b_weight, c, c_weight, d, d_weight):
    """Add eight float32 numbers at each of four addresses, times their weights, to those of `total` from `at` on."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _weighted(8, context, builder, signature, arguments)

    return types.void(total, types.int64, *[types.int64, types.float32] * 4), codegen


@intrinsic
def plus_times(typing, total, at, a, weight):
    """Add `LANES` numbers, from `at` on, of a float32 row given by address, times a weight, to those of `total`."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        start = builder.add(arguments[2], builder.mul(arguments[1], ir.Constant(_WORD, 4)))
        return _weighted(LANES, context, builder, signature, [*arguments[:2], start, arguments[3]])

    return types.void(total, types.int64, types.int64, types.float32), codegen
