"""Galleries: adding, replacing, deleting, searching, refusing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from reference_gallery import WordEncoder, unit

import retrieval
from retrieval import Gallery
from retrieval.checking import check
from vsa.errors import InvalidRecordError


def found(gallery: Gallery, query: Any, k: int = 10) -> list[str]:
    hits = gallery.search(query, k)
    assert isinstance(hits, list)
    return [hit.id for hit in hits]


def test_a_record_finds_itself_and_brings_its_payload(gallery: Gallery, records: list[dict[str, Any]]) -> None:
    for record in records:
        hit = gallery.search(record, k=1)[0]
        assert (hit.id, hit.payload, hit.model) == (record["acno"], record, "words-64")
        assert hit.score == pytest.approx(1.0, abs=1e-6)


def test_a_gallery_reads_back_after_closing(gallery: Gallery, folder: Path, encoder: WordEncoder) -> None:
    before = found(gallery, {"title": "the sea"})
    gallery.close()
    with Gallery.open(folder, encoder=encoder) as again:
        assert found(again, {"title": "the sea"}) == before
        assert again.count() == len(again) == 5
        assert again.get("A3")["year"] is None


def test_record_vector_and_batch_agree(gallery: Gallery, encoder: WordEncoder) -> None:
    queries = [{"title": "the sea"}, {"title": "a lady"}]
    X = encoder.encode(queries)
    batch = gallery.search(X, k=3)
    assert len(batch) == 2
    for number, query in enumerate(queries):
        one = gallery.search(query, k=3)
        assert one == gallery.search(X[number], k=3) == batch[number] == gallery.search(queries, k=3)[number]
        assert one == gallery.search(X[number].tolist(), k=3)
        assert [hit.payload for hit in one] == [gallery.get(hit.id) for hit in one]
    assert batch[-1] == batch[1]
    assert batch[:2] == list(batch)
    assert batch.ids.shape == batch.scores.shape == (2, 3)
    assert [hit.payload for hit in gallery.search(X[0], k=3, payloads=False)] == [None] * 3


def test_k_beyond_the_count_gives_fewer_hits(gallery: Gallery) -> None:
    assert len(gallery.search({"title": "sea"}, k=100)) == 5


def test_an_empty_gallery_gives_no_hits(folder: Path) -> None:
    with Gallery.create(folder, dim=3) as gallery:
        assert gallery.search([1.0, 0, 0]) == []
        assert [list(hits) for hits in gallery.search(np.eye(3))] == [[], [], []]
        assert list(gallery.ids()) == []


def test_upsert_replaces_and_keeps_the_place(gallery: Gallery) -> None:
    gallery.add([{"acno": "A2", "title": "a boat"}], id="acno")
    assert list(gallery.ids()) == ["A1", "A2", "A3", "A4", "A5"]
    assert gallery.count() == 5
    assert gallery.get("A2") == {"acno": "A2", "title": "a boat"}
    assert found(gallery, {"title": "a boat"}, 1) == ["A2"]


def test_add_vectors_without_payloads_keeps_those_there_are(folder: Path) -> None:
    with Gallery.create(folder, dim=2, model="mine") as gallery:
        assert gallery.add_vectors([1, "b"], np.eye(2) * 7, payloads=[{"n": 1}, None]) == 2
        gallery.add_vectors(["1"], [[0.0, -3.0]])
        assert gallery.get(1) == {"n": 1}
        assert gallery.get("b") is None
        assert gallery.search([0, -1], k=1)[0].id == "1"
        assert np.allclose(gallery.vector("1"), [0, -1])
        assert gallery.info().model == gallery.model == "mine"


def test_delete_is_all_or_nothing(gallery: Gallery) -> None:
    with pytest.raises(retrieval.UnknownIdError, match="no item 'nope'; nothing was deleted"):
        gallery.delete(["A1", "nope"])
    assert gallery.count() == 5
    assert gallery.delete(["A1", "A4", "A1"]) == 2
    assert set(found(gallery, {"title": "the sea"})) == {"A2", "A3", "A5"}
    assert "A1" not in gallery
    assert "A2" in gallery
    with pytest.raises(TypeError, match=r"give \['A2'\]"):
        gallery.delete("A2")


def test_payloads_are_replaced_and_vectors_stay(gallery: Gallery, folder: Path) -> None:
    before = {name: gallery.vector(name) for name in gallery.ids()}
    assert found(gallery, {"title": "the sea"}, 1) == ["A4"]
    with Gallery.open(folder, encoder=gallery.encoder) as other:
        assert [hit.id for hit in other.search({"title": "sea"}, where={"room": 7})] == []
        assert gallery.set_payloads(["A4", "A1"], [{"room": 7}, None]) == 2
        hits = other.search({"title": "the sea"}, where={"room": 7})
        assert [(hit.id, hit.payload) for hit in hits] == [("A4", {"room": 7})]
        assert other.get("A1") is None
    assert list(gallery.ids()) == ["A1", "A2", "A3", "A4", "A5"]
    for name, x in before.items():
        assert np.array_equal(gallery.vector(name), x)
    assert check(folder).sound
    assert gallery.set_payloads([], []) == 0


def test_payloads_are_replaced_all_or_none(gallery: Gallery) -> None:
    before = list(gallery.items())
    with pytest.raises(retrieval.UnknownIdError, match="no item 'x' and 1 more; nothing was replaced"):
        gallery.set_payloads(["A1", "x", "y"], [1, 2, 3])
    with pytest.raises(retrieval.DuplicateIdError, match="row 2: the id 'A1' came before, in row 1"):
        gallery.set_payloads(["A1", "A1"], [1, 2])
    with pytest.raises(retrieval.InvalidPayloadError, match="row 2"):
        gallery.set_payloads(["A1", "A2"], [1, float("nan")])
    with pytest.raises(ValueError, match="1 payloads for 2 ids"):
        gallery.set_payloads(["A1", "A2"], [1])
    assert list(gallery.items()) == before


def test_a_deleted_id_comes_back_at_the_end(gallery: Gallery, records: list[dict[str, Any]]) -> None:
    gallery.delete(["A1"])
    gallery.add(records[:1], id="acno")
    assert list(gallery.ids()) == ["A2", "A3", "A4", "A5", "A1"]


def test_another_open_gallery_sees_every_write(gallery: Gallery, folder: Path, encoder: WordEncoder) -> None:
    with Gallery.open(folder, encoder=encoder) as other:
        assert found(other, {"title": "the sea"}, 1) == ["A4"]
        gallery.add([{"acno": "B", "title": "the sea the sea"}], id="acno")
        gallery.delete(["A4"])
        assert "B" in found(other, {"title": "the sea"}, 2)
        assert "A4" not in found(other, {"title": "the sea"})
        gallery.add([{"acno": "A4", "title": "the sea"}], id="acno")
        assert found(other, {"title": "the sea"}, 2) == ["B", "A4"]


def test_nested_and_computed_ids(folder: Path, encoder: WordEncoder) -> None:
    with Gallery.create(folder, encoder=encoder) as gallery:
        gallery.add([{"meta": {"id": 7}, "t": "x"}], id="meta.id")
        gallery.add([{"meta.id": "dotted", "t": "y"}], id="meta.id")
        gallery.add([{"t": "z"}], id=lambda record: "z:" + record["t"])
        assert list(gallery.ids()) == ["7", "dotted", "z:z"]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"title": "x"}, r"record 2: no id field 'acno'; the fields are: title"),
        ({"acno": None}, r"record 2: field 'acno': an id is text or an integer, got None"),
        ({"acno": True}, r"record 2: field 'acno': .* got True \(bool\)"),
        ({"acno": 1.0}, r"got 1.0 \(float\)"),
        ({"acno": ""}, r"the id is empty text"),
        ({"acno": "\ud800"}, r"half a surrogate pair"),
        (["no object"], r"record 2: an object with the field 'acno' was expected"),
    ],
)
def test_bad_ids_name_the_record_and_change_nothing(gallery: Gallery, bad: Any, message: str) -> None:
    with pytest.raises(retrieval.InvalidIdError, match=message):
        gallery.add([{"acno": "new", "title": "y"}, bad], id="acno")
    assert gallery.count() == 5
    assert "new" not in gallery


@pytest.mark.parametrize("apart", [1, 3000])
def test_duplicate_ids_in_one_call_name_both_places(folder: Path, apart: int) -> None:
    encoder = WordEncoder(8)
    some = [{"acno": f"n{number}", "t": "x"} for number in range(apart)]
    with Gallery.create(folder, encoder=encoder) as gallery:
        gallery.add([{"acno": "n0", "t": "old"}], id="acno")
        with pytest.raises(retrieval.DuplicateIdError, match=f"record {apart + 1}: .* 'n0' .* in record 1;"):
            gallery.add([*some, {"acno": "n0", "t": "again"}], id="acno")
        assert gallery.count() == 1
        assert gallery.get("n0")["t"] == "old"
        with pytest.raises(retrieval.DuplicateIdError, match="row 2"):
            gallery.add_vectors(["a", "a"], np.ones((2, 8)))


def test_a_record_that_does_not_encode_names_its_place(gallery: Gallery) -> None:
    many = [{"acno": f"n{number}", "title": "x"} for number in range(1500)]
    many[1200]["title"] = "unspeakable"
    with pytest.raises(InvalidRecordError, match="record 1201: unspeakable"):
        gallery.add(many, id="acno")
    assert gallery.count() == 5
    errors: list[Exception] = []
    taken = gallery.add_numbered(enumerate(many, start=1), id="acno", on_bad=errors.append)
    assert taken == 1499
    assert [str(error) for error in errors] == ["record 1201: unspeakable"]
    assert gallery.count() == 1504


@pytest.mark.parametrize(
    ("X", "message"),
    [
        ([[1.0, np.nan]], "row 1: NaN"),
        ([[1.0, 1.0], [np.inf, 0]], "row 2: NaN"),
        ([[0.0, 0.0]], "row 1: all zero"),
        ([[1.0, 0, 0]], r"shape \(n, 2\), got \(1, 3\)"),
        ([1.0, 0], r"got \(2,\)"),
        ([["a", "b"]], "real numbers"),
        ([[True, False]], "real numbers, got dtype bool"),
        ([[1, 0], [1]], "do not make an array"),
    ],
)
def test_bad_vectors_are_refused(folder: Path, X: Any, message: str) -> None:
    with Gallery.create(folder, dim=2) as gallery:
        with pytest.raises(retrieval.InvalidVectorError, match=message):
            gallery.add_vectors(["a"], X)
        assert gallery.count() == 0


def test_other_arguments_are_refused(gallery: Gallery, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="2 ids for 1 vectors"):
        gallery.add_vectors(["a", "b"], np.ones((1, 64)))
    with pytest.raises(ValueError, match="1 payloads for 2 ids"):
        gallery.add_vectors(["a", "b"], np.ones((2, 64)), payloads=[1])
    with pytest.raises(retrieval.ModelMismatchError, match="no model 'other'; it has 'words-64'"):
        gallery.add_vectors(["a"], np.ones((1, 64)), model="other")
    with pytest.raises(ValueError, match="k must be at least 1"):
        gallery.search({"title": "x"}, k=0)
    with pytest.raises(TypeError, match="k must be an integer"):
        gallery.search({"title": "x"}, k=True)
    with pytest.raises(TypeError, match="a query is a record"):
        gallery.search("sunset")
    with pytest.raises(retrieval.InvalidVectorError, match="all zero"):
        gallery.search(np.zeros(64))
    with pytest.raises(retrieval.GalleryExistsError, match="exists already"):
        Gallery.create(folder, dim=4)
    with pytest.raises(ValueError, match="give an encoder, or the dim"):
        Gallery.create(tmp_path / "new")
    with pytest.raises(TypeError, match="expected an encoder"):
        Gallery.create(tmp_path / "new", encoder=object())  # type: ignore[arg-type]
    with pytest.raises(ValueError, match='storage must be "float32" or "float16", got \'int8\''):
        Gallery.create(tmp_path / "new", dim=4, storage="int8")
    assert not (tmp_path / "new").exists()
    for one in ({"id": "a"}, "records.jsonl", b"{}"):
        with pytest.raises(TypeError, match=f"got one {type(one).__name__}; give "):
            gallery.add(one)
    with pytest.raises(retrieval.UnknownIdError, match="no item 'nope'"):
        gallery.get("nope")
    with pytest.raises(retrieval.UnknownIdError, match="no item 'nope'"):
        gallery.vector("nope")


def test_a_place_where_no_gallery_can_be_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    for place, why in ((file / "below", "Not a directory"), (tmp_path / ("x" * 300), "File name too long")):
        with pytest.raises(
            retrieval.GalleryPathError, match=f"no gallery can be there .{why}.; choose another"
        ) as told:
            Gallery.create(place, dim=4)
        assert str(told.value).startswith(f"{place}: ")
    with pytest.raises(retrieval.GalleryExistsError, match="file: exists already"):
        Gallery.create(file, dim=4)
    with pytest.raises(retrieval.GalleryPathError, match="File name too long"):
        Gallery.open(tmp_path / ("x" * 300))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    # The tests may run as a user whom no permission stops.
    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(retrieval.ReadOnlyGalleryError, match="below: Permission denied; check the permissions"):
        Gallery.create(tmp_path / "below", dim=4)


def test_opening_with_another_dim_or_encoder_is_refused(gallery: Gallery, folder: Path) -> None:
    with pytest.raises(retrieval.ModelMismatchError, match="dim 64, not of dim 32"):
        Gallery.open(folder, dim=32)
    with pytest.raises(retrieval.ModelMismatchError, match="the encoder makes dim 32"):
        Gallery.open(folder, encoder=WordEncoder(32))
    with pytest.raises(retrieval.ModelMismatchError, match="another seed, configuration or fit"):
        Gallery.open(folder, encoder=WordEncoder(64, name="other"))
    with Gallery.open(folder) as plain:
        with pytest.raises(
            retrieval.NoEncoderError, match=r"vectors of 'words-64' and no enc.*; search for a vector, or"
        ):
            plain.search({"title": "x"})
        with pytest.raises(
            retrieval.NoEncoderError, match=r"vectors of 'words-64' and no enc.*; give vectors, or give"
        ):
            plain.add([{"id": "x"}])


def test_explain_sums_to_the_score(gallery: Gallery) -> None:
    query = {"title": "the sea", "year": 1900}
    hit = gallery.search(query, k=1)[0]
    assert sum(share for _, share in gallery.explain(query, hit.id)) == pytest.approx(hit.score, abs=1e-6)


def test_a_closed_gallery_says_so(folder: Path) -> None:
    gallery = Gallery.create(folder, dim=2)
    gallery.close()
    gallery.close()
    with pytest.raises(retrieval.ClosedGalleryError):
        gallery.count()


def test_payloads_read_back_as_they_were(folder: Path) -> None:
    deep: Any = 1
    for _ in range(300):
        deep = [deep]
    values = [2**80, -(2**63) - 1, {"a": [None, True, 1.5, "\ud800"]}, deep, {"": {}}, "text", 0, [], False]
    with Gallery.create(folder, dim=1) as gallery:
        gallery.add_vectors(range(len(values)), np.ones((len(values), 1)), payloads=values)
        for number, value in enumerate(values):
            assert json.dumps(gallery.get(number)) == json.dumps(value)
        assert [payload for _, payload in gallery.items()] == values


@pytest.mark.parametrize("value", [float("nan"), [None, float("inf")], {1: 2}, {"a": object()}, {"a": b"x"}])
def test_payloads_that_are_not_json_are_refused(folder: Path, value: Any) -> None:
    with Gallery.create(folder, dim=1) as gallery:
        with pytest.raises(retrieval.InvalidPayloadError, match="row 1"):
            gallery.add_vectors(["a"], [[1.0]], payloads=[value])
        assert gallery.count() == 0


def test_float16_storage_gives_unit_rows_and_half_the_file(tmp_path: Path) -> None:
    X = unit(np.random.default_rng(0).standard_normal((2000, 128)))
    sizes = {}
    for storage in ("float32", "float16"):
        with Gallery.create(tmp_path / storage, dim=128, storage=storage) as gallery:
            gallery.add_vectors(range(2000), X)
            assert np.allclose(np.linalg.norm(gallery.vector(5)), 1, atol=1e-6)
            hits = gallery.search(X[:50], k=1)
            assert [hit[0].id for hit in hits] == [str(number) for number in range(50)]
        sizes[storage] = (tmp_path / storage / "gallery.sqlite").stat().st_size
    assert sizes["float16"] < 0.65 * sizes["float32"]


def test_more_ids_than_one_statement_takes(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    X = unit(rng.standard_normal((2_500, 8)))
    names = [f"n{row}" for row in rng.permutation(2_500)]
    with Gallery.create(tmp_path / "g", dim=8) as gallery:
        gallery.add_vectors(names, X, range(2_500))
        gone = set(rng.permutation(names)[:1_900].tolist())
        gallery.delete(gone)
        left = [name for name in names if name not in gone]
        assert list(gallery.ids()) == left
        # Known and new ones in turns: those that are known keep their places.
        both = [name for pair in zip(left, sorted(gone), strict=False) for name in pair] + sorted(gone)[len(left) :]
        Y = unit(rng.standard_normal((len(both), 8)))
        gallery.add_vectors(both, Y, range(len(both)))
        assert list(gallery.ids()) == left + [name for name in both if name in gone]
        chosen = both[::2]
        gallery.set_payloads(chosen, [f"new {name}" for name in chosen])
        payloads = dict(gallery.items())
        assert payloads == {name: f"new {name}" if row % 2 == 0 else row for row, name in enumerate(both)}
        assert gallery.search(Y, k=1).ids[:, 0].tolist() == both
        with pytest.raises(retrieval.UnknownIdError, match="'nowhere'"):
            gallery.delete([*both[:1_000], "nowhere"])
        assert gallery.count() == 2_500
    assert check(tmp_path / "g").sound
