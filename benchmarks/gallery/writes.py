"""What writing costs beside embedded stores, and beside the disk: the same rows, in rounds that take turns."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.gallery import results
from benchmarks.gallery.data import Array, Vectors
from benchmarks.gallery.embedded import GONE, ROWS, STORES, Chroma, Embedded, Lance
from benchmarks.gallery.syncs import syncs

ROUNDS = 21
# One addition takes some ten seconds, and a deletion a sixth of one.
_FEW = {"Chroma": 2}

Times = dict[str, list[float]]


class SyncedLance(Lance):
    """LanceDB, and every file and folder that a call made or changed synced before the next one."""

    name = "LanceDB, its files then synced"

    def __init__(self, folder: Path, dim: int) -> None:
        super().__init__(folder, dim)
        self._root = folder / "lance"
        self._seen: dict[Path, tuple[int, int]] = {}

    def add(self, X: Array) -> None:
        super().add(X)
        self._sync()

    def delete(self, ids: list[str]) -> None:
        super().delete(ids)
        self._sync()

    def _sync(self) -> None:
        folders = set()
        for file in self._root.rglob("*"):
            if not file.is_file():
                continue
            about = file.stat()
            state = about.st_mtime_ns, about.st_size
            if self._seen.get(file) != state:
                self._seen[file] = state
                _synced(file)
                # A folder that is new is a name in its own.
                folders.update((file.parent, *file.parent.parents[: len(file.parent.relative_to(self._root).parts)]))
        for folder in folders:
            _synced(folder)


def _synced(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def run(data: Vectors) -> str:
    """The section's text; stores that are not installed are left out."""
    X = np.ascontiguousarray(data.X[:ROWS])
    order = np.random.default_rng(2).permutation(len(X))
    gone = [[str(row) for row in order[start : start + GONE]] for start in range(0, ROUNDS * GONE, GONE)]
    kinds: list[type[Embedded]] = [*STORES, SyncedLance]
    adding: Times = {}
    deleting: Times = {}
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        for number in range(ROUNDS):
            for place in rng.permutation(len(kinds)).tolist():
                make = kinds[place]
                if number >= _FEW.get(make.name, ROUNDS):
                    continue
                with tempfile.TemporaryDirectory(dir=folder, ignore_cleanup_errors=True) as here:
                    try:
                        store = make(Path(here), X.shape[1])
                    except ImportError as error:
                        print(f"left out: {error}", flush=True)
                        continue
                    # What others left unsynced is not for this one to wait for.
                    os.sync()
                    adding.setdefault(make.name, []).append(_seconds(lambda store=store: store.add(X)))
                    # What the store leaves to a thread is not to disturb the next one.
                    time.sleep(0.5)
                    for ids in gone[: 3 if number else ROUNDS]:
                        took = _seconds(lambda store=store, ids=ids: store.delete(ids))
                        deleting.setdefault(make.name, []).append(took)
                    if isinstance(store, Chroma):
                        store.client.clear_system_cache()
            for name, work in _FLOOR.items():
                times = adding if name in _BULK else deleting
                times.setdefault(name, []).append(work(Path(folder), X))
    lines = [
        [make.name, _told(adding[make.name]), _told(deleting[make.name]), syncs(make.name)]
        for make in sorted(kinds, key=lambda make: make.name)
        if make.name in adding
    ]
    floor = [[name, _told((adding if name in _BULK else deleting)[name])] for name in _FLOOR]
    return (
        f"{len(X):,} × {X.shape[1]} ({X.nbytes / 1e6:.1f} MB) with a short payload in one call, then {GONE:,} deleted "
        f"in each call; no index. {ROUNDS} rounds ({_FEW['Chroma']} of Chroma), each with new stores in drawn order, "
        "the disk synced before each; medians, and the first and third quarter. Syncs are counted as above.\n\n"
        f"{results.table(['store', 'add, ms', f'delete {GONE:,}, ms', 'syncs in add / delete'], lines)}\n\n"
        f"The disk alone, in the same rounds:\n\n{results.table(['what', 'ms'], floor)}"
    )


def _seconds(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _told(times: list[float]) -> str:
    low, middle, high = np.percentile(1e3 * np.array(times), (25, 50, 75))
    return f"{middle:.1f} [{low:.1f}, {high:.1f}]"


def _written(folder: Path, X: Array, synced: bool) -> float:
    file = folder / "floor"
    data = memoryview(X.reshape(-1).view(np.uint8))
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        started = time.perf_counter()
        os.write(handle, data)
        if synced:
            os.fdatasync(handle)
        return time.perf_counter() - started
    finally:
        os.close(handle)
        file.unlink()


def _page(folder: Path, pages: int, grows: bool) -> float:
    """Two files that take turns, as a log and a mark do."""
    files = [folder / "floor-1", folder / "floor-2"]
    handles = [os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) for file in files]
    try:
        for handle in handles:
            os.write(handle, bytes(8192 * (1 if grows else pages)))
            os.fsync(handle)
            if not grows:
                os.lseek(handle, 0, os.SEEK_SET)
        started = time.perf_counter()
        for handle, n in zip(handles, (pages, 1), strict=True):
            os.write(handle, bytes(8192 * n))
            os.fdatasync(handle)
        return time.perf_counter() - started
    finally:
        for handle, file in zip(handles, files, strict=True):
            os.close(handle)
            file.unlink()


_FLOOR: dict[str, Callable[[Path, Array], float]] = {
    "the vectors written to a new file": lambda folder, X: _written(folder, X, synced=False),
    "… and synced": lambda folder, X: _written(folder, X, synced=True),
    "six pages of 8 KB written over and synced, then one of another file": lambda folder, X: _page(folder, 6, False),
    "… at the end of files that grow": lambda folder, X: _page(folder, 6, True),
}
_BULK = tuple(_FLOOR)[:2]
