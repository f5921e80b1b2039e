"""Samples of streams."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any


def sample(records: Iterable[Any], size: int, seed: int = 0) -> list[Any]:
    """A uniform sample of a stream, in one pass and the memory of the sample.

    Parameters
    ----------
    records : iterable
        Anything.
    size : int
        Most records drawn; a shorter stream comes back whole.
    seed : int
        The same seed draws the same records.

    Notes
    -----
    Source: Vitter 1985, algorithm R.

    Examples
    --------
    >>> sample(range(3), 5), len(sample(range(1000), 5))
    ([0, 1, 2], 5)
    """
    draw = random.Random(seed)
    kept: list[Any] = []
    for number, record in enumerate(records):
        if number < size:
            kept.append(record)
        elif (place := draw.randrange(number + 1)) < size:
            kept[place] = record
    return kept
