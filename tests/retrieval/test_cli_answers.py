"""What the commands answer and refuse, within this process."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vsa
from retrieval import Gallery, cli

RECORDS = [
    {"id": "a", "title": "sunset over the sea", "year": 1842},
    {"id": "b", "title": "sunrise over the hills", "year": 1821},
    {"id": "c", "title": "portrait of a lady", "year": 1790},
]
Call = Callable[..., tuple[str, str]]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    def run(*arguments: Any, code: int = 0) -> tuple[str, str]:
        assert cli.main([str(one) for one in arguments]) == code
        written = capsys.readouterr()
        return written.out, written.err

    return run


@pytest.fixture
def made(tmp_path: Path) -> Path:
    with Gallery.create(tmp_path / "g", encoder=vsa.JSONEncoder(64)) as gallery:
        gallery.add(RECORDS)
    return tmp_path / "g"


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    with Gallery.create(tmp_path / "p", dim=2, model="v1") as gallery:
        gallery.add_vectors(["east", "north"], [[1, 0], [0, 1]], payloads=[{"n": 1}, {"n": 2}])
    return tmp_path / "p"


def test_a_filter_and_a_vector_and_nothing_found(call: Call, made: Path, plain: Path, tmp_path: Path) -> None:
    query = '{"title": "sunset over the sea"}'
    assert json.loads(call("search", made, query, "--json", "-k", 1)[0])["id"] == "a"
    old = call("search", made, query, "--json", "--where", '{"year": {"<": 1830}}')[0]
    assert sorted(json.loads(line)["id"] for line in old.splitlines()) == ["b", "c"]
    assert call("search", made, query, "--where", '{"year": 1}') == ("", "nothing found\n")
    assert json.loads(call("search", plain, "[0.1, 1.0]", "--json", "-k", 1)[0])["id"] == "north"
    Gallery.create(tmp_path / "empty", dim=2).close()
    assert call("search", tmp_path / "empty", "[1, 0]") == ("", "the gallery is empty\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("search", "G", "{}", "--where", "{"), "--where is not JSON"),
        (("search", "G", "{}", "--where", "[1]"), "--where must be a JSON object, got list"),
        (("explain", "G", "a", "[1, 2]"), "only a JSON object can be explained, not a vector"),
        (("search", "G", "{}", "-k", "many"), "expected a positive integer, got 'many'"),
        (("optimize", "G", "--recall", "2"), "recall"),
        (("index", "F", "--id", "id", "--out", "N", "--seed", "-1"), "seed must be an integer from 0"),
        (("export", "G", "--salvage", "--vectors", "v.npy"), "--salvage saves ids and payloads"),
        (("export", "G", "--parquet", "p.parquet", "--vectors", "v.npy"), "--parquet holds vectors and encoder"),
        (("export", "P", "--encoder", "e.json"), "was made from vectors and has no encoder"),
        (("import", "F", "--out", "N"), "give the .npy file with the vectors"),
        (("import", "F", "N.npy", "--out", "N", "--encoder", "e", "--model", "m"), "--encoder brings the name of the"),
        (("import", "p.parquet", "v.npy", "--out", "N"), "a Parquet file holds the vectors; give no second file"),
        (("import", "F", "F", "--out", "N"), "not a .npy file that can be read"),
        (("import", "F", "flat.npy", "--out", "N"), "expected an array of shape (n, dim), got (3,)"),
        (("import", "none", "rows.npy", "--out", "N"), "none: no such file"),
        (("import", "F", "rows.npy", "--out", "N"), "3 lines for 2 vectors"),
        (("import", "F", "more.npy", "--out", "N"), "3 lines for 4 vectors"),
        (("import", "F", "rows.npy", "--out", "N", "--encoder", "none"), "none: No such file"),
        (("upgrade", "backfill", "P", "--new", "rows.npy"), "--new goes with --ids FILE, and not with --encoder"),
        (("upgrade", "backfill", "P", "--new", "flat.npy", "--ids", "F"), "expected one vector a row, got an array of"),
        (("upgrade", "backfill", "P", "--new", "none", "--ids", "F"), "none: no such file"),
        (("upgrade", "backfill", "P", "--new", "rows.npy", "--ids", "none"), "none: "),
        (("upgrade", "backfill", "P", "--encoder", "json"), "--encoder json: write module:function"),
        (("upgrade", "backfill", "P", "--encoder", "nowhere_at_all:f"), "No module named 'nowhere_at_all'"),
        (("upgrade", "backfill", "P", "--encoder", "json:nothing"), "has no attribute 'nothing'"),
        (("upgrade", "backfill", "P", "--encoder", "json:__name__"), "neither a function nor an encoder, but str"),
        (("upgrade", "apply", "P", "F", "--encoder", "json:loads"), "expected an encoder object with encode, dim and"),
    ],
)
def test_wrong_calls_are_named(
    arguments: tuple[str, ...], words: str, call: Call, made: Path, plain: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("lines.jsonl").write_text("".join(json.dumps(record) + "\n" for record in RECORDS))
    np.save("flat.npy", np.ones(3))
    np.save("rows.npy", np.ones((2, 2)))
    np.save("more.npy", np.ones((4, 2)))
    places = {"G": made, "P": plain, "F": "lines.jsonl", "N": "new"}
    _, err = call(*(places.get(one, one) for one in arguments), code=2)
    assert words in err
    assert not Path("new").exists()


def test_lines_that_are_no_items_are_named(call: Call, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.ones((2, 2)))
    (tmp_path / "x.jsonl").write_text('{"id": "a"}\n{"name": "b"}\n')
    _, err = call("import", tmp_path / "x.jsonl", tmp_path / "x.npy", "--out", tmp_path / "n", code=1)
    assert "line 2: expected an object with id and payload" in err
    assert not (tmp_path / "n").exists()


def test_complaints_about_lines_end_after_ten(call: Call, tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text("{\n" * 14 + json.dumps(RECORDS[0]) + "\n")
    limits = ("--max-string", 1000, "--max-depth", 9, "--max-line", 5000)
    _, err = call(
        "index", tmp_path / "x.jsonl", "--id", "id", "--out", tmp_path / "n", "--skip-bad", "--dim", 64, *limits
    )
    assert err.count("skipped line") == 10
    assert "more of them are only counted" in err
    assert "1 record in" in err
    assert "14 bad ones skipped" in err


def test_optimize_prints_what_it_measured(call: Call, plain: Path) -> None:
    assert "compared in no time" in call("optimize", plain)[0]
    assert json.loads(call("optimize", plain, "--json")[0])["factory"] == "Flat"


def test_check_tells_what_can_be_saved_and_salvage_saves_it(call: Call, made: Path) -> None:
    assert call("check", made)[0].splitlines() == [
        "records: 3 of 3 can be read",
        "vectors: 3 of 3 can be read",
        "sound",
    ]
    assert json.loads(call("check", made, "--json")[0])["sound"] is True
    file = made / "gallery.sqlite"
    data = bytearray(file.read_bytes())
    at = data.find(b"portrait of a lady")
    data[at] ^= 1
    file.write_bytes(data)
    out, _ = call("check", made, code=1)
    assert "damaged: " in out
    assert "records: 2 of 3 can be read" in out
    assert out.endswith("save what can be read with `retrieval export --salvage`\n")
    assert json.loads(call("check", made, "--json", code=1)[0])["sound"] is False
    assert "the record 'c' (item 3) does not match its checksum" in call("export", made, code=1)[1]
    saved = [json.loads(line) for line in call("export", made, "--salvage")[0].splitlines()]
    assert saved == [{"id": record["id"], "payload": record} for record in RECORDS[:2]]
