"""Filters on indexed paths: the answers of the scan, after every kind of write, and damage told."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from reference_gallery import unit

from retrieval import DamagedGalleryError, FilterError, Gallery, pathindex
from retrieval.checking import check
from retrieval.filters import compiled
from retrieval.snapshot import Snapshot

PATHS = ["kind", "when.start", "makers[].role", "size[0]", "and"]
FILTERS: list[dict[str, Any]] = [
    {"kind": "painting"},
    {"kind": {"!=": "painting"}},
    {"kind": {"in": ["print", None, 3, True]}},
    {"kind": {"exists": False}},
    {"kind": {"contains": "int"}},
    {"kind": {"==": {}}},
    {"kind": {"<": "q", ">": 2}},
    {"when.start": {">=": 1900, "<": 1950}},
    {"makers[].role": "artist"},
    {"makers[].role": {"!=": "artist"}},
    {"size[0]": {">": 4}},
    {"kind": "painting", "when.start": {"<": 1925}},
    {"kind": "print", "other": {">": 5}},
    {"kind": "print", "or": [{"other": 1}, {"when.start": {"exists": True}}]},
    {"kind": "print", "not": {"other": {">": 5}}},
    {"and": {"exists": True}, "kind": "print"},
    {"and": [{"kind": "print"}, {"other": {">": 2}}]},
    {"other": {">": 5}},
    {},
]


def payload(rng: np.random.Generator) -> Any:
    if rng.random() < 0.1:
        return None
    made: dict[str, Any] = {"other": int(rng.integers(10)), "text": "word " * 20}
    if rng.random() < 0.8:
        made["kind"] = [None, True, 3, 10**30, "painting", "print", {}, ["int"]][rng.integers(8)]
    if rng.random() < 0.6:
        made["when"] = {"start": int(rng.integers(1880, 1960))} if rng.random() < 0.9 else "then"
    made["makers"] = [{"role": ["artist", "after"][rng.integers(2)]} for _ in range(rng.integers(4))]
    made["size"] = rng.integers(0, 9, rng.integers(3)).tolist()
    if rng.random() < 0.3:
        made["and"] = 1
    return made


def assert_filters_are_those_of(gallery: Gallery, payloads: dict[str, Any]) -> None:
    for where in FILTERS:
        wanted = {name for name, value in payloads.items() if compiled(where)(value)}
        found = gallery.search(np.ones(3), k=len(payloads) or 1, where=where, payloads=False)
        assert {hit.id for hit in found} == wanted, where


@pytest.mark.parametrize("seed", range(3))
def test_answers_are_those_of_the_payloads_after_every_write(seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    truth: dict[str, Any] = {}
    with Gallery.create(tmp_path / "g", dim=3) as gallery:
        if seed:
            gallery.index_paths(PATHS)
        for step in range(6):
            names = [str(number) for number in rng.choice(60, 25, replace=False)]
            made = [payload(rng) for _ in names]
            gallery.add_vectors(names, unit(rng.standard_normal((25, 3))), payloads=made)
            truth |= dict(zip(names, made, strict=True))
            if step == 2:
                gallery.index_paths(PATHS[:3])
            gone = [str(name) for name in rng.choice(sorted(truth), 5, replace=False)]
            gallery.delete(gone)
            truth = {name: value for name, value in truth.items() if name not in gone}
            kept = sorted(truth)[:4]
            gallery.add_vectors(kept, unit(rng.standard_normal((4, 3))))
            changed = {name: payload(rng) for name in sorted(truth)[-3:]}
            gallery.set_payloads(list(changed), list(changed.values()))
            truth |= changed
            assert_filters_are_those_of(gallery, truth)
        gallery.compact()
        assert_filters_are_those_of(gallery, truth)
        gallery.unindex_paths(["kind"])
        assert_filters_are_those_of(gallery, truth)
    assert check(tmp_path / "g").sound
    with Gallery.open(tmp_path / "g") as gallery:
        assert_filters_are_those_of(gallery, truth)
        gallery.unindex_paths()
        assert_filters_are_those_of(gallery, truth)


def test_a_filter_on_indexed_paths_reads_no_payload(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    with Gallery.create(tmp_path / "g", dim=3) as gallery:
        gallery.add_vectors(range(50), unit(rng.standard_normal((50, 3))), payloads=[payload(rng) for _ in range(50)])
        gallery.index_paths(PATHS)
        read: list[int] = []
        monkeypatch.setattr(Snapshot, "all_records", lambda self: pytest.fail("every payload was read"))
        original = Snapshot.records
        monkeypatch.setattr(Snapshot, "records", lambda self, items: read.extend(items) or original(self, items))
        gallery.search(np.ones(3), where={"kind": "print", "when.start": {">": 1900}}, payloads=False)
        assert read == []
        found = gallery.search(np.ones(3), k=50, where={"kind": "print"}, payloads=False)
        gallery.search(np.ones(3), where={"kind": "print", "other": 1}, payloads=False)
        assert len(read) == len(found)


def test_bad_paths_are_refused(tmp_path: Path) -> None:
    with Gallery.create(tmp_path / "g", dim=3) as gallery:
        with pytest.raises(TypeError, match="list of paths"):
            gallery.index_paths("kind")
        with pytest.raises(FilterError, match="broken at character 3"):
            gallery.index_paths(["kind", "a..b"])
        with pytest.raises(ValueError, match="'kind' is not indexed; indexed are none"):
            gallery.unindex_paths(["kind"])


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        ("UPDATE path_values SET data = '[\"print\"]' WHERE item = 3", "does not match its checksum"),
        ("DELETE FROM path_values WHERE item = 3", "expected, not 4"),
    ],
)
def test_damage_is_told(harm: str, message: str, tmp_path: Path) -> None:
    with Gallery.create(tmp_path / "g", dim=3) as gallery:
        gallery.add_vectors(range(5), np.eye(3)[[0, 1, 2, 0, 1]], payloads=[{"kind": "painting"}] * 5)
        gallery.index_paths(["kind"])
    with sqlite3.connect(tmp_path / "g" / "gallery.sqlite") as connection:
        connection.execute(harm)
    connection.close()
    with Gallery.open(tmp_path / "g") as gallery, pytest.raises(DamagedGalleryError, match=message):
        gallery.search([1, 0, 0], where={"kind": "print"})
    assert any("indexed path 'kind'" in problem for problem in check(tmp_path / "g").problems)


def test_values_that_are_not_those_of_the_payloads_are_found_by_a_check(tmp_path: Path) -> None:
    with Gallery.create(tmp_path / "g", dim=3) as gallery:
        gallery.add_vectors(["a"], [[1, 0, 0]], payloads=[{"kind": "painting"}])
        gallery.index_paths(["kind"])
        with gallery._store.write() as writer:
            pathindex.put(writer.connection, {"kind": 1}, [(1, "a", 1, b'{"kind":"print"}', 0)])
    assert any("indexed path 'kind'" in problem for problem in check(tmp_path / "g").problems)
