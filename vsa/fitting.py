"""Counting a corpus: which tokens how many records hold, and how each field's numbers lie."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from vsa.atoms import Leaf, analyse
from vsa.errors import InvalidRecordError
from vsa.leaves import Arrays, Node, Walker
from vsa.limits import Limits
from vsa.making import exact_name
from vsa.path_counts import PathCounts
from vsa.paths import format_path
from vsa.statistics import Counts, Statistics
from vsa.tokens import grams, kind, word_name

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
    """Count words, n-grams and exact values by record and by path, given which leaves each record holds."""
    words, exact = _Names(), _Names()
    word_columns: list[int] = []
    word_ends = [0]
    exact_columns: list[int] = []
    by_path: dict[str, list[int]] = {}
    for number, (node, value) in enumerate(leaves):
        leaf = analyse(value)
        word_columns += [words.number(word.encode()) for word in leaf.words]
        word_ends.append(len(word_columns))
        exact_columns.append(exact.number(exact_name(node, leaf)))
        counts = found.at(format_path(node.path))
        if counts is not None and _count_leaf(leaf, int(times[number]), counts):
            by_path.setdefault(format_path(node.path), []).append(number)
    of_leaf = _binary(np.array(word_ends), np.array(word_columns, np.int64), len(words.of))
    with_words = _binary_product(holds, of_leaf)
    atoms, named = _Names(), []
    spelled, pieces, piece_ends = _Names(), [], [0]
    for name in words.of:
        word = name.decode()
        named.append(atoms.number(word_name(word)))
        pieces += [spelled.number(b"g" + gram.encode()) for gram in set(grams(word))]
        piece_ends.append(len(pieces))
    of_word = _binary(np.array(piece_ends), np.array(pieces, np.int64), len(spelled.of))
    of_atom = _binary(np.arange(len(named) + 1), np.array(named, np.int64), len(atoms.of))
    of_exact = _binary(np.arange(len(leaves) + 1), np.array(exact_columns, np.int64), len(exact.of))
    for names, occurs in (
        (atoms, _binary_product(with_words, of_atom)),
        (spelled, _binary_product(with_words, of_word)),
        (exact, _binary_product(holds, of_exact)),
    ):
        if names.of:
            found.tokens.add(Counts.buckets(names.of), np.bincount(occurs.indices, minlength=len(names.of)))
    if by_path:
        hashes = Counts.hashes(word_name(name.decode()) for name in words.of)
        kinds = np.array([kind(name.decode()) for name in words.of])
        _count_by_path(by_path, of_leaf, times, hashes, kinds, found)


def _count_leaf(leaf: Leaf, often: int, counts: PathCounts) -> bool:
    """Count a leaf by its kind at its path; whether it is a text with words."""
    if leaf.number is not None:
        counts.numbers.add(leaf.number, often)
    if leaf.when is not None:
        counts.times.add(leaf.when, often)
    if leaf.spread is not None:
        return False
    if leaf.words:
        counts.texts += often
        return True
    counts.others += often
    return False


def _count_by_path(
    by_path: dict[str, list[int]],
    of_leaf: sparse.csr_matrix,
    times: npt.NDArray[np.int64],
    hashes: npt.NDArray[np.uint64],
    kinds: npt.NDArray[np.int64],
    found: Statistics,
) -> None:
    """Count the words of texts at each path, given the leaves of each."""
    for path, members in by_path.items():
        counts = found.paths.get(path)
        if counts is not None:  # it may have had to make room since
            rows = np.array(members)
            held = of_leaf[rows]
            often = held.T @ times[rows]
            at = np.unique(held.indices)
            counts.add_words(hashes[at], often[at], kinds[at])


def _binary(ends: npt.NDArray[np.int64], columns: npt.NDArray[np.int64], width: int) -> sparse.csr_matrix:
    """A 0/1 matrix of rows given by their columns."""
    matrix = sparse.csr_matrix((np.ones(len(columns), np.int32), columns, ends), shape=(len(ends) - 1, width))
    matrix.sum_duplicates()
    return matrix


def _binary_product(left: sparse.csr_matrix, right: sparse.csr_matrix) -> sparse.csr_matrix:
    """Where the product of two 0/1 matrices is not 0."""
    return sparse.csr_matrix(left @ right)
