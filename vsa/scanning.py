"""Compiled scan of a line's bytes down the trie of paths, to the rows that its leaves have.

Only bytes met before are understood: each key and each scalar must equal byte by byte one that the parser took at the
same node, each whole object or array one that was understood, and what lies between them must be the grammar's own. So
a line that is understood is valid JSON and its rows are inherited. What is not met before is told, for the parser to
take piece by piece (`vsa.meeting`); anything else makes the scan give up, and the parser and the walker decide. Needs
numba; see `vsa.fastpath`, which owns the tables.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from vsa.fastpath import KEY, MEMBER, VALUE
from vsa.intrinsics import prefetch, prefetch_byte
from vsa.structure import (
    COLON,
    COMMA,
    OPEN_ARRAY,
    OPEN_OBJECT,
    QUOTE,
    after_space,
    before_space,
    compiled,
    hash_of,
    same_bytes,
    structure_of,
)
from vsa.tokentable import HALF, LOW, PEAK, PEAK_BITS, find, meta_of


class Scratch(NamedTuple):
    """Room for the scan of one line; each thread needs its own.

    Attributes
    ----------
    places, match : int64
        See `vsa.structure.structure_of`.
    stack : (depth,) int64
    todo : (n, 2) int64
        Objects and arrays not yet scanned: number of the opening bracket, and node.
    members : (n, 5) int64
        Of each member of one of them: node, start, end, number of the opening bracket or -1, slot or -1.
    hashes : (n,) uint64
    stamps : (nodes,) int64
        Of each node, the last object that it was seen in, to find equal keys.
    serial : (1,) int64
        Objects scanned.
    nothing : (0, 4) int64
        In the place of `found`, where nothing is to be collected.
    """

    places: Any
    match: Any
    stack: Any
    todo: Any
    members: Any
    hashes: Any
    stamps: Any
    serial: Any
    nothing: Any


@compiled
def _unknown(found, unknown, node, kind, start, end):
    """Note what was not met before; the new number of such, or -1 where it is not to be collected."""
    if unknown == len(found):
        return -1
    found[unknown, 0], found[unknown, 1], found[unknown, 2], found[unknown, 3] = node, kind, start, end
    return unknown + 1


@compiled
def _members(t, s, data, opening, parent, found, unknown):
    """Cut an object or array into its members, filled in to `s.members`, and ask for the slots that they may be in.

    Returns
    -------
    count, unknown : int
        Members, -1 where the scan gives up; entries of `found`.
    """
    tokens, text, first, following = t.tokens, t.text, t.first, t.following
    places, match, stamps, members, hashes = s.places, s.match, s.stamps, s.members, s.hashes
    mask = len(tokens) - 1
    closing = match[opening]
    is_object = data[places[opening]] == OPEN_OBJECT
    s.serial[0] += 1
    serial = s.serial[0]
    k = opening
    count = 0
    last = -1
    longer = -1  # the entry of `found` that says that the array has more members than are known
    while k != closing:
        if count == len(members) or (count and data[places[k]] != COMMA):
            return -1, unknown
        at = after_space(data, places[k] + 1)
        k += 1
        node = -1
        if is_object:
            colon = places[k]
            if data[at] != QUOTE or data[colon] != COLON:
                return -1, unknown
            key_end = before_space(data, colon)
            if parent >= 0:
                slot = find(tokens, text, data, at, key_end, parent, KEY)
                if tokens[slot, 0] != 0:
                    node = np.int64(tokens[slot, 3] >> HALF)
                    if stamps[node] == serial:
                        return -1, unknown
                    stamps[node] = serial
                else:
                    unknown = _unknown(found, unknown, parent, KEY, at, key_end)
                    if unknown < 0:
                        return -1, 0
            at = after_space(data, colon + 1)
            k += 1
        elif parent >= 0 and (count == 0 or last >= 0):
            node = first[parent] if count == 0 else following[last]
            if node < 0:
                unknown = _unknown(found, unknown, parent, MEMBER, count, count + 1)
                if unknown < 0:
                    return -1, 0
                longer = unknown - 1
        last = node
        # The value begins at `at`; places[k] is the next of the structure.
        container = -1
        if places[k] == at:
            if data[at] != OPEN_OBJECT and data[at] != OPEN_ARRAY:
                return -1, unknown
            end = places[match[k]] + 1
            # Those without members are leaves.
            if match[k] > k + 1 or after_space(data, at + 1) != end - 1:
                container = k
            k = match[k] + 1
            if after_space(data, end) != places[k]:
                return -1, unknown
        else:
            end = before_space(data, places[k])
            if end <= at:
                return -1, unknown
        members[count, 0], members[count, 1], members[count, 2], members[count, 3] = node, at, end, container
        h = hash_of(data, at, end, 2 * node + VALUE)
        hashes[count] = h
        prefetch(tokens, np.int64(h >> np.uint64(20)) & mask, 0)
        count += 1
    if longer >= 0:
        found[longer, 3] = count
    return count, unknown


@compiled
def _slots(t, s, count):
    """Find the members' slots by their hashes, -1 for none, and ask for the bytes to compare."""
    tokens, text, members, hashes = t.tokens, t.text, s.members, s.hashes
    mask = len(tokens) - 1
    for n in range(count):
        h = hashes[n]
        at = np.int64(h >> np.uint64(20)) & mask
        while tokens[at, 0] != h and tokens[at, 0] != 0:
            at = (at + 1) & mask
        if members[n, 0] < 0 or tokens[at, 0] == 0:
            members[n, 4] = -1
            continue
        members[n, 4] = at
        place = np.int64(tokens[at, 2] >> PEAK_BITS)
        for line in range(0, members[n, 2] - members[n, 1], 64):
            prefetch_byte(text, place + line)


