"""A large log is folded into the database by a thread, whatever goes on beside it."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from reference_gallery import unit

from retrieval import Gallery, folding
from retrieval.checking import check

DIM = 64


@pytest.fixture(autouse=True)
def in_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """Vectors lie in the database, so that few rows make a long log."""
    monkeypatch.setattr("retrieval.segments.LEAST", 1 << 40)


@pytest.fixture(name="X")
def directions() -> np.ndarray:
    return unit(np.random.default_rng(0).standard_normal((40_000, DIM)))


def sizes(folder: Path) -> tuple[int, int]:
    """Bytes of the database and of its log."""
    file = folder / "gallery.sqlite"
    return file.stat().st_size, (folder / "gallery.sqlite-wal").stat().st_size


def frames_left(folder: Path) -> int:
    """Pages of the log that are not in the database yet."""
    connection = sqlite3.connect(folder / "gallery.sqlite")
    busy, log, done = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    connection.close()
    assert not busy
    return int(log) - int(done)


def test_a_bulk_write_returns_before_its_log_is_folded_in(
    tmp_path: Path, X: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = threading.Event()
    fold = folding.Folding._fold

    def held(self: Any) -> None:
        go.wait(20)
        fold(self)

    monkeypatch.setattr(folding.Folding, "_fold", held)
    with Gallery.create(tmp_path / "g", dim=DIM) as gallery:
        gallery.add_vectors(range(len(X)), X)
        database, log = sizes(gallery.path)
        assert database < X.nbytes < log
        # Reads and writes go on.
        assert [hit.id for hit in gallery.search(X[7], k=1)] == ["7"]
        gallery.add_vectors(["small"], X[:1])
        go.set()
        gallery._store._folding.wait()
        assert sizes(gallery.path)[0] > X.nbytes
        # The next write begins the log anew, in the room that it has.
        room = sizes(gallery.path)[1]
        gallery.add_vectors(["a"], X[:1])
        gallery.add_vectors(["b"], X[:1])
        assert sizes(gallery.path)[1] == room
        assert gallery.count() == len(X) + 3
    assert check(tmp_path / "g").sound


def test_writers_that_leave_no_time_wait_for_the_thread(
    tmp_path: Path, X: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folding, "_LONGEST", 1 << 20)
    with Gallery.create(tmp_path / "g", dim=DIM) as gallery:
        for number in range(4):
            gallery.add_vectors([f"{number}-{row}" for row in range(len(X))], X)
            assert sizes(gallery.path)[1] == 0
    assert check(tmp_path / "g").sound


def test_a_thread_that_cannot_reach_the_database_harms_nothing(
    tmp_path: Path, X: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked(*arguments: Any, **more: Any) -> Any:
        raise sqlite3.OperationalError("database is locked")

    monkeypatch.setattr(folding, "connect", locked)
    with Gallery.create(tmp_path / "g", dim=DIM) as gallery:
        gallery.add_vectors(range(len(X)), X)
        gallery._store._folding.wait()
        assert sizes(gallery.path)[0] < X.nbytes
    # Closing folds it in.
    assert (tmp_path / "g" / "gallery.sqlite").stat().st_size > X.nbytes
    assert check(tmp_path / "g").sound


def test_a_long_log_does_not_wait_for_readers(tmp_path: Path, X: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folding, "_LONGEST", 1 << 20)
    with Gallery.create(tmp_path / "g", dim=DIM, timeout=60) as gallery:
        gallery.add_vectors(["first"], X[:1])
        reading = gallery.items()
        next(reading)
        writing = threading.Thread(target=gallery.add_vectors, args=(range(len(X)), X))
        writing.start()
        writing.join(20)
        waits = writing.is_alive()
        reading.close()
        writing.join()
        assert not waits
        # Other writers are waited for as before.
        (patience,) = gallery._store._write_connection.execute("PRAGMA busy_timeout").fetchone()  # type: ignore[union-attr]
        assert patience == 60_000
        gallery.add_vectors(range(len(X)), X)
        assert sizes(gallery.path)[1] == 0


def test_where_no_thread_is_to_be_had_a_write_is_done_all_the_same(
    tmp_path: Path, X: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_left(self: Any) -> None:
        raise RuntimeError("can't start new thread")

    with Gallery.create(tmp_path / "g", dim=DIM) as gallery:
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", none_left)
            assert gallery.add_vectors(range(len(X)), X) == len(X)
        assert sizes(gallery.path)[0] < X.nbytes
        # The next bulk write has one again.
        gallery.add_vectors(range(len(X)), X)
        gallery._store._folding.wait()
        assert frames_left(gallery.path) <= 0
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", none_left)
            gallery.add_vectors(range(len(X)), X)
    # Closing folds it in.
    assert not (tmp_path / "g" / "gallery.sqlite-wal").exists()
    assert check(tmp_path / "g").sound


ENDING = """
import sys
import numpy as np
from retrieval import Gallery
gallery = Gallery.open(sys.argv[1])
gallery.add_vectors(range(20_000), np.ones((20_000, 64)))
print("added", flush=True)
"""


def test_a_process_may_end_at_once(tmp_path: Path) -> None:
    Gallery.create(tmp_path / "g", dim=DIM).close()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path.cwd()), *sys.path])}
    command = [sys.executable, "-c", ENDING, str(tmp_path / "g")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (0, "added\n"), done.stderr
    with Gallery.open(tmp_path / "g") as gallery:
        assert gallery.count() == 20_000
    assert check(tmp_path / "g").sound


def test_closing_waits_for_the_thread(tmp_path: Path, X: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    fold = folding.Folding._fold

    def slow(self: Any) -> None:
        time.sleep(0.3)
        fold(self)

    monkeypatch.setattr(folding.Folding, "_fold", slow)
    with Gallery.create(tmp_path / "g", dim=DIM) as gallery:
        gallery.add_vectors(range(len(X)), X)
    assert [one.name for one in threading.enumerate() if one.name == "retrieval-log"] == []
    assert not (tmp_path / "g" / "gallery.sqlite-wal").exists()


def test_the_log_is_whole_after_many_bulk_writes_beside_readers(tmp_path: Path, X: np.ndarray) -> None:
    failures: list[BaseException] = []
    with Gallery.create(tmp_path / "g", dim=DIM) as gallery:
        gallery.add_vectors(range(10), X[:10])
        done = threading.Event()

        def read() -> None:
            try:
                while not done.is_set():
                    assert gallery.search(X[3], k=1)[0].id == "3"
            except BaseException as error:  # noqa: BLE001 - handed to the main thread
                failures.append(error)

        reader = threading.Thread(target=read)
        reader.start()
        for number in range(5):
            gallery.add_vectors([f"{number} {row}" for row in range(len(X))], -np.abs(X))
        done.set()
        reader.join()
        gallery._store._folding.wait()
        assert gallery.count() == 10 + 5 * len(X)
    assert failures == []
    assert frames_left(tmp_path / "g") <= 0
    assert check(tmp_path / "g").sound
