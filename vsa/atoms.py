"""One leaf to weighted atoms.

A leaf has two parts. *Words* count wherever they stand: their vectors enter the record bound to the leaf's path
and, with a share of their own, unbound, so that a word in another field still counts. *Own* atoms belong to the
path alone: the exact value, the levels of a number or time, and the constants.

Weights are whole numbers throughout. Atoms are rows of ±1 and the default binding permutes and flips, so a
record's vector before normalisation is a sum of whole numbers that float32 holds exactly: no order of summation,
batch size, cache, thread count or machine can change it.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

from vsa.histogram import Scale
from vsa.levels import DAY_GRIDS, NUMBER_GRIDS, cells, compress, log2
from vsa.statistics import offset
from vsa.times import days
from vsa.tokens import WHOLE, words

WORD_UNIT = 48
"""Weight of a word's own atom where the word is as rare as can be."""

COUNT_UNIT = 128
"""Weight of a leaf's only word, before length saturation."""

NUMERAL_WEIGHT = COUNT_UNIT // 8
"""Weight of a number as a word: enough to be found by, whichever field it stands in."""

YEAR_WEIGHT = COUNT_UNIT // 8
"""Weight of a date's year as a word: enough to be found by, too little to bend the likeness of dates."""

LEAF_UNIT = WORD_UNIT * COUNT_UNIT
"""Norm that a leaf's parts are measured in."""

GRAM_SHARE = 1.0
SATURATION = 0.8
"""A leaf of n words has norm n^((1 − SATURATION)/2): long text counts more than short, but little more."""

EXACT_SHARE = 0.5
EXACT_NUMBER_SHARE = 0.25
LEVEL_SHARE = 0.7
LEAST_SPREAD = 0.05
MAGNITUDE_SHARE = 0.35

_FIRST_FLOAT = 2.0**64
_ROOT_OF_NUMBER_GRIDS = math.sqrt(len(NUMBER_GRIDS))
_NUMERAL = re.compile(r"-?(?:0|[1-9]\d{0,14})(?:\.\d{1,12})?")

PRIOR = {"null": 0.25, "false": 0.5, "true": 0.7, "{}": 0.25, "[]": 0.25, '""': 0.25}
"""Rarity of the constants where nothing was fitted."""


class Line(NamedTuple):
    """Where a number or time lies on a line of soft levels.

    Attributes
    ----------
    kind : bytes
        ``b"l"`` for the line of a field's numbers, ``b"d"`` for that of days.
    at : float
        Days; of a number its `vsa.statistics.offset`, which `vsa.levels.compress` puts on the line.
    share : float
        Weight of each grid's cells together, in units of `LEAF_UNIT`.
    """

    kind: bytes
    at: float
    share: float

    @property
    def grids(self) -> tuple[float, ...]:
        """Width of a cell on each grid."""
        return DAY_GRIDS if self.kind == b"d" else NUMBER_GRIDS

    def cells(self) -> dict[bytes, float]:
        """Names of the cells that it touches, with their weights in units of `LEAF_UNIT`."""
        place = self.at if self.kind == b"d" else compress(self.at)
        return {
            b"%s%d,%d" % (self.kind, grid, node): self.share * weight for grid, node, weight in cells(place, self.grids)
        }


@dataclass(slots=True)
class Leaf:
    """The weighted atoms of one value.

    Attributes
    ----------
    words : dict of str to int
        Folded words with their weights; with `WHOLE` before those that are not spelled.
    exact : bytes
        Name of the exact value's atom.
    line : Line or None
        Where a number or time lies among soft levels.
    marks : dict of bytes to float
        Names of further levels, and their weights in units of `LEAF_UNIT`.
    number : float or None
        The number that the value is, for its field's statistics.
    when : float or None
        The time that the value is, in days, for its field's statistics.
    spread : float or None
        Of numbers and times, how much their field's values tell records apart, 0 to 1; the exact value's atom is
        weighed by it, and by its own rarity where it is None.
    """

    # Dictionaries of plain values cost the garbage collector nothing, as lists of pairs do.
    words: dict[str, int]
    exact: bytes
    line: Line | None = None
    marks: dict[bytes, float] = field(default_factory=dict)
    number: float | None = None
    when: float | None = None
    spread: float | None = None

    @property
    def is_text(self) -> bool:
        """Whether the exact value is counted wherever it stands; other values are counted by path."""
        return self.exact[:1] == b"x"

    @property
    def levels(self) -> dict[bytes, float]:
        """Names of all soft levels of a number or time, and their weights in units of `LEAF_UNIT`."""
        return (self.line.cells() if self.line else {}) | self.marks


def analyse(value: Any, scale: Scale | None = None, spread: float = 1.0) -> Leaf:
    """The atoms of a scalar or an empty container.

    Parameters
    ----------
    value : str, int, float, bool, None, {} or []
        Already checked to be JSON.
    scale : Scale, optional
        What was learned of the field's numbers.
    spread : float
        How much the field's times tell records apart, from 0 to 1.
    """
    if type(value) is str and value:
        return _text(value, scale, max(spread, LEAST_SPREAD))
    if type(value) is not int and type(value) is not float:
        for kind, name in _CONSTANTS:
            if value == kind and type(value) is type(kind):
                return Leaf({}, b"c" + name.encode())
    return _number(value, scale)


