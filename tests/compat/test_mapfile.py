"""The map file: whole, cut, altered, newer and foreign files are told apart."""

from __future__ import annotations

import hashlib
import struct

import numpy as np
import pytest

from retrieval import compat
from retrieval.compat import mapfile

ARRAYS = {
    "a": np.arange(6, dtype=np.float32).reshape(2, 3),
    "b": np.array([np.pi]),
    "c": np.zeros((0, 4), dtype=np.int64),
}
GOLDEN = "6f81e9c21ad0fb43dc38795abc86121d4f606dd379ffb29c3ce458fb7f5234b3"
FIELDS = {"name": "größer", "n": 3, "x": 0.1, "none": None}


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "some.map"
    mapfile.write(path, "kind", FIELDS, ARRAYS)
    return path


def test_what_is_written_is_read(saved):
    fields, arrays = mapfile.read(saved, "kind")
    assert fields == FIELDS
    assert list(arrays) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(arrays[name], array)
        assert arrays[name].flags.writeable
        assert arrays[name].base is None or arrays[name].base.base is None


def test_arrays_and_headers_of_many_lengths_come_back(tmp_path):
    path = tmp_path / "m.map"
    for n in range(70):
        arrays = {
            "first": np.arange(n, dtype=np.float32),
            "second": np.arange(3 * n, dtype=np.float64),
            "third": np.arange(5, dtype=np.int64),
        }
        mapfile.write(path, "kind", {"name": "x" * n}, arrays)
        fields, read = mapfile.read(path, "kind")
        assert fields == {"name": "x" * n}
        for name, array in arrays.items():
            np.testing.assert_array_equal(read[name], array)


def test_the_same_map_gives_the_same_bytes(saved, tmp_path):
    mapfile.write(tmp_path / "again.map", "kind", FIELDS, ARRAYS)
    assert saved.read_bytes() == (tmp_path / "again.map").read_bytes()
    # Format version 1: a change here means that files already written no longer read.
    assert hashlib.sha256(saved.read_bytes()).hexdigest() == GOLDEN


def test_every_truncation_is_noticed(saved):
    raw = saved.read_bytes()
    for length in range(len(mapfile.MAGIC), len(raw)):
        saved.write_bytes(raw[:length])
        told = "bytes do not hold even the preamble" if length < 24 else f"{length} bytes of {len(raw)}"
        with pytest.raises(compat.DamagedMapError, match=f"cut short: .*{told}"):
            mapfile.read(saved, "kind")


def test_every_flipped_bit_is_noticed(saved):
    raw = saved.read_bytes()
    for i in range(len(raw)):
        saved.write_bytes(raw[:i] + bytes([raw[i] ^ 1]) + raw[i + 1 :])
        # A flip in the magic makes it another file; elsewhere it is damage, in the version too.
        expected = compat.MapFileError if i < len(mapfile.MAGIC) else compat.DamagedMapError
        with pytest.raises(expected):
            mapfile.read(saved, "kind")


def test_appended_bytes_are_noticed(saved):
    saved.write_bytes(saved.read_bytes() + b"\0")
    with pytest.raises(compat.DamagedMapError, match="altered"):
        mapfile.read(saved, "kind")


def test_a_newer_file_is_told_from_a_damaged_one(saved):
    raw = bytearray(saved.read_bytes())
    struct.pack_into("<I", raw, len(mapfile.MAGIC), mapfile.VERSION + 1)
    saved.write_bytes(raw)
    with pytest.raises(compat.DamagedMapError):
        mapfile.read(saved, "kind")
    saved.write_bytes(bytes(raw[:-32]) + hashlib.sha256(raw[:-32]).digest())
    with pytest.raises(compat.NewerMapError, match="format version 2, and this package reads up to 1"):
        mapfile.read(saved, "kind")


def test_foreign_files_and_kinds_are_refused(saved, tmp_path):
    with pytest.raises(compat.MapFileError, match="kind 'kind', not 'other'"):
        mapfile.read(saved, "other")
    for foreign in (b"PK\3\4 a zip, say", b"\xff" * 100, b""):
        (tmp_path / "x").write_bytes(foreign)
        with pytest.raises(compat.MapFileError, match="not a saved map"):
            mapfile.read(tmp_path / "x", "kind")
    with pytest.raises(FileNotFoundError):
        mapfile.read(tmp_path / "absent", "kind")


def test_a_failed_write_leaves_the_old_file_and_no_litter(saved, monkeypatch):
    before = saved.read_bytes()

    def broken(handle):
        raise OSError("disk full")

    monkeypatch.setattr(mapfile.os, "fsync", broken)
    with pytest.raises(OSError, match="disk full"):
        mapfile.write(saved, "kind", {}, {})
    assert saved.read_bytes() == before
    assert [p.name for p in saved.parent.iterdir()] == ["some.map"]


def test_only_plain_numbers_are_stored(tmp_path):
    with pytest.raises(TypeError, match="complex"):
        mapfile.write(tmp_path / "x", "kind", {}, {"z": np.zeros(1, dtype=np.complex128)})
    with pytest.raises(ValueError, match=r"JSON compliant|Out of range float"):
        mapfile.write(tmp_path / "x", "kind", {"nan": float("nan")}, {})


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"cannot save some\.map: there is no folder .*nowhere; make it first"):
        mapfile.write(tmp_path / "nowhere" / "some.map", "kind", FIELDS, ARRAYS)
