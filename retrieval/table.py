"""Hits and facts as text for people."""

from __future__ import annotations

import math
import shutil
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from retrieval.hits import Hit

_FIELDS = 3
_WIDEST = 44
# Fields that tell people what a record is, where records have them.
_TELLING = ("title", "name", "label", "summary", "description")


def table(header: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> str:
    """Rows in columns under a header; the last column is cut to the width of the terminal."""
    cells = [list(header), *([_clean(cell) for cell in row] for row in rows)]
    widths = [max(_width(row[column]) for row in cells) for column in range(len(header))]
    limit = max(40, shutil.get_terminal_size().columns) if sys.stdout.isatty() else None
    lines = []
    for row in cells:
        parts = []
        for column, cell in enumerate(row):
            pad = " " * (widths[column] - _width(cell))
            parts.append(pad + cell if column in right else cell + pad)
        line = "  ".join(parts).rstrip()
        lines.append(line if limit is None else _cut(line, limit))
    return "\n".join(lines)


def hits_table(hits: Sequence[Hit], query: Any = None) -> str:
    """Rank, score, id and the fields that say most, of some hits."""
    header, rows = hits_rows(hits, query)
    return table(header, rows, right=(0, 1))


def hits_rows(hits: Sequence[Hit], query: Any = None) -> tuple[list[str], list[list[str]]]:
    """(header, rows) of `hits_table`; the model too, where there are several."""
    fields = _telling_fields([hit.payload for hit in hits], query, {hit.id for hit in hits})
    mixed = len({hit.model for hit in hits}) > 1
    rows = [
        [
            str(rank),
            f"{hit.score:.4f}",
            hit.id,
            *([hit.model] if mixed else []),
            *(_shown(_field(hit.payload, name)) for name in fields),
        ]
        for rank, hit in enumerate(hits, start=1)
    ]
    return ["rank", "score", "id", *(["model"] if mixed else []), *fields], rows


def facts_table(facts: Mapping[str, Any]) -> str:
    """Name and value, one a line."""
    widest = max(map(len, facts))
    return "\n".join(f"{name:<{widest}}  {value}" for name, value in facts_rows(facts))


def facts_rows(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Names and values as texts."""
    rows = []
    for name, value in facts.items():
        if isinstance(value, Mapping):
            value = ", ".join(f"{key} ({count:,})" for key, count in value.items())
        elif name.startswith("bytes_"):
            value = sized(value)
        elif isinstance(value, int):
            value = f"{value:,}"
        rows.append((name, str(value)))
    return rows


def contributions_table(shares: Sequence[tuple[str, float]], most: int = 12) -> str:
    """Paths with their contributions to a score, the largest first, the rest in one line, and the sum."""
    rows = [[f"{share:+.4f}", path or "(the whole)"] for path, share in shares[:most]]
    rest = shares[most:]
    if rest:
        rows.append([f"{math.fsum(share for _, share in rest):+.4f}", f"({len(rest)} others)"])
    rows.append([f"{math.fsum(share for _, share in shares):+.4f}", "= score"])
    return table(["share", "path"], rows, right=(0,))


def sized(count: float) -> str:
    """Bytes as a number with a unit."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def _telling_fields(payloads: Sequence[Any], query: Any, ids: set[str]) -> list[str]:
    """Top-level fields with short values in most payloads; those of the query and names come first."""
    counts: dict[str, int] = {}
    for payload in payloads:
        if isinstance(payload, dict):
            for name, value in payload.items():
                if _scalar(value) and str(value) not in ids:
                    counts[name] = counts.get(name, 0) + 1
    asked = set(query) if isinstance(query, dict) else set()
    common = [name for name, count in counts.items() if 2 * count >= len(payloads)]

    def eagerness(name: str) -> tuple[bool, int, int]:
        rank = _TELLING.index(name) if name in _TELLING else len(_TELLING)
        return name not in asked, rank, common.index(name)

    return sorted(common, key=eagerness)[:_FIELDS]


def _scalar(value: Any) -> bool:
    if isinstance(value, str):
        return 0 < len(value) <= 4 * _WIDEST and not value.startswith(("http://", "https://"))
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _field(payload: Any, name: str) -> Any:
    return payload.get(name) if isinstance(payload, dict) else None


def _shown(value: Any) -> str:
    return _cut(_clean(str(value)), _WIDEST) if _scalar(value) else ""


def _clean(text: str) -> str:
    # Control characters in data must not reach the terminal.
    return " ".join("".join(one if one.isprintable() else " " for one in text).split())


def _width(text: str) -> int:
    return sum(
        0 if unicodedata.combining(one) else 2 if unicodedata.east_asian_width(one) in "WF" else 1 for one in text
    )


def _cut(text: str, width: int) -> str:
    if _width(text) <= width:
        return text
    while text and _width(text) > width - 1:
        text = text[:-1]
    return text.rstrip() + "…"
