"""Draw the README's picture: what its first example finds and why, and what a change of models costs.

    python docs/picture.py

The left half runs the example; the right half reads benchmarks/upgrade/RESULTS.md. Needs the extra `plots`.
"""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from vsa.plots import COLOURS, INK

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "docs" / "picture.svg"


def example() -> dict[str, Any]:
    """The names that the README's first Python block leaves behind."""
    block = re.search(
        r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    if block is None:
        raise ValueError("README.md has no Python block")
    names: dict[str, Any] = {}
    exec(block[1], names)
    return names


def draw_matches(ax: Any, names: dict[str, Any]) -> None:
    """The scores of all artworks, split into what each field of the query adds."""
    gallery, query = names["gallery"], names["query"]
    hits = gallery.search(query, k=gallery.count())
    shares = [dict(gallery.explain(query, hit.id)) for hit in hits]
    fields = ["title", "artist.name", "year"]
    left = [0.0] * len(hits)
    for field, colour in zip(fields, COLOURS, strict=False):
        widths = [max(0.0, share[field]) for share in shares]
        ax.barh(range(len(hits)), widths, left=left, color=colour, label=field, height=0.62)
        left = [a + b for a, b in zip(left, widths, strict=True)]
    for row, hit in enumerate(hits):
        ax.text(left[row] + 0.006, row, f"{hit.score:.2f}", va="center", color=INK, fontsize=9)
    ax.set_yticks(range(len(hits)), [hit.payload["title"].split(" - ")[0] for hit in hits])
    ax.invert_yaxis()
    ax.set_xlim(right=max(left) * 1.18)
    ax.set_xlabel("cosine with the query, by field")
    ax.set_title(f"“{query['title']}”, {query['artist']['name']}, {query['year']}", color=INK, fontsize=11)
    ax.legend(frameon=False, labelcolor=INK, fontsize=9, loc="lower right")


def backfill() -> tuple[list[float], list[float], float]:
    """Shares re-encoded and mAP, from the table of the backfill, and the mAP of staying with the old model."""
    text = (ROOT / "benchmarks" / "upgrade" / "RESULTS.md").read_text(encoding="utf-8")
    head = re.search(r"^\| order \| (.*%) \| area", text, re.MULTILINE)
    row = re.search(r"^\| uncertain \| (.*)$", text, re.MULTILINE)
    old = re.search(r"^\| LSA-128 \| .* / (\S+) \|", text, re.MULTILINE)
    if head is None or row is None or old is None:
        raise ValueError("benchmarks/upgrade/RESULTS.md: expected the tables of the backfill and of three models")
    shares = [float(cell.rstrip("%")) for cell in head[1].split(" | ")]
    return shares, [float(cell) for cell in row[1].split(" | ")[: len(shares)]], float(old[1])


def draw_upgrade(ax: Any) -> None:
    """The quality of search while a gallery goes from one model to the next."""
    shares, found, old = backfill()
    ax.axhline(found[-1], color=COLOURS[0], linestyle=":", label="all encoded by the new model")
    ax.plot(shares, found, color=COLOURS[2], marker="o", label="mapped, and encoded bit by bit")
    ax.axhline(old, color=COLOURS[3], linestyle="--", label="staying with the old model")
    ax.set_xlabel("encoded anew, %")
    ax.set_ylabel("mAP, %")
    ax.set_ylim(0, 80)
    ax.set_title("a new model, nothing encoded at first", color=INK, fontsize=11)
    ax.legend(frameon=False, labelcolor=INK, fontsize=9, loc="lower right")


def main() -> None:
    """Write the picture."""
    # Letters as outlines look alike everywhere; the salt and the date make two runs the same bytes.
    mpl.rcParams.update({"svg.fonttype": "path", "svg.hashsalt": "picture"})
    figure = Figure(figsize=(10.5, 3.7), layout="constrained")
    figure.patch.set_alpha(0.0)
    left, right = figure.subplots(1, 2, width_ratios=[1.25, 1])
    for ax in (left, right):
        ax.patch.set_alpha(0.0)
        ax.spines[["top", "right"]].set_visible(False)
        ax.spines[["left", "bottom"]].set_color(INK)
        ax.tick_params(colors=INK)
        ax.xaxis.label.set_color(INK)
        ax.yaxis.label.set_color(INK)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        names = example()
        draw_matches(left, names)
        names["gallery"].close()
        os.chdir(ROOT)
    draw_upgrade(right)
    figure.savefig(TARGET, metadata={"Date": None})
    print(TARGET)


if __name__ == "__main__":
    main()
