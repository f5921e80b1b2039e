"""Power losses at every moment, told from the system calls of a writer: what was acknowledged is there."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from powerloss import CALLS, Disk

from retrieval import Gallery, GalleryNotFoundError, NotAGalleryError, RetrievalError

IMAGES = int(os.environ.get("RETRIEVAL_POWER_LOSSES", "2"))
DIM = 8
State = tuple[list[tuple[str, Any]], bytes]


def vectors(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, DIM)).astype(np.float32)


STEPS: list[Callable[[Gallery], object]] = [
    lambda g: g.add_vectors(range(40), vectors(40, 1), payloads=list(range(40))),
    lambda g: g.optimize(index="SQ8"),
    lambda g: g.delete(range(0, 40, 3)),
    lambda g: g.set_payloads([1, 2], ["one", "two"]),
    lambda g: g.add_vectors(["big"], vectors(1, 2), payloads=["x" * 100_000]),
    lambda g: g.compact(),
    lambda g: g.add_vectors([1, "new"], vectors(2, 3)),
    lambda g: g.optimize(index="HNSW4"),
    lambda g: g.delete(["new"]),
]

WRITER = """
import os, sys
from pathlib import Path
from retrieval import Gallery
{sabotage}
from test_powerloss import STEPS, DIM
with Gallery.create(sys.argv[1], dim=DIM) as gallery:
    os.write(1, b"created")
    for number, step in enumerate(STEPS[:4]):
        step(gallery)
        os.write(1, b"acknowledged %d" % number)
# The last to close folds the log into the file.
with Gallery.open(sys.argv[1]) as gallery:
    for number, step in enumerate(STEPS[4:], start=4):
        step(gallery)
        os.write(1, b"acknowledged %d" % number)
"""

SABOTAGE = {
    "the log is not synced": (
        """
import retrieval.store, retrieval.schema
connected = retrieval.schema.connect
def unsynced(*arguments, **more):
    connection = connected(*arguments, **more)
    connection.execute("PRAGMA synchronous = OFF")
    return connection
retrieval.store.connect = unsynced
""",
        "were committed and are gone",
    ),
    "the new folder is not synced": (
        "import retrieval.store\nretrieval.store.sync_folder = lambda folder: None",
        "the folder may be gone",
    ),
    "the mark goes before the commit": (
        """
import retrieval.watermark, retrieval.writing
finished = retrieval.writing.Writer.finish
def early(self):
    finished(self)
    retrieval.watermark.write(self.folder, self.state.generation)
retrieval.writing.Writer.finish = early
""",
        "were committed and are gone",
    ),
    "the vectors are not synced": (
        """
import retrieval.segments
retrieval.segments.LEAST = -1
retrieval.segments.NewSegment._sync = lambda self: None
""",
        "slots 1 to 40, in vectors-",
    ),
    "the names of vectors are not synced": (
        """
import retrieval.segments
retrieval.segments.LEAST = -1
retrieval.segments.sync_folder = lambda folder: None
""",
        "slots [0-9]+ to [0-9]+, in vectors-",
    ),
    "the index is renamed before it is synced": (
        """
import retrieval.indexfile
class OS:
    def __getattr__(self, name):
        return (lambda handle: None) if name == "fsync" else getattr(os, name)
retrieval.indexfile.os = OS()
""",
        "renamed before they were synced",
    ),
}


def traced(tmp_path: Path, sabotage: str = "") -> tuple[Path, Path]:
    """The folder that a writer wrote and the trace of its calls."""
    if shutil.which("strace") is None:
        pytest.skip("needs strace")
    folder, trace = (tmp_path / "g").resolve(), tmp_path / "trace"
    here = str(Path(__file__).parent)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([here, str(Path.cwd()), *sys.path])}
    script = WRITER.format(sabotage=sabotage)
    command = ["strace", "-f", "-xx", "-s", "4000000", "-e", f"trace={CALLS}", "-o", str(trace)]
    done = subprocess.run(
        [*command, sys.executable, "-c", script, str(folder)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if "ptrace" in done.stderr or "PTRACE" in done.stderr:
        pytest.skip("strace may not trace here")
    assert done.returncode == 0, done.stderr
    return folder, trace


def states(tmp_path: Path) -> list[State]:
    """What the gallery is after creation and after each step."""
    with Gallery.create(tmp_path / "untroubled", dim=DIM) as gallery:
        after = [contents(gallery)]
        for step in STEPS:
            step(gallery)
            after.append(contents(gallery))
    return after


def contents(gallery: Gallery) -> State:
    return list(gallery.items()), gallery.vectors()[1].tobytes()


def survives(folder: Path, trace: Path, tmp_path: Path) -> int:
    """Lose power after each sync and each acknowledgement; the number of images that were opened."""
    rng = random.Random(5)
    after = states(tmp_path)
    disk = Disk(folder)
    acknowledged = -1
    opened = 0
    for event in disk.replay(trace):
        if event == "created":
            acknowledged = 0
            assert disk.durably_made, "the folder may be gone"
        elif event.startswith("acknowledged"):
            acknowledged = int(event.split()[1]) + 1
        for chosen in [None, *[rng] * IMAGES]:
            target = tmp_path / "image"
            disk.image(target, chosen)
            try:
                with Gallery.open(target) as gallery:
                    found = contents(gallery)
                    hits = gallery.search(vectors(3, 1), k=1, payloads=False)
            except (GalleryNotFoundError, NotAGalleryError):
                assert acknowledged < 0
            else:
                # What was not acknowledged yet may be there or not, but as a whole.
                assert found in after[max(acknowledged, 0) : acknowledged + 2]
                assert acknowledged < 1 or all(len(one) == 1 for one in hits)
            opened += 1
            shutil.rmtree(target)
    assert acknowledged == len(STEPS)
    assert disk.renamed_unsynced == [], "renamed before they were synced"
    # The model followed every change: what it holds is what there is.
    assert {name: inode.whole() for name, inode in disk.names.items()} == {
        file.name: file.read_bytes() for file in folder.iterdir()
    }
    return opened


# Every write leaves its log to the thread, as bulk writes do.
ALL_BULK = "import retrieval.store\nretrieval.store.BULK = -1"


ALL_IN_FILES = "import retrieval.segments\nretrieval.segments.LEAST = -1"


@pytest.mark.parametrize("settings", ["", ALL_BULK, ALL_IN_FILES], ids=["small", "bulk", "files"])
def test_no_power_loss_takes_back_what_was_acknowledged(settings: str, tmp_path: Path) -> None:
    assert survives(*traced(tmp_path, settings), tmp_path) > 100


@pytest.mark.parametrize("name", SABOTAGE)
def test_a_missing_sync_is_found(name: str, tmp_path: Path) -> None:
    sabotage, complaint = SABOTAGE[name]
    folder, trace = traced(tmp_path, sabotage)
    with pytest.raises((AssertionError, RetrievalError), match=complaint):
        survives(folder, trace, tmp_path)
