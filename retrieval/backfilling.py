"""Encoding stored items anew in the background, the least surely mapped first, so that each batch helps most."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval.carrying import load_upgrade, mapped
from retrieval.checksums import id_hashes
from retrieval.encoding import unit_rows
from retrieval.errors import UpgradeError
from retrieval.lineage import REWRITES, dropped_key
from retrieval.markup import html_facts
from retrieval.payload import load
from retrieval.rows import Model
from retrieval.schema import translated
from retrieval.snapshot import Record, Snapshot
from retrieval.store import Store

Encode = Callable[[list[Any]], Any]
"""(payloads or ids) -> (n, dim) vectors of the new model."""

_MESSAGE = 500
# Squared distance of unit vectors that have nothing in common.
_FARTHEST = 2.0


class Order(str, Enum):
    """Which items are encoded first."""

    UNCERTAIN = "uncertain"
    RANDOM = "random"
    INSERTION = "insertion"


@dataclass(frozen=True)
class UpgradeStatus:
    """How far a gallery is on its way to the model that searches use.

    Attributes
    ----------
    model : str
        The model that searches use.
    upgrades : tuple of str
        "v1 → v2 (gallery, applied)", in the order of their making.
    encoded, waiting, failed : int
        Items with a vector that the model made; items without; items, among those, that failed too often.
    by_origin : dict of str to int
        Items that searches find, by the model that made the vector which stands for them.
    expected_cosine : float or None
        Mean over all items of the cosine between the vector that stands for an item and the one that the model would
        make: 1 for encoded ones, 1 − spread / 2 for mapped ones. None where vectors are not rewritten.
    can_roll_back : bool
    """

    model: str
    upgrades: tuple[str, ...]
    encoded: int
    waiting: int
    failed: int
    by_origin: dict[str, int]
    expected_cosine: float | None
    can_roll_back: bool

    def _repr_html_(self) -> str:
        cosine = "not known" if self.expected_cosine is None else f"{self.expected_cosine:.3f}"
        facts = {
            **vars(self),
            "upgrades": "; ".join(self.upgrades) or "none",
            "expected_cosine": cosine,
            "can_roll_back": "yes" if self.can_roll_back else "no",
        }
        return html_facts(facts)


@dataclass(frozen=True)
class Backfill:
    """What a backfill did.

    Attributes
    ----------
    encoded : int
        Items that got a vector of the new model.
    failed : dict of str to str
        Error by id, of the items that failed.
    skipped : int
        Items that were changed or deleted while they were being encoded; the changed ones wait.
    waiting : int
        Items that still have no vector of the new model, failed ones included.
    seconds : float
    expected_cosine : float or None
        As `UpgradeStatus.expected_cosine`, at the end.
    stopped : bool
        Whether `on_batch` asked to pause.
    """

    encoded: int
    failed: dict[str, str]
    skipped: int
    waiting: int
    seconds: float
    expected_cosine: float | None
    stopped: bool


@dataclass(frozen=True)
class BackfillProgress:
    """What `on_batch` gets after each batch; fields as `Backfill`, of the call so far."""

    encoded: int
    failed: int
    waiting: int
    items_per_second: float
    expected_cosine: float | None


@dataclass(frozen=True)
class Quality:
    """How near the vectors that searches use are to those that the model would make.

    Attributes
    ----------
    items : int
    unknown : int
        Items of which nothing is known: those that only a query map reaches.
    spread : float
        Sum of the mapped vectors' spread, the expected squared distance from the model's own.
    """

    items: int
    unknown: int
    spread: float

    @classmethod
    def of(cls, snapshot: Snapshot) -> Quality:
        """Read from the store; O(mapped vectors)."""
        model = snapshot.active
        # Of other kinds of map the spread is a rank, not a distance.
        local = {step.upgrade for step in snapshot.lineage.steps if step.kind == "gallery"}
        marks = ", ".join(
            str(one.model)
            for one in snapshot.lineage.mappings
            if one.space == model.model and local.issuperset(one.via)
        )
        with translated(snapshot.folder):
            n, total = snapshot.connection.execute(
                f"SELECT count(*), coalesce(sum(min(spread, {_FARTHEST})), 0) FROM uncertainty WHERE model IN ({marks})"
            ).fetchone()
        return cls(snapshot.state.items, snapshot.state.items - model.count - n, float(total))

    def after(self, encoded: int, gained: float) -> Quality:
        """Once more items were encoded, whose mapped vectors had `gained` of spread."""
        return Quality(self.items, max(0, self.unknown - encoded) if not gained else self.unknown, self.spread - gained)

    @property
    def expected_cosine(self) -> float | None:
        """See `UpgradeStatus.expected_cosine`."""
        if self.unknown > 0 or not self.items:
            return None
        # |a - b|² = 2 - 2 cos for unit vectors.
        return 1.0 - self.spread / (2 * self.items)


def backfill(
    store: Store,
    encode: Encode,
    *,
    budget: int | None,
    order: Order,
    batch_size: int,
    rate: float | None,
    attempts: int,
    retry_failed: bool,
    seed: int,
    by_id: bool,
    on_batch: Callable[[BackfillProgress], object] | None,
) -> Backfill:
    """Encode items that have no vector of the model in use; parameters and errors as `Gallery.backfill`."""

    def asked(records: list[Record]) -> Any:
        return encode([one.id if by_id else load(one.codec, one.payload) for one in records])

    with store.snapshot() as snapshot:
        model = snapshot.active
        queue = _queue(snapshot, model, order, seed, None if retry_failed else attempts)
        quality = Quality.of(snapshot)
    waiting = len(queue)
    queue = queue[: len(queue) if budget is None else budget]
    encoded = skipped = 0
    failed: dict[str, str] = {}
    started = time.monotonic()
    for start in range(0, len(queue), batch_size):
        with store.snapshot() as snapshot:
            records = _still_waiting(snapshot, model, queue[start : start + batch_size])
        vectors, errors = _encoded(asked, records, model, attempts)
        done, gained = _stored(store, model, vectors, errors, attempts)
        quality = quality.after(done, gained)
        encoded += done
        skipped += len(vectors) - done + min(batch_size, len(queue) - start) - len(records)
        failed |= {record.id: text for record, text in errors}
        passed = time.monotonic() - started
        if on_batch is not None:
            speed = encoded / max(passed, 1e-9)
            tell = BackfillProgress(encoded, len(failed), waiting - encoded, speed, quality.expected_cosine)
            if on_batch(tell) is False:
                return Backfill(encoded, failed, skipped, waiting - encoded, passed, quality.expected_cosine, True)
        if rate is not None:
            time.sleep(max(0.0, (start + batch_size) / rate - passed))
    with store.snapshot() as snapshot:
        left = _lacking(snapshot, model)
    return Backfill(encoded, failed, skipped, left, time.monotonic() - started, quality.expected_cosine, False)


def _queue(snapshot: Snapshot, model: Model, order: Order, seed: int, attempts: int | None) -> NDArray[np.int64]:
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


def _still_waiting(snapshot: Snapshot, model: Model, items: NDArray[np.int64]) -> list[Record]:
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


def _encoded(
    encode: Callable[[list[Record]], Any], records: list[Record], model: Model, attempts: int
) -> tuple[list[tuple[Record, NDArray[np.float32]]], list[tuple[Record, str]]]:
    """(record, vector) pairs of what encodes, and (record, error) pairs of what does not.

    A batch that fails is tried again record by record, and a record `attempts` times.
    """
    if not records:
        return [], []
    try:
        return list(zip(records, _vectors(encode, records, model), strict=True)), []
    except Exception as error:  # noqa: BLE001 - whatever the user's encoder raises
        if len(records) == 1 and attempts <= 1:
            return [], [(records[0], _text(error))]
    vectors: list[tuple[Record, NDArray[np.float32]]] = []
    errors: list[tuple[Record, str]] = []
    for record in records:
        for attempt in range(attempts):
            try:
                vectors.append((record, _vectors(encode, [record], model)[0]))
                break
            except Exception as error:  # noqa: BLE001 - as above
                if attempt + 1 == attempts:
                    errors.append((record, _text(error)))
    return vectors, errors


def _vectors(encode: Callable[[list[Record]], Any], records: list[Record], model: Model) -> NDArray[np.float32]:
    X = unit_rows(encode(records), model.dim)
    if len(X) != len(records):
        raise ValueError(f"the encoder made {len(X)} vectors of {len(records)} records")
    return X


def _text(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:_MESSAGE]


def _stored(
    store: Store,
    model: Model,
    vectors: list[tuple[Record, NDArray[np.float32]]],
    errors: list[tuple[Record, str]],
    attempts: int,
) -> tuple[int, float]:
    """Write a batch in one transaction: (items that got a vector, what their mapped vectors had of spread)."""
    gained = 0.0
    with store.write() as writer, translated(store.folder):
        if writer.state.active != model.model:
            raise UpgradeError(
                f"{store.folder}: searches were switched to {writer.active.name!r}; the backfill stopped"
            )
        snapshot = Snapshot(store.folder, writer.connection)
        fresh = []
        for record, x in vectors:
            there = writer.connection.execute(
                "SELECT codec, payload FROM records WHERE item = ? AND id = ?", (record.item, record.id)
            ).fetchone()
            placed = writer.connection.execute(
                "SELECT 1 FROM placements WHERE model = ? AND item = ?", (model.model, record.item)
            ).fetchone()
            if there == (record.codec, record.payload) and not placed:
                fresh.append((record, x))
        if fresh:
            items = np.array([record.item for record, _ in fresh], dtype=np.int64)
            hashes = id_hashes(items, [record.id for record, _ in fresh])
            for mapping in snapshot.lineage.mappings:
                if mapping.space == model.model:
                    gained += sum(_spread(snapshot, mapping.model, item) for item in items.tolist())
                    writer.displace(mapping.model, items, hashes)
            writer.place(model.model, items, hashes, np.stack([x for _, x in fresh]))
        writer.connection.executemany(
            "DELETE FROM failures WHERE model = ? AND item = ?", [(model.model, record.item) for record, _ in fresh]
        )
        writer.connection.executemany(
            "INSERT INTO failures VALUES (?, ?, ?, ?) ON CONFLICT (model, item) DO UPDATE SET "
            "attempts = attempts + excluded.attempts, error = excluded.error",
            [(model.model, record.item, attempts, text) for record, text in errors],
        )
        if errors:
            writer.touch()
    return len(fresh), gained


def _spread(snapshot: Snapshot, model: int, item: int) -> float:
    row = snapshot.connection.execute(
        "SELECT spread FROM uncertainty WHERE model = ? AND item = ?", (model, item)
    ).fetchone()
    return 0.0 if row is None else min(float(row[0]), _FARTHEST)


def _lacking(snapshot: Snapshot, model: Model) -> int:
    return snapshot.state.items - snapshot.models[model.model].count


def failures(snapshot: Snapshot) -> Iterator[tuple[str, str]]:
    """(id, error) of the items that failed in a backfill to the model in use and have no vector of it yet."""
    with translated(snapshot.folder):
        yield from snapshot.connection.execute(
            "SELECT r.id, f.error FROM failures AS f JOIN records AS r ON r.item = f.item WHERE f.model = ? AND NOT "
            "EXISTS (SELECT 1 FROM placements AS p WHERE p.model = f.model AND p.item = f.item) ORDER BY f.item",
            (snapshot.state.active,),
        )


def status(snapshot: Snapshot) -> UpgradeStatus:
    """How far the gallery is on its way to the model in use."""
    lineage, models = snapshot.lineage, snapshot.models
    active = snapshot.active
    by_origin = {active.name: active.count}
    for one in lineage.mappings:
        if one.space == active.model and models[one.model].count:
            name = models[one.origin].name
            by_origin[name] = by_origin.get(name, 0) + models[one.model].count
    rest = snapshot.state.items - sum(by_origin.values())
    behind = [leg for leg in lineage.legs(active.model) if leg.roads and leg.roads[0][1]]
    if rest and behind:
        by_origin[models[behind[0].origin].name] = rest
    last = lineage.last
    return UpgradeStatus(
        model=active.name,
        upgrades=tuple(
            f"{models[step.old].name} → {models[step.new].name} ({step.kind}, {step.state})" for step in lineage.steps
        ),
        encoded=active.count,
        waiting=_lacking(snapshot, active),
        failed=sum(1 for _ in failures(snapshot)),
        by_origin=by_origin,
        expected_cosine=Quality.of(snapshot).expected_cosine,
        can_roll_back=last is not None and snapshot.setting(dropped_key(last.before)) is None,
    )
