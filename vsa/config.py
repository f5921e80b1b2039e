"""What decides an encoder's vectors."""

from __future__ import annotations

from dataclasses import dataclass, field

from vsa.binding import BindingKind, binding
from vsa.leaves import Arrays
from vsa.shares import Shares


@dataclass(frozen=True)
class EncoderConfig:
    """All that decides an encoder's vectors, but for what `fit` learns.

    Parameters
    ----------
    dim : int
        Length of the vectors.
    seed : int
        0 to 2**63 - 1. Encoders of one seed, dim and configuration agree on every machine.
    binding : str
        ``"permutation"``, ``"hadamard"`` or ``"haar"``: see `vsa.binding`.
    arrays : str
        ``"both"`` (shared members count anywhere, equal positions count more), ``"bag"`` or ``"sequence"``.
    shares : Shares
        Weights of the bound, positioned and unbound copies of a leaf.
    """

    dim: int = 1024
    seed: int = 0
    binding: str = BindingKind.PERMUTATION.value
    arrays: str = Arrays.BOTH.value
    shares: Shares = field(default_factory=Shares)

    def __post_init__(self) -> None:
        binding(self.binding, self.dim, self.seed)
        try:
            Arrays(self.arrays)
        except ValueError:
            names = ", ".join(f'"{name.value}"' for name in Arrays)
            raise ValueError(f"arrays must be one of {names}, got {self.arrays!r}") from None
        if self.dim > 1 << 20:
            raise ValueError(f"dim can be 1,048,576 at most, got {self.dim}")
