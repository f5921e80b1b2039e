"""Galleries under sequences of writes, threads and other writers."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_gallery import brute_force, unit

import retrieval
from retrieval import Gallery, departures


def test_records_may_come_from_something_that_writes(gallery: Gallery) -> None:
    def writing() -> Any:
        yield {"acno": "A2", "title": "x"}
        gallery.delete(["A1"])

    gallery.add(writing(), id="acno")
    assert list(gallery.ids()) == ["A2", "A3", "A4", "A5"]


def test_a_write_inside_a_write_is_refused(gallery: Gallery) -> None:
    with pytest.raises(RuntimeError, match="inside another write"), gallery._store.write():
        gallery.delete(["A1"])
    assert gallery.count() == 5


@pytest.mark.parametrize("in_memory", [1, 1 << 20])
def test_nobody_waits_for_records_to_be_encoded(
    gallery: Gallery, folder: Path, in_memory: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("retrieval.spool._IN_MEMORY", in_memory)
    with Gallery.open(folder, timeout=0) as impatient:

        def slow() -> Any:
            for number in range(2500):
                if number % 500 == 0:
                    impatient.add_vectors([f"other {number}"], np.ones((1, 64)))
                yield {"acno": f"n{number}", "title": f"sea {number}"}
            impatient.delete(["A1"])

        files = sorted(folder.iterdir())
        assert gallery.add(slow(), id="acno") == 2500
        assert impatient.count() == 5 + 5 - 1 + 2500
        assert list(gallery.ids())[:10] == ["A2", "A3", "A4", "A5", *(f"other {n}" for n in range(0, 2500, 500)), "n0"]
        assert [hit[0].id for hit in gallery.search([{"title": f"sea {n}"} for n in (0, 1500, 2499)], k=1)] == [
            "n0",
            "n1500",
            "n2499",
        ]
        assert sorted(folder.iterdir()) == files


def test_a_disk_that_is_full_while_records_are_set_aside_changes_nothing(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: Any, **more: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("retrieval.spool.pickle.dump", full)
    with pytest.raises(retrieval.RetrievalError, match=r"No space left on device.*nothing was written"):
        gallery.add([{"acno": "new", "title": "x"}], id="acno")
    assert gallery.count() == 5


def test_adding_what_the_gallery_itself_holds(gallery: Gallery) -> None:
    doubled = ({**payload, "acno": "copy of " + name} for name, payload in gallery.items())
    assert gallery.add(doubled, id="acno") == 5
    assert gallery.count() == 10


def test_threads_search_while_one_writes(folder: Path) -> None:
    X = unit(np.random.default_rng(1).standard_normal((300, 16)))
    failures: list[BaseException] = []
    with Gallery.create(folder, dim=16) as gallery:
        gallery.add_vectors(range(100), X[:100], payloads=list(range(100)))
        done = threading.Event()

        def read() -> None:
            try:
                while not done.is_set():
                    for number, hits in enumerate(gallery.search(X[:20], k=3)):
                        assert hits[0].id == str(number)
                        assert hits[0].payload == number
                        assert len({hit.id for hit in hits}) == 3
            except BaseException as error:  # noqa: BLE001 - handed to the main thread
                failures.append(error)

        threads = [threading.Thread(target=read) for _ in range(3)]
        for thread in threads:
            thread.start()
        for number in range(100, 250):
            gallery.add_vectors([number], X[number : number + 1], payloads=[number])
            if number % 3 == 0:
                gallery.delete([number])
        done.set()
        for thread in threads:
            thread.join()
    assert failures == []


def test_another_writer_waits_and_then_says_who_is_in_the_way(gallery: Gallery, folder: Path) -> None:
    with Gallery.open(folder, timeout=0.2) as impatient:
        with (
            gallery._store.write(),
            pytest.raises(retrieval.GalleryBusyError, match=r"held the gallery for 0\.2 s"),
        ):
            impatient.add_vectors(["a"], np.ones((1, 64)))
        assert impatient.add_vectors(["a"], np.ones((1, 64))) == 1


_step = st.tuples(
    st.sampled_from(["put", "put", "put", "pay", "delete", "delete", "search", "reopen", "compact"]),
    st.lists(st.integers(0, 12), min_size=1, max_size=6, unique=True),
    st.integers(0, 3),
)


@settings(max_examples=25, deadline=None)
@given(steps=st.lists(_step, min_size=1, max_size=25), most=st.sampled_from([0, 3, 8, departures.MOST]))
def test_any_sequence_of_writes_is_a_dict(
    tmp_path_factory: pytest.TempPathFactory, steps: list[Any], most: int
) -> None:
    with patch("retrieval.departures.MOST", most), patch("retrieval.departures._PART", 2 + most // 3):
        _follow(tmp_path_factory, steps)


def _follow(tmp_path_factory: pytest.TempPathFactory, steps: list[Any]) -> None:
    folder = tmp_path_factory.mktemp("model") / "g"
    model: dict[str, tuple[int, Any]] = {}
    directions = unit(np.random.default_rng(0).standard_normal((4, 5)))
    gallery = Gallery.create(folder, dim=5)
    other = Gallery.open(folder)
    try:
        for action, keys, value in steps:
            names = [str(key) for key in keys]
            if action == "put":
                gallery.add_vectors(names, directions[[value] * len(names)], payloads=[[value, n] for n in names])
                for name in names:
                    model[name] = (value, [value, name])
            elif action == "pay":
                there = [name for name in names if name in model]
                gallery.set_payloads(there, [[value, "paid"]] * len(there))
                for name in there:
                    model[name] = (model[name][0], [value, "paid"])
            elif action == "delete":
                gone = [name for name in names if name in model]
                gallery.delete(gone)
                for name in gone:
                    del model[name]
            elif action == "compact":
                gallery.compact()
            elif action == "reopen":
                gallery.close()
                gallery = Gallery.open(folder)
            rows = list(model)
            assert list(gallery.items()) == [(name, model[name][1]) for name in rows]
            X = directions[[model[name][0] for name in rows]].reshape(-1, 5)
            wanted, scores = brute_force(directions, X, 4)
            for reader in (gallery, other) if action == "search" else (gallery,):
                hits = reader.search(directions, k=4)
                assert [[hit.id for hit in one] for one in hits] == [[rows[i] for i in one] for one in wanted]
                for one, expected in zip(hits, scores, strict=True):
                    np.testing.assert_allclose([hit.score for hit in one], expected, atol=6e-8)
                    assert all(hit.payload == model[hit.id][1] for hit in one)
    finally:
        gallery.close()
        other.close()
