"""MBAT as its papers write it: a dense orthogonal matrix for each key, and products over many records at once.

A record's vector is the sum of its leaves' vectors, each multiplied by the matrices of the keys above it. The members
of an array are added up before the array's key is bound, the cheapest of the papers' ways. Three things keep it from
being slower than it need be: the sum of an object is bound once, however many leaves lie below it; the rows that meet
one key are multiplied together, for the whole batch; and the memory for products is taken once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.nn.functional import embedding_bag

from vsa.tokens import grams, words


class DenseMBAT:
    """JSON values to (n, dim) unit rows.

    Parameters
    ----------
    dim, seed : int
        Of the matrices and the tokens' vectors.
    distinct : bool
        Multiply each distinct value of a key once a batch, rather than as often as it occurs. That is half of the way
        to a table of bound values, which the papers do not take.

    Notes
    -----
    The vectors of leaves met before are held in a table, as warm as the encoder's own. Time: 2 dim² operations for
    each edge of a record's tree; memory: 4 dim² bytes for each distinct key.
    """

    def __init__(self, dim: int, seed: int = 0, *, distinct: bool = False) -> None:
        self._dim = dim
        self._distinct = distinct
        self._draw = torch.Generator().manual_seed(seed)
        self._matrices: dict[str, torch.Tensor] = {}
        self._tokens: dict[str, int] = {}
        self._drawn = torch.empty(0, dim)
        self._numbers: dict[Any, int] = {}
        self._new: list[Any] = []
        self._leaves = torch.empty(0, dim)
        self._products = torch.empty(0, dim)
        self._factors = torch.empty(0, dim)

    def encode(self, loads: Callable[[bytes], Any], lines: list[bytes]) -> torch.Tensor:
        """Unit rows of the records that `loads` reads from lines."""
        tree = _Tree(self._number)
        for line in lines:
            tree.add(loads(line))
        if self._new:
            self._make()
        self._products = _roomy(self._products, tree.edges, self._dim)
        rows, bound = self._bind_leaves(tree)
        # The deepest objects first, so that a sum is whole before its key is bound to it.
        below = torch.zeros(0, self._dim)
        for level in range(len(tree.levels) - 1, -1, -1):
            at = tree.levels[level]
            end, owners = bound, [*at.owners]
            for key, (parents, children) in at.objects.items():
                self._bind(key, below, _whole(children), end)
                end += len(children)
                owners += parents
            owner = _whole(owners)
            numbers = torch.cat([rows[level], torch.arange(bound, end)])
            counts = torch.bincount(owner, minlength=at.size)
            order = torch.argsort(owner, stable=True)
            below = embedding_bag(numbers[order], self._products, torch.cumsum(counts, 0) - counts, mode="sum")
        return below / below.norm(dim=1, keepdim=True).clamp_min(1e-30)

    def _bind_leaves(self, tree: _Tree) -> tuple[list[torch.Tensor], int]:
        """Bind all leaves: for each level the products that its leaves have, and how many products there are."""
        where, end = [], 0
        for key, values in tree.by_key.items():
            numbers = _whole(values)
            places = torch.arange(len(values))
            if self._distinct:
                numbers, places = torch.unique(numbers, return_inverse=True)
            where.append(places + end)
            self._bind(key, self._leaves, numbers, end)
            end += len(numbers)
        starts = torch.cumsum(torch.tensor([0, *map(len, where)]), 0)
        places = torch.cat(where)
        return [places[starts[_whole(at.keys)] + _whole(at.places)] for at in tree.levels], end

    def _bind(self, key: str | None, table: torch.Tensor, numbers: torch.Tensor, at: int) -> None:
        """Rows of a table times the matrix of a key, to the products from `at` on."""
        target = self._products[at : at + len(numbers)]
        if key is None:
            torch.index_select(table, 0, numbers, out=target)
            return
        matrix = self._matrices.get(key)
        if matrix is None:
            q, r = torch.linalg.qr(torch.randn(self._dim, self._dim, generator=self._draw))
            matrix = self._matrices[key] = (q * r.diagonal().sign()).T.contiguous()
        self._factors = _roomy(self._factors, len(numbers), self._dim)
        torch.index_select(table, 0, numbers, out=self._factors[: len(numbers)])
        torch.mm(self._factors[: len(numbers)], matrix, out=target)

    def _number(self, value: Any) -> int:
        """The row that a leaf's vector has, or will have when the batch is read."""
        name = value if type(value) is str else (type(value), str(value))
        number = self._numbers.get(name)
        if number is None:
            number = self._numbers[name] = len(self._numbers)
            self._new.append(value)
        return number

    def _make(self) -> None:
        """The vectors of the leaves that are new: sums of those of their words and n-grams."""
        tokens, ends = [], [0]
        for value in self._new:
            found = words(str(value))
            for token in (repr(value), *found, *(gram for word in found for gram in grams(word))):
                tokens.append(self._tokens.setdefault(token, len(self._tokens)))
            ends.append(len(tokens))
        more = torch.randn(len(self._tokens) - len(self._drawn), self._dim, generator=self._draw) / self._dim**0.5
        self._drawn = torch.cat([self._drawn, more])
        made = embedding_bag(torch.tensor(tokens), self._drawn, torch.tensor(ends[:-1]), mode="sum")
        self._leaves = torch.cat([self._leaves, made])
        self._new.clear()


