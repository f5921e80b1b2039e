"""Old vectors into a new model's space, a batch at a time: what is left to map, mapping it, storing it."""

from __future__ import annotations

import hashlib
import tempfile
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from retrieval.checksums import id_hashes
from retrieval.errors import ModelMismatchError
from retrieval.lineage import Lineage, Mapping
from retrieval.rows import Model
from retrieval.schema import damaged, translated
from retrieval.snapshot import Snapshot
from retrieval.writing import Writer

if TYPE_CHECKING:
    from retrieval.compat.correction import Mapped
    from retrieval.upgrade import Upgrade

_PART_BYTES = 1 << 20
# From so many pairs on, neighbours are sought in cells: a comparison with all of them would take hours a million rows.
_MANY_PAIRS = 4096
_REMEMBERED = 8


class Batch(NamedTuple):
    """Vectors on their way into another space.

    Attributes
    ----------
    items, slots : (n,) int64
        Whose they are, and where they were read.
    ids : list of str, length n
    X : (n, dim) float32
    """

    items: NDArray[np.int64]
    slots: NDArray[np.int64]
    ids: list[str]
    X: NDArray[np.float32]


def source_of(lineage: Lineage, mapping: Mapping) -> int:
    """The model whose stored rows a mapping starts from: the origin's own, or those mapped by an earlier upgrade."""
    between = lineage.step(mapping.via[-1]).old
    if len(mapping.via) == 1:
        return mapping.origin
    source = lineage.mapping(mapping.origin, between)
    return mapping.origin if source is None else source.model


