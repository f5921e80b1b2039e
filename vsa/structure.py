"""Where the structure of a line of JSON is: brackets, commas and colons outside strings, and which brackets match.

Nothing is validated here: what is made of the structure must account for every byte by itself. Needs numba.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from vsa.intrinsics import load64, lowest, marks64

PADDING = 64
"""Bytes that must be readable after the last line."""

QUOTE, COMMA, COLON = 0x22, 0x2C, 0x3A
OPEN_OBJECT, CLOSE_OBJECT, OPEN_ARRAY, CLOSE_ARRAY = 0x7B, 0x7D, 0x5B, 0x5D


def _compiled(function: Any, **options: Any) -> Any:
    # Without `nrt` arrays are not counted as they go from call to call, which cost more than all else: who calls
    # holds them, and nothing is allocated in here.
    options |= {"nogil": True, "_nrt": False}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # nowhere to keep the compiled code
        return numba.njit(**options)(function)


def compiled(function: Any) -> Any:
    """The function, compiled without the interpreter's lock and kept between processes where there is room.

    It may allocate no arrays.
    """
    return _compiled(function)


def compiled_in_any_order(function: Any) -> Any:
    """As `compiled`, for sums that are exact and so may be taken in any order."""
    return _compiled(function, fastmath={"reassoc"})


def compiled_without_nan(function: Any) -> Any:
    """As `compiled`, for numbers of which the largest is well defined: no NaN, and no two zeros told apart."""
    return _compiled(function, fastmath={"nnan", "nsz"})


@compiled
def structure_of(data, start, end, places, match, stack):
    """Find the structure of ``data[start:end]``.

    Parameters
    ----------
    data : uint8
        With `PADDING` bytes after `end`.
    places : int64
        Filled with the places of brackets, commas and colons.
    match : int64
        Filled, for each opening bracket, with the number of the one that closes it.
    stack : int64
        Room for as many open brackets as are allowed.

    Returns
    -------
    int
        How many there are; -1 where brackets do not match or there is no room.
    """
    count = 0
    depth = 0
    inside = np.uint64(0)  # all ones where the block begins within a string
    escaped = np.uint64(0)  # 1 where the block begins with an escaped byte
    one = np.uint64(1)
    for base in range(start, end, 64):
        quotes, slashes, marks = marks64(data, base)
        if slashes | escaped:
            hidden = escaped
            rest = slashes & ~escaped
            escaped = np.uint64(0)
            while rest:
                at = np.uint64(lowest(rest))
                if at == 63:
                    escaped = one
                    break
                hidden |= one << (at + one)
                rest &= ~(np.uint64(3) << at)
            quotes &= ~hidden
        within = quotes
        within ^= within << np.uint64(1)
        within ^= within << np.uint64(2)
        within ^= within << np.uint64(4)
        within ^= within << np.uint64(8)
        within ^= within << np.uint64(16)
        within ^= within << np.uint64(32)
        within ^= inside
        inside = np.uint64(np.int64(within) >> np.int64(63))
        marks &= ~within
        if end - base < 64:
            marks &= (one << np.uint64(end - base)) - one
        if count + 64 > len(places):
            return -1
        while marks:
            at = base + lowest(marks)
            marks &= marks - one
            places[count] = at
            c = data[at] | 0x20
            if c == OPEN_OBJECT:
                if depth == len(stack):
                    return -1
                stack[depth] = count
                depth += 1
            elif c == CLOSE_OBJECT:
                depth -= 1
                if depth < 0 or data[places[stack[depth]]] + 2 != data[at]:
                    return -1
                match[stack[depth]] = count
            count += 1
    return count if depth == 0 else -1


@compiled
def after_space(data, at):
    """The first byte from `at` on that is no white space; there must be one."""
    while data[at] == 32 or data[at] == 9 or data[at] == 10 or data[at] == 13:
        at += 1
    return at


@compiled
def before_space(data, at):
    """The end of what stands before `at`, less white space; something else must stand there."""
    while data[at - 1] == 32 or data[at - 1] == 9 or data[at - 1] == 10 or data[at - 1] == 13:
        at -= 1
    return at


@compiled
def hash_of(data, start, end, salt):
    """A 64-bit hash of ``data[start:end]``; never 0."""
    size = end - start
    a = np.uint64(salt) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(size)
    b = np.uint64(0x2545F4914F6CDD1D)
    at = start
    while at + 16 <= end:
        a = (a ^ load64(data, at)) * np.uint64(0xD6E8FEB86659FD93)
        b = (b ^ load64(data, at + 8)) * np.uint64(0xFF51AFD7ED558CCD)
        a ^= a >> np.uint64(32)
        b ^= b >> np.uint64(29)
        at += 16
    if at + 8 <= end:
        a = (a ^ load64(data, at)) * np.uint64(0xD6E8FEB86659FD93)
        a ^= a >> np.uint64(32)
        at += 8
    if at < end:
        left = load64(data, at) & ((np.uint64(1) << np.uint64(8 * (end - at))) - np.uint64(1))
        b = (b ^ left) * np.uint64(0xFF51AFD7ED558CCD)
    a = (a ^ (b >> np.uint64(31)) ^ b) * np.uint64(0xC4CEB9FE1A85EC53)
    return (a ^ (a >> np.uint64(33))) | np.uint64(1)


@compiled
def same_bytes(text, place, data, start, size):
    """Whether ``text[place:place + size]`` equals ``data[start:start + size]``."""
    differ = np.uint64(0)
    at = 0
    while at + 8 <= size:
        differ |= load64(text, place + at) ^ load64(data, start + at)
        at += 8
    if at < size:
        left = (np.uint64(1) << np.uint64(8 * (size - at))) - np.uint64(1)
        differ |= (load64(text, place + at) ^ load64(data, start + at)) & left
    return differ == 0
