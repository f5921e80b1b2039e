"""Train an objective on one schedule, resumably, the same on every run."""

from __future__ import annotations

import json
import math
import os
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from retrieval.compat import mapfile
from retrieval.compat.errors import DamagedMapError, MapFileError
from retrieval.compat.objectives import Batch, Objective

Augment = Callable[[Tensor, torch.Generator], Tensor]
_KIND = "trained-model"
_CHECKPOINT_FORMAT = 1


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to train: Adam, linear warm-up, then a cosine down to zero.

    Attributes
    ----------
    epochs, warmup : int
        Epochs in all, and those over which the rate rises.
    batch_size : int
    rate : float
        Highest learning rate.
    weight_decay : float
        L2 penalty, as in `torch.optim.Adam`.
    seed : int
        Orders the batches and seeds dropout and augmentation, epoch by epoch. Weights are drawn when
        the backbone is made, and are the caller's.
    device : str
        ``"cpu"``, ``"cuda"``, or ``"auto"``: CUDA where there is one.
    """

    epochs: int = 100
    warmup: int = 5
    batch_size: int = 128
    rate: float = 1e-3
    weight_decay: float = 0.0
    seed: int = 0
    device: str = "cpu"

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 1 or not 0 <= self.warmup <= self.epochs:
            raise ValueError("epochs and batch_size must be at least 1, and warmup between 0 and epochs")
        if not (self.rate > 0 and self.weight_decay >= 0):
            raise ValueError("rate must be above 0 and weight_decay not below")

    def rate_at(self, step: int, steps_per_epoch: int) -> float:
        """Learning rate of a step, from 0."""
        warm, total = self.warmup * steps_per_epoch, self.epochs * steps_per_epoch
        if step < warm:
            return self.rate * (step + 1) / warm
        return self.rate * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, total - warm)))


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """A trained objective, ready to embed.

    Attributes
    ----------
    objective : Objective
        In evaluation mode, on `device`.
    device : str
        Where it was trained and embeds: never ``"auto"``.
    losses : tuple of float
        Mean loss of each epoch.
    """

    objective: Objective
    device: str
    losses: tuple[float, ...]

    def encode(self, inputs: npt.ArrayLike, *, batch_size: int = 1024) -> npt.NDArray[np.float32]:
        """Embed for the new gallery: (n, ...) inputs to (n, d) float32."""
        return self._run(self.objective.embed, inputs, batch_size)

    def encode_for_old(self, inputs: npt.ArrayLike, *, batch_size: int = 1024) -> npt.NDArray[np.float32]:
        """Embed queries for the untouched old gallery: (n, ...) inputs to (n, d_old) float32."""
        return self._run(self.objective.embed_for_old, inputs, batch_size)

    def _run(
        self, embed: Callable[[Tensor], Tensor], inputs: npt.ArrayLike, batch_size: int
    ) -> npt.NDArray[np.float32]:
        data = torch.as_tensor(np.asarray(inputs, dtype=np.float32))
        parts = []
        with torch.inference_mode():
            for start in range(0, len(data), batch_size):
                out = embed(data[start : start + batch_size].to(self.device))
                parts.append(out.to("cpu", torch.float32).numpy())
        if not parts:
            raise ValueError("there is nothing to embed")
        return np.concatenate(parts)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the weights to one map file, atomically, with a SHA-256."""
        state = self.objective.state_dict()
        arrays = {name: tensor.detach().cpu().numpy() for name, tensor in state.items()}
        fields = {"objective": type(self.objective).__name__, "losses": list(self.losses)}
        mapfile.write(path, _KIND, fields, arrays)

    @classmethod
    def load(cls, path: str | os.PathLike[str], objective: Objective, *, device: str = "cpu") -> TrainedModel:
        """Read weights into an objective built as the saved one was.

        Raises
        ------
        MapFileError
            If the file holds another objective, or weights of other shapes; and as
            `retrieval.compat.mapfile.read`.
        """
        fields, arrays = mapfile.read(path, _KIND)
        if fields["objective"] != type(objective).__name__:
            raise MapFileError(f"{path} holds a {fields['objective']}, not a {type(objective).__name__}")
        expected = {name: tuple(tensor.shape) for name, tensor in objective.state_dict().items()}
        found = {name: array.shape for name, array in arrays.items()}
        if expected != found:
            name = sorted(set(expected.items()) ^ set(found.items()))[0][0]
            raise MapFileError(
                f"{path} has {name} of shape {found.get(name)}, and the model given {expected.get(name)}"
            )
        objective.load_state_dict({name: torch.from_numpy(array) for name, array in arrays.items()})
        where = resolve_device(device)
        return cls(objective.to(where).eval(), where, tuple(fields["losses"]))


