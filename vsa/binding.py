"""Binding: one seeded orthogonal operator per key, composed along a path.

`bind` multiplies by an orthogonal matrix M_key, `unbind` by its transpose, and a path's operator is the
product of its keys' operators: ``M_path = M_first · ... · M_last``. Three families, one set of laws:

* `PermutationBinding`: a random permutation with random signs. O(dim) memory and time, and a path's operator
  is one permutation again. It maps integers to integers, so everything built on it is exact.
* `HadamardBinding`: (HD)³, three rounds of random signs and a Walsh-Hadamard transform: close to a Haar
  matrix on every kind of input. O(dim) memory a key, O(dim log dim) time a key.
* `HaarBinding`: a dense orthogonal matrix drawn from the Haar measure, the choice of the MBAT papers.
  O(dim²) memory and time, O(dim³) to draw.

Sources: Gallant & Okaywe 2013 (binding by matrices); Gallant 2022, arXiv 2202.04771 (orthogonal matrices).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

from vsa.hashing import permutation, prefix, signs, stream

Rows = npt.NDArray[np.float32]
Op = TypeVar("Op")


class BindingKind(str, Enum):
    """The families of operators."""

    PERMUTATION = "permutation"
    HADAMARD = "hadamard"
    HAAR = "haar"


class Binding(ABC, Generic[Op]):
    """A family of orthogonal operators named by keys.

    Parameters
    ----------
    dim : int
        Dimensions of the vectors; any positive number.
    seed : int
        0 to 2**63 - 1.

    Notes
    -----
    Laws, for operators a, b, c and rows X, up to rounding (exactly, for permutations of integers):

    * ``unbind(a, bind(a, X)) == X``, and the same the other way round;
    * ``bind(compose(a, b), X) == bind(a, bind(b, X))``, and `compose` is associative;
    * ``bind(a, X + Y) == bind(a, X) + bind(a, Y)``;
    * norms and inner products are kept, at any depth;
    * ``compose(a, b) != compose(b, a)`` for different keys, and operators of different keys are independent.
    """

    kind: BindingKind
    exact = False
    """Whether whole numbers stay whole numbers."""

    def __init__(self, dim: int, seed: int) -> None:
        if type(dim) is not int or dim < 1:
            raise ValueError(f"dim must be a positive integer, got {dim!r}")
        self.dim = dim
        self.seed = seed
        self._head = prefix(f"operator-{self.kind.value}", seed)

    @abstractmethod
    def operator(self, key: bytes) -> Op:
        """The operator of one key; the same key gives the same operator."""

    @abstractmethod
    def identity(self) -> Op:
        """The operator that changes nothing: the empty path."""

    @abstractmethod
    def compose(self, outer: Op, inner: Op) -> Op:
        """The operator ``outer · inner``."""

    @abstractmethod
    def bind(self, op: Op, X: Rows) -> Rows:
        """``X @ M.T``: each row of (n, dim) float32 multiplied by the operator; a new array."""

    @abstractmethod
    def unbind(self, op: Op, X: Rows) -> Rows:
        """``X @ M``: the inverse of `bind`; a new array."""


@dataclass(frozen=True)
class SignedPermutation:
    """``(M x)[i] = sign[i] · x[index[i]]``; both arrays of length dim."""

    index: npt.NDArray[np.int32]
    sign: Rows


class PermutationBinding(Binding[SignedPermutation]):
    """Random permutations with random signs: 8 · dim bytes a key, 50 µs to draw at dim 1,024.

    The variance of ⟨Mv, v⟩ is the Haar measure's; its tails are heavier on spiky input, so the atoms that it
    acts on must be dense. Sign atoms are.
    """

    kind = BindingKind.PERMUTATION
    exact = True

    def operator(self, key: bytes) -> SignedPermutation:
        return SignedPermutation(
            permutation(self._head, b"order" + key, self.dim),
            signs(self._head, [b"signs" + key], self.dim)[0],
        )

    def identity(self) -> SignedPermutation:
        return SignedPermutation(np.arange(self.dim, dtype=np.int32), np.ones(self.dim, np.float32))

    def compose(self, outer: SignedPermutation, inner: SignedPermutation) -> SignedPermutation:
        return SignedPermutation(inner.index[outer.index], outer.sign * inner.sign[outer.index])

    def bind(self, op: SignedPermutation, X: Rows) -> Rows:
        bound: Rows = np.take(X, op.index, axis=1)
        bound *= op.sign
        return bound

    def unbind(self, op: SignedPermutation, X: Rows) -> Rows:
        unbound = np.empty_like(X)
        unbound[:, op.index] = X * op.sign
        return unbound


@dataclass(frozen=True)
class HadamardRounds:
    """Rounds of one path, the outermost key's first: for each key the signs (3, dim) and orders (3, dim)."""

    keys: tuple[tuple[Rows, npt.NDArray[np.int32] | None], ...]


