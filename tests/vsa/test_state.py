from __future__ import annotations

import hashlib
import os
import pathlib
import random

import orjson
import pytest

import vsa

GOLDEN = pathlib.Path(__file__).parent.parent / "golden"
RECORDS = [{"title": f"word{i} sea", "year": 1800 + i, "none": None} for i in range(50)]


@pytest.mark.parametrize("fitted", [False, True])
@pytest.mark.parametrize("binding", ["permutation", "hadamard"])
def test_saved_encoders_come_back_to_the_bit(tmp_path, fitted, binding):
    encoder = vsa.JSONEncoder(100, seed=9, binding=binding, arrays="bag", shares=vsa.Shares(3, 2, 1))
    if fitted:
        encoder.fit(RECORDS)
    encoder.save(tmp_path / "encoder.json")
    back = vsa.JSONEncoder.load(tmp_path / "encoder.json")
    assert back.config == encoder.config
    assert back.name == encoder.name
    assert back.encode(RECORDS).tobytes() == encoder.encode(RECORDS).tobytes()


def test_names_tell_configurations_and_statistics_apart():
    names = {
        vsa.JSONEncoder(64).name,
        vsa.JSONEncoder(64, arrays="bag").name,
        vsa.JSONEncoder(64, shares=vsa.Shares(1, 1, 1)).name,
        vsa.JSONEncoder(64, seed=1).name,
        vsa.JSONEncoder(64).fit(RECORDS).name,
        vsa.JSONEncoder(64).fit(RECORDS[1:]).name,
    }
    assert len(names) == 6
    assert vsa.JSONEncoder(64, seed=1).name.startswith("mbat-64-1-")


def test_damage_is_told_from_a_newer_format():
    data = vsa.JSONEncoder(64).fit(RECORDS).to_bytes()
    newer = orjson.dumps({**orjson.loads(data), "format": 99})
    with pytest.raises(vsa.NewerFormatError, match=r"format 99.*upgrade"):
        vsa.JSONEncoder.from_bytes(newer)
    for damaged, words in [
        (b"", "not a saved encoder"),
        (data[:-20], "not a saved encoder, or a damaged one"),
        (b"{}", "not a saved encoder: expected"),
        (b"[1]", "not a saved encoder: expected"),
        (data.replace(b'"seed":0', b'"seed":1'), "checksum does not match"),
    ]:
        with pytest.raises(vsa.EncoderStateError, match=words):
            vsa.JSONEncoder.from_bytes(damaged)


def test_no_flipped_byte_is_accepted():
    data = vsa.JSONEncoder(64).fit(RECORDS).to_bytes()
    encoder = vsa.JSONEncoder.from_bytes(data)
    rng = random.Random(0)
    for _ in range(300):
        at = rng.randrange(len(data))
        changed = bytearray(data)
        changed[at] ^= 1 << rng.randrange(8)
        try:
            back = vsa.JSONEncoder.from_bytes(bytes(changed))
        except vsa.EncoderStateError:
            continue
        assert back.to_bytes() == encoder.to_bytes()


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "encoder.json"
    vsa.JSONEncoder(64).save(path)
    before = path.read_bytes()

    def fail(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space"):
        vsa.JSONEncoder(64, seed=1).save(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["encoder.json"]


def test_golden_hashes_of_this_format():
    """Vectors of format 1, to the bit. A change here breaks every gallery in the field: raise FORMAT."""
    golden = orjson.loads((GOLDEN / "vectors-1.json").read_bytes())
    for case in golden["cases"]:
        encoder = vsa.JSONEncoder(**case["options"])
        if case["fitted"]:
            encoder.fit(golden["records"])
        digest = hashlib.sha256(encoder.encode(golden["records"]).tobytes()).hexdigest()
        assert digest == case["sha256"], case["options"]
        assert encoder.name == case["name"]


def test_golden_encoder_file_of_this_format_still_opens():
    golden = orjson.loads((GOLDEN / "vectors-1.json").read_bytes())
    encoder = vsa.JSONEncoder.load(GOLDEN / "encoder-1.json")
    case = next(c for c in golden["cases"] if c["fitted"] and c["options"]["dim"] == encoder.dim)
    assert encoder.name == case["name"]
    assert hashlib.sha256(encoder.encode(golden["records"]).tobytes()).hexdigest() == case["sha256"]
