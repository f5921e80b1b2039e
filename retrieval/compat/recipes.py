"""BT² and its baselines by name, on plain arrays and on equal schedules."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from retrieval.compat.bt2 import BT2Head
from retrieval.compat.errors import InvalidPairsError
from retrieval.compat.objectives import BCT, BT2, Batch, CosineRegression, Independent, class_means
from retrieval.compat.pairs import checked_vectors
from retrieval.compat.training import Augment, Schedule, TrainedModel, train

Checkpoint = str | os.PathLike[str] | None


def train_independent(
    backbone: nn.Module,
    dim: int,
    inputs: npt.ArrayLike,
    labels: npt.ArrayLike,
    *,
    old_dim: int | None = None,
    schedule: Schedule | None = None,
    augment: Augment | None = None,
    checkpoint: Checkpoint = None,
) -> TrainedModel:
    """Train a model on its own: the old model, or the new one that BT² follows.

    Parameters
    ----------
    backbone : Module
        Emits (n, dim). Trained in place.
    dim : int
    inputs : (n, ...) float
    labels : (n,) int
        0 ... n_classes − 1, each at least once.
    old_dim : int, optional
        Dims to which queries for an old gallery are cut; by default `dim`.
    schedule, augment, checkpoint
        As in `retrieval.compat.training.train`.

    Raises
    ------
    InvalidPairsError
        If the arrays do not fit together, or a class has no items.
    """
    plan = schedule or Schedule()
    data, n_classes = _data(inputs, labels, None, None)
    with _seeded(plan.seed):
        objective = Independent(backbone, dim, old_dim or dim, n_classes)
    return train(objective, data, plan, augment=augment, checkpoint=checkpoint)


def train_bct(
    backbone: nn.Module,
    dim: int,
    inputs: npt.ArrayLike,
    labels: npt.ArrayLike,
    old: npt.ArrayLike,
    *,
    influence: float = 1.0,
    sharpness: float = 1.0,
    schedule: Schedule | None = None,
    augment: Augment | None = None,
    checkpoint: Checkpoint = None,
) -> TrainedModel:
    """Train a new model backward-compatibly by BCT's influence loss; see `objectives.BCT`.

    Parameters
    ----------
    backbone : Module
        Emits (n, dim), dim ≥ d_old. Trained in place.
    dim, inputs, labels, schedule, augment, checkpoint
        As in `train_independent`.
    old : (n, d_old) float
        The inputs by the old model.
    influence : float
        Weight of the influence loss.
    sharpness : float
        Factor on the cosines that the influence loss takes for logits.
    """
    plan = schedule or Schedule()
    data, n_classes = _data(inputs, labels, old, None)
    prototypes = class_means(data.old, data.labels, n_classes)
    with _seeded(plan.seed):
        objective = BCT(backbone, dim, prototypes, influence=influence, sharpness=sharpness)
    return train(objective, data, plan, augment=augment, checkpoint=checkpoint)


def train_regression(
    backbone: nn.Module,
    dim: int,
    inputs: npt.ArrayLike,
    labels: npt.ArrayLike,
    old: npt.ArrayLike,
    *,
    weight: float = 1.0,
    schedule: Schedule | None = None,
    augment: Augment | None = None,
    checkpoint: Checkpoint = None,
) -> TrainedModel:
    """Train a new model with a plain head that regresses the old vectors by cosine.

    Parameters as in `train_bct`; `weight` is the regression's. See `objectives.CosineRegression`.
    """
    plan = schedule or Schedule()
    data, n_classes = _data(inputs, labels, old, None)
    with _seeded(plan.seed):
        objective = CosineRegression(backbone, dim, data.old.shape[1], n_classes, weight=weight)
    return train(objective, data, plan, augment=augment, checkpoint=checkpoint)


def train_bt2(
    backbone: nn.Module,
    head: BT2Head,
    inputs: npt.ArrayLike,
    labels: npt.ArrayLike,
    old: npt.ArrayLike,
    new: npt.ArrayLike,
    *,
    follow: float = 1.0,
    influence: float = 10.0,
    regress: float = 5.0,
    sharpness: float = 1.0,
    schedule: Schedule | None = None,
    augment: Augment | None = None,
    checkpoint: Checkpoint = None,
) -> TrainedModel:
    """Train a backward-compatible new model by basis transformation; see `BT2Head`, `objectives.BT2`.

    Parameters
    ----------
    backbone : Module
        Emits (n, head.in_dim). Trained in place.
    head : BT2Head
    inputs : (n, ...) float
    labels : (n,) int
        0 ... n_classes − 1, each at least once.
    old, new : (n, head.old_dim) and (n, head.new_dim) float
        The inputs by the old model, and by the independent new one. In a series the old model's z is
        `old`, so that the new z begins with a copy of every gallery before it.
    follow, influence, regress : float
        λ1, λ2, λ3; the defaults are the published ones.
    sharpness : float
        Factor on the cosines that the influence loss takes for logits; published: 1.
    schedule, augment, checkpoint
        As in `retrieval.compat.training.train`.

    Raises
    ------
    InvalidPairsError
        If the arrays do not fit together or the head, or a class has no items.
    """
    plan = schedule or Schedule()
    data, n_classes = _data(inputs, labels, old, new)
    if (data.old.shape[1], data.new.shape[1]) != (head.old_dim, head.new_dim):
        raise InvalidPairsError(
            f"old and new vectors have dims {data.old.shape[1]} and {data.new.shape[1]}, "
            f"and the head was made for {head.old_dim} and {head.new_dim}"
        )
    prototypes = class_means(data.old, data.labels, n_classes)
    with _seeded(plan.seed):
        objective = BT2(
            backbone,
            head,
            prototypes,
            follow=follow,
            influence=influence,
            regress=regress,
            sharpness=sharpness,
        )
    return train(objective, data, plan, augment=augment, checkpoint=checkpoint)


def _data(
    inputs: npt.ArrayLike, labels: npt.ArrayLike, old: npt.ArrayLike | None, new: npt.ArrayLike | None
) -> tuple[Batch, int]:
    """Check the arrays and make tensors of them; vectors become unit rows."""
    items = np.asarray(inputs, dtype=np.float32)
    classes = np.asarray(labels)
    if items.ndim < 2 or not len(items) or not np.isfinite(items).all():
        raise InvalidPairsError(f"inputs must be finite and of shape (n, ...), not {items.shape}")
    if classes.shape != (len(items),) or classes.dtype.kind not in "iu":
        raise InvalidPairsError(
            f"{len(items)} inputs need as many whole-number labels, not {classes.dtype} {classes.shape}"
        )
    n_classes = int(classes.max()) + 1
    absent = np.setdiff1d(np.arange(n_classes), classes)
    if classes.min() < 0 or absent.size:
        raise InvalidPairsError(f"labels must be 0 ... n − 1, each used; {absent[:3].tolist()} are not")
    vectors = []
    for rows, what in ((old, "old vectors"), (new, "new vectors")):
        if rows is None:
            vectors.append(torch.empty(len(items), 0))
            continue
        checked = checked_vectors(rows, None, what)
        if len(checked) != len(items):
            raise InvalidPairsError(f"{len(items)} inputs and {len(checked)} {what} cannot be pairs")
        unit = checked / np.linalg.norm(checked, axis=1, keepdims=True)
        vectors.append(torch.from_numpy(unit.astype(np.float32)))
    return Batch(torch.from_numpy(items), torch.from_numpy(classes.astype(np.int64)), *vectors), n_classes


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Draw a head's first weights from a seed, and leave torch's global generator as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
