"""Compiled spelling of words in ASCII: their n-grams as numbers, and where each one's row of signs is. Needs numba."""

from __future__ import annotations

import numpy as np

from vsa.structure import compiled
from vsa.tokens import GRAM_SIZES

_SHORTEST, _END = GRAM_SIZES[0], GRAM_SIZES[-1] + 1


@compiled
def spell(text, bounds, keys, rows, held, spelled, columns, counts, distinct, totals, fresh):
    """Find the distinct n-grams of words and enter those that the table lacks.

    Parameters
    ----------
    text : uint8
        Word i is ``text[bounds[i]:bounds[i + 1]]``, its marks with it.
    bounds : (n + 1,) int64
    keys, rows : (2**k,) uint32, (2**k,) int32
        Open addressing, with more places than there can be n-grams. Of each, its bytes, the first in the lowest, and
        the row of its signs; 0 where free.
    held : int
        Rows taken; what is entered gets those from there on.
    spelled, columns, counts : (m,) uint32, int64, int64
        Filled with the distinct n-grams of word after word, their rows, and how often each is in its word.
    distinct, totals : (n,) int64
        Filled with how many n-grams each word has, equal ones once, and all of them.
    fresh : (m,) uint32
        Filled with what was entered.

    Returns
    -------
    filled, entered : int
        Of `columns`, and of `fresh`.
    """
    mask = len(keys) - 1
    filled, entered = 0, 0
    for word in range(len(distinct)):
        first = filled
        totals[word] = 0
        for size in range(_SHORTEST, _END):
            for start in range(bounds[word], bounds[word + 1] - size + 1):
                key = np.uint32(0)
                for i in range(size):
                    key |= np.uint32(text[start + i]) << np.uint32(8 * i)
                totals[word] += 1
                at = first
                while at < filled and spelled[at] != key:
                    at += 1
                if at < filled:
                    counts[at] += 1
                    continue
                place = np.int64((np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(40)) & mask
                while keys[place] != 0 and keys[place] != key:
                    place = (place + 1) & mask
                if keys[place] == 0:
                    keys[place] = key
                    rows[place] = held + entered
                    fresh[entered] = key
                    entered += 1
                spelled[filled], columns[filled], counts[filled] = key, rows[place], 1
                filled += 1
        distinct[word] = filled - first
    return filled, entered