@compiled
def rows_of(t, s, data, start, end, node, leaf_limit, rows, wishes, found):
    """Scan one object or array at a node: a line, at the root.

    Parameters
    ----------
    rows : int64
        Filled with the rows of leaves and, as -1 - number, sums.
    wishes : (m, 3) int64
        Filled with (node, start, end) of objects and arrays that were understood without a sum of their own, as far
        as there is room.
    found : (m, 4) int64
        Where it has rows, the scan goes on over what it does not know and fills in (node, kind, start, end) of each
        key and scalar, and (array, MEMBER, number, members) of an array with more members than it had.

    Returns
    -------
    count, leaves, bound, wished, unknown : int
        Rows filled in, -1 where the scan gave up; leaves they stand for; what no entry of any sum of them exceeds;
        entries of `wishes` and of `found`.
    """
    tokens, text, generation, of_sums, epoch = t.tokens, t.text, t.generation, t.leaves, np.uint64(t.epoch[0])
    todo, members = s.todo, s.members
    unknown, wished, count, leaves, bound = 0, 0, 0, 0, 0
    if not _is_container(s, data, start, end):
        return -1, 0, 0, 0, 0
    todo[0, 0], todo[0, 1] = 0, node
    left = 1
    while left:
        left -= 1
        number, unknown = _members(t, s, data, todo[left, 0], todo[left, 1], found, unknown)
        if number < 0 or count + number > len(rows):
            return -1, 0, 0, 0, unknown
        _slots(t, s, number)
        for n in range(number):
            node, at, size, slot = members[n, 0], members[n, 1], members[n, 2] - members[n, 1], members[n, 4]
            is_container = members[n, 3] >= 0
            if slot >= 0 and tokens[slot, 1] == meta_of(node, size, VALUE):
                value = np.int64(tokens[slot, 3] >> HALF)
                birth = tokens[slot, 3] & LOW
                if birth == (epoch if is_container else np.uint64(generation[value])) and same_bytes(
                    text, np.int64(tokens[slot, 2] >> PEAK_BITS), data, at, size
                ):
                    rows[count] = -1 - value if is_container else value
                    leaves += of_sums[value] if is_container else 1
                    bound += np.int64(tokens[slot, 2] & PEAK)
                    count += 1
                    continue
            if is_container:
                if left == len(todo):
                    return -1, 0, 0, 0, unknown
                todo[left, 0], todo[left, 1] = members[n, 3], node
                left += 1
                if node >= 0 and wished < len(wishes):
                    wishes[wished, 0], wishes[wished, 1], wishes[wished, 2] = node, at, at + size
                    wished += 1
            elif node >= 0:
                unknown = _unknown(found, unknown, node, VALUE, at, at + size)
                if unknown < 0:
                    return -1, 0, 0, 0, 0
        if leaves > leaf_limit:
            return -1, 0, 0, 0, unknown
    return count, leaves, bound, wished, unknown


@compiled
def unknown_of(t, s, data, starts, ends, skip, first, leaf_limit, rows, wishes, found, bounds):
    """What lines hold that was not met before, for as many of them from `first` on as `found` has room for.

    Parameters
    ----------
    skip : (lines,) int8
        Lines that are not 0 are passed over; set to -1 where a line is not one object or array.
    found : (m, 4) int64
        See `rows_of`.
    bounds : (lines + 1,) int64
        Filled: what line n holds is ``found[bounds[n]:bounds[n + 1]]``.

    Returns
    -------
    int
        The line after the last that was looked at.
    """
    filled = 0
    for n in range(first, len(starts)):
        bounds[n] = filled
        if skip[n]:
            continue
        # A key or a value takes two bytes at least, with what parts it from the next.
        if filled and len(found) - filled <= (ends[n] - starts[n]) // 2 + 1:
            return n
        count, _, _, _, unknown = rows_of(t, s, data, starts[n], ends[n], 0, leaf_limit, rows, wishes, found[filled:])
        if count < 0:
            skip[n] = -1
        else:
            filled += unknown
    bounds[len(starts)] = filled
    return len(starts)


@compiled
def _is_container(s, data, start, end):
    """Whether the bytes are one object or array and white space, as far as brackets tell; fills in the structure."""
    places = s.places
    number = structure_of(data, start, end, places, s.match, s.stack)
    if number < 2 or after_space(data, start) != places[0]:
        return False
    if data[places[0]] != OPEN_OBJECT and data[places[0]] != OPEN_ARRAY:
        return False
    return s.match[0] == number - 1 and before_space(data, end) == places[number - 1] + 1
