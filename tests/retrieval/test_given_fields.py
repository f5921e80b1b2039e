"""A gallery whose encoder has a text model, which no file can hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import retrieval
import vsa

RECORDS = [{"id": str(i), "about": text} for i, text in enumerate(["sea", "sea sea", "city", "hill"])]
KINDS = ("sea", "city", "hill")


def embed(texts: list[str]) -> np.ndarray:
    return np.array([[text.count(kind) for kind in KINDS] for text in texts], np.float32)


def test_a_gallery_asks_for_its_text_model_and_searches_with_it(tmp_path: Path):
    encoder = vsa.JSONEncoder(256, seed=1, fields={"about": vsa.fields.TextModel(embed, 3, name="counts")})
    with retrieval.Gallery.create(tmp_path / "g", encoder=encoder) as gallery:
        gallery.add(RECORDS, id="id")
        expected = [(hit.id, hit.score) for hit in gallery.search({"about": "sea sea sea"}, k=4)]
    assert {expected[0][0], expected[1][0]} == {"0", "1"}
    with retrieval.Gallery.open(tmp_path / "g", fields={"about": embed}) as gallery:
        assert [(hit.id, hit.score) for hit in gallery.search({"about": "sea sea sea"}, k=4)] == expected
    with retrieval.Gallery.open(tmp_path / "g") as gallery:
        assert gallery.search(encoder.encode_one(RECORDS[0]), k=1)[0].id == "0"
        with pytest.raises(retrieval.NoEncoderError, match=r"'counts'.*at 'about'.*Gallery.open\(path, f"):
            gallery.search({"about": "sea"})
    with (
        retrieval.Gallery.open(tmp_path / "g", fields={"about": lambda texts: embed(texts)[:, ::-1]}) as gallery,
        pytest.raises(vsa.FieldError, match="not the one"),
    ):
        gallery.search({"about": "sea"})
