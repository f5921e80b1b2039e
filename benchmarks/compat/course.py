"""One course for all trained models: old, independent new, BCT, BT² and cosine regression on one schedule."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import nn

from benchmarks.compat.table import Array
from retrieval import compat
from retrieval.compat.training import Augment

DIM = 64
Codes = npt.NDArray[np.int64]
Backbone = Callable[[int, int], nn.Module]


@dataclass(frozen=True)
class BCTSettings:
    """Weight of the influence loss and factor on its logits; the defaults are the published ones."""

    influence: float = 1.0
    sharpness: float = 1.0


@dataclass(frozen=True)
class BT2Settings:
    """λ1, λ2, λ3, factor on the influence loss's logits, a and C; the defaults are the published ones."""

    follow: float = 1.0
    influence: float = 10.0
    regress: float = 5.0
    sharpness: float = 1.0
    extra: int = 32
    scale: float = 2.0


Settings = BCTSettings | BT2Settings


@dataclass(frozen=True, eq=False)
class Course:
    """What all models are trained on, and how.

    Attributes
    ----------
    inputs, labels : (n, ...) and (n,)
    n_old : int
        How many of the classes, drawn by the seed, the old model sees.
    backbone : callable
        (numbers to emit, seed) to a module.
    schedule : compat.Schedule
    seed : int
        Seeds the classes of the old model and all weights.
    """

    inputs: Array
    labels: Codes
    n_old: int
    backbone: Backbone
    schedule: compat.Schedule
    seed: int
    augment: Augment | None = None
    shared: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "shared", {"schedule": self.schedule, "augment": self.augment})

    def old(self) -> compat.TrainedModel:
        """Train the old model, on its classes alone."""
        n = int(self.labels.max()) + 1
        known = np.isin(self.labels, np.random.default_rng(self.seed).permutation(n)[: self.n_old])
        _, labels = np.unique(self.labels[known], return_inverse=True)
        return compat.train_independent(self._net(DIM, 0), DIM, self.inputs[known], labels, **self.shared)

    def new(self) -> compat.TrainedModel:
        """Train the independent new model."""
        return compat.train_independent(self._net(DIM, 1), DIM, self.inputs, self.labels, **self.shared)

    def bct(self, old: Array, settings: BCTSettings) -> compat.TrainedModel:
        """Train by BCT against the old model's vectors of the inputs."""
        return compat.train_bct(
            self._net(DIM, 2),
            DIM,
            self.inputs,
            self.labels,
            old,
            influence=settings.influence,
            sharpness=settings.sharpness,
            **self.shared,
        )

    def bt2(self, old: Array, new: Array, settings: BT2Settings) -> compat.TrainedModel:
        """Train by BT² against the old and the independent new model's vectors of the inputs."""
        return compat.train_bt2(
            self._net(2 * DIM, 2),
            compat.BT2Head(DIM, DIM, extra=settings.extra, scale=settings.scale, seed=self.seed),
            self.inputs,
            self.labels,
            old,
            new,
            follow=settings.follow,
            influence=settings.influence,
            regress=settings.regress,
            sharpness=settings.sharpness,
            **self.shared,
        )

    def by_settings(self, named: dict[str, Settings], old: Array, new: Array) -> dict[str, compat.TrainedModel]:
        """Train each setting once, under however many names it goes."""
        models = {
            settings: self.bct(old, settings) if isinstance(settings, BCTSettings) else self.bt2(old, new, settings)
            for settings in dict.fromkeys(named.values())
        }
        return {name: models[settings] for name, settings in named.items()}

    def regression(self, old: Array) -> compat.TrainedModel:
        """Train with a plain head that regresses the old model's vectors."""
        return compat.train_regression(self._net(DIM, 2), DIM, self.inputs, self.labels, old, weight=5.0, **self.shared)

    def _net(self, n_out: int, which: int) -> nn.Module:
        return self.backbone(n_out, 100 * self.seed + which)
