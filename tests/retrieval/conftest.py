from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from reference_gallery import WordEncoder
from vector_files import DIM

from retrieval import Gallery

RECORDS = [
    {"acno": "A1", "title": "sunset over the sea", "year": 1842},
    {"acno": "A2", "title": "sunrise over the hills", "year": 1843},
    {"acno": "A3", "title": "portrait of a lady", "year": None},
    {"acno": "A4", "title": "the sea at night", "year": 1900},
    {"acno": "A5", "title": "still life with fruit"},
]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every write is a bulk write, and blocks hold 256 rows of `vector_files.DIM` numbers."""
    monkeypatch.setattr("retrieval.segments.LEAST", -1)
    monkeypatch.setattr("retrieval.blocks.BYTES", 256 * DIM * 4)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "things.gallery"


@pytest.fixture
def encoder() -> WordEncoder:
    return WordEncoder()


@pytest.fixture
def records() -> list[dict[str, object]]:
    return [dict(record) for record in RECORDS]


@pytest.fixture
def gallery(folder: Path, encoder: WordEncoder, records: list[dict[str, object]]) -> Iterator[Gallery]:
    with Gallery.create(folder, encoder=encoder) as made:
        made.add(records, id="acno")
        yield made
