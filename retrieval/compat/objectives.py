"""What a new model is trained for: on its own, by BCT, by cosine regression, or by BT²."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from retrieval.compat.bt2 import BT2Head


class Batch(NamedTuple):
    """A batch, and what the frozen models make of it.

    Attributes
    ----------
    inputs : (n, ...)
    labels : (n,) int64
    old : (n, d_old) or (n, 0)
        Unit rows by the old model.
    new : (n, d_new) or (n, 0)
        Unit rows by the independent new model.
    """

    inputs: Tensor
    labels: Tensor
    old: Tensor
    new: Tensor


class Objective(nn.Module):
    """A backbone, the heads it needs, and a loss."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone

    def loss(self, batch: Batch) -> Tensor:
        """Return the scalar to minimise."""
        raise NotImplementedError

    def embed(self, inputs: Tensor) -> Tensor:
        """Return what the new gallery holds and new queries search it with."""
        raise NotImplementedError

    def embed_for_old(self, inputs: Tensor) -> Tensor:
        """Return what new queries search the old gallery with."""
        raise NotImplementedError


class Independent(Objective):
    """The new model for itself: cross-entropy of a linear classifier on its unit feature.

    Against the old gallery the longer of the two vectors is cut, which is all that can be done.
    """

    def __init__(self, backbone: nn.Module, dim: int, old_dim: int, n_classes: int) -> None:
        super().__init__(backbone)
        self.old_dim = old_dim
        self.classifier = nn.Linear(dim, n_classes)

    def embed(self, inputs: Tensor) -> Tensor:
        return functional.normalize(self.backbone(inputs), dim=1)

    def embed_for_old(self, inputs: Tensor) -> Tensor:
        return _cut(self.embed(inputs), self.old_dim)

    def loss(self, batch: Batch) -> Tensor:
        return functional.cross_entropy(self.classifier(self.embed(batch.inputs)), batch.labels)


class BCT(Independent):
    """Backward-compatible training by the influence loss (Shen et al., CVPR 2020, eq. 3).

    CE(classifier(feature)) + λ · CE(normalize(feature[:d_old]) · Wᵀ), with the rows of W the means of
    the old features of each class: the pseudo-classifier of the paper's sec. 3.3, which also covers
    classes that the old model was never trained on.
    """

    def __init__(
        self, backbone: nn.Module, dim: int, prototypes: Tensor, *, influence: float, sharpness: float
    ) -> None:
        n_classes, old_dim = prototypes.shape
        super().__init__(backbone, dim, old_dim, n_classes)
        if dim < old_dim:
            raise ValueError(f"BCT needs a new dim ({dim}) of at least the old one ({old_dim})")
        self.influence, self.sharpness = influence, sharpness
        self.register_buffer("prototypes", prototypes)

    def loss(self, batch: Batch) -> Tensor:
        feature = self.embed(batch.inputs)
        own = functional.cross_entropy(self.classifier(feature), batch.labels)
        cut = functional.normalize(feature[:, : self.old_dim], dim=1)
        return own + self.influence * _influence(cut, self.get_buffer("prototypes"), batch, self.sharpness)


class CosineRegression(Independent):
    """The new model for itself, with a second head that regresses the old vector.

    CE(classifier(feature)) + λ · (1 − cos(phi_old, head(h))), h what the backbone emits. New queries
    search the old gallery through the head.
    """

    def __init__(self, backbone: nn.Module, dim: int, old_dim: int, n_classes: int, *, weight: float) -> None:
        super().__init__(backbone, dim, old_dim, n_classes)
        self.weight = weight
        self.head = nn.Sequential(nn.Linear(dim, 2 * dim), nn.ReLU(), nn.Linear(2 * dim, old_dim))

    def embed_for_old(self, inputs: Tensor) -> Tensor:
        return functional.normalize(self.head(self.backbone(inputs)), dim=1)

    def loss(self, batch: Batch) -> Tensor:
        h = self.backbone(batch.inputs)
        own = functional.cross_entropy(self.classifier(functional.normalize(h, dim=1)), batch.labels)
        return own + self.weight * _one_minus_cosine(self.head(h), batch.old)


class BT2(Objective):
    """Basis transformation (Zhou et al., ICCV 2023, eq. 5-7).

    CE(classifier(feature)) + λ1 · (1 − cos(phi'_new, feature)) + λ2 · CE(normalize(bct) · Wᵀ)
    + λ3 · (1 − cos(phi_old, bct)), with W the class means of the old features.
    """

    def __init__(
        self,
        backbone: nn.Module,
        head: BT2Head,
        prototypes: Tensor,
        *,
        follow: float,
        influence: float,
        regress: float,
        sharpness: float,
    ) -> None:
        super().__init__(backbone)
        if prototypes.shape[1] != head.old_dim:
            raise ValueError(f"old vectors have dim {prototypes.shape[1]}, and the head {head.old_dim}")
        self.head = head
        self.classifier = nn.Linear(head.new_dim, len(prototypes))
        self.follow, self.influence, self.regress = follow, influence, regress
        self.sharpness = sharpness
        self.register_buffer("prototypes", prototypes)

    def embed(self, inputs: Tensor) -> Tensor:
        z: Tensor = self.head(self.backbone(inputs)).full
        return z

    def embed_for_old(self, inputs: Tensor) -> Tensor:
        return _cut(self.embed(inputs), self.head.old_dim)

    def loss(self, batch: Batch) -> Tensor:
        out = self.head(self.backbone(batch.inputs))
        compatible = functional.normalize(out.compatible, dim=1)
        return (
            functional.cross_entropy(self.classifier(out.feature), batch.labels)
            + self.follow * _one_minus_cosine(out.feature, batch.new)
            + self.influence * _influence(compatible, self.get_buffer("prototypes"), batch, self.sharpness)
            + self.regress * _one_minus_cosine(compatible, batch.old)
        )


def class_means(features: Tensor, labels: Tensor, n_classes: int) -> Tensor:
    """Mean old feature of each class, over all the new data: BCT's pseudo-classifier.

    Raises
    ------
    ValueError
        If a class has no item, so that it has no mean.
    """
    counts = torch.bincount(labels, minlength=n_classes)
    if bool((counts == 0).any()):
        raise ValueError(f"class {int((counts == 0).nonzero()[0])} has no items")
    sums = torch.zeros(n_classes, features.shape[1], dtype=features.dtype, device=features.device)
    return sums.index_add_(0, labels, features) / counts[:, None]


def _one_minus_cosine(x: Tensor, y: Tensor) -> Tensor:
    return (1 - functional.cosine_similarity(x, y, dim=1)).mean()


def _influence(rows: Tensor, prototypes: Tensor, batch: Batch, sharpness: float) -> Tensor:
    return functional.cross_entropy(sharpness * rows @ prototypes.T, batch.labels)


def _cut(rows: Tensor, dim: int) -> Tensor:
    return rows[:, :dim]
