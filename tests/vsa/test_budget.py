"""All that an encoder keeps lies within `cache_bytes`."""

from __future__ import annotations

import json
import tracemalloc

import numpy as np
import pytest

import vsa
from vsa.budget import LEAST_LEAVES, LEAST_WORDS, NAME, NODE, SIGN_BOOKS, WORKING, budget, row_bytes
from vsa.table import RowTable


@pytest.mark.parametrize("dim", [16, 256, 1000, 1024, 4096])
@pytest.mark.parametrize("megabytes", [320, 384, 1024])
@pytest.mark.parametrize("reads_bytes", [True, False])
def test_the_parts_make_up_the_whole(dim: int, megabytes: int, reads_bytes: bool) -> None:
    b = budget(megabytes << 20, dim, reads_bytes=reads_bytes)
    signs = (b.grams + b.levels) * (dim // 8 + SIGN_BOOKS)
    total = b.fast + b.leaves + b.words + b.nodes * NODE + b.operators * 8 * dim + signs + WORKING
    assert 0.95 * (megabytes << 20) < total <= megabytes << 20
    assert (b.fast > 0) is reads_bytes


def test_little_memory_leaves_the_least() -> None:
    b = budget(0, 64, reads_bytes=True)
    assert (b.fast, b.leaves, b.words) == (0, LEAST_LEAVES * row_bytes(64), LEAST_WORDS * row_bytes(64))


def test_long_names_use_up_the_room_of_rows() -> None:
    table: RowTable[None] = RowTable(2, 8 * row_bytes(2))
    names: dict[str, int] = {}
    for name in ("a" * 7 * NAME, "b", "c"):
        assert not table.is_wordy()
        table.claim(names, name, None)
        table.touch(np.array([names[name]]))
    assert table.is_wordy()
    assert not table.is_full()
    table.evict()
    assert list(names) == ["c"]
    assert not table.is_wordy()
    table.claim(names, "a" * 8 * NAME, None)
    table.clear()
    assert not table.is_wordy()


# The texts alone come to 72 MB, and so do their words.
RECORDS = [{"t": [f"{'x' * 20_000}{i}{j}" for j in "abc"], "n": i, f"k{i}": {"w": f"word{i} sea"}} for i in range(1200)]


@pytest.mark.parametrize("lines", [False, True])
def test_what_is_held_stays_within_the_cache(lines: bool) -> None:
    cache = 64 << 20
    batches = (json.dumps(RECORDS[at : at + 50]) for at in range(0, len(RECORDS), 50))
    vsa.JSONEncoder(16).encode([RECORDS[0]] * 300)  # imports
    vsa.JSONEncoder(16).encode_jsonl(b'{"a": 1}\n' * 1000)  # compiles
    tracemalloc.start(1)
    try:
        encoder = vsa.JSONEncoder(256, seed=1, cache_bytes=cache)
        for batch in batches:
            records = json.loads(batch)
            if lines:
                encoder.encode_jsonl(b"\n".join(json.dumps(record).encode() for record in records))
            else:
                encoder.encode(records)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert 0.4 * cache < peak < cache
