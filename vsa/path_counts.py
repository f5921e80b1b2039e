"""What `fit` counts at one path: leaves of each kind, how numbers and times spread, and which words come once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from vsa.histogram import Histogram
from vsa.least import Least
from vsa.tokens import Kind

WORDS = 64
"""Distinct words kept of each path, those of least hash: they stand for all."""

_KINDS = frozenset(map(int, Kind))


@dataclass
class PathCounts:
    """Counts over the leaves at one path, which merge exactly.

    Attributes
    ----------
    texts, others : int
        Leaves with words, and constants.
    occurrences : int
        Words in all the leaves.
    words : Least
        By a word's hash: how often it stands at this path, and its `vsa.tokens.Kind`.
    numbers, times : Histogram
        Of the numbers and of the times in days.
    """

    texts: int = 0
    others: int = 0
    occurrences: int = 0
    words: Least[int, tuple[int, int]] = field(default_factory=lambda: Least(WORDS))
    numbers: Histogram = field(default_factory=Histogram)
    times: Histogram = field(default_factory=Histogram)

    def add_words(
        self, hashes: npt.NDArray[np.uint64], times: npt.NDArray[np.int64], kinds: npt.NDArray[np.int64]
    ) -> None:
        """Count words given by (n,) hashes, how often each stands here, and their `vsa.tokens.Kind`."""
        self.occurrences += int(times.sum())
        if len(hashes) > WORDS:
            least = np.argpartition(hashes, WORDS - 1)[:WORDS]
            # A hash that comes twice must keep all its counts.
            near = hashes <= hashes[least].max()
            hashes, times, kinds = hashes[near], times[near], kinds[near]
        for key, count, kind in zip(hashes.tolist(), times.tolist(), kinds.tolist(), strict=True):
            self._add_word(key, count, kind)

    def _add_word(self, key: int, count: int, kind: int) -> None:
        if self.words.admits(key):
            self.words.add(key, (self.words.values.get(key, (0, kind))[0] + count, kind))

    def merge(self, other: PathCounts) -> PathCounts:
        """The counts of both samples; neither is changed."""
        merged = PathCounts(
            self.texts + other.texts,
            self.others + other.others,
            self.occurrences + other.occurrences,
            numbers=self.numbers.merge(other.numbers),
            times=self.times.merge(other.times),
        )
        for part in (self, other):
            for key, (count, kind) in part.words.values.items():
                merged._add_word(key, count, kind)
        return merged

    def to_state(self) -> dict[str, Any]:
        """JSON-ready state; hashes as text, since they pass 2**53."""
        words = [[str(key), count, kind] for key, (count, kind) in sorted(self.words.values.items())]
        return {
            "leaves": [self.texts, self.others, self.occurrences],
            "words": words,
            "numbers": self.numbers.to_state() if self.numbers.buckets else None,
            "times": self.times.to_state() if self.times.buckets else None,
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> PathCounts:
        """Counts from `to_state`; ValueError, KeyError or TypeError if the state is not of that form."""
        texts, others, occurrences = state["leaves"]
        found = cls(texts, others, occurrences)
        for key, count, kind in state["words"]:
            if type(count) is not int or count < 1 or kind not in _KINDS or not 0 <= int(key) < 1 << 64:
                raise ValueError("a counted word of a path is out of range")
            found.words.add(int(key), (count, kind))
        if any(type(count) is not int or count < 0 for count in (texts, others, occurrences)):
            raise ValueError("a count of a path's leaves is out of range")
        if len(state["words"]) > WORDS or len(found.words) != len(state["words"]):
            raise ValueError(f"expected {WORDS} distinct words of a path at most, got {len(state['words'])}")
        if state["numbers"] is not None:
            found.numbers = Histogram.from_state(state["numbers"])
        if state["times"] is not None:
            found.times = Histogram.from_state(state["times"])
        return found
