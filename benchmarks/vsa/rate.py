"""JSON bytes to vectors in one process, beside `orjson.loads` alone and scikit-learn's FeatureHasher.

    python -m benchmarks.vsa.rate

The peer hashes the same words and n-grams, bound to their paths and unbound, into 1,024 dense columns. Medians of
five rounds that take turns; scikit-learn is needed beside the package.
"""

from __future__ import annotations

import gzip
import itertools
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import orjson
from sklearn.feature_extraction import FeatureHasher

import vsa
from benchmarks.vsa.data import find
from vsa.tokens import grams, words

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


def main() -> None:
    """Print the table."""
    with gzip.open(find("tate/artworks.jsonl.gz")) as file:
        lines = list(itertools.islice(file, LINES))
    data = b"".join(lines)
    encoder = vsa.JSONEncoder(1024, seed=7, cache_bytes=1 << 30)
    started = time.perf_counter()
    encoder.encode_jsonl(data)
    cold = LINES / (time.perf_counter() - started)
    hasher = FeatureHasher(1024, input_type="string")

    def parse() -> None:
        for line in lines:
            orjson.loads(line)

    def hashed() -> None:
        hasher.transform(features(orjson.loads(line)) for line in lines).toarray()

    runs: dict[str, Callable[[], object]] = {
        "orjson.loads alone": parse,
        "vsa, warm table": lambda: encoder.encode_jsonl(data),
        "FeatureHasher to dense, same words and n-grams": hashed,
    }
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(ROUNDS):
        for name, run in runs.items():
            started = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - started)
    print(f"{LINES:,} Tate lines, {len(data) / LINES:,.0f} bytes each, medians of {ROUNDS}\n")
    print("| what | records/s | of orjson.loads |\n|---|---|---|")
    parsed = LINES / statistics.median(times["orjson.loads alone"])
    for name, taken in times.items():
        rate = LINES / statistics.median(taken)
        print(f"| {name} | {rate:,.0f} | {rate / parsed:.2f} |")
    print(f"| vsa, cold (once, torch's import included) | {cold:,.0f} | {cold / parsed:.2f} |")


if __name__ == "__main__":
    main()
