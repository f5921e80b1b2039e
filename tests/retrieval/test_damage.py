"""Altered, cut and foreign files: an error that says so, never a wrong result."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from reference_gallery import unit

import retrieval
from retrieval import Gallery, RetrievalError
from retrieval.checking import check, salvaged

FLIPS = int(os.environ.get("RETRIEVAL_FLIPS", "120"))
N, DIM = 300, 24
FILES = {"gallery.sqlite", "gallery.sqlite-wal", "gallery.sqlite-shm", "gallery.watermark", "index-1.faiss"}
VECTORS = "vectors-*.bin"


def content() -> np.ndarray:
    return unit(np.random.default_rng(0).standard_normal((N, DIM)))


def fill(folder: Path) -> None:
    X = content()
    with Gallery.create(folder, dim=DIM) as gallery:
        for start in range(0, N, 60):
            rows = range(start, start + 60)
            gallery.add_vectors(rows, X[start : start + 60], payloads=[{"n": n, "text": "word " * 20} for n in rows])
        gallery.delete(range(0, N, 10))
        gallery.add_vectors(["1"], X[1:2])


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    folder = tmp_path_factory.mktemp("sound") / "g"
    fill(folder)
    return folder, content()


CRASHING = """
import os, sys
from pathlib import Path
from retrieval import Gallery, segments
from test_damage import DIM, content, fill
folder = Path(sys.argv[1])
segments.LEAST = 60 * DIM * 4 - 1
fill(folder)
gallery = Gallery.open(folder)
gallery.optimize(index="SQ8")
for number in range(40, 60):
    gallery.add_vectors([f"late {number}"], content()[number : number + 1], payloads=[{"n": -number}])
os._exit(0)
"""


@pytest.fixture(scope="module")
def crashed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A gallery with every file that one can have: the last writes lie in the log, and there is an index."""
    folder = tmp_path_factory.mktemp("crashed") / "g"
    path = os.pathsep.join([str(Path(__file__).parent), str(Path.cwd()), *sys.path])
    subprocess.run([sys.executable, "-c", CRASHING, str(folder)], env={**os.environ, "PYTHONPATH": path}, check=True)
    assert {file.name for file in folder.iterdir()} >= FILES
    assert len(list(folder.glob(VECTORS))) == N // 60
    return folder


def everything(folder: Path, X: np.ndarray) -> dict[str, Any]:
    """All that a reader can ask, in one value."""
    with Gallery.open(folder) as gallery:
        return {
            "count": gallery.count(),
            "items": list(gallery.items()),
            "hits": [[(hit.id, hit.score, hit.payload) for hit in hits] for hits in gallery.search(X[:40], k=5)],
            "where": [hit.id for hit in gallery.search(X[0], k=3, where={"n": {">": 250}})],
            "get": [gallery.get(number) for number in (1, 55, 299)],
            "in": [str(number) in gallery for number in range(0, N, 7)],
            "dim": gallery.dim,
        }


def altered(data: bytes, rng: np.random.Generator, attempt: int) -> bytes:
    """A cut every sixth time, else one flipped bit, which goes to the first pages every other time."""
    if attempt % 6 == 0:
        return data[: int(rng.integers(0, len(data)))]
    raw = bytearray(data)
    at = int(rng.integers(0, len(raw) if attempt % 2 else min(len(raw), 65536)))
    raw[at] ^= 1 << int(rng.integers(0, 8))
    return bytes(raw)


def test_no_flipped_byte_and_no_cut_gives_a_wrong_result(
    sound: tuple[Path, np.ndarray], crashed: Path, tmp_path: Path
) -> None:
    X = sound[1]
    rng = np.random.default_rng(int(os.environ.get("RETRIEVAL_SEED", "1")))
    # A closed gallery is one database and its mark; trees and checksums of that are tried as often as all the rest.
    cases = [(sound[0], "gallery.sqlite")] * len(FILES) + [(crashed, name) for name in sorted({*FILES, VECTORS})]
    truths = {}
    for folder in (sound[0], crashed):
        shutil.copytree(folder, tmp_path / "whole")
        truths[folder] = everything(tmp_path / "whole", X)
        shutil.rmtree(tmp_path / "whole")
    outcomes = {name: {"same": 0, "refused": 0} for name in {*FILES, VECTORS}}
    for attempt in range(FLIPS):
        folder, name = cases[int(rng.integers(0, len(cases)))]
        target = tmp_path / "altered"
        shutil.copytree(folder, target)
        file = sorted(target.glob(name))[attempt % len(list(target.glob(name)))]
        file.write_bytes(altered(file.read_bytes(), rng, attempt))
        try:
            assert everything(target, X) == truths[folder]
            outcomes[name]["same"] += 1
        except RetrievalError:
            outcomes[name]["refused"] += 1
        assert check(target).records <= N
        shutil.rmtree(target)
    print(outcomes)
    assert outcomes["gallery.sqlite"]["refused"] > FLIPS // 8, outcomes
    assert outcomes["gallery.sqlite-wal"]["refused"] > 0, outcomes
    assert outcomes[VECTORS]["refused"] > 0, outcomes
    assert outcomes[VECTORS]["same"] == 0, outcomes
    for name in ("index-1.faiss", "gallery.watermark", "gallery.sqlite-shm"):
        assert outcomes[name]["refused"] == 0, outcomes