class HadamardBinding(Binding[HadamardRounds]):
    """(HD)³ with H the orthonormal Walsh-Hadamard matrix and D random signs: 12 · dim bytes a key.

    Where dim is no power of two, each round shuffles the coordinates and transforms the first and then the last
    2^⌊log₂ dim⌋ of them, which is orthogonal too (28 · dim bytes a key), with the round's signs in reverse order in
    between: just above a power of two the second transform would undo the first without them. So a spike is spread at
    any dim as by a Haar matrix, dim · Σ x⁴ of its image being about 3. A path is applied key by key, so its cost
    grows with its depth.
    Source: Ailon & Chazelle 2009 for HD; three rounds by Andoni et al. 2015, arXiv 1509.02897.
    """

    kind = BindingKind.HADAMARD
    rounds = 3

    def __init__(self, dim: int, seed: int) -> None:
        super().__init__(dim, seed)
        self._block = 1 << (dim.bit_length() - 1)

    def operator(self, key: bytes) -> HadamardRounds:
        names = [bytes([i]) + key for i in range(self.rounds)]
        flips = signs(self._head, [b"signs" + name for name in names], self.dim)
        orders = None
        if self._block != self.dim:
            orders = np.stack([permutation(self._head, b"order" + name, self.dim) for name in names])
        return HadamardRounds(((flips, orders),))

    def identity(self) -> HadamardRounds:
        return HadamardRounds(())

    def compose(self, outer: HadamardRounds, inner: HadamardRounds) -> HadamardRounds:
        return HadamardRounds(outer.keys + inner.keys)

    def bind(self, op: HadamardRounds, X: Rows) -> Rows:
        Y = X.astype(np.float32, copy=True)
        for flips, orders in reversed(op.keys):
            for i in range(self.rounds):
                Y *= flips[i]
                if orders is not None:
                    Y = Y[:, orders[i]]
                    _walsh(Y[:, : self._block])
                    Y *= flips[i, ::-1]
                    _walsh(Y[:, self.dim - self._block :])
                else:
                    _walsh(Y)
        return Y

    def unbind(self, op: HadamardRounds, X: Rows) -> Rows:
        Y = X.astype(np.float32, copy=True)
        for flips, orders in op.keys:
            for i in reversed(range(self.rounds)):
                if orders is not None:
                    _walsh(Y[:, self.dim - self._block :])
                    Y *= flips[i, ::-1]
                    _walsh(Y[:, : self._block])
                    back = np.empty_like(Y)
                    back[:, orders[i]] = Y
                    Y = back
                else:
                    _walsh(Y)
                Y *= flips[i]
        return Y


def _walsh(X: Rows) -> None:
    """The orthonormal Walsh-Hadamard transform of each row, in place; the width is a power of two."""
    n, width = X.shape
    half = 1
    while half < width:
        pairs = X.reshape(n, -1, 2, half) if X.flags.c_contiguous else None
        if pairs is None:
            whole = np.ascontiguousarray(X)
            _walsh(whole)
            X[:] = whole
            return
        total = pairs[:, :, 0] + pairs[:, :, 1]
        np.subtract(pairs[:, :, 0], pairs[:, :, 1], out=pairs[:, :, 1])
        pairs[:, :, 0] = total
        half *= 2
    X *= np.float32(1.0 / np.sqrt(width))


class HaarBinding(Binding[npt.NDArray[np.float32]]):
    """Dense orthogonal matrices from the Haar measure: 4 · dim² bytes a key.

    QR of hashed normals with the signs of R's diagonal taken out (Mezzadri 2007, math-ph/0609050). QR comes
    from LAPACK, so the last bits depend on the machine, as they do not for the other two families.
    """

    kind = BindingKind.HAAR

    def operator(self, key: bytes) -> npt.NDArray[np.float32]:
        from scipy.special import ndtri

        words = np.frombuffer(stream(self._head, key, size=8 * self.dim * self.dim), "<u8")
        uniform = ((words >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
        Q, R = np.linalg.qr(ndtri(uniform).reshape(self.dim, self.dim))
        return np.asarray(Q * np.where(np.diagonal(R) < 0, -1.0, 1.0), np.float32)

    def identity(self) -> npt.NDArray[np.float32]:
        return np.eye(self.dim, dtype=np.float32)

    def compose(self, outer: npt.NDArray[np.float32], inner: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        composed: Rows = outer @ inner
        return composed

    def bind(self, op: npt.NDArray[np.float32], X: Rows) -> Rows:
        bound: Rows = X @ op.T
        return bound

    def unbind(self, op: npt.NDArray[np.float32], X: Rows) -> Rows:
        unbound: Rows = X @ op
        return unbound


_FAMILIES: dict[BindingKind, type[PermutationBinding] | type[HadamardBinding] | type[HaarBinding]] = {
    BindingKind.PERMUTATION: PermutationBinding,
    BindingKind.HADAMARD: HadamardBinding,
    BindingKind.HAAR: HaarBinding,
}


def binding(kind: str, dim: int, seed: int) -> PermutationBinding | HadamardBinding | HaarBinding:
    """The family of operators named `kind`: ``"permutation"``, ``"hadamard"`` or ``"haar"``.

    Raises
    ------
    ValueError
        For another name, or a dim or seed out of range.

    Examples
    --------
    >>> import numpy as np
    >>> family = binding("permutation", dim=8, seed=7)
    >>> key = family.operator(b"title")
    >>> x = np.arange(8, dtype=np.float32)[None]
    >>> bool((family.unbind(key, family.bind(key, x)) == x).all())
    True
    """
    try:
        family = _FAMILIES[BindingKind(kind)]
    except ValueError:
        names = ", ".join(f'"{name.value}"' for name in BindingKind)
        raise ValueError(f"binding must be one of {names}, got {kind!r}") from None
    return family(dim, seed)