_CONSTANTS: tuple[tuple[Any, str], ...] = (
    (True, "true"), (False, "false"), (None, "null"), ({}, "{}"), ([], "[]"), ("", '""'),
)  # fmt: skip


def _number(value: int | float, scale: Scale | None) -> Leaf:
    name = numeral(value)
    # All numbers of a field have one length: else a common one would be nearer to far numbers than a rare one is.
    spread = 1.0 if scale is None else max(scale.spread, LEAST_SPREAD)
    words = {WHOLE + name: max(1, round(NUMERAL_WEIGHT * spread))}
    number = float(value)
    leaf = Leaf(words, b"n" + name.encode(), number=number, spread=spread)
    _set_levels(leaf, number, name if number == value else numeral(number), scale)
    return leaf


def numeral(value: int | float) -> str:
    """The shortest decimal of a number; 1.0 and 1 are one number, and so are all that Python holds equal.

    From 2**64 on there are floats alone: the walk turns larger integers into them.
    """
    if type(value) is float and value.is_integer() and abs(value) < _FIRST_FLOAT:
        value = int(value)
    return repr(value)


def _set_levels(leaf: Leaf, value: float, name: str, scale: Scale | None) -> None:
    """Put a number, of which `name` is the numeral, among the soft levels of its field's scale."""
    spread = 1.0 if scale is None else max(scale.spread, LEAST_SPREAD)
    leaf.line = Line(b"l", offset(value, scale), LEVEL_SHARE * spread / _ROOT_OF_NUMBER_GRIDS)
    if scale is not None:
        return
    if 0.0 < abs(value) < 1.0:
        sign = b"+" if value > 0 else b"-"
        for _, node, weight in cells(log2(abs(value)), (1.0,)):
            leaf.marks[b"m%s%d" % (sign, node)] = MAGNITUDE_SHARE * weight
    else:
        # Of the same length, and like no other: a number without a magnitude must not seem nearer for it.
        leaf.marks[b"m=" + name.encode()] = MAGNITUDE_SHARE


def _text(text: str, scale: Scale | None, spread: float) -> Leaf:
    exact = b"x" + text.encode()
    when = days(text)
    if when is not None:
        # Days and hours are digits that come again every month: as words they would make far times alike.
        year = {WHOLE + text[:4]: max(1, round(YEAR_WEIGHT * spread))}
        line = Line(b"d", when, LEVEL_SHARE * spread / math.sqrt(len(DAY_GRIDS)))
        return Leaf(year, exact, line, when=when, spread=spread)
    found = words(text)
    counts = dict.fromkeys(found, _weight(len(found), 1))
    if len(counts) < len(found):
        counts = {word: _weight(len(found), count) for word, count in Counter(found).items()}
    leaf = Leaf(counts, exact)
    if text[-1].isdecimal() and _NUMERAL.fullmatch(text):
        leaf.number = float(text)
        _set_levels(leaf, leaf.number, numeral(leaf.number), scale)
    return leaf


@lru_cache(1 << 12)
def _weight(length: int, count: int) -> int:
    """Weight of a word that is so often among the words of a text of so many."""
    # pow() is no IEEE basic operation, but a last bit lost here moves a rounded weight once in 1e13.
    factor: float = COUNT_UNIT * (max(1, length) * (1.0 + GRAM_SHARE * GRAM_SHARE)) ** (-SATURATION / 2)
    return max(1, round(factor * math.sqrt(count)))


def exact_share(leaf: Leaf, rarity: float | None) -> float:
    """Weight of the exact value's atom in units of `LEAF_UNIT`.

    Parameters
    ----------
    rarity : float or None
        That of the exact value, from 0 to 1, or None where nothing was fitted.

    Notes
    -----
    Numbers and times of a field have one weight, so that their likeness falls with distance and nothing else.
    """
    if leaf.exact[:1] == b"c":
        return PRIOR[leaf.exact[1:].decode()] if rarity is None else max(rarity, 0.01)
    share = EXACT_SHARE if leaf.is_text else EXACT_NUMBER_SHARE
    if leaf.spread is not None:
        return share * leaf.spread
    return share * (1.0 if rarity is None else max(rarity, 0.01))


def prior(token: bytes) -> float:
    """Rarity of a word or n-gram where nothing was fitted: short words say little."""
    text = token[1:].decode()
    if token[:1] == b"g":
        return 0.9
    if any(map(str.isdigit, text)):
        return 0.5 if len(text) == 1 else 1.0
    if not text.isascii():
        return 0.8
    return (0.3, 0.3, 0.4, 0.5, 0.7, 0.8, 0.9)[min(len(text), 6)]
