"""Slow, obvious oracles for galleries, and an encoder that is quick to build."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsa.errors import InvalidRecordError


def brute_force(Q: NDArray[np.float32], X: NDArray[np.float32], k: int) -> tuple[list[list[int]], list[list[float]]]:
    """The k best rows of X for each row of Q by float64 cosines rounded to float32; ties by row number."""
    all_rows, all_scores = [], []
    for q in Q:
        scored = []
        for number, x in enumerate(X):
            score = np.float32(sum((q.astype(float) * x.astype(float)).tolist()))
            scored.append((-float(score), number))
        scored.sort()
        all_rows.append([number for _, number in scored[:k]])
        all_scores.append([-negative for negative, _ in scored[:k]])
    return all_rows, all_scores


def unit(X: Any) -> NDArray[np.float32]:
    rows = np.asarray(X, dtype=np.float64)
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


class WordEncoder:
    """One random direction a (field, word); the cosine is the overlap."""

    def __init__(self, dim: int = 64, name: str = "words") -> None:
        self.dim = dim
        self.name = f"{name}-{dim}"

    def _parts(self, record: Any) -> dict[str, NDArray[np.float64]]:
        if not isinstance(record, dict):
            raise InvalidRecordError("not an object")
        parts = {}
        for key, value in record.items():
            if value == "unspeakable":
                raise InvalidRecordError("unspeakable")
            total = np.zeros(self.dim)
            for word in str(value).split():
                total += np.random.default_rng(zlib.crc32(f"{key}={word}".encode())).standard_normal(self.dim)
            parts[key] = total
        return parts

    def _one(self, record: Any) -> NDArray[np.float64]:
        total = sum(self._parts(record).values(), np.zeros(self.dim))
        return np.asarray(total / np.linalg.norm(total))

    def encode(self, records: Iterable[Any]) -> NDArray[np.float32]:
        rows = []
        for number, record in enumerate(records):
            try:
                rows.append(self._one(record))
            except InvalidRecordError as error:
                raise InvalidRecordError(error.reason, record=number) from error
        return np.array(rows, dtype=np.float32).reshape(-1, self.dim)

    def encode_one(self, record: Any) -> NDArray[np.float32]:
        return self._one(record).astype(np.float32)

    def explain(self, query: Any, record: Any) -> list[tuple[str, float]]:
        mine = self._parts(query)
        whole = self._one(record)
        length = np.linalg.norm(sum(mine.values(), np.zeros(self.dim)))
        shares = [(key, float(part @ whole / length)) for key, part in mine.items()]
        return sorted(shares, key=lambda pair: -pair[1])
