"""How much the leaves at a path weigh: less in arrays, and less where a unique id would drown the rest."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from vsa.atoms import COUNT_UNIT, EXACT_NUMBER_SHARE, EXACT_SHARE, GRAM_SHARE, LEVEL_SHARE, NUMERAL_WEIGHT, SATURATION
from vsa.path_counts import PathCounts
from vsa.paths import MEMBER, Path, format_path, parse_path
from vsa.shares import Shares
from vsa.statistics import Counts, Statistics, rarity
from vsa.tokens import Kind

MEMBER_FACTOR = 0.4
"""Weight of a leaf per array that it is a member of: a tree of a hundred names must not drown the title.

It hangs on the path alone, so that a record stays a sum over its leaves."""

DEEPEST_ARRAYS = 5
"""Arrays in arrays beyond this many weigh no less: .4 to a dozenth power would round every whole number to 0."""

ID_SHARE = 0.06
"""Share of a record's squared length that a path of unique ids may take.

A record asked for by its id alone then has a cosine of √.06 = .24 with it, eight times what chance gives at dim
1024. Chosen by recall@10 on abt-buy with a UUID in every record, of .06, .08, .1 and .12: .06 gives all of the loss
back and still finds each record by its UUID alone."""

_SURE_FROM = 20
"""Leaves that a path needs before half of what it shows of its words is believed."""

_UNIQUE_FROM, _UNIQUE_AT = 0.75, 0.95
"""Share of a path's weight in codes that come once, where it begins to count as one of ids, and where it does fully."""

_LEAST = 0.25


def member_factor(path: Path) -> float:
    """``.4`` to the number of arrays that the path leads through, five at most."""
    return float(MEMBER_FACTOR ** min(path.count(MEMBER), DEEPEST_ARRAYS))


class PathFactors:
    """Factors of paths: that of their arrays, and the one learned of a corpus.

    Parameters
    ----------
    learned : mapping of str to float
        By path, as `id_factors` gives them; 1 for others.
    """

    def __init__(self, learned: Mapping[str, float]) -> None:
        self._learned = dict(learned)

    def of(self, path: Path) -> float:
        """The factor of the leaves at a path without members' numbers."""
        factor = member_factor(path)
        return factor * self._learned.get(format_path(path), 1.0) if self._learned else factor


def id_factors(statistics: Statistics, shares: Shares) -> dict[str, float]:
    """Factors below 1, for paths whose values are unique ids and make up too much of a record.

    A code that no other record holds adds to a vector's length and to no likeness but that with itself: the cosines
    of all else shrink beside the crosstalk. So a path of such codes may hold `ID_SHARE` of the squared length that a
    record has on average without ids: enough to be found by, whatever else the record holds.

    Parameters
    ----------
    statistics : Statistics
        What was counted.
    shares : Shares
        Of the encoder.

    Returns
    -------
    dict of str to float
        In 64ths, from 1/4.
    """
    energies: dict[str, float] = {}
    ids: dict[str, float] = {}
    for path, counts in statistics.paths.items():
        rare, unique = _words(counts, statistics)
        factor = member_factor(parse_path(path))
        energies[path] = factor**2 * _energy(counts, rare, shares) / statistics.records
        sure = unique * counts.texts / (counts.texts + _SURE_FROM)
        if sure > _UNIQUE_FROM:
            ids[path] = min(1.0, (sure - _UNIQUE_FROM) / (_UNIQUE_AT - _UNIQUE_FROM))
    rest = sum(energy * (1.0 - ids.get(path, 0.0)) for path, energy in energies.items())
    found = {}
    for path, strength in ids.items():
        allowed = ID_SHARE / (1.0 - ID_SHARE) * rest
        if 0.0 < allowed < energies[path]:
            full = math.sqrt(allowed / energies[path])
            found[path] = max(_LEAST, round(64 * (1.0 - strength * (1.0 - full))) / 64)
    return {path: factor for path, factor in found.items() if factor < 1.0}


def _words(counts: PathCounts, statistics: Statistics) -> tuple[float, float]:
    """Mean squared length of a path's words, and the share of it that codes found once have."""
    words = counts.words.values
    if not words:
        return 0.0, 0.0
    frequency = statistics.tokens.at(Counts.columns(np.array(list(words), np.uint64)))
    rare = rarity(frequency, statistics.records)
    total = once = 0.0
    for (count, kind), rarity_of_word in zip(words.values(), rare, strict=True):
        # The n-grams of a word weigh together what it weighs itself, and are about as rare.
        square = rarity_of_word**2 * (1.0 if kind == Kind.OPAQUE else 1.0 + GRAM_SHARE**2)
        total += count * square
        once += square if kind != Kind.PLAIN and count == 1 else 0.0
    return total / sum(count for count, _ in words.values()), once / total


def _energy(counts: PathCounts, rare: float, shares: Shares) -> float:
    """About the squared length, in units of a leaf's, that all leaves of a path have: before its factor."""
    bound = float((shares.bound + shares.position) ** 2)
    loose = bound + shares.anywhere**2
    total = 0.0
    if counts.texts:
        n = max(1.0, counts.occurrences / counts.texts)
        factor = (n * (1.0 + GRAM_SHARE**2)) ** -SATURATION  # see vsa.atoms
        total += counts.texts * (loose * factor * n * rare + bound * EXACT_SHARE**2 * min(1.0, rare))
    if counts.numbers.buckets:
        own = LEVEL_SHARE**2 + EXACT_NUMBER_SHARE**2
        word = (NUMERAL_WEIGHT / COUNT_UNIT) ** 2
        total += counts.numbers.total * counts.numbers.spread**2 * (bound * own + loose * word)
    if counts.times.buckets:
        own = LEVEL_SHARE**2 + EXACT_SHARE**2
        total += counts.times.total * counts.times.spread**2 * bound * own
    return total
