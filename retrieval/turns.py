"""In which order a backfill takes the items that have no vector of the model in use."""

from __future__ import annotations

from enum import Enum

import numpy as np
from numpy.typing import NDArray

from retrieval.carrying import load_upgrade, mapped
from retrieval.lineage import REWRITES
from retrieval.rows import Model
from retrieval.schema import translated
from retrieval.snapshot import Record, Snapshot


class Order(str, Enum):
    """Which items are encoded first."""

    UNCERTAIN = "uncertain"
    RANDOM = "random"
    INSERTION = "insertion"


def in_turn(snapshot: Snapshot, model: Model, order: Order, seed: int, attempts: int | None) -> NDArray[np.int64]:
    """Items without a vector of the model, in the order of their turn; those that failed too often left out."""
    lineage = snapshot.lineage
    mapped_models = [one.model for one in lineage.mappings if one.space == model.model] or [-1]
    marks = ", ".join(map(str, mapped_models))
    failures = "" if attempts is None else f"AND coalesce(f.attempts, 0) < {int(attempts)}"
    with translated(snapshot.folder):
        rows = snapshot.connection.execute(
            f"""SELECT r.item, max(u.spread) FROM records AS r
            LEFT JOIN placements AS p ON p.model = ? AND p.item = r.item
            LEFT JOIN uncertainty AS u ON u.item = r.item AND u.model IN ({marks})
            LEFT JOIN failures AS f ON f.model = ? AND f.item = r.item
            WHERE p.slot IS NULL {failures} GROUP BY r.item ORDER BY r.item""",
            (model.model, model.model),
        ).fetchall()
    items = np.array([row[0] for row in rows], dtype=np.int64)
    if order is Order.INSERTION or not len(items):
        return items
    if order is Order.RANDOM:
        return items[np.random.default_rng(seed).permutation(len(items))]
    spread = np.array([np.nan if row[1] is None else row[1] for row in rows])
    if np.isnan(spread).all():
        spread = _surprise(snapshot, items)
    # An item that nothing is known of may not be found at all: it goes first.
    spread[np.isnan(spread)] = np.inf
    return items[np.argsort(-spread, kind="stable")]


def _surprise(snapshot: Snapshot, items: NDArray[np.int64]) -> NDArray[np.float64]:
    """How unlike the upgrade's pairs the old vectors of items are, where only queries are mapped; NaN if unknown."""
    spread = np.full(len(items), np.nan)
    step = snapshot.lineage.last
    if step is None or step.kind in REWRITES:
        return spread
    upgrade = load_upgrade(snapshot, step.upgrade, step.digest)
    there, slots = snapshot.placements(step.old)
    place = np.full(snapshot.state.next_item, -1, dtype=np.int64)
    place[items] = np.arange(len(items))
    done = 0
    for start, rows in snapshot.blocks(snapshot.models[step.old]):
        stop = int(np.searchsorted(slots, start + len(rows)))
        if stop > done:
            where = place[there[done:stop]]
            made = mapped(upgrade, rows[slots[done:stop] - start])
            spread[where[where >= 0]] = made.spread[where >= 0]
        done = stop
    return spread


def still_waiting(snapshot: Snapshot, model: Model, items: NDArray[np.int64]) -> list[Record]:
    """The records of those items that are there and have no vector of the model."""
    kept = []
    with translated(snapshot.folder):
        for item in items.tolist():
            there = snapshot.connection.execute("SELECT 1 FROM records WHERE item = ?", (item,)).fetchone()
            placed = snapshot.connection.execute(
                "SELECT 1 FROM placements WHERE model = ? AND item = ?", (model.model, item)
            ).fetchone()
            if there and not placed:
                kept.append(item)
    found = snapshot.records(kept)
    return [found[item] for item in kept]
