"""Years and points in time."""

from __future__ import annotations

import math
import numbers
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from enum import Enum
from typing import Any

from vsa.fields.base import Atoms, Rows, Space, share
from vsa.levels import DAY_GRIDS, cells
from vsa.times import days

YEAR_GRIDS = DAY_GRIDS[:5]
"""The grids that can tell one year from another: 360 to 1.4 years."""

DAYS_A_YEAR = 365.2425
EPOCH = date(1970, 1, 1).toordinal() - 1
LEVEL_SHARE = 0.9
EXACT_SHARE = 0.25

_YEAR = re.compile(r"-?\d{1,4}")
_NUMERAL = re.compile(r"-?\d{1,17}(?:\.\d{1,9})?")
_DAY = 86_400_000
_FARTHEST = 4_000_000
"""Days from the year 1 within which epochs are believed: some 10,000 years."""


@dataclass(frozen=True)
class Year:
    """Years: a number, or a text that is one, near in time to its neighbours.

    On the same line as ISO 8601 dates, so that a field of years and of dates is one scale. Numbers that are no
    whole number from −9999 to 9999, and other texts, are ordinary leaves.

    Parameters
    ----------
    weight : float
        Of the place in time, up to 16.
    ordinary : float
        Of the digits as a word and an exact value beside it, so that a year in a title still counts.

    Examples
    --------
    >>> import vsa
    >>> encoder = vsa.JSONEncoder(seed=7, fields={"year": vsa.fields.Year()})
    >>> a, b, c = encoder.encode([{"year": 1845}, {"year": "1847"}, {"year": 1990}])
    >>> bool(a @ b > a @ c + 0.2)
    True
    """

    weight: float = 1.0
    ordinary: float = 0.5
    kind = "year"
    anywhere = False

    def __post_init__(self) -> None:
        share(self.ordinary, "ordinary")
        if not share(self.weight, "weight"):
            raise ValueError("weight must be above 0: without it the field says nothing")

    def read(self, value: Any) -> int | None:
        """The year, or None."""
        if isinstance(value, str):
            text = value.strip()
            return int(text) if _YEAR.fullmatch(text) else None
        if _is_number(value) and abs(value) <= 9999 and value == int(value):
            return int(value)
        return None

    def rows(self, contents: Sequence[int], space: Space) -> Rows:
        """Levels of the middle of each year, and an atom of the year itself; (n, dim)."""
        return space.sums(
            [
                [
                    *_line((year - 0.5) * DAYS_A_YEAR, YEAR_GRIDS, self.weight),
                    (b"@year%d" % year, self.weight * EXACT_SHARE),
                ]
                for year in contents
            ]
        )

    def config(self) -> dict[str, Any]:
        """The parameters."""
        return asdict(self)


class Epoch(str, Enum):
    """What numbers count since 1970-01-01T00:00Z."""

    SECONDS = "s"
    MILLISECONDS = "ms"


@dataclass(frozen=True)
class Timestamp:
    """Points in time: near in time is near in vector, and like weekdays and seasons count if you say so.

    Takes ISO 8601 dates and times as `vsa` reads them anywhere (in UTC where an offset is given) and, with
    `epoch`, numbers and numerals too, to the millisecond. Anything else is an ordinary leaf.

    Parameters
    ----------
    weight : float
        Of the place in time, from 45 minutes to 360 years; from 0 to 16.
    weekday : float
        Of the day of the week, in UTC: alike or not.
    season : float
        Of the time of the year, soft and round: 31 December is next to 1 January.
    epoch : {None, "s", "ms"}
        What numbers count since 1970, if they are times at all.
    ordinary : float
        Of the notation's words and exact value beside it.

    Examples
    --------
    >>> import vsa
    >>> encoder = vsa.JSONEncoder(seed=7, fields={"at": vsa.fields.Timestamp(season=1.0)})
    >>> a, b, c = encoder.encode([{"at": "1990-12-30"}, {"at": "2019-01-02"}, {"at": "2019-07-02"}])
    >>> bool(a @ b > a @ c + 0.1)
    True
    """

    weight: float = 1.0
    weekday: float = 0.0
    season: float = 0.0
    epoch: str | None = None
    ordinary: float = 0.0
    kind = "timestamp"
    anywhere = False

    def __post_init__(self) -> None:
        for name in ("weight", "weekday", "season", "ordinary"):
            share(getattr(self, name), name)
        if not self.weight + self.weekday + self.season:
            raise ValueError("one of weight, weekday and season must be above 0")
        if self.epoch is not None:
            try:
                Epoch(self.epoch)
            except ValueError:
                raise ValueError(f'epoch must be None, "s" or "ms", got {self.epoch!r}') from None

    def read(self, value: Any) -> int | None:
        """Milliseconds since 0001-01-01, or None."""
        if isinstance(value, str):
            text = value.strip()
            when = days(text)
            if when is not None:
                return round(when * _DAY)
            if self.epoch is None or not _NUMERAL.fullmatch(text):
                return None
            value = float(text)
        if self.epoch is None or not _is_number(value):
            return None
        since = float(value) * (1000.0 if Epoch(self.epoch) is Epoch.SECONDS else 1.0)
        return round(EPOCH * _DAY + since) if abs(since) < _FARTHEST * _DAY else None

    def rows(self, contents: Sequence[int], space: Space) -> Rows:
        """Levels, weekday and season of each moment, and an atom of the moment itself; (n, dim)."""
        return space.sums([self._atoms(moment) for moment in contents])

    def _atoms(self, moment: int) -> Atoms:
        when = moment / _DAY
        atoms = []
        if self.weight:
            atoms = [*_line(when, DAY_GRIDS, self.weight), (b"@moment%d" % moment, self.weight * EXACT_SHARE)]
        if self.weekday:
            # 0001-01-01 was a Monday.
            atoms.append((b"@weekday%d" % (math.floor(when) % 7), self.weekday * LEVEL_SHARE))
        if self.season:
            each = self.season * LEVEL_SHARE / math.sqrt(len(_SEASONS))
            turn = when / DAYS_A_YEAR
            for parts in _SEASONS:
                near = cells((turn - math.floor(turn)) * parts, (1.0,))
                atoms += [(b"@season%d,%d" % (parts, node % parts), each * weight) for _, node, weight in near]
        return atoms

    def config(self) -> dict[str, Any]:
        """The parameters."""
        return asdict(self)


_SEASONS = (4, 12)
"""Parts of the year on the two round grids."""


def _line(when: float, grids: tuple[float, ...], weight: float) -> list[tuple[bytes, float]]:
    """Levels of a time; the names are those of ISO 8601 dates in ordinary leaves."""
    each = weight * LEVEL_SHARE / math.sqrt(len(grids))
    return [(b"d%d,%d" % (grid, node), each * near) for grid, node, near in cells(when, grids)]


def _is_number(value: Any) -> bool:
    return not isinstance(value, bool) and isinstance(value, numbers.Real) and math.isfinite(value)
