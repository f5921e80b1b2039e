"""Slow, obvious versions of what the packages do, to test them against."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from typing import Any

import numpy as np

from vsa.atoms import GRAM_SHARE, LEAF_UNIT, WORD_UNIT, analyse, exact_share, prior
from vsa.binding import Binding
from vsa.factors import MEMBER_FACTOR
from vsa.operators import step_name
from vsa.shares import Shares
from vsa.tokens import WHOLE, grams, word_name


def sign_atom(name: bytes, seed: int, dim: int) -> np.ndarray:
    """An atom bit by bit from the definition of its stream."""
    head = b"vsa" + (1).to_bytes(2, "little") + seed.to_bytes(8, "little") + bytes([4]) + b"atom"
    data = hashlib.shake_128(head + len(name).to_bytes(8, "little") + name).digest((dim + 7) // 8)
    return np.array([-1.0 if data[i // 8] >> (7 - i % 8) & 1 else 1.0 for i in range(dim)])


def dense(binding: Binding[Any], key: bytes) -> np.ndarray:
    """The matrix of a key's operator."""
    return binding.bind(binding.operator(key), np.eye(binding.dim, dtype=np.float32)).T.astype(np.float64)


def naive_sum(
    value: Any,
    binding: Binding[Any],
    shares: Shares,
    arrays: str,
    path: Any = None,
    place: Any = None,
    arrays_above: int = 0,
) -> np.ndarray:
    """The unnormalised vector of an unfitted encoder by recursion over dense matrices."""
    if path is None:
        path = place = np.eye(binding.dim)
    if isinstance(value, dict) and value:
        parts = []
        for key, member in value.items():
            M = dense(binding, step_name(key))
            parts.append(naive_sum(member, binding, shares, arrays, path @ M, place @ M, arrays_above))
        return np.sum(parts, axis=0)
    if isinstance(value, list) and value:
        any_member = dense(binding, step_name(None))
        parts = []
        for number, member in enumerate(value):
            inner = path @ any_member
            numbered = arrays == "sequence" or (arrays == "both" and number < 64)
            where = place @ dense(binding, step_name(number)) if numbered else inner
            parts.append(naive_sum(member, binding, shares, arrays, inner, where, arrays_above + 1))
        return np.sum(parts, axis=0)
    own, shared = _leaf(value, binding)
    bound = shares.bound * path @ (own + shared) + shares.position * place @ (own + shared)
    # The factor is float32 there too: halves must round alike.
    return np.rint(np.float32(MEMBER_FACTOR ** min(arrays_above, 5)) * np.float32(bound + shares.anywhere * shared))


def _leaf(value: Any, binding: Binding[Any]) -> tuple[np.ndarray, np.ndarray]:
    leaf = analyse(value)
    own, shared = np.zeros(binding.dim), np.zeros(binding.dim)
    for name, share in [(leaf.exact, exact_share(leaf, None)), *leaf.levels.items()]:
        own += np.rint(share * LEAF_UNIT) * sign_atom(name, binding.seed, binding.dim)
    for word, count in leaf.words.items():
        for name, share in spelling(word):
            weight = np.rint(share * (1.0 if word[0] == WHOLE else prior(name)) * WORD_UNIT)
            shared += count * weight * sign_atom(name, binding.seed, binding.dim)
    return own, shared


def spelling(word: str) -> list[tuple[bytes, float]]:
    """Atoms of one word and their shares: its own, then its n-grams, together of norm `GRAM_SHARE`."""
    parts = Counter(grams(word))
    atoms = [(word_name(word), 1.0)]
    if parts:
        share = GRAM_SHARE / math.sqrt(sum(parts.values()))
        atoms += [(b"g" + gram.encode(), share * math.sqrt(count)) for gram, count in parts.items()]
    return atoms
