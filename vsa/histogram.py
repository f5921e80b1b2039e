"""A histogram of floats that merges exactly and stays small."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

MOST = 1024
"""Buckets kept. Where there are more, neighbours are put together, two by two."""

_BITS = 64


@dataclass(frozen=True)
class Scale:
    """Centre and robust scale of a field's numbers, and how much they tell records apart (0 to 1)."""

    centre: float
    scale: float
    spread: float


class Histogram:
    """Counts of floats by the first bits of their place in the order of all floats.

    Floats in order are 64-bit integers in order; a bucket is such an integer without its last `shift` bits.
    `shift` starts at 0, where every value has a bucket of its own, and grows by one whenever more than `MOST`
    buckets are taken. The final shift is the least that fits all values, however they came and whichever halves
    were merged: so halves merge to the whole, exactly.
    """

    def __init__(self) -> None:
        self.shift = 0
        self.buckets: dict[int, int] = {}

    def add(self, value: float, times: int) -> None:
        """Count a finite number, so many times."""
        bucket = _place(value) >> self.shift
        self.buckets[bucket] = self.buckets.get(bucket, 0) + times
        self._fit()

    def merge(self, other: Histogram) -> Histogram:
        """The histogram of both samples; neither is changed."""
        merged = Histogram()
        merged.shift = max(self.shift, other.shift)
        for part in (self, other):
            for bucket, times in part.buckets.items():
                coarse = bucket >> (merged.shift - part.shift)
                merged.buckets[coarse] = merged.buckets.get(coarse, 0) + times
        merged._fit()
        return merged

    def _fit(self) -> None:
        while len(self.buckets) > MOST:
            self.shift += 1
            finer, self.buckets = self.buckets, {}
            for bucket, times in finer.items():
                self.buckets[bucket >> 1] = self.buckets.get(bucket >> 1, 0) + times

    def scale(self) -> Scale:
        """Centre (median), scale (quartile range / 1.349) and spread (1 − Σp²).

        Where the quartiles agree, the scale is the range of the middle 95 % over 3.92, and where that is nothing,
        a quarter of the centre.
        """
        order = sorted(self.buckets)
        total = self.total

        def quantile(numerator: int, denominator: int) -> float:
            seen = 0
            for bucket in order:
                seen += self.buckets[bucket]
                if seen * denominator >= total * numerator:
                    break
            return self._middle(bucket)

        centre = quantile(1, 2)
        # Halved first: the range of floats near the largest is itself no float.
        width = (quantile(3, 4) / 2 - quantile(1, 4) / 2) / (1.349 / 2)
        if width <= 0:
            width = (quantile(39, 40) / 2 - quantile(1, 40) / 2) / (3.92 / 2)
        if width <= 0:
            width = abs(centre) / 4
        return Scale(centre, min(max(width, 1e-300), 1e300) if width else 1.0, self.spread)

    def values(self) -> Iterator[float]:
        """The middles of the buckets, in order; the numbers themselves where `shift` is 0."""
        return (self._middle(bucket) for bucket in sorted(self.buckets))

    def counts(self) -> Iterator[int]:
        """How many numbers lie in each bucket, in order."""
        return (self.buckets[bucket] for bucket in sorted(self.buckets))

    @property
    def total(self) -> int:
        """Numbers counted."""
        return sum(self.buckets.values())

    @property
    def spread(self) -> float:
        """How much the values tell records apart, from 0 to 1: the chance that two of them differ."""
        return 1.0 - sum(times * times for times in self.buckets.values()) / self.total**2

    def _middle(self, bucket: int) -> float:
        first = bucket << self.shift
        return _value(first + (1 << self.shift >> 1))

    def to_state(self) -> dict[str, Any]:
        """JSON-ready state; buckets as text, since they pass 2**53."""
        return {"shift": self.shift, "buckets": [[str(b), self.buckets[b]] for b in sorted(self.buckets)]}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Histogram:
        """A histogram from `to_state`; ValueError, KeyError or TypeError if it is not of that form."""
        histogram = cls()
        histogram.shift = state["shift"]
        histogram.buckets = {int(bucket): times for bucket, times in state["buckets"]}
        whole = all(type(number) is int for number in (histogram.shift, *histogram.buckets.values()))
        if not whole or not 0 <= histogram.shift < _BITS or not 0 < len(histogram.buckets) <= MOST:
            raise ValueError("a histogram of numbers is out of range")
        end = 1 << (_BITS - histogram.shift)
        if not all(0 <= bucket < end and times > 0 for bucket, times in histogram.buckets.items()):
            raise ValueError("a bucket of a histogram of numbers is out of range")
        return histogram


def _place(value: float) -> int:
    """Where a float stands in the order of all floats."""
    bits = int.from_bytes(struct.pack(">d", value + 0.0), "big")
    return (1 << _BITS) - 1 - bits if bits >> (_BITS - 1) else bits | 1 << (_BITS - 1)


def _value(place: int) -> float:
    """The float at a place, the nearest finite one at the ends."""
    bits = place ^ (1 << (_BITS - 1)) if place >> (_BITS - 1) else (1 << _BITS) - 1 - place
    value = float(struct.unpack(">d", bits.to_bytes(8, "big"))[0])
    return value if abs(value) < 1e308 else (1e308 if value > 0 else -1e308)
