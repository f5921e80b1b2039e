"""What an item memory knows of one path."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from vsa.leaves import EMPTY_ARRAY, EMPTY_OBJECT, FALSE, TRUE


class Place:
    """Values at one path, counted by the level of the records that held them.

    Attributes
    ----------
    shift : int
        Records below this level are left out of `items`.
    items : dict
        By a key that mixes up no two values: ``(value, {level: times})``.
    leaves : dict of int to int
        All values seen, by level, those too long to keep among them.
    records : int
        Records that hold the path.
    """

    __slots__ = ("_ranked", "items", "leaves", "records", "shift")

    def __init__(self) -> None:
        self.shift = 0
        self.items: dict[Any, tuple[Any, dict[int, int]]] = {}
        self.leaves: dict[int, int] = {}
        self.records = 0
        self._ranked: list[tuple[Any, int]] | None = None

    def add(self, key: Any, value: Any, level: int, times: int, longest: int) -> None:
        """Count a value held by records of one level."""
        self._ranked = None
        self.leaves[level] = self.leaves.get(level, 0) + times
        if level < self.shift or (type(value) is str and len(value) > longest):
            return
        if type(value) in (int, float):
            value = _plain(value)
        _, counts = self.items.setdefault(key, (value, {}))
        counts[level] = counts.get(level, 0) + times

    def absorb(self, other: Place) -> None:
        """Add another place's counts."""
        self._ranked = None
        self.shift = max(self.shift, other.shift)
        self.records += other.records
        for level, times in other.leaves.items():
            self.leaves[level] = self.leaves.get(level, 0) + times
        for key, (value, counts) in other.items.items():
            _, mine = self.items.setdefault(key, (value, {}))
            for level, times in counts.items():
                mine[level] = mine.get(level, 0) + times
        self._drop()

    def distinct(self) -> float:
        """Distinct values of all records, or infinity once some were dropped."""
        return float("inf") if self.shift else len(self.items)

    def fit(self, most: int) -> None:
        """Raise the shift to the least that leaves at most so many values."""
        while len(self.items) > most:
            self.shift += 1
            self._ranked = None
            self._drop()

    def _drop(self) -> None:
        kept = {}
        for key, (value, counts) in self.items.items():
            left = {level: times for level, times in counts.items() if level >= self.shift}
            if left:
                kept[key] = (value, left)
        self.items = kept

    def sampled(self) -> int:
        """Values seen in the records that `items` stands for."""
        return sum(times for level, times in self.leaves.items() if level >= self.shift)

    def total(self) -> int:
        """Values seen in all records."""
        return sum(self.leaves.values())

    def ranked(self) -> list[tuple[Any, int]]:
        """Values and their counts in the sample, most frequent first, ties by hash."""
        if self._ranked is None:
            counted = [(value, sum(counts.values())) for value, counts in self.items.values()]
            self._ranked = sorted(counted, key=lambda item: (-item[1], _tie(item[0])))
        return self._ranked

    def to_state(self) -> dict[str, Any]:
        """JSON-ready state; values as JSON text, since integers may pass 2**63."""
        items = [
            [_text(value), [[level, counts[level]] for level in sorted(counts)]]
            for value, counts in self.items.values()
        ]
        leaves = [[level, self.leaves[level]] for level in sorted(self.leaves)]
        return {"shift": self.shift, "records": self.records, "leaves": leaves, "items": sorted(items)}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Place:
        """A place from `to_state`; KeyError, TypeError or ValueError if it is not of that form."""
        place = cls()
        place.shift, place.records = int(state["shift"]), int(state["records"])
        place.leaves = {int(level): int(times) for level, times in state["leaves"]}
        for text, counts in state["items"]:
            value = json.loads(text)
            place.items[_key(value)] = (value, {int(level): int(times) for level, times in counts})
        return place


def _plain(value: int | float) -> int | float:
    """The one form of a number that stands for its equals, as in its name: 1 for 1.0, and 1e20 for its integer."""
    if float(value) != value:
        return value
    return int(value) if abs(value) < 2**64 and float(value).is_integer() else float(value)


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _tie(value: Any) -> bytes:
    return hashlib.blake2b(_text(value).encode(), digest_size=8).digest()


def _key(value: Any) -> Any:
    """As the walk keys values: no two that JSON tells apart are equal."""
    if isinstance(value, bool):
        return TRUE if value else FALSE
    if isinstance(value, dict):
        return EMPTY_OBJECT
    return EMPTY_ARRAY if isinstance(value, list) else value
