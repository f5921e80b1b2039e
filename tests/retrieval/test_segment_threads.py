"""The thread that writes a file of vectors, interrupted and failing: it never writes into another file."""

from __future__ import annotations

import os
import signal
import threading
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from vector_files import DIM, directions, names, same

from retrieval import Gallery, segments


@pytest.fixture(name="X")
def rows() -> np.ndarray:
    return directions()


def interrupt_main(*_: Any) -> int:
    """Has Ctrl-C come while the main thread waits, and takes its time then."""
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
    return slowly()


def slowly(*_: Any) -> int:
    time.sleep(0.3)
    return 0


@pytest.mark.usefixtures("small")
@pytest.mark.skipif(os.name != "posix", reason="sends signals to threads")
@pytest.mark.parametrize("at", ["append", "start"])
def test_a_write_that_ctrl_c_ends_writes_into_no_file_that_is_opened_later(
    at: str, tmp_path: Path, X: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = threading.Thread.start
    if at == "append":
        monkeypatch.setattr(zlib, "crc32", interrupt_main)
    else:
        monkeypatch.setattr(zlib, "crc32", slowly)
        monkeypatch.setattr(threading.Thread, "start", lambda self: [begin(self), interrupt_main()])
    segment = segments.NewSegment(tmp_path)
    data = memoryview(X[:10].tobytes())

    def write() -> None:
        segment.append(1, 1, data, len(data), DIM * 4)
        segment.seal()

    with pytest.raises(KeyboardInterrupt):
        write()
    segment.abandon()
    later = os.open(tmp_path / "of somebody else", os.O_RDWR | os.O_CREAT)
    time.sleep(0.5)
    assert os.fstat(later).st_size == 0
    os.close(later)
    assert names(tmp_path) == set()


@pytest.mark.usefixtures("small")
def test_a_write_that_fails_after_its_file_was_closed_closes_nothing_else(
    tmp_path: Path, X: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    later: list[int] = []

    def opens(folder: Path) -> None:
        later.append(os.open(folder, os.O_RDONLY))

    def fails(*_: Any) -> None:
        raise ZeroDivisionError

    with Gallery.create(tmp_path / "g", dim=DIM) as gallery:
        gallery.add_vectors(range(10), X[:10])
        monkeypatch.setattr("retrieval.segments.sync_folder", opens)
        monkeypatch.setattr("retrieval.writing.write_state", fails)
        with pytest.raises(ZeroDivisionError):
            gallery.add_vectors(range(10, 20), X[10:20])
        assert len(names(tmp_path / "g")) == 1
    os.fstat(later[0])
    os.close(later[0])


@pytest.mark.usefixtures("small")
def test_whatever_the_thread_fails_of_the_write_fails_of(
    tmp_path: Path, X: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    crc32 = zlib.crc32

    def fails(*arguments: Any) -> int:
        if threading.current_thread() is threading.main_thread():
            return crc32(*arguments)
        raise MemoryError

    with Gallery.create(tmp_path / "g", dim=DIM) as gallery:
        with monkeypatch.context() as patched:
            patched.setattr(zlib, "crc32", fails)
            with pytest.raises(MemoryError):
                gallery.add_vectors(range(100), X[:100])
        assert names(tmp_path / "g") == set()
        assert gallery.count() == 0


@pytest.mark.usefixtures("small")
@pytest.mark.skipif(os.name != "posix", reason="limits the number of open files")
def test_a_write_of_many_files_keeps_one_open(tmp_path: Path, X: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    import resource

    monkeypatch.setattr("retrieval.segments._MOST", 1)
    with Gallery.create(tmp_path / "g", dim=DIM) as gallery:
        gallery.add_vectors(range(10), X[:10])
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(200, soft), hard))
        try:
            gallery.add_batches(([str(n)], [None], X[n : n + 1]) for n in range(400))
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert len(names(tmp_path / "g")) == 401
        same(gallery, X)
