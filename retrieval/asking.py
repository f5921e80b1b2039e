"""Queries that indexes are measured with, and the recall they find."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retrieval import ann, exact
from retrieval.vectors import VectorTable

_QUERIES = 500


@dataclass(frozen=True)
class Questions:
    """Queries with the score of their k-th true neighbour, and the row that is the query itself (-1 for none)."""

    Q: NDArray[np.float32]
    kth: NDArray[np.float32]
    own: NDArray[np.int64]
    k: int


def questions(table: VectorTable, k: int, Q: NDArray[np.float32] | None, n: int = _QUERIES) -> Questions:
    """Queries to measure with: given ones, or stored vectors that do not count as their own neighbours."""
    own = np.full(0 if Q is None else len(Q), -1, dtype=np.int64)
    if Q is None:
        own = drawn(len(table), n)
        Q = np.ascontiguousarray(table.matrix[own])
    rows, scores = exact.search(Q, table.matrix, table.items, k + 1)
    scores = np.where(rows == own[:, None], -np.inf, scores)
    # Where the query itself was not among its k + 1 (its duplicates were), the last is one too many.
    scores = -np.sort(-scores, axis=1)[:, : min(k, scores.shape[1])]
    return Questions(Q, scores[:, -1], own, min(k, scores.shape[1]))


def drawn(n_rows: int, n: int) -> NDArray[np.int64]:
    """Up to n rows to ask with, the same every time, rising."""
    return np.sort(np.random.default_rng(0).permutation(n_rows)[:n])


def held_out(table: VectorTable, k: int) -> tuple[Questions, NDArray[np.int64]]:
    """Queries from stored vectors that are to be kept out of the indexes they measure, and their rows.

    A vector in a graph is linked to its own neighbours, so asking for it flatters the graph: HNSW32 over 50,000 vectors
    of one smooth manifold, efSearch 16, answers stored queries with recall .966 and new ones with .810.
    """
    rows = drawn(len(table), max(1, min(_QUERIES, len(table) // 10)))
    return asked_with(table, k, rows), rows


def asked_with(table: VectorTable, k: int, rows: NDArray[np.int64]) -> Questions:
    """Queries from some rows, whose true neighbours are looked for among the others."""
    Q = np.ascontiguousarray(table.matrix[rows])
    kept = np.delete(np.arange(len(table)), rows)
    _, scores = exact.search_among(Q, table.matrix, table.items, kept, k)
    return Questions(Q, scores[:, -1], np.full(len(Q), -1, dtype=np.int64), scores.shape[1])


def recalls(asked: Questions, table: VectorTable, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """For each query the share of its true neighbours among some rows; a tie with the k-th counts as one."""
    return recalls_upto(asked, table, rows)[:, -1]


def recalls_upto(asked: Questions, table: VectorTable, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """As `recalls`, among the first 1, 2, ... of the rows; shape of `rows`."""
    products = ann.products_of(asked.Q, table.matrix, np.where(rows == asked.own[:, None], -1, rows))
    bound = exact.rounding_bound(table.model.dim)
    found = np.cumsum(products >= asked.kth[:, None] - bound, axis=1)
    return np.asarray(np.minimum(found, asked.k) / asked.k, dtype=np.float64)


def standard_error(shares: NDArray[np.float64]) -> float:
    """Of the mean over queries."""
    return float(shares.std(ddof=1) / math.sqrt(len(shares))) if len(shares) > 1 else 0.0
