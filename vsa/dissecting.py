"""Exact additive explanations of a cosine, token by token under each path."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from vsa.atoms import LEAF_UNIT, WORD_UNIT, Leaf, exact_share
from vsa.explaining import checked_query
from vsa.leaves import Node
from vsa.levels import DAY_GRIDS, NUMBER_GRIDS
from vsa.making import LeafMaker, exact_name
from vsa.paths import format_path
from vsa.shares import Shares
from vsa.statistics import rarity
from vsa.tokens import WHOLE, word_name
from vsa.typed import typed_rows

Rows = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]

_AT_ONCE = 256
_NOTHING = 1e-6
"""What float32 leaves of a unit query's product with a row, as a share of the row's length."""


def explain_tokens(
    query: npt.NDArray[np.floating], maker: LeafMaker, shares: Shares, leaves: Sequence[tuple[Node, Any, int]]
) -> list[tuple[str, str, float]]:
    """Contributions of tokens to the cosine of a query and the sum of leaves.

    A leaf adds ``f (B · M_path + P · M_place)(own + words) + f A · words``, so a token t of its own adds
    ``⟨f (B · M_pathᵀ + P · M_placeᵀ) q, t⟩``, and one of its words ``⟨f A q, t⟩`` more.

    Parameters
    ----------
    query : (dim,) array
        Any length.
    maker : LeafMaker
        Makes the rows.
    shares : Shares
        B, P and A.
    leaves : sequence of (Node, value, int)
        The leaves of the record, and how often each is there.

    Returns
    -------
    list of (str, str, float)
        Path, token and contribution, largest first; they sum to the cosine. Where rows are rounded after binding
        (below arrays, and with other bindings than permutations), what that does is a token of its own, ``rounding``.
    """
    dim = maker.unbound((), [None])[0].shape[1]
    q = checked_query(query, dim)
    total = np.zeros(dim)
    found: dict[tuple[str, str], float] = {}
    for node, value, times in leaves:
        row = times * maker.make([(node, value)])[0].astype(np.float64)
        total += row
        bound, loose = _pulled(q, maker, shares, node)
        here: dict[str, float] = {}
        typed = typed_rows([(node, value)], maker._space) if node.field is not None else None
        spoken = typed is not None and bool(typed.read[0])
        ordinary = times * (1.0 if typed is None else float(typed.ordinary[0]))
        for labels, rows, is_word in _tokens(maker, node, value, spoken) if ordinary else ():
            parts = ordinary * (rows.astype(np.float64) @ (bound + loose if is_word else bound))
            for label, part in zip(labels, parts.tolist(), strict=True):
                here[label] = here.get(label, 0.0) + part
        left = float(q @ row) - sum(here.values())
        if spoken and node.field is not None:
            rest = f"field {node.field.kind}"
        elif abs(left) > _NOTHING * float(np.sqrt(row @ row)):
            rest = "rounding"
        else:
            rest = max(here, key=lambda label: abs(here[label]))
        here[rest] = here.get(rest, 0.0) + left
        path = format_path(node.path)
        for label, part in here.items():
            found[path, label] = found.get((path, label), 0.0) + part
    size = float(np.sqrt(total @ total))
    ordered = sorted(found.items(), key=lambda item: -item[1])
    return [(path, label, part / size) for (path, label), part in ordered]


def _pulled(q: Floats, maker: LeafMaker, shares: Shares, node: Node) -> tuple[Floats, Floats]:
    """What a token that belongs to the path is multiplied by, and what words are multiplied by besides."""
    single = q.astype(np.float32)[None]
    bound = maker.unbind(node.path, single)[0].astype(np.float64)
    if node.place == node.path:
        bound *= shares.bound + shares.position
    else:
        bound = shares.bound * bound + shares.position * maker.unbind(node.place, single)[0].astype(np.float64)
    factor = maker.factors.of(node.path)
    return factor * bound, factor * shares.anywhere * q


def _tokens(maker: LeafMaker, node: Node, value: Any, spoken: bool) -> Iterator[tuple[list[str], Rows, bool]]:
    """Blocks of (labels, rows before binding, whether they are words) of an ordinary leaf."""
    leaf = maker.analysed(node.path, [value])[0]
    known: float | None = None
    if maker._statistics is not None:
        known = rarity(maker._statistics.tokens.of([exact_name(node, leaf)]), maker._statistics.records)[0]
    levels = {} if spoken else leaf.levels
    atoms = [(leaf.exact, exact_share(leaf, known)), *levels.items()]
    labels = [f"exact {json.dumps(value, ensure_ascii=False)}", *map(_level_label, levels)]
    yield labels, maker._named_sums([[atom] for atom in atoms]), False
    words = list(leaf.words)
    for at in range(0, len(words), _AT_ONCE):
        some = words[at : at + _AT_ONCE]
        whole = maker.words.sums([Leaf({word: leaf.words[word]}, b"") for word in some])
        names = [word_name(word) for word in some]
        rare = np.rint(np.array(maker.words.rarities(some)) * WORD_UNIT)
        weights = [leaf.words[word] for word in some]
        own = maker._named_sums(
            [[(name, r * w / LEAF_UNIT)] for name, r, w in zip(names, rare.tolist(), weights, strict=True)]
        )
        labels = [word.lstrip(WHOLE) for word in some]
        yield [f"word {label}" for label in labels], own, True
        yield [f"n-grams {label}" for label in labels], whole - own, True


def _level_label(name: bytes) -> str:
    """A level's grid, by the width of its cells: in doublings or in days."""
    if name[:1] == b"m":
        return "magnitude"
    grid = int(name[1:].split(b",")[0])
    return f"within {DAY_GRIDS[grid]:g} days" if name[:1] == b"d" else f"level {NUMBER_GRIDS[grid]:g}"
