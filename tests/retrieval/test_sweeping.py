"""Files of vectors that no state names are removed, and no others; compaction copies what lives."""

from __future__ import annotations

import os
import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from vector_files import DIM, N, directions, names, same

from retrieval import DamagedGalleryError, Gallery, RetrievalError, segments
from retrieval.checking import check


@pytest.fixture(name="X")
def rows() -> np.ndarray:
    return directions()


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
def test_sizes_are_told_while_files_go(tmp_path: Path, X: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "g"
    with Gallery.create(folder, dim=DIM) as gallery:
        gallery.add_vectors(range(N), X)
        list_all = Path.iterdir
        gone = folder / "vectors-0123456789abcdef.bin"
        monkeypatch.setattr(Path, "iterdir", lambda self: [*list_all(self), gone])
        assert gallery.info().bytes_on_disk > X.nbytes
        assert gallery.compact().before > X.nbytes
