"""Counting a corpus: which tokens how many records hold, and how each field's numbers lie."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from vsa.atoms import analyse
from vsa.errors import InvalidRecordError
from vsa.leaves import Arrays, Node, Walker
from vsa.limits import Limits
from vsa.making import exact_name
from vsa.paths import format_path
from vsa.statistics import Counts, Statistics
from vsa.tokens import grams

_RECORDS_AT_ONCE = 1000


def count(records: Iterable[Any], limits: Limits) -> Statistics:
    """Statistics of a stream of records, in one pass and bounded memory.

    Parameters
    ----------
    records : iterable
        JSON values.
    limits : Limits
        Bounds on each record.

    Raises
    ------
    InvalidRecordError
        With `record` set, for a value that is not JSON or beyond the limits.
    """
    found = Statistics()
    stream = iter(records)
    while batch := list(islice(stream, _RECORDS_AT_ONCE)):
        _count_batch(batch, found, limits)
    return found


class _Names:
    """Numbers of names in order of appearance."""

    def __init__(self) -> None:
        self.of: dict[bytes, int] = {}

    def number(self, name: bytes) -> int:
        return self.of.setdefault(name, len(self.of))


def _count_batch(batch: list[Any], found: Statistics, limits: Limits) -> None:
    leaves: list[tuple[Node, Any]] = []

    def intern(node: Node, key: Any, value: Any) -> int:
        node.leaves[key] = len(leaves)
        leaves.append((node, value))
        return len(leaves) - 1

    # Places in arrays do not matter here, so members share a node.
    walker = Walker(Arrays.BAG, limits, intern)
    rows: list[int] = []
    ends: list[int] = []
    for number, record in enumerate(batch):
        try:
            walker.walk(record, rows)
        except InvalidRecordError as error:
            raise type(error)(error.reason, record=found.records + number) from error
        ends.append(len(rows))
    holds = _binary(np.array([0, *ends]), np.array(rows), len(leaves))
    times = np.bincount(np.array(rows), minlength=len(leaves))
    _count_tokens(holds, leaves, times, found)
    found.records += len(batch)


def _count_tokens(
    holds: sparse.csr_matrix, leaves: list[tuple[Node, Any]], times: npt.NDArray[np.int64], found: Statistics
) -> None:
    """Count words, n-grams and exact values by record, given which leaves each record holds."""
    words, exact = _Names(), _Names()
    word_columns: list[int] = []
    word_ends = [0]
    exact_columns: list[int] = []
    for (node, value), often in zip(leaves, times.tolist(), strict=True):
        leaf = analyse(value)
        word_columns += [words.number(b"w" + word.encode()) for word in leaf.words]
        word_ends.append(len(word_columns))
        exact_columns.append(exact.number(exact_name(node, leaf)))
        if leaf.number is not None:
            found.add_numbers(format_path(node.path), leaf.number, often)
    of_leaf = _binary(np.array(word_ends), np.array(word_columns, np.int64), len(words.of))
    with_words = _binary_product(holds, of_leaf)
    spelled, pieces, piece_ends = _Names(), [], [0]
    for name in words.of:
        pieces += [spelled.number(b"g" + gram.encode()) for gram in set(grams(name[1:].decode()))]
        piece_ends.append(len(pieces))
    of_word = _binary(np.array(piece_ends), np.array(pieces, np.int64), len(spelled.of))
    of_exact = _binary(np.arange(len(leaves) + 1), np.array(exact_columns, np.int64), len(exact.of))
    for names, occurs in (
        (words, with_words),
        (spelled, _binary_product(with_words, of_word)),
        (exact, _binary_product(holds, of_exact)),
    ):
        if names.of:
            found.tokens.add(Counts.buckets(names.of), np.bincount(occurs.indices, minlength=len(names.of)))


def _binary(ends: npt.NDArray[np.int64], columns: npt.NDArray[np.int64], width: int) -> sparse.csr_matrix:
    """A 0/1 matrix of rows given by their columns."""
    matrix = sparse.csr_matrix((np.ones(len(columns), np.int32), columns, ends), shape=(len(ends) - 1, width))
    matrix.sum_duplicates()
    return matrix


def _binary_product(left: sparse.csr_matrix, right: sparse.csr_matrix) -> sparse.csr_matrix:
    """Where the product of two 0/1 matrices is not 0."""
    return sparse.csr_matrix(left @ right)
