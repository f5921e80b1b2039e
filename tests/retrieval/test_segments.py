"""Vectors of bulk writes in files of their own: written before the commit, and checked when read."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from reference_gallery import unit
from vector_files import DIM, N, directions, names, same

from retrieval import DamagedGalleryError, Gallery, RetrievalError, segments
from retrieval.checking import check, salvaged


@pytest.fixture(name="X")
def rows() -> np.ndarray:
    return directions()


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


def test_info_tells_of_the_files_and_names_the_folder_from_here(
    tmp_path: Path, X: np.ndarray, small: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with Gallery.create("g", dim=DIM) as gallery:
        assert gallery.info().storage == "float32 in gallery.sqlite"
        gallery.add_vectors(range(10), X[:10])
        assert gallery.info().storage == "float32 in gallery.sqlite and 1 file beside it"
        gallery.add_vectors(range(10, 20), X[10:20])
        assert gallery.info().storage == "float32 in gallery.sqlite and 2 files beside it"
        assert gallery.info().path == "g"
        monkeypatch.chdir("g")
        assert gallery.info().path == "."
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        assert gallery.info().path == str(tmp_path / "g")
