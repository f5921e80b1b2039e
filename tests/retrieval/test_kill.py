"""kill -9 at random moments: what was acknowledged is there, nothing else half so, and searches are right."""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from reference_gallery import unit

from retrieval import Gallery, segments
from retrieval.checking import check

KILLS = int(os.environ.get("RETRIEVAL_KILLS", "6"))
DIM = 16
OPERATIONS = ["put", "optimize", "put", "delete", "put", "pay", "compact", "put", "delete"]
State = dict[str, tuple[int, ...]]

WRITER = """
import sys
from retrieval import segments
from test_kill import operate
segments.LEAST = int(sys.argv[3])
operate(sys.argv[1], int(sys.argv[2]))
"""


def vectors(step: int, n: int) -> np.ndarray:
    return unit(np.random.default_rng(step).standard_normal((n, DIM)))


def operation(step: int) -> tuple[str, list[str]]:
    """What the writer does at a step; the same in the writer and in the test."""
    rng = random.Random(step)
    kind = OPERATIONS[step % len(OPERATIONS)]
    size = rng.choice([1, 5, 400, 3000]) if kind == "put" else 0
    return kind, [f"k{rng.randrange(5000)}-{number}" for number in range(size)]


def expected(state: State, step: int) -> State:
    """The dict that a gallery is after a step: id to payload, whose first two are the step and row of the vector."""
    kind, ids = operation(step)
    state = dict(state)
    if kind == "put":
        for row, name in enumerate(ids):
            state[name] = (step, row, 0)
    elif kind == "delete":
        for name in sorted(state)[::3]:
            del state[name]
    elif kind == "pay":
        for name in sorted(state)[::5]:
            state[name] = (*state[name][:2], step)
    return state


def operate(folder: str, first: int) -> None:
    with Gallery.open(folder) as gallery:
        for step in range(first, first + 1000):
            kind, ids = operation(step)
            if kind == "put":
                gallery.add_vectors(ids, vectors(step, len(ids)), payloads=[[step, row, 0] for row in range(len(ids))])
            elif kind == "compact":
                gallery.compact()
            elif kind == "optimize":
                gallery.optimize(index="IVF8,SQ8")
            elif kind == "pay":
                chosen = dict(sorted(gallery.items())[::5])
                gallery.set_payloads(chosen, [[*payload[:2], step] for payload in chosen.values()])
            else:
                gallery.delete(sorted(gallery.ids())[::3])
            print(step, flush=True)


def killed_after(folder: Path, first: int, seconds: float, least: int) -> int:
    """Run the writer, kill it, and give the last step that it acknowledged (first - 1 if none)."""
    here = str(Path(__file__).parent)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([here, str(Path.cwd()), *sys.path])}
    command = [sys.executable, "-c", WRITER, str(folder), str(first), str(least)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True)
    assert process.stdout is not None
    acknowledged = first - 1
    timer = threading.Timer(60, process.kill)
    timer.start()
    try:
        acknowledged = int(process.stdout.readline())
        clock = threading.Timer(seconds, process.kill)
        clock.start()
        for line in process.stdout:
            if line.endswith("\n"):
                acknowledged = int(line)
    finally:
        timer.cancel()
        process.kill()
        process.stdout.close()
        process.wait()
    return acknowledged


def check_files(folder: Path) -> None:
    """No file of vectors is there that the gallery does not name."""
    with sqlite3.connect(folder / "gallery.sqlite") as connection:
        named = {name for (name,) in connection.execute("SELECT DISTINCT file FROM blocks WHERE file IS NOT NULL")}
    connection.close()
    assert {file.name for file in segments.files(folder)} == named


@pytest.mark.skipif(os.name != "posix", reason="needs kill -9")
@pytest.mark.parametrize("least", [segments.LEAST, 1000], ids=["small", "files"])
def test_killed_writers_lose_nothing_that_was_acknowledged(least: int, tmp_path: Path) -> None:
    folder = tmp_path / "g"
    Gallery.create(folder, dim=DIM).close()
    rng = random.Random(time.time_ns())
    state: State = {}
    step = 0
    for _ in range(KILLS):
        last = killed_after(folder, step, rng.uniform(0, 0.8), least)
        for done in range(step, last + 1):
            state = expected(state, done)
        step = last + 1
        with Gallery.open(folder) as gallery:
            there = {name: tuple(payload) for name, payload in gallery.items()}
            if there != state:
                # The step in flight may have been committed without its acknowledgement coming out.
                state = expected(state, step)
                step += 1
            assert there == state
            if state:
                sample = rng.sample(sorted(state), min(20, len(state)))
                rows = np.array([vectors(state[name][0], state[name][1] + 1)[-1] for name in sample])
                hits = gallery.search(rows, k=1)
                assert [hit[0].id for hit in hits] == sample
        assert check(folder).sound
    with Gallery.open(folder) as gallery:
        if state:
            gallery.optimize(index="SQ8")
            # Whatever the killed ones left behind is gone.
            gallery.compact()
    check_files(folder)
    assert [file.name for file in folder.iterdir() if file.name.startswith(".")] == []


def test_what_a_killed_optimize_left_is_swept_up(tmp_path: Path) -> None:
    with Gallery.create(tmp_path / "g", dim=DIM) as gallery:
        gallery.add_vectors(range(50), vectors(0, 50))
        (tmp_path / "g" / ".index-left").write_bytes(b"half an index")
        gallery.optimize(index="SQ8")
        assert not (tmp_path / "g" / ".index-left").exists()
        assert (tmp_path / "g" / "index-1.faiss").exists()
