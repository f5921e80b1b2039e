"""A seventh set of upgrades that no rule of the report was made on: drawn by lot, neither easy nor hard on purpose.

How many are of each kind that a report must tell apart is set below; everything else is drawn by one seeded generator:
the data set, both models and their dims, the gallery's size, the number of pairs (log-uniform from 150 to all there
are), classes for three in ten. Models of a data set stand in the order in which teams take them up, hashed words
first and trained heads last; of two that are drawn the earlier one is the old model, and in a downgrade the new one.
Needs what `benchmarks.upgrade.fourth` needs, and PyTorch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from benchmarks.compat.table import Array, unit
from benchmarks.upgrade.fifth import parts
from benchmarks.upgrade.scenarios import Codes, Scenario, Views, views
from benchmarks.upgrade.sources import MOST_ITEMS, SOURCES, Source
from benchmarks.upgrade.third import Split

_SEED = 211
KINDS = {
    "upgrade": 16,
    "downgrade": 5,
    "open classes": 6,
    "pairs shuffled": 4,
    "too few pairs": 3,
    "identical": 2,
    "turned": 4,
}
_LEAST_PAIRS, _LEAST_GALLERY, _LABELLED = 150, 400, 0.3
# Of a data set, so much is left to draw pairs from.
_PAIRED = 0.6


def seventh() -> Iterator[Scenario]:
    """All of them; each is drawn by a generator of its own, so that none hangs on how the others were made."""
    return (drawn(kind, _SEED, number, number) for number, kind in enumerate(listed(KINDS)))


def listed(kinds: Mapping[str, int]) -> list[str]:
    """Each kind as often as it is wanted."""
    return [kind for kind, n in kinds.items() for _ in range(n)]


def drawn(kind: str, seed: int, number: int, models: int) -> Scenario:
    """An upgrade of a kind; `models` seeds its models and the split of its data set."""
    rng = np.random.default_rng([seed, number])
    source = SOURCES[rng.integers(len(SOURCES))]()
    while kind == "open classes" and source.size > 1:
        # An item and its match are all there is of such a class.
        source = SOURCES[rng.integers(len(SOURCES))]()
    return _drawn(source, kind, rng, models)


def _drawn(source: Source, kind: str, rng: np.random.Generator, seed: int) -> Scenario:
    n_pairs = round(_PAIRED * min(len(source.codes), MOST_ITEMS)) // source.size * source.size
    split = parts(len(source.codes), n_pairs, source.size, seed)
    name, (old, new) = _models(source, kind, rng, split, seed)
    found = views(old, new, (source.codes[split[0]], source.codes[split[1]]))
    rows: Codes = np.arange(len(found.old))
    if kind == "turned":
        how, found = _turned(found, rng)
        name = f"{name} → {how}"
    if kind == "open classes":
        closed = rng.permutation(np.unique(source.codes))
        closed = closed[: round(rng.uniform(0.3, 0.8) * len(closed))]
        rows = rows[np.isin(found.classes, closed)]
        if others := rng.random() < 0.5:
            found = found.gallery_of(~np.isin(found.gallery_classes, closed))
        name += f", pairs of {len(closed)} classes, gallery of {'the others' if others else 'all'}"
    n_items = len(found.old_gallery)
    found = found.gallery_of(np.arange(n_items) < _between(rng, _LEAST_GALLERY, n_items))
    rows = rows[: _between(rng, *((20, 190) if kind == "too few pairs" else (_LEAST_PAIRS, len(rows))))]
    if kind == "pairs shuffled":
        share = 1.0 if rng.random() < 0.5 else rng.uniform(0.1, 0.5)
        off: Codes = np.arange(len(found.new))
        some = rng.permutation(len(rows))[: round(share * len(rows))]
        off[some] = np.roll(some, 1)
        found = replace(found, new=found.new[off])
        name += f", {share:.0%} of the pairs shuffled"
    labels = bool(rng.random() < _LABELLED)
    name += f", {len(rows):,} pairs{', with classes' if labels else ''}"
    return found.scenario(f"{kind}: {source.name}, {name}", rows, labels=labels)


def _models(
    source: Source, kind: str, rng: np.random.Generator, split: Split, seed: int
) -> tuple[str, tuple[tuple[Array, Array], tuple[Array, Array]]]:
    """Draw two models, or one for both sides; two of one name differ by their dims."""
    known = [(family, dim) for family, (dims, _) in enumerate(source.models.values()) for dim in dims]
    chosen = sorted(known[one] for one in rng.choice(len(known), 2, replace=False))
    if kind in ("identical", "turned"):
        chosen = [chosen[1]]
    if kind == "downgrade":
        chosen = chosen[::-1]
    names, sides = [], []
    for turn, (family, dim) in enumerate(chosen):
        name = list(source.models)[family]
        names.append(f"{name}-{dim}" if dim else name)
        sides.append(source.models[name][1](split, dim, 2 * seed + turn))
    return " → ".join(names), (sides[0], sides[-1])


def _turned(found: Views, rng: np.random.Generator) -> tuple[str, Views]:
    """Permute the dims, flip some, rotate, or rotate and leave out a part."""
    dim = found.new.shape[1]
    eye, turn = np.eye(dim, dtype=np.float32), np.linalg.qr(rng.standard_normal((dim, dim)))[0].astype(np.float32)
    short = round(dim * rng.uniform(0.2, 0.9))
    ways = {
        "dims permuted": eye[rng.permutation(dim)],
        "dims permuted and flipped": eye[rng.permutation(dim)] * rng.choice([-1.0, 1.0], dim).astype(np.float32),
        "rotated": turn,
        f"rotated, {short} dims of {dim} left": turn[:, :short],
    }
    how = list(ways)[rng.integers(len(ways))]
    return how, replace(found, new=unit(found.new @ ways[how]), new_gallery=unit(found.new_gallery @ ways[how]))


def _between(rng: np.random.Generator, low: int, high: int) -> int:
    """Log-uniform; the highest where nothing lies between."""
    return round(float(np.exp(rng.uniform(np.log(min(low, high)), np.log(high)))))
