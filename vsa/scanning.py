"""Compiled scan of a line's bytes down the trie of paths, and the sum of the rows that its leaves have.

Only bytes met before are understood: each key and scalar must be equal, byte by byte, to one that the parser took
at the same node, so that its validity and its row are inherited. Anything else makes the scan give up, and the
parser and the walker decide. Needs numba; see `vsa.fastpath`, which owns the tables.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np

KEY, SCALAR, MEMBER = 0, 1, 2

OBJECT, ARRAY = 0, 1


class Tables(NamedTuple):
    """What was met before.

    Attributes
    ----------
    tokens : (2**k, 4) uint64
        Open addressing, one cache line for two: of each token its hash (0 where free), its node, kind and length
        in one word, its place in `text`, and its value (child or row) with the generation of the row.
    text : uint8
        Bytes of the tokens.
    first, following : int32
        Of each node, the node of its first member and of the member after it; -1 where not met.
    stamps : int64
        Of each node, the last object that it was seen in, to find equal keys.
    generation : int32
        Of each row of the table, how often it was freed.
    lists : (2**k, 4) int64
        Sums of whole subtrees: open addressing from lists of rows: hash (0 where free), length of the list, its place
        in `sum_rows`, and the number of the sum or -1.
    sum_rows : int64
        Those lists.
    sums : (n, dim) float32
    counters : int64
        Objects scanned; sums held; length of `sum_rows` in use; tokens held; lists held.
    """

    tokens: Any
    text: Any
    first: Any
    following: Any
    stamps: Any
    generation: Any
    lists: Any
    sum_rows: Any
    sums: Any
    counters: Any


def _compiled(function: Any) -> Any:
    try:
        return numba.njit(cache=True, nogil=True)(function)
    except RuntimeError:  # nowhere to keep the compiled code
        return numba.njit(nogil=True)(function)


@_compiled
def _mixed(h, node, kind):
    h ^= np.uint64(node) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(kind)
    h ^= h >> np.uint64(32)
    h *= np.uint64(0xD6E8FEB86659FD93)
    h ^= h >> np.uint64(29)
    return h | np.uint64(1)


@_compiled
def _hashed(data, start, end):
    h = np.uint64(5381)
    for i in range(start, end):
        h = ((h << np.uint64(5)) + h) ^ np.uint64(data[i])
    return h


@_compiled
def _meta(node, kind, size):
    return np.uint64(node) << np.uint64(32) | np.uint64(kind) << np.uint64(31) | np.uint64(size)


@_compiled
def _slot(tokens, text, data, start, end, node, kind):
    """Where the token is, or where it would go."""
    h = _mixed(_hashed(data, start, end), node, kind)
    mask = len(tokens) - 1
    at = np.int64(h >> np.uint64(20)) & mask
    size = end - start
    meta = _meta(node, kind, size)
    while tokens[at, 0] != 0:
        if tokens[at, 0] == h and tokens[at, 1] == meta:
            base = np.int64(tokens[at, 2])
            differ = np.uint8(0)
            for i in range(size):
                differ |= text[base + i] ^ data[start + i]
            if differ == 0:
                return at
        at = (at + 1) & mask
    return at


@_compiled
def put(t, data, entries, used):
    """Enter tokens given as (node, kind, start, end, value); the new length of `text` in use, or -1 if all is full."""
    for n in range(len(entries)):
        node, kind, start, end, value = entries[n]
        at = _slot(t.tokens, t.text, data, start, end, node, kind)
        if t.tokens[at, 0] == 0:
            if used + end - start > len(t.text) or 2 * (t.counters[3] + 1) > len(t.tokens):
                return -1
            t.counters[3] += 1
            t.tokens[at, 0] = _mixed(_hashed(data, start, end), node, kind)
            t.tokens[at, 1] = _meta(node, kind, end - start)
            t.tokens[at, 2] = used
            for i in range(start, end):
                t.text[used + i - start] = data[i]
            used += end - start
        birth = t.generation[value] if kind == SCALAR else 0
        t.tokens[at, 3] = np.uint64(value) << np.uint64(32) | np.uint64(birth)
    return used


@_compiled
def scan(t, table, data, start, end, depth_limit, leaf_limit, longest, rows, found):
    """Scan one line.

    Parameters
    ----------
    rows : int64
        Filled with the rows of the leaves and, as -1 - number, sums of subtrees.
    found : (m, 4) int64
        Where it has rows, the scan goes on over what it does not know and fills in (node, kind, start, end) of each
        key and scalar, and (array, MEMBER, number, last) of members.

    Returns
    -------
    count, leaves, unknown : int
        Rows filled in; leaves they stand for; entries of `found`. The count is -1 where the scan gave up.
    """
    # Taken out once: reading a field of the tuple counts references, at a cost that each token would feel.
    tokens, text, members, following = t.tokens, t.text, t.first, t.following
    stamps, generation, counters = t.stamps, t.generation, t.counters
    lists, sum_rows, sums = t.lists, t.sum_rows, t.sums
    collect = len(found) > 0
    unknown = 0
    count = 0
    leaves = 0
    budget = leaf_limit
    stack_node = np.empty(depth_limit + 1, np.int64)
    stack_kind = np.empty(depth_limit + 1, np.uint8)
    stack_serial = np.empty(depth_limit + 1, np.int64)  # of an object; of an array, its member's node
    stack_number = np.empty(depth_limit + 1, np.int64)
    stack_count = np.empty(depth_limit + 1, np.int64)
    stack_leaves = np.empty(depth_limit + 1, np.int64)
    depth = 0
    at = start
    node = 0
    while True:
        # A value is due at `node`, which is -1 under keys not met before.
        while at < end and (data[at] == 32 or data[at] == 9 or data[at] == 10 or data[at] == 13):
            at += 1
        if at >= end:
            return -1, 0, unknown
        c = data[at]
        opened = False
        token = at
        if c == 123 or c == 91:
            at += 1
            while at < end and (data[at] == 32 or data[at] == 9 or data[at] == 10 or data[at] == 13):
                at += 1
            if at >= end:
                return -1, 0, unknown
            if data[at] == c + 2:
                at += 1
            else:
                opened = True
        elif c == 34:
            at += 1
            while at < end and data[at] != 34:
                at += 2 if data[at] == 92 else 1
            at += 1
            if at > end:
                return -1, 0, unknown
        else:
            while at < end:
                c = data[at]
                if c == 44 or c == 125 or c == 93 or c == 32 or c == 9 or c == 10 or c == 13:
                    break
                at += 1
        if opened:
            if depth >= depth_limit:
                return -1, 0, unknown
            stack_node[depth] = node
            stack_count[depth] = count
            stack_leaves[depth] = leaves
            stack_number[depth] = 0
            if c == 123:
                counters[0] += 1
                stack_kind[depth] = OBJECT
                stack_serial[depth] = counters[0]
            else:
                stack_kind[depth] = ARRAY
                stack_serial[depth] = -1
            depth += 1
        else:
            budget -= 1
            if depth == 0 or budget < 0:
                return -1, 0, unknown
            if node >= 0:
                slot = _slot(tokens, text, data, token, at, node, SCALAR)
                row = np.int64(tokens[slot, 3] >> np.uint64(32))
                birth = np.int64(tokens[slot, 3] & np.uint64(0xFFFFFFFF))
                if tokens[slot, 0] != 0 and birth == generation[row]:
                    if count == len(rows):
                        return -1, 0, unknown
                    rows[count] = row
                    count += 1
                    leaves += 1
                elif not collect or unknown == len(found):
                    return -1, 0, unknown
                else:
                    found[unknown, 0], found[unknown, 1], found[unknown, 2], found[unknown, 3] = node, SCALAR, token, at
                    unknown += 1
        # What follows the value, or the first member of what was opened.
        fresh = opened
        while True:
            while at < end and (data[at] == 32 or data[at] == 9 or data[at] == 10 or data[at] == 13):
                at += 1
            top = depth - 1
            if not fresh:
                if depth == 0:
                    return (count if at == end else -1), leaves, unknown
                if at >= end:
                    return -1, 0, unknown
                c = data[at]
                at += 1
                if c == (125 if stack_kind[top] == OBJECT else 93):
                    depth = top
                    if top > 0 and unknown == 0:
                        below = leaves - stack_leaves[top]
                        start_of = stack_count[top]
                        count = _summed(lists, sum_rows, sums, counters, table, rows, start_of, count, below, longest)
                    continue
                if c != 44:
                    return -1, 0, unknown
                while at < end and (data[at] == 32 or data[at] == 9 or data[at] == 10 or data[at] == 13):
                    at += 1
            break
        if at >= end:
            return -1, 0, unknown
        parent = stack_node[top]
        if stack_kind[top] == OBJECT:
            if data[at] != 34:
                return -1, 0, unknown
            token = at
            at += 1
            while at < end and data[at] != 34:
                at += 2 if data[at] == 92 else 1
            at += 1
            if at >= end:
                return -1, 0, unknown
            node = -1
            if parent >= 0:
                slot = _slot(tokens, text, data, token, at, parent, KEY)
                if tokens[slot, 0] != 0:
                    node = np.int64(tokens[slot, 3] >> np.uint64(32))
                    if stamps[node] == stack_serial[top]:
                        return -1, 0, unknown
                    stamps[node] = stack_serial[top]
                elif not collect or unknown == len(found):
                    return -1, 0, unknown
                else:
                    found[unknown, 0], found[unknown, 1], found[unknown, 2], found[unknown, 3] = parent, KEY, token, at
                    unknown += 1
            while at < end and (data[at] == 32 or data[at] == 9 or data[at] == 10 or data[at] == 13):
                at += 1
            if at >= end or data[at] != 58:
                return -1, 0, unknown
            at += 1
        else:
            last = stack_serial[top]
            node = -1
            if parent >= 0 and (last >= 0 or stack_number[top] == 0):
                node = members[parent] if stack_number[top] == 0 else following[last]
                if node < 0:
                    if not collect or unknown == len(found):
                        return -1, 0, unknown
                    found[unknown, 0], found[unknown, 1] = parent, MEMBER
                    found[unknown, 2], found[unknown, 3] = stack_number[top], last
                    unknown += 1
            stack_serial[top] = node
            stack_number[top] += 1


@_compiled
def _summed(lists, sum_rows, sums, counters, table, rows, start, count, leaves, longest):
    """Put one row in the place of those of a subtree, from its second time on; the new count of rows."""
    size = count - start
    if size < 2 or leaves > longest:
        return count
    h = np.uint64(size)
    for i in range(start, count):
        h = (h ^ np.uint64(rows[i])) * np.uint64(0x9E3779B97F4A7C15)
        h ^= h >> np.uint64(29)
    name = np.int64(h >> np.uint64(1)) | 1
    mask = len(lists) - 1
    at = np.int64(h >> np.uint64(20)) & mask
    while lists[at, 0] != 0:
        if lists[at, 0] == name and lists[at, 1] == size:
            base = lists[at, 2]
            differ = np.int64(0)
            for i in range(size):
                differ |= sum_rows[base + i] ^ rows[start + i]
            if differ == 0:
                break
        at = (at + 1) & mask
    if lists[at, 0] == 0:
        base = counters[2]
        if base + size > len(sum_rows) or 2 * (counters[4] + 1) > len(lists):
            return count
        counters[4] += 1
        counters[2] += size
        lists[at, 0], lists[at, 1], lists[at, 2], lists[at, 3] = name, size, base, -1
        for i in range(size):
            sum_rows[base + i] = rows[start + i]
        return count
    number = lists[at, 3]
    if number < 0:
        number = counters[1]
        if number == len(sums):
            return count
        counters[1] += 1
        lists[at, 3] = number
        _add(sums, table, rows, start, count, sums[number])
    rows[start] = -1 - number
    return start + 1


@_compiled
def _row(sums, table, number):
    return table[number] if number >= 0 else sums[-1 - number]


@_compiled
def _add(sums, table, rows, start, count, total):
    """Set `total` to the sum of rows[start:count], which are whole numbers, so that the order is free."""
    dim = len(total)
    total[:] = 0
    n = start
    while n + 4 <= count:
        a, b = _row(sums, table, rows[n]), _row(sums, table, rows[n + 1])
        c, d = _row(sums, table, rows[n + 2]), _row(sums, table, rows[n + 3])
        for j in range(dim):
            total[j] += (a[j] + b[j]) + (c[j] + d[j])
        n += 4
    while n < count:
        a = _row(sums, table, rows[n])
        for j in range(dim):
            total[j] += a[j]
        n += 1


@_compiled
def encode(t, table, data, bounds, depth_limit, leaf_limit, longest, out, known, rows, used):
    """Unit vectors of the lines that are understood.

    Parameters
    ----------
    table : (n, dim) float32
        Rows of leaves.
    data, bounds : uint8, int64
        Line n is ``data[bounds[n]:bounds[n + 1]]``.
    longest : int
        Leaves whose float32 sum cannot reach 2**24.
    out : (lines, dim) float32
        Filled in where `known` is set to True.
    rows, used : int64
        Room for the rows of one line, and for those of all leaves that were added one by one.

    Returns
    -------
    int
        How much of `used` is filled.
    """
    nothing = np.empty((0, 4), np.int64)
    dim = out.shape[1]
    total = np.empty(dim, np.float32)
    exact = np.empty(dim)
    filled = 0
    for n in range(len(out)):
        known[n] = False
        count, leaves, _ = scan(
            t, table, data, bounds[n], bounds[n + 1], depth_limit, leaf_limit, longest, rows, nothing
        )
        if count < 1 or filled + count > len(used):
            continue
        # A row of `rows` stands for `longest` leaves at most: this many have a float32 sum that is exact.
        at_once = count if leaves <= longest else 1
        exact[:] = 0
        for first in range(0, count, at_once):
            _add(t.sums, table, rows, first, min(first + at_once, count), total)
            for j in range(dim):
                exact[j] += total[j]
        # Squares add up exactly below 2**53, like those that they must equal.
        parts = np.zeros(8)
        whole = dim - dim % 8
        for j in range(0, whole, 8):
            for k in range(8):
                parts[k] += exact[j + k] * exact[j + k]
        for j in range(whole, dim):
            parts[0] += exact[j] * exact[j]
        squares = parts.sum()
        if squares == 0 or squares >= 9007199254740992.0:
            continue
        norm = np.sqrt(squares)
        for j in range(dim):
            out[n, j] = np.float32(exact[j] / norm)
        for i in range(count):
            if rows[i] >= 0:
                used[filled] = rows[i]
                filled += 1
        known[n] = True
    return filled
