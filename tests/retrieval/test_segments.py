"""Vectors of bulk writes in files of their own: written before the commit, checked when read, removed when unnamed."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import threading
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from reference_gallery import unit

from retrieval import DamagedGalleryError, Gallery, RetrievalError, segments
from retrieval.checking import check, salvaged

N, DIM = 3000, 32


@pytest.fixture(name="X")
def rows() -> np.ndarray:
    return unit(np.random.default_rng(3).standard_normal((N, DIM)))


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every write is a bulk write, and blocks hold 256 rows."""
    monkeypatch.setattr("retrieval.segments.LEAST", -1)
    monkeypatch.setattr("retrieval.blocks.BYTES", 256 * DIM * 4)


def names(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir() if file.name.startswith("vectors-")}


def same(gallery: Gallery, X: np.ndarray) -> None:
    """The gallery holds the rows of X under their numbers."""
    ids, stored = gallery.vectors()
    assert np.array_equal(stored, X[[int(name) for name in ids]])


def test_many_vectors_go_to_a_file_and_few_to_the_database(tmp_path: Path) -> None:
    X = unit(np.random.default_rng(0).standard_normal((5000, 256)))
    with Gallery.create(tmp_path / "g", dim=256) as gallery:
        gallery.add_vectors(range(100), X[:100])
        assert names(tmp_path / "g") == set()
        gallery.add_vectors(range(100, 5000), X[100:])
        (name,) = names(tmp_path / "g")
        assert (tmp_path / "g" / name).stat().st_size == X[100:].nbytes
        assert (tmp_path / "g" / name).read_bytes() == X[100:].tobytes()
    assert (tmp_path / "g" / "gallery.sqlite").stat().st_size < X.nbytes // 2
    with Gallery.open(tmp_path / "g") as gallery:
        same(gallery, X)
        assert gallery.search(X[4000], k=1)[0].id == "4000"
    assert check(tmp_path / "g").vectors == 5000


def test_batches_of_one_call_share_a_file(tmp_path: Path) -> None:
    X = unit(np.random.default_rng(0).standard_normal((40_000, 64)))
    batches = ((range(at, at + 1000), [None] * 1000, X[at : at + 1000]) for at in range(0, len(X), 1000))
    with Gallery.create(tmp_path / "g", dim=64) as gallery:
        gallery.add_batches(batches)
        assert len(names(tmp_path / "g")) == 1
        same(gallery, X)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("storage", ["float32", "float16"])
def test_what_comes_back_is_what_the_database_would_give(storage: str, tmp_path: Path, X: np.ndarray) -> None:
    with Gallery.create(tmp_path / "files", dim=DIM, storage=storage) as gallery:
        gallery.add_vectors(range(N), X)
        gallery.add_vectors(range(0, N, 7), X[::7])
        found = gallery.vectors()
    assert len(names(tmp_path / "files")) == 2
    segments.LEAST = 1 << 40
    with Gallery.create(tmp_path / "rows", dim=DIM, storage=storage) as gallery:
        gallery.add_vectors(range(N), X)
        gallery.add_vectors(range(0, N, 7), X[::7])
        expected = gallery.vectors()
    assert names(tmp_path / "rows") == set()
    assert found[0] == expected[0]
    assert np.array_equal(found[1], expected[1])


def interrupted(gallery: Gallery, X: np.ndarray) -> None:
    with gallery._store.write() as writer:
        writer.put(writer.active, ["a"], None, X[:1])
        assert len(names(gallery.path)) == 1
        raise ZeroDivisionError


