"""Results as HTML for a notebook; colours and letters are the notebook's own, light or dark."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from html import escape
from typing import Any


def html_table(header: Sequence[str], rows: Sequence[Sequence[str]], *, right: Collection[int] = ()) -> str:
    """A table of texts, escaped; the columns numbered in `right` are flush right, as numbers are."""

    def line(tag: str, cells: Sequence[str]) -> str:
        sides = ("right" if column in right else "left" for column in range(len(cells)))
        parts = (
            f'<{tag} style="text-align: {side}">{escape(cell)}</{tag}>' for cell, side in zip(cells, sides, strict=True)
        )
        return f"<tr>{''.join(parts)}</tr>"

    head = f"<thead>{line('th', header)}</thead>" if any(header) else ""
    return f"<table>{head}<tbody>{''.join(line('td', row) for row in rows)}</tbody></table>"


def html_facts(facts: Mapping[str, Any]) -> str:
    """Names and values, one pair a row."""
    from retrieval.table import facts_rows

    return html_table(("", ""), facts_rows(facts))


def html_list(lines: Sequence[str]) -> str:
    """Sentences as a list, escaped; nothing of none."""
    return f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>" if lines else ""
