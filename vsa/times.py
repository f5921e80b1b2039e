"""ISO 8601 dates and times as days."""

from __future__ import annotations

import re
from datetime import date

_ISO = re.compile(
    r"(\d{4})-(\d\d)(?:-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?\s?(Z|[+-]\d\d:?\d\d)?)?)?",
    re.IGNORECASE,
)


def days(text: str) -> float | None:
    """Days since 0001-01-01 of an ISO 8601 date or time, in UTC where an offset is given.

    Parameters
    ----------
    text : str
        ``YYYY-MM``, ``YYYY-MM-DD`` or ``YYYY-MM-DDThh:mm[:ss[.fff]][Z|±hh:mm]``.

    Returns
    -------
    float or None
        None where the text is no such date. A month stands for its first day.

    Examples
    --------
    >>> days("2020-01-02T12:00Z") - days("2020-01-01")
    1.5
    >>> days("2020-13-01") is None
    True
    """
    if not 7 <= len(text) <= 40 or text[4] != "-":
        return None
    match = _ISO.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    try:
        whole = date(int(year), int(month), int(day or 1)).toordinal() - 1
    except ValueError:
        return None
    h, m, s = int(hour or 0), int(minute or 0), int(second or 0)
    if h > 24 or m > 59 or s > 60:
        return None
    seconds: float = h * 3600 + m * 60 + s
    if fraction:
        seconds += int(fraction) / 10 ** len(fraction)
    if zone and zone not in "Zz":
        east = int(zone[1:3]) * 3600 + int(zone[-2:]) * 60
        seconds += east if zone[0] == "-" else -east
    return whole + seconds / 86400.0