class _Level:
    """The objects of one depth and what hangs from them.

    Attributes
    ----------
    size : int
        Objects.
    owners, keys, places : list of int
        Of each leaf, the object that it hangs from, its key's number, and its place among the values of that key.
    objects : dict
        By key, the objects that hang from these: the parents' numbers and their own, one level down.
    """

    def __init__(self) -> None:
        self.size = 0
        self.owners: list[int] = []
        self.keys: list[int] = []
        self.places: list[int] = []
        self.objects: dict[str, tuple[list[int], list[int]]] = {}


class _Tree:
    """The edges of a batch of records, sorted by level and key. A record is an object of level 0."""

    def __init__(self, number: Callable[[Any], int]) -> None:
        self._number = number
        self._keys: dict[str | None, int] = {}
        self.levels: list[_Level] = []
        self.by_key: dict[str | None, list[int]] = {}
        self.edges = 0

    def add(self, record: Any) -> None:
        """A record more."""
        waiting: list[tuple[int, int, str | None, Any]] = [(0, self._another(0), None, record)]
        while waiting:
            level, owner, key, value = waiting.pop()
            if isinstance(value, dict) and value:
                if key is not None:
                    child = self._another(level + 1)
                    parents, children = self.levels[level].objects.setdefault(key, ([], []))
                    parents.append(owner)
                    children.append(child)
                    self.edges += 1
                    level, owner = level + 1, child
                waiting += [(level, owner, name, member) for name, member in value.items()]
            elif isinstance(value, list) and value:
                waiting += [(level, owner, key, member) for member in value]
            else:
                at = self.levels[level]
                values = self.by_key.setdefault(key, [])
                at.owners.append(owner)
                at.keys.append(self._keys.setdefault(key, len(self._keys)))
                at.places.append(len(values))
                values.append(self._number(value))
                self.edges += 1

    def _another(self, level: int) -> int:
        """The number of a new object of a level."""
        if level == len(self.levels):
            self.levels.append(_Level())
        self.levels[level].size += 1
        return self.levels[level].size - 1


def _whole(numbers: list[int]) -> torch.Tensor:
    return torch.tensor(numbers, dtype=torch.int64)


def _roomy(room: torch.Tensor, rows: int, dim: int) -> torch.Tensor:
    """The same room, or a larger one where it has fewer rows than are needed."""
    return room if len(room) >= rows else torch.empty(max(rows, 2 * len(room)), dim)
