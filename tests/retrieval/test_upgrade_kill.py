"""kill -9 during apply, backfill and rollback: nothing is lost, the gallery is in one state, the work goes on."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from retrieval import Gallery, Upgrade, check

KILLS = int(os.environ.get("RETRIEVAL_KILLS", "6"))
N = 3000

WORKER = """
import sys
from test_upgrade_kill import work
work(sys.argv[1], sys.argv[2])
"""


def unit(X: np.ndarray) -> np.ndarray:
    return np.asarray(X / np.linalg.norm(X, axis=1, keepdims=True), dtype=np.float32)


def vectors() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    hidden = rng.standard_normal((N, 5))
    return unit(np.tanh(hidden @ rng.standard_normal((5, 8)))), unit(np.tanh(hidden @ rng.standard_normal((5, 12))))


def work(folder: str, upgrade: str) -> None:
    """Apply, backfill and roll back without end; small batches, so that kills fall between and inside them."""
    from retrieval import applying, segments

    applying._ROWS = 200
    # Half of what is mapped goes to files.
    segments.LEAST = 100 * 12 * 4
    new = vectors()[1]
    plan = Upgrade.load(upgrade)
    with Gallery.open(folder) as gallery:
        while True:
            if gallery.model == "v1":
                print("apply", flush=True)
                gallery.apply(plan)
            print("backfill", flush=True)
            for _ in range(4):
                gallery.backfill(lambda records: new[[record["n"] for record in records]], budget=300, batch_size=50)
            print("rollback", flush=True)
            gallery.rollback()


@pytest.mark.skipif(os.name != "posix", reason="needs kill -9")
def test_killed_upgrades_lose_nothing_and_go_on(tmp_path: Path) -> None:
    folder, file = tmp_path / "g", tmp_path / "upgrade"
    old, new = vectors()
    ids = [f"item-{number}" for number in range(N)]
    with Gallery.create(folder, dim=8, model="v1") as gallery:
        gallery.add_vectors(ids, old, payloads=[{"n": number} for number in range(N)])
        before = gallery.search(old[:50], k=5)
    upgrade = Upgrade.fit(old[:200], new[:200], old_model="v1", new_model="v2", kinds=["gallery"])
    upgrade.save(file)
    mapped = upgrade.map_gallery(old).vectors
    here = str(Path(__file__).parent)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([here, str(Path.cwd()), *sys.path])}
    rng = random.Random(time.time_ns())
    encoded = 0
    for _ in range(KILLS):
        process = subprocess.Popen(
            [sys.executable, "-c", WORKER, str(folder), str(file)], stdout=subprocess.PIPE, env=environment, text=True
        )
        assert process.stdout is not None
        guard = threading.Timer(60, process.kill)
        guard.start()
        assert process.stdout.readline()
        time.sleep(rng.uniform(0, 0.7))
        process.kill()
        process.stdout.close()
        process.wait()
        guard.cancel()
        assert check(folder).sound
        with Gallery.open(folder) as gallery:
            assert list(gallery.ids()) == ids
            status = gallery.upgrade_status()
            if gallery.model == "v1":
                found = gallery.search(old[:50], k=5)
                assert (found.ids == before.ids).all()
                assert (found.scores == before.scores).all()
                continue
            # Every item is found by its new vector or by its mapped one, and no encoder call is forgotten.
            assert status.encoded >= encoded
            encoded = status.encoded
            stored = gallery.vectors()[1]
            is_new = (stored == new).all(axis=1)
            assert is_new.sum() == encoded
            np.testing.assert_allclose(stored[~is_new], mapped[~is_new], atol=2e-6)
            assert (gallery.search(old[:50], k=5, model="v1").scores == before.scores).all()
