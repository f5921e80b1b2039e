"""Reader processes beside a writer: no error, no torn result."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from reference_gallery import unit

from retrieval import Gallery
from retrieval.checking import check

SECONDS = float(os.environ.get("RETRIEVAL_SECONDS", "3"))
READERS = int(os.environ.get("RETRIEVAL_READERS", "3"))
DIM = 8

READER = """
import sys, time
import numpy as np
from retrieval import Gallery
from test_processes import vectors
until = time.time() + float(sys.argv[2])
looks, states = 0, set()
with Gallery.open(sys.argv[1]) as gallery:
    # On a slow machine longer, so that there is something to see.
    while time.time() < until or (min(looks - 3, len(states) - 1) < 1 and time.time() < until + 60):
        hits = gallery.search(vectors(0), k=40)
        # A score from one write beside a payload from another would show here.
        for row, one in enumerate(hits):
            for hit in one:
                version, number = hit.payload["version"], hit.payload["number"]
                expected = float(vectors(version)[number].astype(float) @ vectors(0)[row].astype(float))
                assert abs(hit.score - expected) < 1e-6, (hit, expected)
        # Every call writes the ten items of a group at once.
        seen = {}
        for name, payload in gallery.items():
            seen.setdefault(name.split("-")[0], []).append(payload["version"])
        for group, found in seen.items():
            assert len(found) == 10 and len(set(found)) == 1, (group, found)
        looks += 1
        states.add(str(sorted(seen.items())))
print(looks, len(states))
"""


def vectors(version: int) -> np.ndarray:
    return unit(np.random.default_rng(version).standard_normal((10, DIM)))


@pytest.mark.skipif(os.name != "posix", reason="needs processes that share files as POSIX does")
def test_readers_see_whole_writes_only(tmp_path: Path) -> None:
    folder = tmp_path / "g"
    here = str(Path(__file__).parent)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([here, str(Path.cwd()), *sys.path])}
    with Gallery.create(folder, dim=DIM) as gallery:
        write(gallery, 0, "g0")
        readers = [
            subprocess.Popen(
                [sys.executable, "-c", READER, str(folder), str(SECONDS)],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environment,
                text=True,
            )
            for _ in range(READERS)
        ]
        version = 1
        until = time.time() + SECONDS + 1
        while time.time() < until or any(reader.poll() is None for reader in readers):
            group = f"g{version % 7}"
            if version % 5 == 4 and f"{group}-0" in gallery and group != "g0":
                gallery.delete([f"{group}-{number}" for number in range(10)])
            else:
                write(gallery, version, group)
            if version % 50 == 0:
                gallery.compact()
            version += 1
        for reader in readers:
            out, err = reader.communicate(timeout=60)
            assert reader.returncode == 0, err
            looks, states = map(int, out.split())
            assert looks > 3
            assert states > 1
    assert check(folder).sound


def write(gallery: Gallery, version: int, group: str) -> None:
    payloads = [{"version": version, "number": number} for number in range(10)]
    gallery.add_vectors([f"{group}-{number}" for number in range(10)], vectors(version), payloads=payloads)


def _write_in_a_child(gallery: Gallery) -> None:
    inherited = gallery._store._write_connection
    gallery.add_vectors(["child"], unit(np.ones((1, DIM))))
    # SQLite's locks are the process's that opened the file.
    sys.exit(gallery._store._write_connection is inherited)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_forked_process_writes_through_a_connection_of_its_own(tmp_path: Path) -> None:
    with Gallery.create(tmp_path / "g", dim=DIM) as gallery:
        gallery.add_vectors(["parent"], unit(np.eye(1, DIM)))
        child = multiprocessing.get_context("fork").Process(target=_write_in_a_child, args=(gallery,))
        child.start()
        child.join(timeout=60)
        child.kill()
        assert child.exitcode == 0
        assert sorted(gallery.ids()) == ["child", "parent"]
        gallery.add_vectors(["again"], unit(np.eye(1, DIM, 1)))
    assert check(tmp_path / "g").sound
