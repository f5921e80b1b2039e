"""Writes that the log lost after a crash are noticed, and nothing else is."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import zlib
from pathlib import Path

import numpy as np
import pytest

import retrieval
from retrieval import Gallery, watermark
from retrieval.checking import check, salvaged

CRASHING = """
import os, sys
import numpy as np
from retrieval import Gallery
gallery = Gallery.open(sys.argv[1])
for number in range(8):
    gallery.add_vectors([f"n{number}"], np.eye(8)[number : number + 1], payloads=[{"n": number}])
os._exit(0)
"""


@pytest.fixture
def crashed(tmp_path: Path) -> Path:
    """A gallery whose eight writes lie in the log only."""
    folder = tmp_path / "g"
    Gallery.create(folder, dim=8).close()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path.cwd()), *sys.path])}
    subprocess.run([sys.executable, "-c", CRASHING, str(folder)], env=environment, check=True)
    assert (folder / "gallery.sqlite-wal").stat().st_size > 0
    return folder


def test_a_crash_alone_loses_nothing(crashed: Path) -> None:
    assert watermark.read(crashed) == 8
    assert check(crashed).sound
    with Gallery.open(crashed) as gallery:
        assert gallery.count() == 8


@pytest.mark.parametrize("where", [0.0, 0.3, 0.6, 0.99])
@pytest.mark.parametrize("cut", [False, True])
def test_a_damaged_log_is_noticed_and_the_rest_can_be_saved(crashed: Path, where: float, cut: bool) -> None:
    log = crashed / "gallery.sqlite-wal"
    data = bytearray(log.read_bytes())
    at = int(where * len(data))
    data[at] ^= 4
    log.write_bytes(data[:at] if cut else data)
    with pytest.raises(retrieval.DamagedGalleryError, match=r"writes \d to 8 were committed and are gone") as caught:
        Gallery.open(crashed)
    left = int(str(caught.value).split("writes ")[1].split()[0]) - 1
    report = check(crashed)
    assert any("were committed and are gone" in problem for problem in report.problems)
    assert [record.id for record in salvaged(crashed)] == [f"n{number}" for number in range(left)]
    (crashed / watermark.FILE_NAME).unlink()
    with Gallery.open(crashed) as gallery:
        assert gallery.count() == left
        gallery.add_vectors(["more"], np.ones((1, 8)))
    assert watermark.read(crashed) == left + 1
    assert check(crashed).sound


def test_an_older_copy_of_the_database_is_noticed(tmp_path: Path) -> None:
    folder = tmp_path / "g"
    with Gallery.create(folder, dim=2) as gallery:
        gallery.add_vectors(["a"], [[1, 0]])
    shutil.copy(folder / "gallery.sqlite", tmp_path / "older")
    with Gallery.open(folder) as gallery:
        gallery.delete(["a"])
    shutil.copy(tmp_path / "older", folder / "gallery.sqlite")
    with pytest.raises(retrieval.DamagedGalleryError, match="writes 2 to 2"):
        Gallery.open(folder)


def test_a_damaged_mark_is_no_damage_to_the_gallery(crashed: Path) -> None:
    mark = crashed / watermark.FILE_NAME
    sound = mark.read_bytes()
    for at in range(20):
        for start in (0, 4096):
            data = bytearray(sound)
            data[start + at] ^= 1
            mark.write_bytes(data)
            # The other slot holds the write before.
            assert watermark.read(crashed) in (7, 8)
    for size in (0, 10, 4096, 4100):
        mark.write_bytes(sound[:size])
        assert watermark.read(crashed) in (0, 8)
        Gallery.open(crashed).close()


def test_opening_beside_a_writer_is_never_a_false_alarm(tmp_path: Path) -> None:
    folder = tmp_path / "g"
    done = threading.Event()
    with Gallery.create(folder, dim=2) as gallery:

        def write() -> None:
            for number in range(300):
                gallery.add_vectors([number % 5], [[1, 0]])
            done.set()

        writer = threading.Thread(target=write)
        writer.start()
        opened = 0
        while not done.is_set():
            Gallery.open(folder).close()
            opened += 1
        writer.join()
    assert opened > 5
    assert watermark.read(folder) == 300


def test_the_file_is_as_documented(tmp_path: Path) -> None:
    watermark.write(tmp_path, 4)
    watermark.write(tmp_path, 7)
    data = (tmp_path / watermark.FILE_NAME).read_bytes()
    assert data[:16] == b"VSAMARK\x01\x04" + bytes(7)
    assert data[4096:4112] == b"VSAMARK\x01\x07" + bytes(7)
    assert data[4112:] == zlib.crc32(data[4096:4112]).to_bytes(4, "little")
    assert watermark.read(tmp_path) == 7