class Carrier:
    """Batches of the rows that a mapping lacks.

    Rows that have a vector of the space itself, or one mapped from a newer model, need no mapping.
    """

    def __init__(self, mapping: Mapping, upgrade: Upgrade, rows: int) -> None:
        self.mapping = mapping
        self._upgrade = upgrade
        self._rows = rows
        self._after = 0

    def again(self) -> None:
        """Begin with the first row again, to find what was written behind our back."""
        self._after = 0

    def next(self, snapshot: Snapshot) -> Batch | None:
        """The next rows without a mapped vector, at most as many as are mapped at a time; None at the end."""
        source = snapshot.models[source_of(snapshot.lineage, self.mapping)]
        items, slots = self._lacking(snapshot, source.model)
        if not len(items):
            return None
        items, slots = items[: self._rows], slots[: self._rows]
        records = _names(snapshot, items)
        X = np.empty((len(items), source.dim), dtype=np.float32)
        done = 0
        first = _block_of(snapshot, source.model, int(slots[0]))
        for start, rows in snapshot.blocks(source, first):
            stop = int(np.searchsorted(slots, start + len(rows)))
            X[done:stop] = rows[slots[done:stop] - start]
            done = stop
            if done == len(slots):
                break
        if done != len(slots):
            raise damaged(snapshot.folder, f"{len(slots) - done} vectors of model {source.name!r} are missing")
        self._after = int(slots[-1])
        return Batch(items, slots, records, X)

    def _lacking(self, snapshot: Snapshot, source: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        mapping = self.mapping
        covered = [mapping.model, mapping.space]
        covered += [
            one.model for one in snapshot.lineage.mappings if one.space == mapping.space and one.origin > mapping.origin
        ]
        without = " ".join(
            f"AND NOT EXISTS (SELECT 1 FROM placements AS p WHERE p.model = {model} AND p.item = placements.item)"
            for model in covered
        )
        with translated(snapshot.folder):
            pairs = snapshot.connection.execute(
                f"SELECT item, slot FROM placements WHERE model = ? AND slot > ? {without} ORDER BY slot LIMIT ?",
                (source, self._after, self._rows),
            ).fetchall()
        table = np.array(pairs, dtype=np.int64).reshape(-1, 2)
        return table[:, 0], table[:, 1]

    def mapped(self, batch: Batch) -> Mapped:
        """The batch in the space of the mapping."""
        return mapped(self._upgrade, batch.X)

    def store(self, writer: Writer, batch: Batch, made: Mapped) -> int:
        """Write what was mapped, but for rows that changed meanwhile; how many were written."""
        snapshot = Snapshot(writer.folder, writer.connection)
        source = source_of(snapshot.lineage, self.mapping)
        fresh = np.array(
            [
                _slot(writer, source, item) == slot and _slot(writer, self.mapping.model, item) is None
                for item, slot in zip(batch.items.tolist(), batch.slots.tolist(), strict=True)
            ],
            dtype=bool,
        )
        if not fresh.any():
            return 0
        items = batch.items[fresh]
        names = [name for name, kept in zip(batch.ids, fresh.tolist(), strict=True) if kept]
        writer.place(self.mapping.model, items, id_hashes(items, names), made.vectors[fresh])
        remember_uncertainty(writer, self.mapping.model, items, made, fresh)
        return len(items)


def carry_new(writer: Writer, model: Model, items: NDArray[np.int64], names: list[str], X: NDArray[np.float32]) -> None:
    """Map vectors that an older model made into the space that searches use, where an upgrade rewrites vectors.

    Raises
    ------
    ModelMismatchError
        If no upgrade leads from that model to the one in use.
    """
    from retrieval.compat.correction import Mapped

    snapshot = Snapshot(writer.folder, writer.connection)
    legs = snapshot.lineage.legs(writer.state.active)
    if all(leg.origin != model.model for leg in legs):
        raise ModelMismatchError(
            f"searches use {writer.active.name!r}, and no upgrade leads there from {model.name!r}; nothing was added"
        )
    mapping = snapshot.lineage.mapping(model.model, writer.state.active)
    if mapping is None:
        return
    made = Mapped(X, np.ones(len(X)), np.zeros(len(X)))
    for number in mapping.via:
        step = mapped(load_upgrade(snapshot, number, snapshot.lineage.step(number).digest), made.vectors)
        made = Mapped(step.vectors, np.minimum(made.support, step.support), made.spread + step.spread)
    writer.place(mapping.model, items, id_hashes(items, names), made.vectors)
    remember_uncertainty(writer, mapping.model, items, made, np.ones(len(items), dtype=bool))


def mapped(upgrade: Upgrade, X: NDArray[np.float32]) -> Mapped:
    """Old vectors in the new space; through cells where the pairs are many."""
    anchors = max((len(step.anchors) for step in upgrade.steps if hasattr(step, "anchors")), default=0)
    return upgrade.map_gallery(X, neighbours="cells" if anchors > _MANY_PAIRS else "exact")


def remember_uncertainty(
    writer: Writer, model: int, items: NDArray[np.int64], made: Mapped, rows: NDArray[np.bool_]
) -> None:
    """Keep how sure mapped rows are; it decides the order of a backfill, and nothing else."""
    writer.connection.executemany(
        f"INSERT OR REPLACE INTO uncertainty VALUES ({model}, ?, ?, ?)",
        zip(items.tolist(), made.spread[rows].tolist(), made.support[rows].tolist(), strict=True),
    )


def _slot(writer: Writer, model: int, item: int) -> int | None:
    row = writer.connection.execute(
        "SELECT slot FROM placements WHERE model = ? AND item = ?", (model, item)
    ).fetchone()
    return None if row is None else int(row[0])


def _block_of(snapshot: Snapshot, model: int, slot: int) -> int:
    """First slot of the block that holds a slot."""
    with translated(snapshot.folder):
        (first,) = snapshot.connection.execute(
            "SELECT max(first) FROM blocks WHERE first <= ? AND model = ?", (slot, model)
        ).fetchone()
    if first is None:
        raise damaged(snapshot.folder, f"the block of slot {slot} is missing")
    return int(first)


def _names(snapshot: Snapshot, items: NDArray[np.int64]) -> list[str]:
    """Ids of items; checked later, when the digests that they go into are compared."""
    names: list[str] = []
    with translated(snapshot.folder):
        for item in items.tolist():
            row = snapshot.connection.execute("SELECT id FROM records WHERE item = ?", (item,)).fetchone()
            if row is None:
                raise damaged(snapshot.folder, f"the record of item {item} is missing")
            names.append(row[0])
    return names


def saved_upgrade(upgrade: Upgrade) -> bytes:
    """An upgrade as the bytes of its file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "upgrade"
        upgrade.save(path)
        return path.read_bytes()


def digest_of(data: bytes) -> str:
    """SHA-256 of a saved upgrade."""
    return hashlib.sha256(data).hexdigest()


def keep_upgrade(writer: Writer, number: int, data: bytes) -> None:
    """Store the bytes of an upgrade, in parts of a megabyte."""
    writer.connection.executemany(
        "INSERT INTO upgrade_parts VALUES (?, ?, ?)",
        [(number, part, data[at : at + _PART_BYTES]) for part, at in enumerate(range(0, len(data), _PART_BYTES))],
    )


class Upgrades:
    """The upgrades that a gallery keeps, loaded when first asked for."""

    def __init__(self) -> None:
        self._loaded: OrderedDict[str, Upgrade] = OrderedDict()

    def get(self, snapshot: Snapshot, number: int) -> Upgrade:
        """An upgrade by its number.

        Raises
        ------
        DamagedGalleryError
            If its bytes do not match their SHA-256.
        """
        digest = snapshot.lineage.step(number).digest
        known = self._loaded.get(digest)
        if known is None:
            known = self._loaded[digest] = load_upgrade(snapshot, number, digest)
            while len(self._loaded) > _REMEMBERED:
                self._loaded.popitem(last=False)
        return known


def load_upgrade(snapshot: Snapshot, number: int, digest: str) -> Upgrade:
    """Read an upgrade from the store; raises DamagedGalleryError if its bytes were altered."""
    # SciPy, which the maps bring, is not for galleries that were never upgraded.
    from retrieval.upgrade import Upgrade

    with translated(snapshot.folder):
        parts = snapshot.connection.execute(
            "SELECT data FROM upgrade_parts WHERE upgrade = ? ORDER BY part", (number,)
        ).fetchall()
    data = b"".join(part[0] for part in parts if isinstance(part[0], bytes))
    if digest_of(data) != digest:
        raise damaged(snapshot.folder, f"the saved upgrade {number} does not match its SHA-256")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "upgrade"
        path.write_bytes(data)
        return Upgrade.load(path)
