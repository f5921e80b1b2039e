"""The file of an index: written and read in little memory, errors told as they are."""

from __future__ import annotations

import hashlib
import tracemalloc
from pathlib import Path

import faiss
import numpy as np
import pytest
from reference_gallery import unit

from retrieval import ann, indexfile
from retrieval.entries import Entries
from retrieval.liveindex import LiveIndex
from retrieval.plan import Plan


@pytest.mark.parametrize("kind", ["IVF64,Flat", "IVF64,PQ8x4fsr", "HNSW16"])
def test_a_file_of_an_index_is_made_and_read_without_a_second_index_in_memory(kind: str, tmp_path: Path) -> None:
    n, dim = 60_000, 32
    X = unit(np.random.default_rng(0).standard_normal((n, dim)).astype(np.float32))
    index = ann.build(kind, X, train_on=20_000)
    plan = Plan(kind, 8, 20, 10, 0.9, n)
    live = LiveIndex(plan, index, Entries(np.arange(n), np.arange(n)))
    size = ann.size_of(index)
    assert size == len(faiss.serialize_index(index))
    tracemalloc.start()
    try:
        digest = indexfile.write(tmp_path, 1, live)
        written = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        back = indexfile.read(tmp_path, 1, plan, digest)
        read = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    entries, parts = 16 * n, 8 << 20
    assert written < entries + parts
    # The bytes of the file, which FAISS copies from.
    assert read < size + 4 * entries + parts
    assert back is not None
    np.testing.assert_array_equal(faiss.serialize_index(back.index), faiss.serialize_index(index))
    assert digest == hashlib.sha256(indexfile.index_file(tmp_path, 1).read_bytes()).hexdigest()


@pytest.mark.parametrize("error", [OSError("no space left"), KeyboardInterrupt()])
def test_what_stops_the_writing_of_an_index_is_raised_as_it_is(error: BaseException) -> None:
    X = unit(np.random.default_rng(0).standard_normal((3_000, 32)).astype(np.float32))
    index = ann.build("IVF16,Flat", X, train_on=3_000)
    parts: list[int] = []

    def put(part: bytes) -> None:
        parts.append(len(part))
        if len(parts) == 3:
            raise error

    with pytest.raises(type(error)) as raised:
        ann.written_to(index, put)
    assert raised.value is error
    assert len(parts) == 3
