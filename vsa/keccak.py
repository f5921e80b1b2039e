"""SHAKE-128 of many short messages at once: eight states side by side in vector registers. Needs numba.

Source: FIPS 202, sections 3 and 6.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from vsa.intrinsics import load64
from vsa.structure import compiled

STATES = 8
"""States that `permute` takes at once."""

WORDS = 21
"""Of the 25 words of a state, those that take up and give out bytes."""

LONGEST = 8 * WORDS - 1
"""Bytes of a message that fits one block."""

BLOCK = 8 * (WORDS + 1)
"""Bytes of room for a block."""

_ROUNDS = 24
_WORD = ir.IntType(64)
_VECTOR = ir.VectorType(_WORD, STATES)


def _rotations() -> dict[tuple[int, int], int]:
    """By how much ρ rotates each word."""
    found = {(0, 0): 0}
    x, y = 1, 0
    for t in range(_ROUNDS):
        found[x, y] = (t + 1) * (t + 2) // 2 % 64
        x, y = y, (2 * x + 3 * y) % 5
    return found


def _constants() -> list[int]:
    """What ι adds in each round."""
    found = []
    register = 1
    for _ in range(_ROUNDS):
        constant = 0
        for j in range(7):
            constant ^= (register & 1) << (1 << j) - 1
            register = (register << 1 ^ (register >> 7) * 0x171) & 0xFF
        found.append(constant)
    return found


def _every(word: int) -> Any:
    return ir.Constant(_VECTOR, [word] * STATES)


def _rotated(builder: Any, vector: Any, by: int) -> Any:
    if by == 0:
        return vector
    return builder.or_(builder.shl(vector, _every(by)), builder.lshr(vector, _every(64 - by)))


def _round(builder: Any, a: list[Any], constant: Any) -> list[Any]:
    """One round on words numbered ``x + 5 y``."""
    parity = a[:5]
    for number in range(5, 25):
        parity[number % 5] = builder.xor(parity[number % 5], a[number])
    flips = [builder.xor(parity[(x + 4) % 5], _rotated(builder, parity[(x + 1) % 5], 1)) for x in range(5)]
    moved: list[Any] = [None] * 25
    for (x, y), by in _rotations().items():
        moved[y + 5 * ((2 * x + 3 * y) % 5)] = _rotated(builder, builder.xor(a[x + 5 * y], flips[x]), by)
    found = []
    for number, word in enumerate(moved):
        row = number - number % 5
        one, two = moved[row + (number + 1) % 5], moved[row + (number + 2) % 5]
        found.append(builder.xor(word, builder.and_(builder.not_(one), two)))
    found[0] = builder.xor(found[0], constant)
    return found


@intrinsic
def permute(typing, state):
    """Keccak-f[1600] of `STATES` states: first words of all of them, then second words, and so on; (200,) uint64."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        start = cgutils.create_struct_proxy(signature.args[0])(context, builder, arguments[0]).data
        places = [
            builder.bitcast(builder.gep(start, [ir.Constant(_WORD, STATES * i)]), _VECTOR.as_pointer())
            for i in range(25)
        ]
        table = ir.Constant(ir.ArrayType(_VECTOR, _ROUNDS), [_every(constant) for constant in _constants()])
        constants = cgutils.global_constant(builder.module, "keccak_rounds", table)
        before = [builder.load(place, align=8) for place in places]
        entry, body = builder.block, builder.append_basic_block("round")
        builder.branch(body)
        builder.position_at_end(body)
        number = builder.phi(_WORD)
        words = [builder.phi(_VECTOR) for _ in places]
        constant = builder.load(builder.gep(constants, [ir.Constant(_WORD, 0), number]), align=8)
        after = _round(builder, words, constant)
        following = builder.add(number, ir.Constant(_WORD, 1))
        for phi, first, later in zip(
            [number, *words], [ir.Constant(_WORD, 0), *before], [following, *after], strict=True
        ):
            phi.add_incoming(first, entry)
            phi.add_incoming(later, body)
        end = builder.append_basic_block("end")
        builder.cbranch(builder.icmp_unsigned("<", following, ir.Constant(_WORD, _ROUNDS)), body, end)
        builder.position_at_end(end)
        for place, vector in zip(places, after, strict=True):
            builder.store(vector, place, align=8)
        return context.get_dummy_value()

    return types.void(state), codegen


@compiled
def shake(head, names, bounds, block, state, out):
    """The first bytes of SHAKE-128 of ``head``, the length of a name in eight bytes, and the name.

    Parameters
    ----------
    head, names : uint8
        Name i is ``names[bounds[i]:bounds[i + 1]]``; with `head` and its length it has `LONGEST` bytes at most.
    bounds : (n + 1,) int64
    block : (BLOCK,) uint8
        Zeros.
    state : (200,) uint64
        Room.
    out : (n, words) uint64
        Filled in; the bytes of each word lowest first.
    """
    count, words = out.shape
    for i in range(len(head)):
        block[i] = head[i]
    begin = len(head) + 8
    used = begin
    for first in range(0, count, STATES):
        some = min(STATES, count - first)
        for n in range(some):
            start = bounds[first + n]
            size = bounds[first + n + 1] - start
            block[len(head)] = size
            for i in range(size):
                block[begin + i] = names[start + i]
            for i in range(begin + size, used):
                block[i] = 0
            used = begin + size + 1
            block[begin + size] = 0x1F
            block[LONGEST] |= 0x80
            for word in range(WORDS):
                state[word * STATES + n] = load64(block, 8 * word)
        for i in range(WORDS * STATES, 25 * STATES):
            state[i] = 0
        for begun in range(0, words, WORDS):
            permute(state)
            for n in range(some):
                for word in range(begun, min(begun + WORDS, words)):
                    out[first + n, word] = state[(word - begun) * STATES + n]
