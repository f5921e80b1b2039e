"""Pictures of the encoder at work, drawn by `vsa.plots`.

    python -m benchmarks.vsa.pictures FOLDER

Curves are means over 20 seeds at dim 1,024. The map needs the public data sets and is left out without them.
"""

from __future__ import annotations

import datetime
import itertools
import sys
from pathlib import Path
from typing import Any

import numpy as np

import vsa
from vsa import plots
from vsa.curves import similarity_curve

SEEDS = range(20)
WORD = "extraordinarily"


def numbers() -> Any:
    """Cosine of numbers over six decades of their field's scale, fitted and not."""
    scale = 4.0
    steps = np.logspace(-3, 3, 25)
    corpus = [{"x": x} for x in np.random.default_rng(0).normal(50, scale, 2000)]
    fitted = [vsa.JSONEncoder(seed=seed).fit(corpus) for seed in SEEDS]
    bare = [vsa.JSONEncoder(seed=seed) for seed in SEEDS]
    others = [{"x": 50 + scale * step} for step in steps]
    curves = {"fitted": similarity_curve(fitted, {"x": 50.0}, others)[0]}
    curves["not fitted"] = similarity_curve(bare, {"x": 50.0}, others)[0]
    return plots.soft_values(steps, curves, distance="distance from 50, in scales of the field")


def dates() -> Any:
    """Cosine of times from an hour to a century later."""
    start = datetime.datetime(1920, 3, 1, tzinfo=datetime.timezone.utc)
    hours = np.logspace(0, np.log10(24 * 36524), 25)
    others = [{"t": (start + datetime.timedelta(hours=float(h))).isoformat()} for h in hours]
    encoders = [vsa.JSONEncoder(seed=seed) for seed in SEEDS]
    mean, _ = similarity_curve(encoders, {"t": start.isoformat()}, others)
    return plots.soft_values(hours / 24, {"time of day given": mean}, distance="days later")


def edits() -> Any:
    """Cosine of a word with itself after changes of single letters."""
    order = (7, 3, 11, 1, 13, 5, 9)
    texts = []
    for n in range(len(order) + 1):
        letters = list(WORD)
        for place in order[:n]:
            letters[place] = "q"
        texts.append("".join(letters))
    encoders = [vsa.JSONEncoder(seed=seed) for seed in SEEDS]
    alone, _ = similarity_curve(encoders, {"v": WORD}, [{"v": text} for text in texts])
    title = "the remarkable {} history of the sea"
    among, _ = similarity_curve(encoders, {"v": title.format(WORD)}, [{"v": title.format(text)} for text in texts])
    curves = {"one word": alone, "one of seven words": among}
    return plots.soft_values(range(len(texts)), curves, distance="letters changed, of 15", log=False)


def keys() -> Any:
    """Cosines of one value under several keys and of two orders of nesting."""
    records = {"a: x": {"a": "x9"}, "b: x": {"b": "x9"}, "a.b: x": {"a": {"b": "x9"}}, "b.a: x": {"b": {"a": "x9"}},
               "[x]": ["x9"], "a: y": {"a": "y4"}}  # fmt: skip
    X = vsa.JSONEncoder(4096, seed=1, shares=vsa.Shares(anywhere=1)).encode(records.values())
    return plots.similarity_matrix(X @ X.T, list(records))


def bars() -> Any:
    """Why two records match."""
    record = {"title": "Norham Castle, Sunrise", "artist": {"name": "Joseph Mallord William Turner"}, "year": 1845,
              "medium": "Oil paint on canvas", "tags": ["castle", "river", "dawn"]}  # fmt: skip
    query = {"title": "castle at sunrise", "artist": {"name": "Turner"}, "year": 1840, "medium": "Watercolour on paper"}
    return plots.explain_bars(vsa.JSONEncoder(4096, seed=1).explain(query, record))


def collection() -> Any:
    """Artworks by their classification."""
    from benchmarks.vsa.data import find

    works = [work for _, work in itertools.islice(vsa.iter_json(find("tate/artworks.jsonl.gz")), 3000)]
    X = vsa.JSONEncoder(seed=1).fit(works).encode(works)
    return plots.vector_map(X, [work.get("classification") for work in works])


def main() -> None:
    """Write the pictures."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for draw in (numbers, dates, edits, keys, bars, collection):
        axes = draw()
        axes.figure.savefig(folder / f"{draw.__name__}.png", dpi=120)
        print(folder / f"{draw.__name__}.png")


if __name__ == "__main__":
    main()
