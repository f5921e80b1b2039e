"""BT²: a head whose embedding searches the old gallery with one part of itself and the new with all."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations

OrthogonalMap = Literal["cayley", "matrix_exp"]


class BT2Features(NamedTuple):
    """What the head makes of a batch.

    Attributes
    ----------
    feature : (n, new_dim)
        Unit rows; follows the independent new model and feeds the classifier.
    compatible : (n, old_dim)
        Basis-transformed part that is held against the old gallery: the first old_dim columns of `full`.
    full : (n, new_dim + extra)
        z, held against other z.
    """

    feature: Tensor
    compatible: Tensor
    full: Tensor


class BT2Head(nn.Module):
    """Head with basis transformations over a backbone that emits ``new_dim + old_dim`` numbers.

    With h the backbone's output, C the scale, a the extra dims, and P, Q orthogonal::

        feature = h[:new_dim] / ‖h[:new_dim]‖
        residue = (W ReLU(h) + b)[:a], normalised
        u       = [residue, P (C · feature)]
        z       = [Q u[:old_dim], u[old_dim:]]

    P and Q being orthogonal, ⟨z, z'⟩ = C² · cos(feature, feature') + cos(residue, residue'): the
    extra dims carry what the old model knew and the new one does not, and take nothing from the new
    model's own geometry but their share of the sum (Zhou et al., BT², ICCV 2023, sec. 3.3).

    Parameters
    ----------
    old_dim, new_dim : int
        Dims of the old and of the independent new model.
    extra : int
        a, between 0 and old_dim, with old_dim ≤ new_dim + a.
    scale : float
        C.
    orthogonal : {"cayley", "matrix_exp"}
        How P and Q are kept orthogonal. Cayley costs one solve a step; it cannot reach a matrix with
        the eigenvalue −1 relative to where it starts, which has measure zero.
    seed : int
        Seeds the head's first weights; P and Q begin as random orthogonal matrices. torch's global
        generator is left as it was.

    Examples
    --------
    >>> head = BT2Head(old_dim=4, new_dim=6, extra=2, seed=1)
    >>> head.in_dim, head.out_dim
    (10, 8)
    >>> out = head(torch.ones(3, 10))
    >>> tuple(out.full.shape), tuple(out.compatible.shape)
    ((3, 8), (3, 4))
    """

    def __init__(
        self,
        old_dim: int,
        new_dim: int,
        *,
        extra: int = 32,
        scale: float = 2.0,
        orthogonal: OrthogonalMap = "cayley",
        seed: int = 0,
    ) -> None:
        """Draw the first weights; ValueError for dims, a scale or a kind of map that do not go together."""
        super().__init__()
        if not 0 <= extra <= old_dim:
            raise ValueError(f"extra must lie between 0 and old_dim ({old_dim}), not be {extra}")
        if old_dim > new_dim + extra:
            raise ValueError(f"old_dim {old_dim} does not fit into new_dim + extra = {new_dim + extra}; raise extra")
        if scale <= 0:
            raise ValueError(f"scale must be above 0, not {scale}")
        if orthogonal not in ("cayley", "matrix_exp"):
            raise ValueError(f"orthogonal must be 'cayley' or 'matrix_exp', not {orthogonal!r}")
        self.old_dim, self.new_dim, self.extra, self.scale = old_dim, new_dim, extra, scale
        # Modules fill themselves from torch's global generator before we do; the fork hands it back.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.old_branch = nn.Linear(new_dim + old_dim, old_dim)
            self.new_basis = _orthogonal_layer(new_dim, orthogonal)
            self.old_basis = _orthogonal_layer(old_dim, orthogonal)

    @property
    def in_dim(self) -> int:
        """Numbers that the backbone must emit."""
        return self.new_dim + self.old_dim

    @property
    def out_dim(self) -> int:
        """Dims of z."""
        return self.new_dim + self.extra

    def forward(self, h: Tensor) -> BT2Features:
        """Map the backbone's (n, in_dim) output to features; see the class for the formula.

        Raises
        ------
        ValueError
            If `h` has another shape.
        """
        if h.ndim != 2 or h.shape[1] != self.in_dim:
            raise ValueError(f"the backbone must emit (n, {self.in_dim}), not {tuple(h.shape)}")
        feature = functional.normalize(h[:, : self.new_dim], dim=1)
        residue = functional.normalize(self.old_branch(functional.relu(h))[:, : self.extra], dim=1)
        u = torch.cat([residue, self.new_basis(self.scale * feature)], dim=1)
        compatible = self.old_basis(u[:, : self.old_dim])
        return BT2Features(feature, compatible, torch.cat([compatible, u[:, self.old_dim :]], dim=1))


def _orthogonal_layer(dim: int, orthogonal: OrthogonalMap) -> nn.Module:
    layer = nn.Linear(dim, dim, bias=False)
    nn.init.orthogonal_(layer.weight)
    return parametrizations.orthogonal(layer, orthogonal_map=orthogonal)
