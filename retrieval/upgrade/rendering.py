"""A report as text and as HTML."""

from __future__ import annotations

import html as markup
from typing import TYPE_CHECKING

from retrieval.metrics import Interval

if TYPE_CHECKING:
    from retrieval.upgrade.report import Asked, Cost, Found, Report, Search

_WHAT = {
    "old/old": "staying: old queries, old gallery",
    "mapped": "new queries, mapped gallery",
    "new/new": "new queries, all re-encoded",
}


def text(report: Report) -> str:
    """Lay a report out for a terminal, 100 columns or so."""
    lines = [_title(report), "", f"verdict: {report.verdict}", f"judged by: {report.verdict.judged_by}", ""]
    if report.asked is not None:
        lines += [*_ruled(_asked_table(report.asked)), "", _asked_about(report, report.asked), ""]
    lines += [*_ruled(_items_table(report)), "", _explained(report), "", *_facts(report)]
    lines += [f"note: {note}" for note in report.notes]
    return "\n".join(lines)


def _ruled(rows: list[list[str]]) -> list[str]:
    """Lay rows out in columns, with rules below the head and below the three searches of one kind."""
    lines = []
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for i, row in enumerate(rows):
        cells = [row[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True))]
        lines.append("  ".join(cells).rstrip())
        if i in (0, 3):
            lines.append("-" * (sum(widths) + 2 * len(widths) - 2))
    return lines


def html(report: Report) -> str:
    """Lay a report out for a notebook; colours are the notebook's own, light or dark."""
    escape = markup.escape
    decision, _, reason = str(report.verdict).partition(": ")
    facts = "".join(f"<li>{escape(line)}</li>" for line in [*_facts(report), *report.notes])
    asked = ""
    if report.asked is not None:
        asked = f"{_table(_asked_table(report.asked))}<p>{escape(_asked_about(report, report.asked))}</p>"
    return (
        f"<div><p><b>{escape(_title(report))}</b></p><p><b>{escape(decision)}</b>: {escape(reason)}</p>"
        f"<p>Judged by: {escape(report.verdict.judged_by)}</p>{asked}{_table(_items_table(report))}"
        f"<p>{escape(_explained(report))}</p><ul>{facts}</ul></div>"
    )


def _table(rows: list[list[str]]) -> str:
    head, *body = (
        "<tr>" + "".join(f"<{cell}>{markup.escape(text)}</{cell}>" for text in row) + "</tr>"
        for cell, row in zip(["th", *["td"] * (len(rows) - 1)], rows, strict=True)
    )
    return f"<table><thead>{head}</thead><tbody>{''.join(body)}</tbody></table>"


def interval(found: Interval) -> str:
    """Write an estimate with its interval."""
    if found.estimate != found.estimate:
        return "unknown"
    return f"{found.estimate:.1f} [{found.low:.1f}, {found.high:.1f}]"


def _title(report: Report) -> str:
    return f"Upgrade {report.name}: {report.kind} from {report.n_pairs:,} pairs"


def _recall(report: Report) -> str:
    return next(name for name in report.searches[0].expected if name.startswith("recall@"))


def _items_table(report: Report) -> list[list[str]]:
    measures = (*report.decisive, _recall(report))
    head = ["whole items as queries" if report.asked is not None else "", *measures]
    return [head, *([_label(one), *(interval(one.expected[m]) for m in measures)] for one in report.searches)]


def _asked_table(asked: Asked) -> list[list[str]]:
    head = [f"{asked.n:,} queries", *asked.decisive]
    return [head, *([_label(one), *(interval(one.expected[m]) for m in asked.decisive)] for one in asked.searches)]


def _nearness(report: Report) -> str:
    return (
        "judged by the new model: nearness 100 is that of its own neighbours, and all is foretold for a gallery of "
        f"{report.n_foretold:,} items"
    )


def _asked_about(report: Report, asked: Asked) -> str:
    known = "found@k is the share of the queries whose item is among the first k"
    right = known if asked.known else _nearness(report)
    text = f"In percent with 95 % intervals, among {asked.n_items:,} items that the map has not seen; {right}."
    if asked.among:
        stay, crossed = asked.among
        measures = "; ".join(
            f"{m} {interval(stay.expected[m])} staying, {interval(crossed.expected[m])} mapped" for m in asked.decisive
        )
        text += f" Among {asked.n_among:,} stored vectors: {measures}."
    return text


def _label(search: Search | Found) -> str:
    if search.share is not None:
        return f"mixed search, {search.share:.0%} re-encoded"
    return f"{search.name} ({_WHAT[search.name]})"


def _explained(report: Report) -> str:
    judged = "judged by classes" if report.labelled else _nearness(report)
    return (
        f"In percent with 95 % intervals, expected for this gallery; {judged}. Least sure items are re-encoded first."
    )


def _facts(report: Report) -> list[str]:
    crossed = next(search for search in report.searches if search.name == "mapped")
    lines = [
        f"{m}, mapped: {interval(crossed.alike[m])} on kinds of items that the pairs hold, "
        f"{interval(crossed.unlike[m])} on kinds that they do not ({report.held_out} held out as a whole)"
        for m in report.decisive
    ]
    if report.uncovered is not None:
        u = report.uncovered
        lines.append(
            f"of kinds that the pairs do not hold: {u.estimate:.0%} [{u.low:.0%}, {u.high:.0%}] of the gallery"
        )
    lines.append(f"pairs that match no better than strangers: {report.unmatched.estimate:.1%}")
    return [*lines, _cost(report.cost)]


def _cost(cost: Cost) -> str:
    line = (
        f"to switch {cost.n_items:,} items: {duration(cost.seconds)} on this machine, {size(cost.bytes)} of vectors, "
        f"no encoder call instead of {cost.encoder_calls_saved:,}"
    )
    return line if cost.encoder_seconds is None else f"{line} ({duration(cost.encoder_seconds)} of encoding)"


def duration(seconds: float) -> str:
    """Write a time span in the largest unit that leaves a number above one."""
    for unit, length in (("days", 86_400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 1.5 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.1f} s"


def size(n_bytes: int) -> str:
    """Write a number of bytes in decimal units."""
    for unit, length in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if n_bytes >= length:
            return f"{n_bytes / length:.1f} {unit}"
    return f"{n_bytes} B"
