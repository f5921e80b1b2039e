"""Places on the globe."""

from __future__ import annotations

import math
import numbers
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any

from vsa.fields.base import Atoms, Rows, Space, share
from vsa.levels import cells

RADIUS = 6371.0088
"""Mean radius of the Earth in kilometres."""

GRIDS = (16384.0, 4096.0, 1024.0, 256.0, 64.0, 16.0, 4.0, 1.0, 0.25)
"""Sides of the cubes in kilometres."""

LEVEL_SHARE = 0.97
EXACT_SHARE = 0.25

_NAMES = (
    frozenset({"lat", "latitude"}),
    frozenset({"lon", "lng", "long", "longitude"}),
)
_NUMERAL = re.compile(r"[+-]?\d{1,3}(?:\.\d{0,15})?")


class Order(str, Enum):
    """Which of two bare coordinates comes first."""

    LAT_LONG = "lat-long"
    LONG_LAT = "long-lat"


@dataclass(frozen=True)
class LatLong:
    """Places on the globe: near there is near in vector, at every scale from 1 km to 10,000 km.

    Takes ``{"lat": …, "lon": …}`` (also ``latitude``, ``lng``, ``long``, ``longitude``, in any case, and nothing
    beside them), ``[lat, long]``, ``"lat, long"``, and a GeoJSON point, whose order is its own. Numbers may be
    numerals. Latitudes beyond ±90°, longitudes beyond ±360° and everything else are ordinary leaves.

    Parameters
    ----------
    order : {"lat-long", "long-lat"}
        Of bare pairs; ``"long-lat"`` is GeoJSON's.
    weight : float
        Beside other leaves, up to 16.

    Notes
    -----
    The globe stands in nested grids of cubes, each a quarter as wide as the last and each shifted by its own
    amount. A place takes the eight corners of its cube, weighted by nearness, on every grid. There is no date
    line in space and no pole, and on average the cosine falls with the great-circle distance, by about as much
    for every doubling.

    Examples
    --------
    >>> import vsa
    >>> encoder = vsa.JSONEncoder(seed=7, fields={"at": vsa.fields.LatLong()})
    >>> suva, taveuni, berlin = encoder.encode([{"at": [-18.1, 178.4]}, {"at": "-16.8,-179.9"},
    ...                                         {"at": {"lat": 52.5, "lon": 13.4}}])
    >>> bool(suva @ taveuni > suva @ berlin + 0.15)
    True
    """

    order: str = Order.LAT_LONG.value
    weight: float = 1.0
    kind = "lat-long"
    ordinary = 0.0
    anywhere = False

    def __post_init__(self) -> None:
        if not share(self.weight, "weight"):
            raise ValueError("weight must be above 0: nothing else stands for a place")
        try:
            Order(self.order)
        except ValueError:
            raise ValueError(f'order must be "lat-long" or "long-lat", got {self.order!r}') from None

    def read(self, value: Any) -> tuple[float, float] | None:
        """(latitude, longitude from -180 up to 180) in degrees, or None."""
        if isinstance(value, dict):
            return self._object(value)
        if isinstance(value, str):
            parts: Any = value.split(",")
        elif isinstance(value, (list, tuple)):
            parts = value
        else:
            return None
        if len(parts) != 2:
            return None
        return _place(*(parts if Order(self.order) is Order.LAT_LONG else reversed(parts)))

    def _object(self, value: dict[Any, Any]) -> tuple[float, float] | None:
        if len(value) != 2:
            return None
        named = {key.lower(): member for key, member in value.items() if isinstance(key, str)}
        if named.get("type") == "Point":
            pair = named.get("coordinates")
            if isinstance(pair, (list, tuple)) and len(pair) == 2:
                return _place(pair[1], pair[0])
            return None
        found = [[member for key, member in named.items() if key in names] for names in _NAMES]
        return _place(found[0][0], found[1][0]) if all(len(members) == 1 for members in found) else None

    def rows(self, contents: Sequence[tuple[float, float]], space: Space) -> Rows:
        """Corners of cubes, and an atom of the exact place; (n, dim)."""
        return space.sums([self._atoms(*place) for place in contents])

    def _atoms(self, latitude: float, longitude: float) -> Atoms:
        each = self.weight * LEVEL_SHARE / math.sqrt(len(GRIDS))
        exact = b"@place%s,%s" % (repr(latitude).encode(), repr(longitude).encode())
        atoms = [(exact, self.weight * EXACT_SHARE)]
        point = _in_space(latitude, longitude)
        for grid, width in enumerate(GRIDS):
            sides = [cells(x / width + _SHIFT[axis] * (grid + 1), (1.0,)) for axis, x in enumerate(point)]
            for _, i, along in sides[0]:
                for _, j, across in sides[1]:
                    for _, k, up in sides[2]:
                        atoms.append((b"@globe%d,%d,%d,%d" % (grid, i, j, k), each * along * across * up))
        return atoms

    def config(self) -> dict[str, Any]:
        """The parameters."""
        return asdict(self)


# Shifts of the grids by multiples of powers of 1/ρ, ρ³ = ρ + 1, which keep them from having planes in common.
_SHIFT = (0.7548776662466927, 0.5698402909980532, 0.4301597090019468)


def _place(latitude: Any, longitude: Any) -> tuple[float, float] | None:
    pair = _degrees(latitude), _degrees(longitude)
    if pair[0] is None or pair[1] is None or abs(pair[0]) > 90.0 or abs(pair[1]) > 360.0:
        return None
    lat, long = pair[0] + 0.0, pair[1]
    if abs(lat) == 90.0:
        return lat, 0.0
    if long >= 180.0:
        long -= 360.0
    elif long < -180.0:
        long += 360.0
    return lat, long + 0.0


def _degrees(value: Any) -> float | None:
    if isinstance(value, str):
        text = value.strip()
        return float(text) if _NUMERAL.fullmatch(text) else None
    if not isinstance(value, bool) and isinstance(value, numbers.Real) and math.isfinite(value):
        return float(value)
    return None


def _in_space(latitude: float, longitude: float) -> tuple[float, float, float]:
    """Kilometres from the centre of the Earth along three axes."""
    up, out = sine(latitude), sine(90.0 - latitude)
    return RADIUS * out * sine(90.0 - longitude), RADIUS * out * sine(longitude), RADIUS * up


def sine(degrees: float) -> float:
    """Sine of an angle from -360° to 360° by IEEE basic operations alone, to about 1e-15: alike on every machine."""
    turn = degrees % 360.0
    sign = 1.0
    if turn >= 180.0:
        turn, sign = turn - 180.0, -1.0
    x = min(turn, 180.0 - turn) * 0.017453292519943295
    square, term, total = x * x, x, x
    for k in range(2, 22, 2):
        term *= -square / (k * (k + 1))
        total += term
    return sign * total