def test_check_counts_what_can_be_saved(sound: tuple[Path, np.ndarray], tmp_path: Path) -> None:
    folder, _ = sound
    report = check(folder)
    assert report.sound
    assert (report.records, report.records_expected, report.vectors, report.vectors_expected) == (270, 270, 270, 270)
    shutil.copytree(folder, tmp_path / "g")
    file = tmp_path / "g" / "gallery.sqlite"
    data = file.read_bytes()
    at = data.index(b'{"n":123,') + 20
    file.write_bytes(data[:at] + b"W" + data[at + 1 :])
    report = check(tmp_path / "g")
    assert report.records == 269
    assert any("the record '123'" in problem for problem in report.problems)
    assert len(list(salvaged(tmp_path / "g"))) == 269
    with Gallery.open(tmp_path / "g") as gallery:
        with pytest.raises(retrieval.DamagedGalleryError, match=r"record '123'.*retrieval export --salvage"):
            gallery.get(123)
        assert gallery.get(124)["n"] == 124


def execute(folder: Path, statement: str) -> None:
    connection = sqlite3.connect(folder / "gallery.sqlite")
    connection.execute(statement)
    connection.commit()
    connection.close()


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM ids WHERE id = '5'",
        "UPDATE ids SET item = 7 WHERE id = '5'",
        "DELETE FROM placements WHERE item = 9",
        "UPDATE placements SET slot = slot + 1000 WHERE item = 9",
        "DELETE FROM records WHERE item = 9",
        "DELETE FROM blocks WHERE first = 61",
        "UPDATE models SET dim = 12",
        "UPDATE state SET items = items + 1",
        "UPDATE state SET active = 2",
        "UPDATE records SET id = 'other' WHERE item = 9",
        "UPDATE blocks SET crc = crc + 1 WHERE first = 61",
        "DELETE FROM departures",
        "UPDATE departures SET crc = crc + 1",
        "UPDATE departures SET data = substr(data, 17)",
    ],
)
def test_rows_that_were_tampered_with_are_noticed(
    statement: str, sound: tuple[Path, np.ndarray], tmp_path: Path
) -> None:
    shutil.copytree(sound[0], tmp_path / "g")
    execute(tmp_path / "g", statement)
    with pytest.raises(retrieval.DamagedGalleryError, match="retrieval check"):
        everything(tmp_path / "g", sound[1])
    assert not check(tmp_path / "g").sound


def test_newer_damaged_and_foreign_are_told_apart(sound: tuple[Path, np.ndarray], tmp_path: Path) -> None:
    folder = tmp_path / "g"
    shutil.copytree(sound[0], folder)
    execute(folder, "PRAGMA user_version = 9")
    with pytest.raises(retrieval.DamagedGalleryError, match="9 in the header but 1 in the state"):
        Gallery.open(folder)
    execute(folder, "UPDATE state SET format = 9")
    with pytest.raises(retrieval.NewerGalleryError, match="format 9; this package reads up to 1"):
        Gallery.open(folder)
    execute(folder, "PRAGMA application_id = 5")
    with pytest.raises(retrieval.NotAGalleryError, match="not a gallery"):
        Gallery.open(folder)
    (folder / "gallery.sqlite").write_bytes(b"something else entirely" * 100)
    with pytest.raises(retrieval.NotAGalleryError, match="not a gallery, or its first bytes are damaged"):
        Gallery.open(folder)
    (folder / "gallery.sqlite").write_bytes(b"")
    with pytest.raises(retrieval.NotAGalleryError, match="was interrupted"):
        Gallery.open(folder)
    (folder / "gallery.sqlite").unlink()
    with pytest.raises(retrieval.GalleryNotFoundError, match="no gallery there"):
        Gallery.open(folder)


def test_a_read_only_folder_can_be_searched(
    sound: tuple[Path, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, X = sound
    monkeypatch.setattr("os.access", lambda path, mode: False)
    with Gallery.open(folder) as gallery:
        assert gallery.search(X[1], k=1)[0].id == "1"
        with pytest.raises(retrieval.ReadOnlyGalleryError, match="read-only"):
            gallery.delete(["1"])
    (folder / "gallery.sqlite-wal").write_bytes(b"x")
    try:
        with pytest.raises(retrieval.ReadOnlyGalleryError, match="writes that were not folded in"):
            Gallery.open(folder)
    finally:
        (folder / "gallery.sqlite-wal").unlink()
