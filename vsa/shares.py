"""How much of a leaf's vector is bound to where it stands."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Shares:
    """Whole-number weights of the three copies of a leaf in a record's sum.

    Parameters
    ----------
    bound : int
        The copy bound to the leaf's path, with the members of arrays in a bag.
    position : int
        The copy bound to the leaf's path with the members' numbers.
    anywhere : int
        The copy of the leaf's words that is bound to nothing: the same word in another field still counts.

    Notes
    -----
    The defaults were chosen once for all data, by recall@10 on two pairs of product catalogues:
    see *Decisions* in the README.
    """

    bound: int = 2
    position: int = 1
    anywhere: int = 3

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if type(value) is not int or not 0 <= value <= 16:
                raise ValueError(f"shares.{field.name} must be an integer from 0 to 16, got {value!r}")
        if not self.bound + self.position:
            raise ValueError("shares.bound and shares.position cannot both be 0: records would lose their keys")
