"""`ItemMemory`: which values stand at which path, and how often, in bounded memory and whatever the order.

Decoding needs names for what it may find. Keeping the values met first, or those that a heap holds by chance, would
make the answers depend on the order of the records; so what is kept is a function of the set of records alone.

Each record has a *level*: the leading zero bits of a hash of its content, so that half of the records have level 1 or
more, a quarter level 2 or more. A path that holds too many distinct values raises its *shift* to the least that fits
and forgets the values that no record of that level held: it then knows a sample of 1 in 2**shift records. A value in
many records is nearly sure to be in the sample, a value in one record is kept by chance, as it should be.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from itertools import islice
from pathlib import Path as FilePath
from typing import Any

import numpy as np
import orjson

from vsa import state
from vsa.errors import EncoderStateError, InvalidRecordError
from vsa.leaves import Arrays, Node, Walker
from vsa.limits import Limits
from vsa.paths import format_path, parse_path
from vsa.places import Place

_RECORDS_AT_ONCE = 1000
_DEEPEST = 63


class ItemMemory:
    """The values of each path with their frequencies: what `vsa.JSONEncoder.decode` cleans up with.

    Give it to an encoder, which then learns what it encodes, or call `learn`. It never changes a vector.

    Parameters
    ----------
    max_items : int
        Most values in all, over all paths.
    max_per_path : int
        Most values at one path.
    max_paths : int
        Most paths; where documents use keys as data, a sample of the paths is kept.
    max_length : int
        Longest string kept, in characters; longer ones are counted but cannot be decoded.

    Attributes
    ----------
    records : int
        Records learned from.

    Notes
    -----
    What is kept depends on the multiset of records and the bounds alone, not on their order or batches, and the
    memories of two halves `merge` to the memory of the whole. Records of equal content have one level and stay or
    go together. Within a batch at most 1,000 records' values are held beyond the bounds. Learning costs about one more
    walk over the record.

    Examples
    --------
    >>> memory = ItemMemory().learn([{"town": "Bath"}, {"town": "Leeds"}, {"town": "Bath"}])
    >>> memory.items("town")
    [('Bath', 2), ('Leeds', 1)]
    """

    def __init__(
        self,
        max_items: int = 1 << 16,
        max_per_path: int = 4096,
        max_paths: int = 4096,
        max_length: int = 256,
    ) -> None:
        self.bounds = {
            "max_items": max_items,
            "max_per_path": max_per_path,
            "max_paths": max_paths,
            "max_length": max_length,
        }
        for name, value in self.bounds.items():
            if type(value) is not int or value < 1:
                raise ValueError(f"{name} must be a positive integer, got {value!r}")
        if max_paths > max_items:
            raise ValueError(f"max_paths must be at most max_items ({max_items}), got {max_paths}")
        self.records = 0
        self._places: dict[str, Place] = {}
        self._path_shift = 0
        self._halvings = 0

    def __repr__(self) -> str:
        return f"ItemMemory({len(self):,} values at {len(self._places):,} paths, {self.records:,} records)"

    def __len__(self) -> int:
        return sum(len(place.items) for place in self._places.values())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ItemMemory) and self._body() == other._body()

    __hash__ = None  # type: ignore[assignment]

    def paths(self) -> list[str]:
        """Paths known, in alphabetical order; members of arrays are one path, as in ``tags[]``."""
        return sorted(self._places)

    def items(self, path: str, k: int | None = None) -> list[tuple[Any, int]]:
        """Values at a path with the times they were seen, most frequent first, ties by hash.

        Parameters
        ----------
        path : str
            As `vsa.JSONEncoder.decode` takes it; members' numbers are taken for any member.
        k : int, optional
            Most values.

        Returns
        -------
        list of (value, int)
            Counts are of the sample that the path was brought down to: all records unless it passed a bound.
        """
        place = self.place(path)
        return [] if place is None else place.ranked()[:k]

    def place(self, path: str) -> Place | None:
        """What is known of a path, or None."""
        return self._places.get(format_path(tuple(None if isinstance(s, int) else s for s in parse_path(path))))

    def learn(self, records: Iterable[Any], *, limits: Limits | None = None) -> ItemMemory:
        """Count the values of records; errors as `vsa.JSONEncoder.encode`, and nothing of a bad batch is learned.

        Returns
        -------
        ItemMemory
            This memory.
        """
        stream = iter(records)
        while batch := list(islice(stream, _RECORDS_AT_ONCE)):
            self._learn_batch(batch, limits or Limits())
        return self

    def _learn_batch(self, batch: list[Any], limits: Limits) -> None:
        leaves: list[tuple[Node, Any, Any]] = []

        def intern(node: Node, key: Any, value: Any) -> int:
            node.leaves[key] = len(leaves)
            leaves.append((node, key, value))
            return len(leaves) - 1

        walker = Walker(Arrays.BAG, limits, intern)
        rows: list[int] = []
        ends = [0]
        for number, record in enumerate(batch):
            try:
                walker.walk(record, rows)
            except InvalidRecordError as error:
                raise type(error)(error.reason, record=self.records + number) from error
            ends.append(len(rows))
        levels = np.array([_level(_content(record)) for record in batch], np.int64)
        lengths = np.diff(ends)
        # One number for (row, level), and one for (record, path): both counted by NumPy.
        seen, times = np.unique(np.array(rows, np.int64) * 64 + np.repeat(levels, lengths), return_counts=True)
        nodes = {id(node): number for number, node in enumerate({id(n): n for n, _, _ in leaves}.values())}
        of_row = np.array([nodes[id(node)] for node, _, _ in leaves], np.int64)
        pairs = np.unique(np.repeat(np.arange(len(batch)), lengths) * len(nodes) + of_row[rows])
        holders = np.bincount(pairs % len(nodes), minlength=len(nodes)).tolist()
        known: dict[int, Place | None] = {}
        for node, _, _ in leaves:
            if id(node) not in known:
                place = known[id(node)] = self._claim(format_path(node.path))
                if place is not None:
                    place.records += holders[nodes[id(node)]]
        for code, count in zip(seen.tolist(), times.tolist(), strict=True):
            node, key, value = leaves[code >> 6]
            place = known[id(node)]
            if place is not None:
                place.add(key, value, code & 63, count, self.bounds["max_length"])
        self.records += len(batch)
        self._settle()

    def _claim(self, path: str) -> Place | None:
        place = self._places.get(path)
        if place is None and _level(path.encode()) >= self._path_shift:
            place = self._places[path] = Place()
        return place

    def _settle(self) -> None:
        """Come back within the bounds.

        Each quantity compared with a bound can only grow as records are added, so the least cut that fits the whole
        is never overshot on the way and is reached at the end, in whatever order the records come.
        """
        bounds = self.bounds
        while len(self._places) > bounds["max_paths"]:
            self._path_shift += 1
            kept = {name: p for name, p in self._places.items() if _level(name.encode()) >= self._path_shift}
            self._places = kept
            self._halvings = 0
        while sum(min(place.distinct(), self._cap()) for place in self._places.values()) > bounds["max_items"]:
            self._halvings += 1
        for place in self._places.values():
            place.fit(self._cap())

    def _cap(self) -> int:
        """Values that each path may keep: halved while all together are too many, but never below a fair part."""
        fair = max(1, self.bounds["max_items"] // self.bounds["max_paths"])
        cap = fair if self._path_shift else max(fair, self.bounds["max_per_path"] >> self._halvings)
        return min(cap, self.bounds["max_per_path"])

    def merge(self, other: ItemMemory) -> ItemMemory:
        """The memory of both sets of records; neither is changed.

        Raises
        ------
        ValueError
            If the bounds differ.
        """
        if self.bounds != other.bounds:
            raise ValueError(f"memories with bounds {self.bounds} and {other.bounds} cannot be merged")
        merged = ItemMemory(**self.bounds)
        merged.records = self.records + other.records
        merged._path_shift = max(self._path_shift, other._path_shift)
        merged._halvings = 0 if merged._path_shift else max(self._halvings, other._halvings)
        for part in (self, other):
            for name, place in part._places.items():
                target = merged._claim(name)
                if target is not None:
                    target.absorb(place)
        merged._settle()
        return merged

    def to_bytes(self) -> bytes:
        """The memory as one versioned JSON document with a checksum; `from_bytes` reads it."""
        return state.dump(self._body(), state.MEMORY)

    def _body(self) -> dict[str, Any]:
        return {
            "bounds": self.bounds,
            "records": self.records,
            "path_shift": self._path_shift,
            "halvings": self._halvings,
            "paths": {name: place.to_state() for name, place in sorted(self._places.items())},
        }

    @classmethod
    def from_bytes(cls, data: bytes) -> ItemMemory:
        """A memory from `to_bytes`.

        Raises
        ------
        EncoderStateError
            If the document is cut, altered or something else; `NewerFormatError` if it is of a later version.
        """
        body = state.parse(data, state.MEMORY)
        try:
            memory = cls(**body["bounds"])
            memory.records = int(body["records"])
            memory._path_shift, memory._halvings = int(body["path_shift"]), int(body["halvings"])
            memory._places = {name: Place.from_state(saved) for name, saved in body["paths"].items()}
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise EncoderStateError(f"the saved memory does not make sense: {error}") from error
        return memory

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the memory to one file, whole or not at all; it stands beside the encoder's file, not in it."""
        state.write_file(path, self.to_bytes())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> ItemMemory:
        """Read a memory that `save` wrote; errors as `from_bytes`, and OSError."""
        return cls.from_bytes(FilePath(path).read_bytes())


def _content(record: Any) -> bytes:
    """A record's content, the same for any order of its keys."""
    try:
        return orjson.dumps(record, option=orjson.OPT_SORT_KEYS)
    except TypeError:  # integers beyond 64 bits
        return json.dumps(record, sort_keys=True).encode()


def _level(content: bytes) -> int:
    """Leading zero bits of a hash: at least l with probability 2**-l."""
    word = int.from_bytes(hashlib.blake2b(content, digest_size=8, person=b"vsa-level").digest(), "big")
    return min(_DEEPEST, 64 - word.bit_length())
