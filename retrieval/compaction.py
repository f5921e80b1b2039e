"""Giving back the space of deleted and replaced items."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from retrieval import blocks, segments
from retrieval.checksums import added, id_hashes, placement_hashes, removed
from retrieval.errors import UpgradeError
from retrieval.lineage import dropped_key
from retrieval.rows import Model
from retrieval.schema import damaged, database, translated
from retrieval.snapshot import Snapshot, model_of
from retrieval.store import Store
from retrieval.writing import Writer


@dataclass(frozen=True)
class Compaction:
    """What a compaction did: bytes of the file and its log before and after."""

    before: int
    after: int


def compact(store: Store, drop: str | None = None) -> Compaction:
    """Rewrite blocks of vectors that hold dead rows or are small, forget tombstones, and shrink the file.

    `drop` names a model whose vectors go as well; parameters and errors as `Gallery.compact`.

    Notes
    -----
    One transaction, then SQLite's VACUUM, which needs as much free disk as the file has. Memory for one block, the
    slots of one model (8 bytes a vector) and SQLite's cache. Other writers wait, readers go on.
    """
    before = _size(store)
    with store.write() as writer, translated(store.folder):
        writer.settle()
        if drop is not None:
            _drop(writer, drop)
        for model in list(writer.models.values()):
            _rewrite_blocks(writer, model)
        _move_blocks(writer)
        _forget_tombstones(writer)
    store.shrink()
    return Compaction(before, _size(store))


def _drop(writer: Writer, name: str) -> None:
    """Take the vectors of a model that was left, none of which may be the only one that searches have of an item."""
    snapshot = Snapshot(writer.folder, writer.connection)
    model = model_of(snapshot, name)
    active = snapshot.active
    if model.model == active.model:
        raise UpgradeError(f"{writer.folder}: searches use {name!r}; its vectors cannot be dropped")
    stand_ins = [active.model, *(one.model for one in snapshot.lineage.mappings if one.space == active.model)]
    (needed,) = writer.connection.execute(
        "SELECT count(*) FROM placements AS p WHERE p.model = ? AND NOT EXISTS (SELECT 1 FROM placements AS q "
        f"WHERE q.item = p.item AND q.model IN ({', '.join(map(str, stand_ins))}))",
        (model.model,),
    ).fetchone()
    if needed:
        raise UpgradeError(
            f"{writer.folder}: {needed} items have no other vector than that of {name!r} to be found by; "
            f"backfill them first"
        )
    if model.count:
        writer.set(dropped_key(model.model), str(model.count))
        writer.clear(model.model)


def _size(store: Store) -> int:
    file = database(store.folder)
    log = file.with_name(file.name + "-wal")
    return segments.size(store.folder) + file.stat().st_size + (log.stat().st_size if log.exists() else 0)


def _rewrite_blocks(writer: Writer, model: Model) -> None:
    """Copy the live rows of blocks that are not full of them into new blocks, and drop the old ones."""
    full = max(1, blocks.BYTES // model.row_bytes)
    waiting: list[tuple[int, NDArray[np.int64]]] = []
    rows = 0
    for first, n, slots in _live_rows(writer, model):
        if len(slots) == n and 2 * n > full:
            continue
        waiting.append((first, slots))
        rows += len(slots)
        if rows >= full:
            _merge(writer, model, waiting)
            waiting, rows = [], 0
    # A single block without dead rows has nothing to be merged with.
    if len(waiting) > 1 or (waiting and len(waiting[0][1]) != _rows_in(writer, waiting[0][0])):
        _merge(writer, model, waiting)


def _live_rows(writer: Writer, model: Model) -> Iterator[tuple[int, int, NDArray[np.int64]]]:
    """(first slot, rows, live slots) of each block, by rising slot."""
    there = writer.connection.execute(
        "SELECT first, n FROM blocks WHERE model = ? ORDER BY first", (model.model,)
    ).fetchall()
    slots = writer.connection.execute(
        "SELECT slot FROM placements WHERE model = ? ORDER BY slot", (model.model,)
    ).fetchall()
    alive = np.array(slots, dtype=np.int64).reshape(-1)
    done = 0
    for first, n in there:
        if not blocks.believable(n, model):
            break
        start, stop = np.searchsorted(alive, (first, first + n))
        if start != done:
            break
        done = stop
        yield first, n, alive[start:stop]
    # Nothing may be given up for dead that was only lost sight of.
    if done != len(alive):
        raise damaged(writer.folder, f"{len(alive) - done} vectors of model {model.name!r} are missing")


def _rows_in(writer: Writer, first: int) -> int:
    (n,) = writer.connection.execute("SELECT n FROM blocks WHERE first = ?", (first,)).fetchone()
    return int(n)


def _merge(writer: Writer, model: Model, small: list[tuple[int, NDArray[np.int64]]]) -> None:
    """Replace some blocks by new ones that hold their live rows, bit for bit."""
    kept: list[bytes] = []
    for first, slots in small:
        data = blocks.one(writer.folder, writer.connection, model, first)
        rows = np.frombuffer(data, dtype=np.uint8).reshape(-1, model.row_bytes)
        kept.append(rows[slots - first].tobytes())
        writer.blocks.drop(first)
    _renumber(writer, model, np.concatenate([slots for _, slots in small]), b"".join(kept))
    writer.mark_renumbered()


def _move_blocks(writer: Writer) -> None:
    """Move the blocks of files that also hold what was given up, and of small files, into new ones; slots stay."""
    held: dict[str, list[tuple[Model, int, int]]] = {}
    for name, first, number, n in writer.connection.execute(
        "SELECT file, first, model, n FROM blocks WHERE file IS NOT NULL ORDER BY first"
    ):
        if number not in writer.models or not blocks.believable(n, writer.models[number]):
            raise damaged(writer.folder, f"the block of slot {first}")
        held.setdefault(name, []).append((writer.models[number], first, n))
    sizes = {file.name: file.stat().st_size for file in segments.files(writer.folder) if file.name in held}
    for name in held:
        if name not in sizes:
            raise damaged(writer.folder, f"the file of vectors {name!r} is missing")
    small = {name for name, size in sizes.items() if size < segments.SMALL}
    for name, size in sizes.items():
        full = sum(n * model.row_bytes for model, _, n in held[name]) == size
        if full and (name not in small or len(small) == 1):
            continue
        for model, first, _ in held[name]:
            writer.blocks.move(model, first)
        writer.touch()


def _renumber(writer: Writer, model: Model, old: NDArray[np.int64], data: bytes) -> None:
    """Give the rows in `data`, placed in slots `old` so far, new slots in new blocks."""
    if not len(old):
        return
    places = [
        writer.connection.execute(
            "SELECT p.item, r.id FROM placements p JOIN records r ON r.item = p.item WHERE p.model = ? AND p.slot = ?",
            (model.model, slot),
        ).fetchone()
        for slot in old.tolist()
    ]
    if any(place is None for place in places):
        raise damaged(writer.folder, "a vector belongs to a record that is missing")
    items = np.array([place[0] for place in places], dtype=np.int64)
    hashes = id_hashes(items, [place[1] for place in places])
    new = np.arange(writer.state.next_slot, writer.state.next_slot + len(old), dtype=np.int64)
    writer.insert_blocks(model, data)
    writer.connection.executemany(
        "UPDATE placements SET slot = ? WHERE model = ? AND item = ?",
        [(slot, model.model, item) for slot, item in zip(new.tolist(), items.tolist(), strict=True)],
    )
    current = writer.models[model.model]
    digest = removed(current.digest, placement_hashes(hashes, old))
    writer.models[model.model] = replace(current, digest=added(digest, placement_hashes(hashes, new)))


def _forget_tombstones(writer: Writer) -> None:
    (count,) = writer.connection.execute("SELECT count(*) FROM tombstones").fetchone()
    if count:
        writer.connection.execute("DELETE FROM tombstones")
        writer.mark_renumbered()
