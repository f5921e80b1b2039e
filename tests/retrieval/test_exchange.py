"""Galleries as files: what was exported makes the same gallery again."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from reference_gallery import unit
from test_cli import run

import retrieval
import vsa
from retrieval import Gallery

RECORDS = [
    {"id": f"r{n}", "title": f"boat {n % 7} on the sea", "year": 1800 + n, "deep": [None, {"": n}]} for n in range(60)
]


def test_export_and_import_give_the_same_gallery(tmp_path: Path) -> None:
    X = unit(np.random.default_rng(0).standard_normal((50, 8)))
    with Gallery.create(tmp_path / "g", dim=8) as gallery:
        gallery.add_vectors(range(50), X, payloads=[{"n": row, "big": 2**70} for row in range(50)])
        gallery.delete([3])
        gallery.add_vectors([7], X[3:4])
        ids, vectors = gallery.vectors()
        assert ids == list(gallery.ids())
        expected = [list(hits) for hits in gallery.search(X, k=5)]
    out, _ = run("export", tmp_path / "g", "--vectors", tmp_path / "v.npy")
    assert np.array_equal(np.load(tmp_path / "v.npy"), vectors)
    run("import", "-", tmp_path / "v.npy", "--out", tmp_path / "again", stdin=out.encode())
    with Gallery.open(tmp_path / "again") as gallery:
        assert list(gallery.ids()) == ids
        assert [list(hits) for hits in gallery.search(X, k=5)] == expected
        assert gallery.search(X[0], k=1)[0].payload == {"n": 0, "big": 2**70}
    first = out.splitlines()[0].encode()
    assert (
        "1 lines for 49 vectors"
        in run("import", "-", tmp_path / "v.npy", "--out", tmp_path / "bad", stdin=first, code=2)[1]
    )
    assert "not a .npy file" in run("import", "-", tmp_path / "g", "--out", tmp_path / "bad", stdin=first, code=2)[1]
    assert not (tmp_path / "bad").exists()


@pytest.fixture
def encoded(tmp_path: Path) -> Path:
    """A gallery with a fitted encoder, and an order of items that is no order of rows."""
    encoder = vsa.JSONEncoder(dim=128, seed=3)
    encoder.fit(RECORDS)
    with Gallery.create(tmp_path / "g", encoder=encoder) as gallery:
        gallery.add(RECORDS)
        gallery.delete(["r3", "r30"])
        gallery.add(RECORDS[10:12])
    return tmp_path / "g"


def same(one: Path, other: Path) -> None:
    """Equal ids, payloads, vectors and searches for records, where the second came without its own help."""
    with Gallery.open(one) as a, Gallery.open(other) as b:
        assert list(a.items()) == list(b.items())
        assert a.vectors()[1].tobytes() == b.vectors()[1].tobytes()
        assert a.model == b.model
        queries = [{"title": "sea"}, RECORDS[11], {"year": 1830}]
        assert [list(hits) for hits in a.search(queries, k=7)] == [list(hits) for hits in b.search(queries, k=7)]
        b.add([{"id": "later", "title": "a boat"}])
        assert b.search({"title": "a boat"}, k=1)[0].id == "later"


def test_lines_vectors_and_encoder_make_the_gallery_again(encoded: Path, tmp_path: Path) -> None:
    out, _ = run("export", encoded, "--vectors", tmp_path / "v.npy", "--encoder", tmp_path / "e.json")
    lines = tmp_path / "items.jsonl"
    lines.write_text(out)
    run("import", lines, tmp_path / "v.npy", "--encoder", tmp_path / "e.json", "--out", tmp_path / "again")
    same(encoded, tmp_path / "again")
    _, err = run("import", lines, tmp_path / "v.npy", "--encoder", tmp_path / "none", "--out", tmp_path / "x", code=2)
    assert "No such file" in err
    vsa.JSONEncoder(dim=64).save(tmp_path / "narrow.json")
    _, err = run(
        "import", lines, tmp_path / "v.npy", "--encoder", tmp_path / "narrow.json", "--out", tmp_path / "x", code=2
    )
    assert "dim 128, the encoder makes dim 64" in err
    assert not (tmp_path / "x").exists()


def test_a_parquet_file_makes_the_gallery_again(encoded: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="needs the parquet extra")
    import pyarrow.parquet as pq

    file = tmp_path / "g.parquet"
    run("export", encoded, "--parquet", file)
    table = pq.read_table(file)
    assert table.column_names == ["id", "payload", "vector"]
    assert json.loads(table["payload"][0].as_py()) == RECORDS[0]
    with Gallery.open(encoded) as gallery:
        assert np.array_equal(np.array(table["vector"].to_pylist(), dtype=np.float32), gallery.vectors()[1])
    run("import", file, "--out", tmp_path / "again")
    same(encoded, tmp_path / "again")


def test_payloads_of_every_kind_survive_parquet(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="needs the parquet extra")
    values = [None, 2**80, {"a": [None, True, 1.5, "\ud800"]}, "text", 0, [], False, "null"]
    with Gallery.create(tmp_path / "g", dim=3, model="mine", storage="float16") as gallery:
        gallery.add_vectors(range(8), np.ones((8, 3)), payloads=values)
    run("export", tmp_path / "g", "--parquet", tmp_path / "g.parquet")
    run("import", tmp_path / "g.parquet", "--out", tmp_path / "again", "--storage", "float16")
    with Gallery.open(tmp_path / "again") as gallery:
        assert [payload for _, payload in gallery.items()] == values
        assert gallery.model == "mine"


def test_parquet_of_others_is_taken_or_refused_with_a_reason(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow", reason="needs the parquet extra")
    import pyarrow.parquet as pq

    def imported(code: int = 0, **columns: object) -> str:
        pq.write_table(pa.table(columns), tmp_path / "in.parquet")
        return run("import", tmp_path / "in.parquet", "--out", tmp_path / "out", "--model", "theirs", code=code)[1]

    assert "no column 'vector'" in imported(1, id=["a"])
    assert "not lists of numbers" in imported(1, id=["a"], vector=["x"])
    assert "null or not of dim 2" in imported(1, id=["a", "b"], vector=[[1.0, 0.0], [1.0]])
    assert "null or not of dim 2" in imported(1, id=["a", "b"], vector=[[1.0, 0.0], None])
    assert "row 2: all zero" in imported(1, id=["a", "b"], vector=[[1.0, 0.0], [0.0, 0.0]])
    assert "row 2: the id 'a' came before" in imported(1, id=["a", "a"], vector=[[1.0, 0.0]] * 2)
    assert "not JSON text" in imported(1, id=["a"], vector=[[1.0, 0.0]], payload=["{"])
    (tmp_path / "in.parquet").write_bytes(b"PAR1 or not")
    _, err = run("import", tmp_path / "in.parquet", "--out", tmp_path / "out", code=1)
    assert "not a Parquet file" in err
    assert not (tmp_path / "out").exists()
    imported(id=[1, 2], vector=[[3.0, 4.0], [1.0, 0.0]])
    with Gallery.open(tmp_path / "out", dim=2) as gallery:
        assert gallery.model == "theirs"
        assert np.allclose(gallery.vector(1), [0.6, 0.8])


def test_parquet_without_pyarrow_names_the_extra(encoded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from retrieval import parquet

    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with (
        Gallery.open(encoded) as gallery,
        pytest.raises(retrieval.MissingDependencyError, match=r"vsa-retrieval\[parquet\]"),
    ):
        parquet.write(gallery, "x")


def test_exchange_flags_that_do_not_go_together(encoded: Path, tmp_path: Path) -> None:
    run("export", encoded, "--parquet", "x", "--vectors", "y", code=2)
    run("export", encoded, "--salvage", "--vectors", "y", code=2)
    run("import", "-", "--out", tmp_path / "x", code=2)
    run("import", tmp_path / "none.jsonl", tmp_path / "none.npy", "--out", tmp_path / "x", code=2)
    with Gallery.create(tmp_path / "bare", dim=2):
        pass
    assert "has no encoder" in run("export", tmp_path / "bare", "--encoder", tmp_path / "e", code=2)[1]


def test_batches_in_bounded_pieces_are_one_write(tmp_path: Path) -> None:
    X = unit(np.random.default_rng(0).standard_normal((2500, 4)))
    with Gallery.create(tmp_path / "g", dim=4) as gallery, Gallery.create(tmp_path / "h", dim=4) as copy:
        parts = ((range(at, at + 500), list(range(at, at + 500)), X[at : at + 500]) for at in range(0, 2500, 500))
        assert gallery.add_batches(parts) == 2500
        assert copy.add_batches(gallery.batches(333)) == 2500
        assert list(copy.items()) == list(gallery.items()) == [(str(n), n) for n in range(2500)]
        assert np.array_equal(copy.vectors()[1], X)
        for last, error in [
            ((["new", "7"], [1, 2], X[:2]), "row 2502: the id '7' came before, in row 8"),
            ((["new"], [1], np.zeros((1, 4))), "row 2501: all zero"),
            (([True], [1], X[:1]), "id 2501: an id is text or an integer"),
            ((["new"], [{1}], X[:1]), "row 2501: the payload is not JSON"),
            ((["new"], [1], X[:2]), "1 ids for 2 vectors"),
        ]:
            with pytest.raises(ValueError, match=error):
                copy.add_batches([*gallery.batches(), last])
            assert copy.count() == 2500
            assert "new" not in copy
