"""Galleries under sequences of writes, threads and other writers."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_gallery import brute_force, unit

import retrieval
from retrieval import Gallery


def test_a_write_inside_a_write_is_refused(gallery: Gallery) -> None:
    def nested() -> Any:
        yield {"acno": "outer", "title": "x"}
        gallery.delete(["A1"])

    with pytest.raises(RuntimeError, match="inside another write"):
        gallery.add(nested(), id="acno")
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

        def slow() -> Any:
            yield {"acno": "slow", "title": "x"}
            with pytest.raises(retrieval.GalleryBusyError, match=r"held the gallery for 0\.2 s"):
                impatient.add_vectors(["a"], np.ones((1, 64)))

        gallery.add(slow(), id="acno")
        assert impatient.add_vectors(["a"], np.ones((1, 64))) == 1


_step = st.tuples(
    st.sampled_from(["put", "put", "put", "delete", "search", "reopen"]),
    st.lists(st.integers(0, 12), min_size=1, max_size=6, unique=True),
    st.integers(0, 3),
)


@settings(max_examples=25, deadline=None)
@given(steps=st.lists(_step, min_size=1, max_size=25))
def test_any_sequence_of_writes_is_a_dict(tmp_path_factory: pytest.TempPathFactory, steps: list[Any]) -> None:
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
            elif action == "delete":
                gone = [name for name in names if name in model]
                gallery.delete(gone)
                for name in gone:
                    del model[name]
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
