"""The encoder on the public data sets."""

from __future__ import annotations

import csv
import gzip
import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import orjson
import pytest

import vsa

pytestmark = pytest.mark.data

Find = Callable[[str], Path]


def lines(path: Path) -> list[dict[str, object]]:
    return [record for _, record in vsa.iter_json(path)]


def without_id(records: list[dict[str, object]]) -> list[dict[str, object]]:
    return [{key: value for key, value in record.items() if key != "id"} for record in records]


@pytest.mark.parametrize(
    ("folder", "left", "right", "bar"),
    [("abt-buy", "abt", "buy", 0.97), ("amazon-google", "amazon", "google", 0.88)],
)
def test_linking_catalogues(data: Find, folder, left, right, bar):
    queries, gallery = (lines(data(f"{folder}/{name}.jsonl")) for name in (left, right))
    encoder = vsa.JSONEncoder(1024, seed=7).fit(without_id(gallery))
    scores = encoder.encode(without_id(queries)) @ encoder.encode(without_id(gallery)).T
    found = np.argsort(-scores, axis=1, kind="stable")[:, :10]
    row = {record["id"]: i for i, record in enumerate(queries)}
    column = {record["id"]: i for i, record in enumerate(gallery)}
    with data(f"{folder}/matches.csv").open() as file:
        pairs = [(row[int(a)], column[int(b)]) for a, b in itertools.islice(csv.reader(file), 1, None)]
    assert np.mean([b in found[a] for a, b in pairs]) >= bar


def test_artworks_encode_alike_alone_in_a_batch_and_after_other_records(data: Find):
    with gzip.open(data("tate/artworks.jsonl.gz")) as file:
        records = [orjson.loads(line) for line in itertools.islice(file, 10_000)]
    encoder = vsa.JSONEncoder(1024, seed=7, cache_bytes=64 << 20)
    batch = encoder.encode(records)
    fresh = vsa.JSONEncoder.from_bytes(encoder.to_bytes())
    for number in (0, 5_000, 9_999):
        assert encoder.encode_one(records[number]).tobytes() == batch[number].tobytes()
        assert fresh.encode_one(records[number]).tobytes() == batch[number].tobytes()


@pytest.mark.parametrize(
    "name", ["countries/countries.json", "mutagenesis/mutagenesis.json", "movies/movies-2020s.json"]
)
def test_json_arrays_of_every_shape(data: Find, name):
    encoder = vsa.JSONEncoder(256, seed=7)
    X = encoder.encode_jsonl(data(name))
    records = orjson.loads(data(name).read_bytes())
    assert X.shape == (len(records), 256)
    assert X.tobytes() == encoder.encode(records).tobytes()
