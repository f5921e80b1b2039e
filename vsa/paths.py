"""Paths into a record, as text: ``studio.country``, ``contributors[].role``, ``["odd.key"].x``."""

from __future__ import annotations

import json
import re

MEMBER = None
"""The step into an array, to any of its members."""

Step = str | int | None
Path = tuple[Step, ...]

_PLAIN = re.compile(r"[^\s.\[\]\"\\]+")
_STEP = re.compile(r'\.?(?P<plain>[^\s.\[\]"\\]+)|\[(?P<index>\d*)\]|\.?\[(?P<quoted>"(?:[^"\\]|\\.)*")\]')


def format_path(path: Path) -> str:
    """The text of a path; the root is the empty text.

    Examples
    --------
    >>> format_path(("contributors", None, "role"))
    'contributors[].role'
    >>> format_path(("odd.key", 3))
    '["odd.key"][3]'
    """
    text = ""
    for step in path:
        if step is MEMBER:
            text += "[]"
        elif isinstance(step, int):
            text += f"[{step}]"
        elif _PLAIN.fullmatch(step):
            text += f".{step}" if text else step
        else:
            text += f"[{json.dumps(step, ensure_ascii=False)}]"
    return text


def parse_path(text: str) -> Path:
    """The path that a text names.

    Raises
    ------
    ValueError
        If the text is no path.

    Examples
    --------
    >>> parse_path('a[].b["x.y"][2]')
    ('a', None, 'b', 'x.y', 2)
    """
    path: list[Step] = []
    at = 0
    while at < len(text):
        step = _STEP.match(text, at)
        if step is None or (at == 0 and text[0] == "."):
            raise ValueError(
                f'not a path: {text!r} at column {at + 1}; write keys as a.b, members as a[], odd keys as a["odd.key"]'
            )
        if step["plain"] is not None:
            if at and text[at] != ".":
                raise ValueError(f"not a path: {text!r} needs a '.' at column {at + 1}")
            path.append(step["plain"])
        elif step["quoted"] is not None:
            path.append(json.loads(step["quoted"]))
        else:
            path.append(int(step["index"]) if step["index"] else MEMBER)
        at = step.end()
    return tuple(path)
