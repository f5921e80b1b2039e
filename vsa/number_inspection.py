"""`decode_number`: the number at a path with its error bar."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import numpy.typing as npt

from vsa.bundler import Bundler
from vsa.candidates import Candidates
from vsa.config import EncoderConfig
from vsa.decoding import Reading
from vsa.explaining import checked_query
from vsa.leaves import Arrays
from vsa.memory import ItemMemory
from vsa.numbers import COVERAGE, NumberReader, NumberReading
from vsa.paths import MEMBER, Path, format_path, parse_path
from vsa.statistics import Statistics

_DOUBT = np.geomspace(0.7, 1.4, 9)
"""What α may be, in units of what a reading of the other paths says."""


class NumberInspection(ABC):
    """The part of `vsa.JSONEncoder` that reads numbers off their levels."""

    _lock: threading.RLock
    _statistics: Statistics | None
    config: EncoderConfig
    memory: ItemMemory | None
    _readers: tuple[Bundler, dict[Path, NumberReader]] | None = None

    @property
    @abstractmethod
    def dim(self) -> int:
        """Length of the vectors."""

    @abstractmethod
    def _ready(self) -> Bundler: ...

    @abstractmethod
    def _known(self) -> list[Candidates]: ...

    def decode_number(self, x: npt.NDArray[Any], path: str, *, coverage: float = COVERAGE) -> NumberReading:
        """The number that a vector holds at a path, with an error bar; no candidates and no memory are needed.

        Parameters
        ----------
        x : (dim,) array
            A vector of this encoder, of any length.
        path : str
            Where to look; a member of an array by its number, such as ``size[0]``.
        coverage : float
            Probability that the error bar holds the number, between 0 and 1.

        Returns
        -------
        NumberReading
            `value`, `low`, `high`, `present` (the probability that a number is there) and `trust`. On a fitted encoder
            the numbers that `fit` met at the path are what others are judged by, and a vector that says nothing gives
            their own quantiles.

        Raises
        ------
        ValueError
            For a text that is no path, a path to any member of an array, a coverage out of range, or a vector of
            another dim, zero or not finite.

        Notes
        -----
        See `vsa.numbers` for the model. With a memory the other paths are explained away first. Time: O(n dim) for
        some thousand levels and the numbers that `fit` met, 1,024 at most.

        Examples
        --------
        >>> import vsa
        >>> records = [{"year": 1800 + i, "by": "Turner"} for i in range(0, 90, 5)]
        >>> encoder = vsa.JSONEncoder(dim=1024, seed=7).fit(records)
        >>> found = encoder.decode_number(encoder.encode_one({"year": 1842, "by": "Turner"}), "year")
        >>> found.low < 1842 < found.high and found.high - found.low < 20
        True
        """
        unit = checked_query(x, self.dim)
        steps = parse_path(path)
        if MEMBER in steps:
            raise ValueError(
                f"{path!r} leads to any member of an array; say which one, such as {path.replace('[]', '[0]', 1)!r}"
            )
        if not 0.0 < coverage < 1.0:
            raise ValueError(f"coverage must lie between 0 and 1, got {coverage!r}")
        with self._lock:
            return self._number(unit, steps, coverage)

    def _number(self, unit: npt.NDArray[np.float64], steps: Path, coverage: float) -> NumberReading:
        bag: Path = tuple(MEMBER if isinstance(step, int) else step for step in steps)
        maker = self._ready().maker
        left, power, alphas = unit, 1.0, None
        if self.memory is not None and self.memory.records:
            others = [field for field in self._known() if field.path != bag]
            if others:
                reading = Reading(maker, unit[None], others).sweep()
                left = reading.rest[0].astype(np.float64)
                power = float(reading.noise[0, 0]) * self.dim
                alphas = float(reading.scale[0, 0]) * _DOUBT
        return self._reader(steps, bag).read(left, power, alphas, self._presence(bag), coverage)

    def _reader(self, steps: Path, bag: Path) -> NumberReader:
        bundler = self._ready()
        if self._readers is None or self._readers[0] is not bundler or len(self._readers[1]) > 64:
            self._readers = (bundler, {})
        held = self._readers[1]
        if steps not in held:
            counts = None if self._statistics is None else self._statistics.paths.get(format_path(bag))
            met = counts.numbers if counts is not None and counts.numbers.buckets else None
            held[steps] = NumberReader(bundler.maker, self.config.shares, Arrays(self.config.arrays), steps, met)
        return held[steps]

    def _presence(self, bag: Path) -> float:
        """Prior probability of a number at a path."""
        if self._statistics is None:
            return 0.5
        counts = self._statistics.paths.get(format_path(bag))
        held = 0 if counts is None or not counts.numbers.buckets else counts.numbers.total
        return min(held + 0.5, self._statistics.records + 0.0) / (self._statistics.records + 1.0)
