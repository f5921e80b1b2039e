"""The public data sets, from VSA_DATA or ../shared/data."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import vsa
from benchmarks.compat.data import folder


def find(name: str) -> Path:
    """A file of the data sets; the program ends where they are absent."""
    return folder() / name


def records(name: str) -> list[Any]:
    """All records of a file."""
    return [record for _, record in vsa.iter_json(find(name))]


def catalogues(folder: str, left: str, right: str) -> tuple[list[Any], list[Any], list[tuple[int, int]]]:
    """Queries and gallery without their ids, and the matching rows."""
    sides = [records(f"{folder}/{name}.jsonl") for name in (left, right)]
    rows = [{record["id"]: row for row, record in enumerate(side)} for side in sides]
    with find(f"{folder}/matches.csv").open() as file:
        pairs = [(rows[0][int(a)], rows[1][int(b)]) for a, b in list(csv.reader(file))[1:]]
    queries, gallery = ([{k: v for k, v in r.items() if k != "id"} for r in side] for side in sides)
    return queries, gallery, pairs