@pytest.mark.usefixtures("small")
def test_a_write_that_fails_leaves_no_file(tmp_path: Path, X: np.ndarray) -> None:
    def failing() -> Any:
        yield range(100), [None] * 100, X[:100]
        yield range(100, 200), [None] * 100, X[:99]

    with Gallery.create(tmp_path / "g", dim=DIM) as gallery:
        with pytest.raises(ValueError, match="99 vectors"):
            gallery.add_batches(failing())
        with pytest.raises(ZeroDivisionError):
            interrupted(gallery, X)
        assert names(tmp_path / "g") == set()
        assert gallery.count() == 0


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("call", ["write", "fdatasync", "open", "close"])
def test_a_disk_that_is_full_changes_nothing(
    call: str, tmp_path: Path, X: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    class FullDisk:
        def __getattr__(self, name: str) -> Any:
            return self.fail if name == call else getattr(os, name)

        def fail(self, *arguments: Any) -> None:
            raise OSError(28, "No space left on device")

    with Gallery.create(tmp_path / "g", dim=DIM) as gallery:
        gallery.add_vectors(range(100), X[:100])
        with monkeypatch.context() as patched:
            patched.setattr(segments, "os", FullDisk())
            with pytest.raises(RetrievalError, match=r"could not be written \(No space left.*nothing of this call"):
                gallery.add_vectors(range(200), X[::-1][:200])
        assert len(names(tmp_path / "g")) == 1
        same(gallery, X)
        assert gallery.count() == 100
    assert check(tmp_path / "g").sound


@pytest.mark.usefixtures("small")
def test_short_writes_are_gone_on_with(tmp_path: Path, X: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow:
        def __getattr__(self, name: str) -> Any:
            return self.some if name == "write" else getattr(os, name)

        def some(self, file: int, data: memoryview) -> int:
            return os.write(file, data[:1000])

    monkeypatch.setattr(segments, "os", Slow())
    with Gallery.create(tmp_path / "g", dim=DIM) as gallery:
        gallery.add_vectors(range(N), X)
        same(gallery, X)


@pytest.mark.usefixtures("small")
def test_where_no_thread_is_to_be_had_the_file_is_written_all_the_same(
    tmp_path: Path, X: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_left(self: Any) -> None:
        raise RuntimeError("can't start new thread")

    with Gallery.create(tmp_path / "g", dim=DIM) as gallery:
        monkeypatch.setattr(threading.Thread, "start", none_left)
        gallery.add_vectors(range(N), X)
        same(gallery, X)


@pytest.mark.usefixtures("small")
def test_a_file_that_is_full_is_followed_by_another(
    tmp_path: Path, X: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("retrieval.segments._MOST", 1000 * DIM * 4)
    batches = [(range(at, at + 500), [None] * 500, X[at : at + 500]) for at in range(0, N, 500)]
    with Gallery.create(tmp_path / "g", dim=DIM) as gallery:
        gallery.add_batches(batches)
        assert len(names(tmp_path / "g")) == 3
        same(gallery, X)


DAMAGES: dict[str, tuple[Callable[[Path], object] | str, str]] = {
    "no file": (lambda file: file.unlink(), "slots 1 to 256, in vectors-"),
    "one bit": (lambda file: file.write_bytes(flipped(file.read_bytes())), "slots 257 to 512, in vectors-"),
    "cut": (lambda file: file.write_bytes(file.read_bytes()[:-1]), "slots 2817 to 3000"),
    "a folder": (lambda file: [file.unlink(), file.mkdir()], "slots 1 to 256"),
    "name": ("file = '../' || file", "slots 1 to 256"),
    "name of another kind": ("file = 7", "slots 1 to 256"),
    "place": ("start = start + 1", "slots 1 to 256"),
    "place before the beginning": ("start = -1", "slots 1 to 256"),
    "place that is none": ("start = 'x'", "slots 1 to 256"),
    "rows beyond all memory": ("n = 1 << 61", "slots 1 to "),
    "rows that are no number": ("n = 'many'", "slots 1 to "),
    "no rows": ("n = 0", "slots 1 to 0"),
}


def flipped(data: bytes) -> bytes:
    raw = bytearray(data)
    raw[256 * DIM * 4 + 5] ^= 16
    return bytes(raw)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("kind", DAMAGES)
def test_damage_is_told_and_records_are_saved(kind: str, tmp_path: Path, X: np.ndarray) -> None:
    damage, told = DAMAGES[kind]
    folder = tmp_path / "g"
    with Gallery.create(folder, dim=DIM) as gallery:
        gallery.add_vectors(range(N), X, [{"n": number} for number in range(N)])
    assert check(folder).sound
    if isinstance(damage, str):
        with sqlite3.connect(folder / "gallery.sqlite") as connection:
            connection.execute(f"UPDATE blocks SET {damage} WHERE first = 1")
        connection.close()
    else:
        damage(folder / names(folder).pop())
    with Gallery.open(folder) as gallery:
        with pytest.raises(DamagedGalleryError, match=told):
            gallery.search(X[0])
        assert gallery.get(5) == {"n": 5}
    report = check(folder)
    assert not report.sound
    assert any(told in problem for problem in report.problems), report.problems
    assert report.records == N
    left = {"no file": 0, "a folder": 0}.get(kind, N - 256 if kind != "cut" else N - 184)
    assert report.vectors == left
    assert len(list(salvaged(folder))) == N


@pytest.mark.usefixtures("small")
def test_compaction_copies_files_with_holes_and_leaves_full_ones(
    tmp_path: Path, X: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("retrieval.segments.SMALL", 1000)
    folder = tmp_path / "g"
    with Gallery.create(folder, dim=DIM) as gallery, Gallery.open(folder) as other:
        gallery.add_vectors(range(1000), X[:1000])
        full = names(folder)
        gallery.add_vectors(range(1000, N), X[1000:])
        holed = names(folder) - full
        gallery.delete(range(1000, 1100))
        before = other.vectors()
        done = gallery.compact()
        assert names(folder) > full
        assert not names(folder) & holed
        assert sum((folder / name).stat().st_size for name in names(folder)) == (N - 100) * DIM * 4
        assert done.before - done.after > 90 * DIM * 4
        for reader in (gallery, other):
            assert reader.vectors()[0] == before[0]
            same(reader, X)
        left, generation = names(folder), gallery.info().generation
        gallery.compact()
        assert (names(folder), gallery.info().generation) == (left, generation)
    assert check(folder).sound


@pytest.mark.usefixtures("small")
def test_compaction_puts_small_files_together(tmp_path: Path, X: np.ndarray) -> None:
    folder = tmp_path / "g"
    with Gallery.create(folder, dim=DIM) as gallery:
        for start in range(0, N, 300):
            gallery.add_vectors(range(start, start + 300), X[start : start + 300])
        assert len(names(folder)) == 10
        gallery.compact()
        (name,) = names(folder)
        same(gallery, X)
        gallery.compact()
        assert names(folder) == {name}
        # What is left after this is little enough for the database.
        segments.LEAST = 1 << 20
        gallery.delete(range(20, N))
        gallery.compact()
        assert names(folder) == set()
        same(gallery, X)
    assert check(folder).sound


@pytest.mark.usefixtures("small")
def test_a_reader_in_an_older_state_keeps_its_files(tmp_path: Path, X: np.ndarray) -> None:
    folder = tmp_path / "g"
    with Gallery.create(folder, dim=DIM) as gallery, Gallery.open(folder) as reader:
        gallery.add_vectors(range(N), X)
        old = names(folder)
        batches = reader.batches(100)
        first = next(batches)
        gallery.delete(range(0, N, 2))
        gallery.compact()
        assert old < names(folder)
        read = [*first[0], *(name for ids, _, _ in batches for name in ids)]
        assert read == [str(number) for number in range(N)]
        # Nobody is in the way any more.
        gallery.compact()
        assert not old & names(folder)
        same(gallery, X)


@pytest.mark.usefixtures("small")
def test_what_a_killed_writer_left_is_swept_up_by_the_next(tmp_path: Path, X: np.ndarray) -> None:
    folder = tmp_path / "g"
    with Gallery.create(folder, dim=DIM) as gallery:
        gallery.add_vectors(range(N), X)
        mine = names(folder)
    for name in ("vectors-0123456789abcdef.bin", "vectors-of mine.bin", "vectors-0123456789abcdef.bin.old"):
        (folder / name).write_bytes(b"x")
    with Gallery.open(folder) as gallery:
        same(gallery, X)
        assert (folder / "vectors-0123456789abcdef.bin").exists()
        gallery.delete(["1"])
        assert names(folder) == mine | {"vectors-of mine.bin", "vectors-0123456789abcdef.bin.old"}


@pytest.mark.usefixtures("small")
def test_nothing_is_swept_while_another_writes(tmp_path: Path, X: np.ndarray) -> None:
    folder = tmp_path / "g"
    with Gallery.create(folder, dim=DIM) as gallery, Gallery.open(folder, timeout=0) as other:
        with gallery._store.write() as writer:
            writer.put(writer.active, ["a"], None, X[:1])
            with pytest.raises(RetrievalError, match="another writer"):
                other.delete(["b"])
        assert len(names(folder)) == 1
        other.add_vectors(["b"], X[1:2])
        assert len(names(folder)) == 2
    assert check(folder).sound


def test_a_copy_of_the_folder_is_a_gallery(tmp_path: Path, X: np.ndarray, small: None) -> None:
    with Gallery.create(tmp_path / "g", dim=DIM) as gallery:
        gallery.add_vectors(range(N), X)
    shutil.copytree(tmp_path / "g", tmp_path / "copy")
    shutil.rmtree(tmp_path / "g")
    with Gallery.open(tmp_path / "copy") as gallery:
        same(gallery, X)


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


def test_a_program_that_goes_to_another_folder_leaves_its_files_alone(
    tmp_path: Path, X: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        Gallery.create(Path("g"), dim=DIM).close()
    monkeypatch.setattr("retrieval.segments.LEAST", -1)
    with Gallery.open("g") as gallery:
        gallery.add_vectors(range(N), X)
    monkeypatch.chdir(tmp_path / "here")
    with Gallery.open("g") as gallery:
        gallery.add_vectors(range(10), X[:10])
        gallery.delete(["9"])
        monkeypatch.chdir(tmp_path / "there")
        gallery.compact()
        gallery.add_vectors(range(10, N), X[10:])
        same(gallery, X)
    for name in ("here", "there"):
        assert check(tmp_path / name / "g").sound
        with Gallery.open(tmp_path / name / "g") as gallery:
            same(gallery, X)


@pytest.mark.skipif(os.name != "posix", reason="renames the folder of files that are open")
@pytest.mark.parametrize("with_vectors", [False, True])
def test_a_gallery_that_took_the_place_of_another_keeps_its_files(
    with_vectors: bool, tmp_path: Path, X: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "g"
    monkeypatch.setattr("retrieval.segments.LEAST", -1)
    with Gallery.create(tmp_path / "new", dim=DIM) as gallery:
        gallery.add_vectors(range(N), X)
    with Gallery.create(folder, dim=DIM) as gallery:
        if with_vectors:
            gallery.add_vectors(range(10), X[:10])
        gallery.index_paths(["n"])
        folder.rename(tmp_path / "old")
        (tmp_path / "new").rename(folder)
        for call in (gallery.compact, lambda: gallery.add_vectors(range(20), X[:20])):
            with pytest.raises(RetrievalError, match="moved or replaced"):
                call()
    for name, n in (("g", N), ("old", 10 if with_vectors else 0)):
        report = check(tmp_path / name)
        assert (report.problems, report.vectors) == ([], n)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("damage", ["file = replace(file, 'vectors-', 'vectors_')", "file = NULL"])
def test_files_are_kept_while_the_names_are_damaged(damage: str, tmp_path: Path, X: np.ndarray) -> None:
    folder = tmp_path / "g"
    with Gallery.create(folder, dim=DIM) as gallery:
        gallery.add_vectors(range(200), X[:200])
    there = names(folder)
    with sqlite3.connect(folder / "gallery.sqlite") as connection:
        connection.execute(f"UPDATE blocks SET {damage}")
    connection.close()
    with Gallery.open(folder) as gallery:
        gallery.delete(["1"])
        with pytest.raises(DamagedGalleryError):
            gallery.compact()
    assert names(folder) == there


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("damage", [*(damage for damage, _ in DAMAGES.values()), "model = 7", "first = 90000"])
def test_a_damaged_gallery_is_not_compacted(
    damage: Callable[[Path], object] | str, tmp_path: Path, X: np.ndarray
) -> None:
    folder = tmp_path / "g"
    with Gallery.create(folder, dim=DIM) as gallery:
        gallery.add_vectors(range(N), X)
        gallery.delete(["2000"])
    (name,) = names(folder)
    if isinstance(damage, str):
        with sqlite3.connect(folder / "gallery.sqlite") as connection:
            connection.execute(f"UPDATE blocks SET {damage} WHERE first = 1")
        connection.close()
    else:
        damage(folder / name)
    left = names(folder)
    with Gallery.open(folder) as gallery:
        with pytest.raises(DamagedGalleryError):
            gallery.compact()
        assert gallery.count() == N - 1
    assert names(folder) == left


@pytest.mark.usefixtures("small")
def test_sizes_are_told_while_files_go(tmp_path: Path, X: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "g"
    with Gallery.create(folder, dim=DIM) as gallery:
        gallery.add_vectors(range(N), X)
        list_all = Path.iterdir
        gone = folder / "vectors-0123456789abcdef.bin"
        monkeypatch.setattr(Path, "iterdir", lambda self: [*list_all(self), gone])
        assert gallery.info().bytes_on_disk > X.nbytes
        assert gallery.compact().before > X.nbytes
