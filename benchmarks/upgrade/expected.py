"""What a gallery expects of its mapped vectors, against what is true, on CLINC150.

    OMP_NUM_THREADS=1 python -m benchmarks.upgrade.expected

`UpgradeStatus.expected_cosine` is the mean of 1 − spread / 2 over mapped vectors, and 1 for those encoded anew, least
sure first; the truth is the mean cosine with the new model's own vectors. The gallery is the test set. Rows are mapped
as `Gallery.apply` maps them, through cells where the pairs are many.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

import vsa
from benchmarks.compat.data import clinc, lsa
from benchmarks.gallery.results import table, write
from benchmarks.upgrade.scenarios import Views, views
from retrieval import compat

RESULTS = Path(__file__).with_name("RESULTS.md")
SHARES = (0.0, 0.1, 0.3, 0.5)
# From more pairs a gallery maps through cells.
_MANY_PAIRS = 4096


def upgrades() -> Iterator[tuple[str, Views]]:
    """Names, and pairs and gallery."""
    data = clinc()
    classes = (data.train_classes, data.test_classes)
    old = lsa(data.train_texts, data.test_texts, 128, 0)
    whole = views(old, (data.train_minilm, data.test_minilm), classes)
    for n in (15_000, 2_000, 500):
        yield f"LSA-128 → MiniLM, {len(whole.kept(n).old):,} pairs", whole.kept(n)
    intents = np.random.default_rng(0).permutation(150)[:100]
    part = whole.gallery_of(~np.isin(whole.gallery_classes, intents)).kept(6_000)
    seen = np.isin(part.classes, intents)
    pairs = replace(part, old=part.old[seen], new=part.new[seen], classes=part.classes[seen])
    yield f"the same, {int(seen.sum()):,} pairs of 100 intents, gallery of the other 50", pairs
    encoder = vsa.JSONEncoder(dim=512, seed=7)
    X, Y = (encoder.encode({"text": t} for t in texts) for texts in (data.train_texts, data.test_texts))
    yield "MBAT-512 → MiniLM, 6,000 pairs", views((X, Y), (data.train_minilm, data.test_minilm), classes).kept(6_000)


def main() -> None:
    """Measure and write the section."""
    lines = []
    for name, of in upgrades():
        method = "auto" if len(of.old) <= _MANY_PAIRS else "mean"
        m = compat.LocalLinearMap.fit(source=of.old, target=of.new, method=method)
        mapped = m.map(of.old_gallery, neighbours="cells" if len(of.old) > _MANY_PAIRS else "exact")
        off = np.minimum(mapped.spread, 2) / 2
        true = 1 - np.einsum("ij,ij->i", mapped.vectors, of.new_gallery)
        order = np.argsort(-mapped.spread, kind="stable")
        cells = []
        for share in SHARES:
            rest = order[round(share * len(order)) :]
            cells.append(f"{1 - off[rest].sum() / len(order):.3f} / {1 - true[rest].sum() / len(order):.3f}")
        lines.append([name, *cells])
    body = table(["expected / true cosine", *(f"{share:.0%} encoded anew" for share in SHARES)], lines)
    write(RESULTS, "The cosine that a gallery expects, and the true one", "python -m benchmarks.upgrade.expected", body)


if __name__ == "__main__":
    main()
