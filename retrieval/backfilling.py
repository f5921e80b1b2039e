"""Encoding stored items anew in the background, the least surely mapped first, so that each batch helps most."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval.checksums import id_hashes
from retrieval.encoding import unit_rows
from retrieval.errors import UpgradeError
from retrieval.payload import load
from retrieval.rows import Model
from retrieval.schema import translated
from retrieval.snapshot import Record, Snapshot
from retrieval.store import Store
from retrieval.turns import Order, in_turn, still_waiting
from retrieval.upgrade_status import FARTHEST, Quality, lacking

Encode = Callable[[list[Any]], Any]
"""(payloads or ids) -> (n, dim) vectors of the new model."""

_MESSAGE = 500


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
        queue = in_turn(snapshot, model, order, seed, None if retry_failed else attempts)
        quality = Quality.of(snapshot)
    waiting = len(queue)
    queue = queue[: len(queue) if budget is None else budget]
    encoded = skipped = 0
    failed: dict[str, str] = {}
    started = time.monotonic()
    for start in range(0, len(queue), batch_size):
        with store.snapshot() as snapshot:
            records = still_waiting(snapshot, model, queue[start : start + batch_size])
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
        left = lacking(snapshot, model)
    return Backfill(encoded, failed, skipped, left, time.monotonic() - started, quality.expected_cosine, False)


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
    return 0.0 if row is None else min(float(row[0]), FARTHEST)
