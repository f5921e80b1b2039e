"""What a store has on disk when a call returns: the syncs it asked the system for, counted by `strace`."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.gallery.data import DIM

_MARKS = ("add", "delete", "end")


def syncs(name: str) -> str:
    """Syncs within `add` and within `delete` of one of the embedded stores, as a phrase."""
    if shutil.which("strace") is None:
        return "not counted: no strace"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        log = Path(folder) / "calls"
        traced = ["strace", "-f", "-qq", "-o", str(log), "-e", "trace=fsync,fdatasync,openat"]
        program = f"from benchmarks.gallery.syncs import work; work({name!r}, {folder!r})"
        subprocess.run([*traced, sys.executable, "-c", program], check=True, capture_output=True)
        counts = dict.fromkeys(_MARKS, 0)
        phase = None
        for line in log.read_text(errors="replace").splitlines():
            mark = re.search(r'"/begin-(\w+)"', line)
            if mark:
                phase = mark[1]
            elif phase and re.search(r"\b(fsync|fdatasync)\(", line) and "resumed" not in line:
                counts[phase] += 1
    return f"{counts['add']} / {counts['delete']}"


def _mark(name: str) -> None:
    # A file that is not there: the call is seen in the log and changes nothing.
    file = f"/begin-{name}"
    if os.path.exists(file):
        raise SystemExit(f"{file} exists; the log of calls cannot be read then")
    try:
        os.open(file, os.O_RDONLY)
    except FileNotFoundError:
        return


def work(name: str, folder: str) -> None:
    """Add and delete in the store that is named, with marks in between."""
    from benchmarks.gallery.embedded import STORES, Embedded
    from benchmarks.gallery.writes import SyncedLance

    make: Callable[[Path, int], Embedded] = {store.name: store for store in (*STORES, SyncedLance)}[name]
    store = make(Path(folder) / "store", DIM)
    X = np.random.default_rng(0).standard_normal((2_000, DIM), dtype=np.float32)
    _mark("add")
    store.add(X)
    _mark("delete")
    store.delete([str(row) for row in range(0, 2_000, 2)])
    _mark("end")
