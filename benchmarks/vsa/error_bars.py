"""Numbers read back with an error bar: how often the bar holds the number, and how wide it is.

    python -m benchmarks.vsa.error_bars

Writes the section *Error bars* of RESULTS.md. The encoder is fitted on other records than those that are read; no
memory is used but where said. Made records hold words of a thousand in each of their fields and one lognormal price.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np

import vsa
from benchmarks.gallery import results
from benchmarks.vsa.data import catalogues, records
from benchmarks.vsa.decode import words

COVERAGES = (0.5, 0.9)
DIM = 1024
HEAD = ("records", "number", "read", "50 % bar holds", "90 % bar holds", "median width of the 90 % bar",
        "90 % of the field lie in", "median error")  # fmt: skip


def row(what: str, path: str, fitted_on: list[Any], held: list[Any], memory: vsa.ItemMemory | None = None) -> list[str]:
    """Measure one field of the records held out."""
    encoder = vsa.JSONEncoder(DIM, seed=7, memory=memory if memory is not None else False).fit(fitted_on)
    cases = [(record, _at(record, path)) for record in held]
    cases = [(record, value) for record, value in cases if type(value) in (int, float)]
    truth = np.array([value for _, value in cases], np.float64)
    X = encoder.encode([record for record, _ in cases])
    cells = []
    for coverage in COVERAGES:
        found = [encoder.decode_number(x, path, coverage=coverage) for x in X]
        low, high = (np.array([getattr(f, end) for f in found]) for end in ("low", "high"))
        cells.append(f"{((low <= truth) & (truth <= high)).mean():.3f}")
    error = np.abs(np.array([f.value for f in found]) - truth)
    wide = np.subtract(*np.quantile(truth, [0.95, 0.05]))
    return [
        what,
        path,
        str(len(cases)),
        *cells,
        f"{np.median(high - low):.4g}",
        f"{wide:.4g}",
        f"{np.median(error):.4g}",
    ]


def _at(record: Any, path: str) -> Any:
    for key in path.split("."):
        record = record.get(key) if isinstance(record, dict) else None
    return record


def made(count: int, n_fields: int, seed: int) -> list[Any]:
    """Records of words and a price."""
    draw = random.Random(seed)
    items = words(1000)
    return [
        {f"f{i}": draw.choice(items) for i in range(n_fields)} | {"price": round(draw.lognormvariate(3, 1), 2)}
        for _ in range(count)
    ]


def main() -> None:
    """Measure, and write the section."""
    table = []

    def add(*case: Any) -> None:
        table.append(row(*case))
        print(*table[-1], sep=" | ", flush=True)

    for n_fields in (5, 20, 50, 200):
        add(f"made, {n_fields} fields of words", "price", made(2000, n_fields, 1), made(300, n_fields, 2))
    _, gallery, _ = catalogues("abt-buy", "abt", "buy")
    random.Random(0).shuffle(gallery)
    add("abt-buy, the buy side", "price", gallery[:500], gallery[500:])
    _, gallery, _ = catalogues("amazon-google", "amazon", "google")
    random.Random(0).shuffle(gallery)
    add("amazon-google, the google side", "price", gallery[:2500], gallery[2500:])
    works = records("tate/artworks.jsonl.gz")[::10]
    random.Random(0).shuffle(works)
    for path in ("acquisitionYear", "dateRange.startYear", "id"):
        add("Tate", path, works[:3000], works[3000:3300])
    known = vsa.ItemMemory()
    known.learn(works[3300:])
    add("Tate, the other fields read by a memory", "acquisitionYear", works[:3000], works[3000:3060], known)
    file = Path(__file__).with_name("RESULTS.md")
    results.write(file, "Error bars", "python -m benchmarks.vsa.error_bars", results.table(HEAD, table))


if __name__ == "__main__":
    main()