def resolve_device(device: str) -> str:
    """Return the device that "auto" stands for here; any other name is itself."""
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return str(torch.device(device))


def train(
    objective: Objective,
    data: Batch,
    schedule: Schedule,
    *,
    augment: Augment | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    stop_after: int | None = None,
) -> TrainedModel:
    """Minimise an objective's loss over the data.

    Parameters
    ----------
    objective : Objective
        Trained in place.
    data : Batch
        All the data, on the CPU.
    schedule : Schedule
    augment : callable, optional
        Changes a batch of inputs, given a generator on the CPU.
    checkpoint : path, optional
        Written after every epoch, atomically. If it is there and of the same objective, shapes and
        schedule, training goes on from it and ends, on the same device kind, with the same weights
        as an uninterrupted run.
    stop_after : int, optional
        Leave after this many epochs of the schedule, for a later call to resume.

    Raises
    ------
    ValueError
        If the checkpoint belongs to another run, or the loss stops being finite.
    """
    device = resolve_device(schedule.device)
    objective.to(device).train()
    optimizer = torch.optim.Adam(objective.parameters(), lr=schedule.rate, weight_decay=schedule.weight_decay)
    run = _fingerprint(objective, data, schedule)
    losses: list[float] = []
    if checkpoint is not None and Path(checkpoint).exists():
        losses = _restore(Path(checkpoint), run, objective, optimizer, device)
    last = schedule.epochs if stop_after is None else min(stop_after, schedule.epochs)
    # Dropout draws from torch's global generator; the fork hands that back as it was.
    devices = [torch.cuda.current_device()] if device.startswith("cuda") else []
    with torch.random.fork_rng(devices=devices):
        for epoch in range(len(losses), last):
            losses.append(_epoch(objective, optimizer, data, schedule, epoch, device, augment))
            if checkpoint is not None:
                _store(Path(checkpoint), run, losses, objective, optimizer)
    return TrainedModel(objective.eval(), device, tuple(losses))


def _epoch(
    objective: Objective,
    optimizer: torch.optim.Optimizer,
    data: Batch,
    schedule: Schedule,
    epoch: int,
    device: str,
    augment: Augment | None,
) -> float:
    # A seed of its own for every epoch: what an epoch draws does not hang on those before it.
    seed = int(np.random.SeedSequence([schedule.seed, epoch]).generate_state(1, np.uint64)[0] >> 1)
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(data.labels), generator=generator)
    starts = range(0, len(order), schedule.batch_size)
    total = 0.0
    for i, start in enumerate(starts):
        rows = order[start : start + schedule.batch_size]
        if len(rows) == 1 and len(order) > 1:
            # Batch normalisation has no variance of one item; it is seen in another epoch.
            continue
        batch = Batch(*(part[rows] for part in data))
        if augment is not None:
            batch = batch._replace(inputs=augment(batch.inputs, generator))
        for group in optimizer.param_groups:
            group["lr"] = schedule.rate_at(epoch * len(starts) + i, len(starts))
        loss = objective.loss(Batch(*(part.to(device) for part in batch)))
        value = float(loss.detach())
        if not math.isfinite(value):
            raise ValueError(f"the loss became {value} in epoch {epoch}; lower the rate ({schedule.rate})")
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        total += value * len(rows)
    return total / len(order)


def _fingerprint(objective: nn.Module, data: Batch, schedule: Schedule) -> str:
    shapes = {name: list(tensor.shape) for name, tensor in objective.state_dict().items()}
    settings = {k: v for k, v in asdict(schedule).items() if k != "device"}
    return json.dumps(
        {
            "format": _CHECKPOINT_FORMAT,
            "objective": type(objective).__name__,
            "shapes": shapes,
            "schedule": settings,
            "items": len(data.labels),
        },
        sort_keys=True,
    )


def _store(path: Path, run: str, losses: list[float], objective: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    state = {"run": run, "losses": losses, "model": objective.state_dict(), "adam": optimizer.state_dict()}
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _restore(path: Path, run: str, objective: nn.Module, optimizer: torch.optim.Optimizer, device: str) -> list[float]:
    try:
        # weights_only: a checkpoint is data, and must not be able to run code.
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    except (RuntimeError, EOFError, OSError) as error:
        raise DamagedMapError(f"checkpoint {path} cannot be read: {error}; remove it to start anew") from error
    if state["run"] != run:
        raise ValueError(
            f"checkpoint {path} belongs to another run (objective, sizes or schedule); remove it or name another"
        )
    objective.load_state_dict(state["model"])
    optimizer.load_state_dict(state["adam"])
    losses: list[float] = state["losses"]
    return losses
