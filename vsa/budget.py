"""How `cache_bytes` is shared among all that an encoder keeps, and what it needs while it makes rows.

Everything is counted: rows, and the books and names that go with them; nodes and operators of paths; sign rows of
n-grams; the tables of what was met before; and a round sum for arrays on their way. What is counted by the piece is
so at the size that it was measured to have in CPython 3.11, rounded up.
"""

from __future__ import annotations

from dataclasses import dataclass

BOOKS = 256
"""Bytes that the books of a row take beside it: three lists, two numbers and a place in a dictionary."""

NAME = 128
"""Bytes of a row's name that there is room for on average; where names are longer, fewer rows are kept."""

NODE = 1024
"""Bytes of a node of the trie with its dictionaries, list and paths."""

SIGN_BOOKS = 176
"""Bytes of a sign row's name, number, rarity and place in a dictionary."""

MOST_NODES = 200_000
MOST_OPERATORS = 4096
MOST_GRAMS = 1 << 16
MOST_LEVELS = 1 << 13

LEAST_LEAVES = 4096
LEAST_WORDS = 4096
_LEAST_NODES = 1 << 12
_LEAST_OPERATORS = 256
_LEAST_SIGNS = 1 << 11

_BLOCK = 2 << 20

WORKING = 32 << 20
"""Bytes of arrays on their way, and of what the allocator keeps of those that went.
Beside tables of 230 MB a heap that had made 40,000 records held 64 MB in pieces that nothing used."""


@dataclass(frozen=True)
class Budget:
    """What there may be of each thing that is kept.

    Attributes
    ----------
    fast : int
        Bytes for lines read as bytes; 0 where they are not.
    leaves, words : int
        Bytes for rows with their books and names.
    nodes, operators, grams, levels : int
        How many.
    block : int
        Rows made at a time, so that arrays on their way stay within about 16 MB, whatever the dim.
    """

    fast: int
    leaves: int
    words: int
    nodes: int
    operators: int
    grams: int
    levels: int
    block: int


def budget(cache_bytes: int, dim: int, *, reads_bytes: bool) -> Budget:
    """Shares of `cache_bytes`, which small ones exceed: there is a least of each thing, below which nothing works well.

    Parameters
    ----------
    cache_bytes : int
    dim : int
    reads_bytes : bool
        Whether lines are read as bytes.
    """
    sign = (dim + 7) // 8 + SIGN_BOOKS
    nodes = _between(_LEAST_NODES, cache_bytes // 16 // NODE, MOST_NODES)
    operators = _between(_LEAST_OPERATORS, cache_bytes // 12 // (8 * dim), MOST_OPERATORS)
    grams = _between(_LEAST_SIGNS, cache_bytes // 16 // sign, MOST_GRAMS)
    levels = _between(_LEAST_SIGNS, cache_bytes // 64 // sign, MOST_LEVELS)
    rest = max(0, cache_bytes - WORKING - nodes * NODE - operators * 8 * dim - (grams + levels) * sign)
    fast = rest // 4 if reads_bytes else 0
    words = max(LEAST_WORDS * row_bytes(dim), (rest - fast) // 4)
    return Budget(
        fast=fast,
        leaves=max(LEAST_LEAVES * row_bytes(dim), rest - fast - words),
        words=words,
        nodes=nodes,
        operators=operators,
        grams=grams,
        levels=levels,
        block=_between(64, _BLOCK // (4 * dim), 2048),
    )


def row_bytes(dim: int) -> int:
    """Bytes of a row with its books and a name of mean length."""
    return 4 * dim + BOOKS + NAME


def _between(least: int, value: int, most: int) -> int:
    return max(least, min(value, most))
