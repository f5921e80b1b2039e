"""Deleted items whose rows still lie in the tables are gone for every reader, and their rows in the end."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from reference_gallery import brute_force, unit

from retrieval import Gallery, RetrievalError, UnknownIdError, Upgrade, departures
from retrieval.checking import check, salvaged

N, DIM = 60, 8


@pytest.fixture(name="X")
def directions() -> np.ndarray:
    return unit(np.random.default_rng(0).standard_normal((N, DIM)))


@pytest.fixture
def filled(tmp_path: Path, X: np.ndarray) -> Iterator[Gallery]:
    with Gallery.create(tmp_path / "g", dim=DIM) as gallery:
        gallery.add_vectors(range(N), X, payloads=[{"n": n, "odd": n % 2} for n in range(N)])
        yield gallery


def rows(gallery: Gallery, table: str) -> int:
    connection = sqlite3.connect(gallery.path / "gallery.sqlite")
    (count,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
    connection.close()
    return int(count)


def everything(gallery: Gallery, X: np.ndarray, left: list[int]) -> None:
    """Compare all that a reader can ask with what is left."""
    assert list(gallery.items()) == [(str(n), {"n": n, "odd": n % 2}) for n in left]
    assert gallery.count() == len(left)
    assert [n for n in range(N) if str(n) in gallery] == sorted(left)
    ids, stored = gallery.vectors()
    assert ids == [str(n) for n in left]
    assert np.array_equal(stored, X[left])
    for where, kept in ((None, left), ({"odd": 1}, [n for n in left if n % 2])):
        wanted, _ = brute_force(X[:5], X[kept], 4)
        hits = gallery.search(X[:5], k=4, where=where)
        assert [[hit.id for hit in one] for one in hits] == [[str(kept[i]) for i in one] for one in wanted]


@pytest.mark.parametrize("indexed", [False, True])
def test_what_was_deleted_is_gone_for_every_reader(filled: Gallery, X: np.ndarray, indexed: bool) -> None:
    if indexed:
        filled.index_paths(["odd"])
    with Gallery.open(filled.path) as behind:
        everything(behind, X, list(range(N)))
        filled.delete(range(0, N, 3))
        filled.delete([1])
        left = [n for n in range(N) if n % 3 and n != 1]
        assert rows(filled, "records") == N
        for reader in (filled, behind):
            everything(reader, X, left)
            with pytest.raises(UnknownIdError):
                reader.get(3)
            with pytest.raises(UnknownIdError):
                reader.delete([3])
    with Gallery.open(filled.path) as anew:
        everything(anew, X, left)
    report = check(filled.path)
    assert report.sound
    assert report.records == report.vectors == len(left)
    assert [record.id for record in salvaged(filled.path)] == [str(n) for n in left]


def test_a_reader_that_is_behind_reads_what_went_alone(
    filled: Gallery, X: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    def all_anew(*arguments: Any) -> None:
        raise RuntimeError("every vector is read anew")

    with Gallery.open(filled.path) as behind:
        behind.search(X[0])
        monkeypatch.setattr("retrieval.vectors.VectorTable._reload", all_anew)
        filled.delete([3, 4])
        filled.delete([5])
        assert [hit.id for hit in behind.search(X[4], k=1)] != ["4"]
        with filled._store.write() as writer:
            writer.settle()
        filled.add_vectors([6], X[7:8])
        filled.add_vectors([6], X[6:7])
        filled.delete([6])
        for number in range(7):
            assert (behind.search(X[number], k=1)[0].id == str(number)) == (number < 3)


def test_an_id_that_comes_back_is_a_new_item_at_the_end(filled: Gallery, X: np.ndarray) -> None:
    filled.delete([7, 8])
    filled.add_vectors([8], X[8:9], payloads=[{"n": 8, "odd": 0}])
    left = [n for n in range(N) if n not in (7, 8)] + [8]
    everything(filled, X, left)
    filled.compact()
    everything(filled, X, left)
    assert check(filled.path).sound


def test_the_rows_go_when_too_many_wait(filled: Gallery, X: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(departures, "MOST", 9)
    monkeypatch.setattr(departures, "_PART", 4)
    left = list(range(N))
    with Gallery.open(filled.path) as behind:
        behind.search(X[0])
        for start in range(0, 40, 5):
            gone = left[start // 2 : start // 2 + 5]
            filled.delete(gone)
            left = [n for n in left if n not in gone]
            # Two calls leave ten, which is more than nine.
            assert rows(filled, "records") == len(left) + (0 if start % 10 else 5)
            assert (rows(filled, "departures") == 0) == bool(start % 10)
            everything(filled, X, left)
            if start == 30:
                everything(behind, X, left)
        everything(behind, X, left)
    assert check(filled.path).sound


def test_compact_removes_the_rows(filled: Gallery, X: np.ndarray) -> None:
    filled.delete(range(10))
    filled.add_vectors([3], X[3:4], payloads=[{"n": 3, "odd": 1}])
    filled.compact()
    left = [*range(10, N), 3]
    for table in ("records", "ids", "placements"):
        assert rows(filled, table) == len(left)
    assert rows(filled, "departures") == rows(filled, "tombstones") == 0
    everything(filled, X, left)


def test_a_damaged_part_of_the_list_leaves_the_others(
    filled: Gallery, X: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(departures, "_PART", 4)
    filled.delete(range(10, 22))
    filled.add_vectors([15, 16, 17], X[15:18])
    with sqlite3.connect(filled.path / "gallery.sqlite") as connection:
        connection.execute("UPDATE departures SET crc = crc + 1 WHERE part = 2")
    connection.close()
    report = check(filled.path)
    assert [problem for problem in report.problems if "the list of deleted items" in problem]
    # Of the four in that part, what came back since shows that three had gone.
    assert [record.id for record in salvaged(filled.path)] == [
        str(n) for n in (*range(10), 14, *range(22, N), 15, 16, 17)
    ]


def test_no_flipped_bit_brings_an_item_back(filled: Gallery) -> None:
    filled.delete([3, 4])
    filled.close()
    file = filled.path / "gallery.sqlite"
    connection = sqlite3.connect(file)
    (page,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'departures'").fetchone()
    connection.close()
    whole = file.read_bytes()
    at = 8192 * (page - 1)
    # The tree's head with its list of rows, and the one row there is, at the end of the page.
    for place in (*range(at, at + 12), *range(at + 8192 - 48, at + 8192)):
        for bit in range(8):
            file.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << bit]) + whole[place + 1 :])
            try:
                with Gallery.open(filled.path) as gallery:
                    assert "3" not in gallery, (place - at, bit)
            except RetrievalError:
                pass


def test_a_gallery_of_two_models_keeps_no_deleted_rows(filled: Gallery, X: np.ndarray) -> None:
    filled.delete([0, 1])
    new = unit(X @ np.linalg.qr(np.random.default_rng(1).standard_normal((DIM, DIM)))[0])
    filled.apply(Upgrade.fit(old=X, new=new, old_model="vectors"), model="new")
    assert rows(filled, "records") == N - 2
    filled.delete([2, 3])
    assert rows(filled, "records") == N - 4
    assert rows(filled, "departures") == 0
    assert list(filled.ids()) == [str(n) for n in range(4, N)]
    assert check(filled.path).sound


def test_a_deletion_writes_a_few_pages(tmp_path: Path) -> None:
    n = 20_000
    with Gallery.create(tmp_path / "g", dim=2) as gallery:
        gallery.add_vectors(range(n), np.ones((n, 2)), payloads=[{"title": f"Work {row}"} for row in range(n)])
    log = tmp_path / "g" / "gallery.sqlite-wal"
    with Gallery.open(tmp_path / "g") as gallery:
        gallery.delete(np.random.default_rng(0).permutation(n)[:1000].tolist())
        # Its rows would be on some 300 pages of 8 KB.
        assert log.stat().st_size < 100_000


@pytest.mark.parametrize("sizes", [[1] * 9, [3, 3, 3], [9], [5, 4], [4, 5], [1, 8], [8, 1]])
def test_the_list_is_read_as_it_was_written(tmp_path: Path, sizes: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(departures, "_PART", 4)
    connection: Any = sqlite3.connect(":memory:", isolation_level=None)
    connection.execute("CREATE TABLE departures (part INTEGER PRIMARY KEY, last, crc, data)")
    connection.execute("CREATE TABLE settings (key PRIMARY KEY, value, crc)")
    items = iter(range(100, 109))
    written = []
    for generation, size in enumerate(sizes, start=1):
        went = [next(items) for _ in range(size)]
        departures.note(tmp_path, connection, generation, went)
        written += [[generation, item] for item in went]
    assert departures.read(tmp_path, connection).tolist() == written
    assert departures.read(tmp_path, connection, 1).tolist() == [pair for pair in written if pair[0] > 1]
    (parts,) = connection.execute("SELECT count(*) FROM departures").fetchone()
    assert parts == 3
    connection.close()
