"""How the row of a leaf is made: its atoms weighed, added and bound to its path."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt

from vsa.atoms import LEAF_UNIT, Leaf, analyse, exact_share
from vsa.binding import Binding, PermutationBinding
from vsa.budget import Budget
from vsa.errors import FieldError
from vsa.factors import PathFactors, id_factors
from vsa.fields.base import Atoms, Field, Space
from vsa.hashing import prefix
from vsa.leaves import Claimed, Node
from vsa.operators import PathOperators
from vsa.paths import MEMBER, Path, format_path
from vsa.shares import Shares
from vsa.signcache import SignCache
from vsa.soft import level_name, soft_levels
from vsa.spelling import Words
from vsa.statistics import Statistics, rarity
from vsa.sums import bag, headed_sums, kernel, unpacked
from vsa.typed import typed_rows

Rows = npt.NDArray[np.float32]

EXACT = float(1 << 24)
"""Whole numbers below this are exact in float32."""

_TYPED_AT_ONCE = 64


class LeafMaker:
    """Rows of leaves: ``(B · M_path + P · M_place)(own + words) + A · words``.

    Parameters
    ----------
    binding : Binding
        Operators of the keys.
    shares : Shares
        The weights B, P and A.
    statistics : Statistics or None
        What was learned of the corpus.
    budget : Budget
        How much is kept.
    fields : mapping, optional
        Typed encoders by path.

    Attributes
    ----------
    peak : float
        Largest entry of any row made so far.
    factors : PathFactors
        How much the leaves at a path weigh.
    words : Words
        Rows of words.
    """

    def __init__(
        self,
        binding: Binding[Any],
        shares: Shares,
        statistics: Statistics | None,
        budget: Budget,
        fields: Mapping[Path, Field] | None = None,
    ) -> None:
        self._binding = binding
        self._fields = fields
        self._space = Space(binding.dim, binding.seed, LEAF_UNIT, self._named_sums)
        self._operators = PathOperators(binding, budget.operators)
        self._shares = shares
        self._statistics = statistics
        self._scales = statistics.scales() if statistics else {}
        self._times = statistics.spreads_of_times() if statistics else {}
        self.factors = PathFactors(id_factors(statistics, shares) if statistics else {})
        self._atoms = prefix("atom", binding.seed)
        self.words = Words(self._atoms, binding.dim, statistics, budget)
        self._levels: SignCache[bytes | int] = SignCache(
            self._atoms, binding.dim, atom=level_name, rarities=lambda names: [1.0] * len(names), most=budget.levels
        )
        self._room = np.empty((3, 0, binding.dim), np.float32)
        self.peak = 1.0

    def forget(self) -> None:
        """Empty the cache of words."""
        self.words.forget()

    def make(self, places: list[tuple[Node, Any]]) -> Rows:
        """Rows of leaves given as (node, value); leaves of one node are bound together where they come in a row.

        Returns
        -------
        (n, dim) float32
            Whole numbers, in room that the next call may take.

        Raises
        ------
        FieldError
            If the rows of a field, or what they come to with the shares, are not as they must be.
        """
        own, shared, made = self._room_for(len(places))
        blocks = self._parts(places, own, shared)
        compiled = kernel.worth(len(places)) if isinstance(self._binding, PermutationBinding) else None
        if compiled is not None:
            for node, start, end in blocks:
                rows = own[start:end], shared[start:end], made[start:end]
                self.peak = max(self.peak, self._bind_compiled(compiled, node, *rows))
        else:
            made = own
            made += shared
            shared *= np.float32(self._shares.anywhere)
            for node, start, end in blocks:
                made[start:end] = self._bound(node, made[start:end], shared[start:end])
            self.peak = max(self.peak, float(made.max()), -float(made.min()))
        if self.peak >= EXACT:
            raise FieldError("the weights of fields and shares take sums beyond 2**24; choose smaller ones")
        return made

    def _bind_compiled(self, compiled: Any, node: Node, own: Rows, words: Rows, out: Rows) -> int:
        """As `_bound`, by compiled code: fills `out` and gives its largest entry by amount."""
        shares = self._shares
        op = self._operators.of(node.path)
        weight, place, place_weight = shares.bound + shares.position, op, 0
        if node.place != node.path and shares.position:
            weight, place, place_weight = shares.bound, self._operators.of(node.place), shares.position
        peak: int = compiled.bind(
            own, words, op.index, op.sign, np.float32(weight), place.index, place.sign, np.float32(place_weight),
            np.float32(shares.anywhere), np.float32(self.factors.of(node.path)), out,
        )  # fmt: skip
        return peak

    def _room_for(self, count: int) -> tuple[Rows, Rows, Rows]:
        """(n, dim) each, of arrays that are kept: the system takes long to hand out pages again and again."""
        if self._room.shape[1] < count:
            self._room = np.empty((3, count, self._binding.dim), np.float32)
        own, shared, made = self._room[:, :count]
        return own, shared, made

    def _parts(self, places: list[tuple[Node, Any]], own: Rows, shared: Rows) -> list[tuple[Node, int, int]]:
        """Fill in what belongs to the leaves' paths alone, and what counts anywhere too, both not yet bound.

        Returns the runs of leaves of one node: the node, its first leaf, and the first after it.
        """
        typed = typed_rows(places, self._space) if self._fields else None
        leaves: list[Leaf] = []
        blocks: list[tuple[Node, int, int]] = []
        for node, members in groupby(places, key=_node_of):
            leaves += self.analysed(node.path, [value for _, value in members])
            blocks.append((node, blocks[-1][2] if blocks else 0, len(leaves)))
        if typed is not None:
            for i in np.flatnonzero(typed.read).tolist():
                leaves[i].line, leaves[i].marks = None, {}
        self.words.sums(leaves, shared)
        self._own_sums(places, leaves, own)
        if typed is not None:
            typed.join(own, shared)
        return blocks

    def analysed(self, path: Path, values: Iterable[Any]) -> list[Leaf]:
        """The atoms of values at a path, by what was learned of it."""
        text = format_path(path) if self._statistics is not None else ""
        scale, spread = self._scales.get(text), self._times.get(text, 1.0)
        # An object or array that a field took has no ordinary leaf: what stands in for it gets weight 0.
        return [analyse(None if type(value) is Claimed else value, scale, spread) for value in values]

    def _bound(self, node: Node, block: Rows, anywhere: Rows) -> Rows:
        """Rows of leaves at one node: ``(B · M_path + P · M_place) block + anywhere``, weighed by the path."""
        bound = self._binding.bind(self._operators.of(node.path), block)
        if node.place == node.path:
            bound *= np.float32(self._shares.bound + self._shares.position)
        else:
            bound *= np.float32(self._shares.bound)
            placed = self._binding.bind(self._operators.of(node.place), block)
            placed *= np.float32(self._shares.position)
            bound += placed
        bound += anywhere
        factor = self.factors.of(node.path)
        if factor != 1.0:
            bound *= np.float32(factor)
        if factor != 1.0 or not self._binding.exact:
            np.rint(bound, out=bound)
        return bound

    def unbound(self, path: Path, values: list[Any]) -> tuple[Rows, Rows]:
        """Values at a path as they are before binding: what is bound, and what counts anywhere; (n, dim) float32."""
        node = Node(tuple(MEMBER if isinstance(step, int) else step for step in path), path, self._fields)
        own, shared = np.empty((2, len(values), self._binding.dim), np.float32)
        self._parts([(node, value) for value in values], own, shared)
        return own + shared, shared

    def products(self, names: Sequence[bytes], y: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """(n,) inner products of sign atoms, given by name, with a vector (dim,)."""
        columns, packed, _ = self._levels.of(list(names))
        columns, signs = unpacked(columns, packed, self._binding.dim)
        found: npt.NDArray[np.float64] = (signs @ y).astype(np.float64)
        return found[columns]

    def bind(self, path: Path, X: Rows) -> Rows:
        """(n, dim) float32: rows multiplied by the path's operator."""
        return self._binding.bind(self._operators.of(path), X)

    def unbind(self, path: Path, X: Rows) -> Rows:
        """(n, dim) float32: rows multiplied by the transpose of the path's operator."""
        return self._binding.unbind(self._operators.of(path), X)

    def _named_sums(self, parts: Sequence[Atoms]) -> Rows:
        """(n, dim) sums of sign atoms given by name, with weights in units of `LEAF_UNIT` to be rounded."""
        total = np.empty((len(parts), self._binding.dim), np.float32)
        for at in range(0, len(parts), _TYPED_AT_ONCE):
            some = parts[at : at + _TYPED_AT_ONCE]
            columns, packed, _ = self._levels.of([name for part in some for name, _ in part])
            weights = np.rint(np.array([share for part in some for _, share in part]) * LEAF_UNIT).astype(np.float32)
            starts = np.cumsum([0] + [len(part) for part in some[:-1]])
            columns, signs = unpacked(columns, packed, self._binding.dim)
            total[at : at + len(some)] = bag(signs, columns, starts, weights)
        return total

    def _own_sums(self, places: list[tuple[Node, Any]], leaves: list[Leaf], out: Rows) -> None:
        known: Iterable[float | None] = [None] * len(leaves)
        if self._statistics is not None:
            exact = [exact_name(node, leaf) for (node, _), leaf in zip(places, leaves, strict=True)]
            known = rarity(self._statistics.tokens.of(exact), self._statistics.records)
        levels = soft_levels(leaves)
        columns, packed, _ = self._levels.of(levels.names)
        headed_sums(
            self._atoms,
            self._binding.dim,
            [leaf.exact for leaf in leaves],
            np.array([exact_share(leaf, rare) for leaf, rare in zip(leaves, known, strict=True)]),
            np.bincount(levels.owners, minlength=len(leaves)),
            columns[levels.which],
            packed,
            levels.shares,
            LEAF_UNIT,
            out,
        )


def _node_of(place: tuple[Node, Any]) -> Node:
    return place[0]


def exact_name(node: Node, leaf: Leaf) -> bytes:
    """Under what name an exact value is counted: texts wherever they stand, other values by path."""
    return leaf.exact if leaf.is_text else b"p" + format_path(node.path).encode() + b"\0" + leaf.exact
