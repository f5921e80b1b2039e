"""What a scan of lines knows: the bytes of keys, scalars, objects and arrays met before, and what each stands for.

Needs numba; see `vsa.fastpath`, which fills the tables.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from vsa.fastpath import KEY, VALUE
from vsa.structure import compiled, hash_of, same_bytes

TEXT, TOKENS, SUMS = 0, 1, 2
"""Places in `used`: how many bytes of text, tokens and sums are held."""

KIND = np.uint64(1) << np.uint64(63)
HALF = np.uint64(32)
LOW = np.uint64(0xFFFFFFFF)
PEAK_BITS = np.uint64(24)
PEAK = np.uint64(0xFFFFFF)

EXACT = 1 << 24
"""Whole numbers below this are exact in float32."""


class Tables(NamedTuple):
    """What was met before.

    Attributes
    ----------
    tokens : (2**k, 4) uint64
        Open addressing, two to a cache line. Of each token: its hash (0 where free); kind, node and length; its place
        in `text`, above 24 bits with the largest entry of its row; its value. The value of a key is a child, with 0
        beside it; that of a leaf is its row with the generation of the row, and that of an object or array the number
        of its sum with the epoch of the sums.
    text : uint8
        Bytes of the tokens, and `PADDING` more.
    first, following : int32
        Of each node, the node of its first member and of the member after it; -1 where not met.
    generation : int32
        Of each row of the table, how often it was freed.
    sums : (n, dim) float32
        Rows of whole objects and arrays.
    leaves : int64
        How many leaves each sum stands for.
    epoch : (1,) int64
        How often the sums were forgotten.
    """

    tokens: Any
    text: Any
    first: Any
    following: Any
    generation: Any
    sums: Any
    leaves: Any
    epoch: Any


@compiled
def meta_of(node, size, kind):
    """Node, kind and length in one word."""
    return (np.uint64(node) << HALF) | np.uint64(size) | (KIND if kind == VALUE else np.uint64(0))


@compiled
def find(tokens, text, data, start, end, node, kind):
    """The slot of a token, or the free one where it would go."""
    h = hash_of(data, start, end, 2 * node + kind)
    mask = len(tokens) - 1
    at = np.int64(h >> np.uint64(20)) & mask
    size = end - start
    meta = meta_of(node, size, kind)
    while tokens[at, 0] != 0:
        if (
            tokens[at, 0] == h
            and tokens[at, 1] == meta
            and same_bytes(text, np.int64(tokens[at, 2] >> PEAK_BITS), data, start, size)
        ):
            return at
        at = (at + 1) & mask
    return at


@compiled
def put(t, data, start, end, node, kind, value, birth, peak, used):
    """Enter a token, or give one that is there a new value; there must be room."""
    at = find(t.tokens, t.text, data, start, end, node, kind)
    size = end - start
    if t.tokens[at, 0] == 0:
        t.tokens[at, 0] = hash_of(data, start, end, 2 * node + kind)
        t.tokens[at, 1] = meta_of(node, size, kind)
        t.tokens[at, 2] = np.uint64(used[TEXT]) << PEAK_BITS
        for i in range(size):
            t.text[used[TEXT] + i] = data[start + i]
        used[TEXT] += size
        used[TOKENS] += 1
    t.tokens[at, 2] = (t.tokens[at, 2] & ~PEAK) | np.uint64(peak)
    t.tokens[at, 3] = (np.uint64(value) << HALF) | (np.uint64(birth) & LOW)


@compiled
def put_all(t, table, data, entries, used):
    """Enter keys and leaves given as (node, kind, start, end, child or row); there must be room."""
    for n in range(len(entries)):
        node, kind, start, end, value = entries[n]
        if kind == KEY:
            put(t, data, start, end, node, kind, value, 0, 0, used)
        else:
            put(t, data, start, end, node, kind, value, t.generation[value], peak_of(table[value]), used)


@compiled
def firsts(data, entries, slots, first):
    """Find equal ones among keys, or among scalars, given as (node, kind, start, end): of each the number of the first.

    Parameters
    ----------
    entries : (n, 4) int64
    slots : (2**k,) int32
        -1 throughout; more than n.
    first : (n,) int64
        Filled in.
    """
    mask = len(slots) - 1
    for n in range(len(entries)):
        node, kind, start, end = entries[n]
        size = end - start
        at = np.int64(hash_of(data, start, end, 2 * node + kind) >> np.uint64(20)) & mask
        while slots[at] >= 0:
            one = entries[slots[at]]
            if one[0] == node and one[3] - one[2] == size and same_bytes(data, one[2], data, start, size):
                break
            at = (at + 1) & mask
        if slots[at] < 0:
            slots[at] = n
        first[n] = slots[at]


@compiled
def peak_of(row):
    """The largest entry of a row of whole numbers, whatever its sign."""
    peak = np.int32(0)  # of whole numbers the largest is found many at a time
    for x in row:
        peak = max(peak, np.int32(abs(x)))
    return np.int64(peak)


@compiled
def moved(tokens, larger):
    """Enter all tokens into a larger table."""
    mask = len(larger) - 1
    for n in range(len(tokens)):
        if tokens[n, 0] != 0:
            at = np.int64(tokens[n, 0] >> np.uint64(20)) & mask
            while larger[at, 0] != 0:
                at = (at + 1) & mask
            for i in range(4):
                larger[at, i] = tokens[n, i]
