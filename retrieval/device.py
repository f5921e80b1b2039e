"""Where exact searches run: the CPU, or a GPU that FAISS can use."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval import ann, engine
from retrieval.errors import DeviceError
from retrieval.exact import Scan
from retrieval.table import sized
from retrieval.vectors import VectorTable

AUTO, CPU = "auto", "cpu"

_GPU_WIDEST = 2048
# FAISS sets aside 1.5 GB for its own use on each device.
_GPU_RESERVE = 1_600_000_000


def checked_device(device: str) -> str:
    """`device`, if it is "auto", "cpu", "cuda" or "cuda:" and a number.

    Raises
    ------
    ValueError
    """
    if not isinstance(device, str) or not re.fullmatch(r"auto|cpu|cuda(:\d+)?", device):
        raise ValueError(f'device must be "auto", "cpu", "cuda" or "cuda:1", got {device!r}')
    return device


@dataclass(frozen=True)
class Place:
    """A device and the reason for it; `gpu` is None on the CPU."""

    gpu: int | None
    why: str

    def __str__(self) -> str:
        return f"{'cpu' if self.gpu is None else f'cuda:{self.gpu}'}; {self.why}"


def choose(device: str, needed: int) -> Place:
    """Where to run, given what was asked for and how many bytes the vectors take.

    Raises
    ------
    DeviceError
        If a GPU was asked for by name that is not there or too small. "auto" takes the CPU then.
    """
    if device == CPU:
        return Place(None, "as asked")
    gpus = engine.engine().gpus
    number = int(device.partition(":")[2] or 0)
    if number >= gpus:
        why = f"FAISS finds {gpus} GPUs" if gpus else "this build of FAISS finds no GPU"
    else:
        free = ann.free_memory(number)
        if free is None or needed + _GPU_RESERVE <= free:
            return Place(number, "as asked" if device != AUTO else "a GPU is there and the vectors fit")
        why = f"the vectors and FAISS need {sized(needed + _GPU_RESERVE)} of the GPU, {sized(free)} are free"
    if device != AUTO:
        raise DeviceError(f'device="{device}": {why}; "auto" would take the CPU')
    return Place(None, why)


class DeviceScan:
    """Candidates by comparing every vector, on the chosen device.

    A GPU holds a copy of the vectors, sent again after a write. It is asked for candidates only: their exact scores,
    and whatever is beyond its limit of 2,048 neighbours, are the CPU's.
    """

    def __init__(self, device: str) -> None:
        self._asked = checked_device(device)
        self._place: Place | None = None
        self._held: tuple[int, int, int] | None = None
        self._resident: Any = None
        self._lock = threading.Lock()

    def prepare(self, table: VectorTable) -> None:
        """Choose the device for a table and bring the vectors there, if they are not; not for threads at once.

        Raises
        ------
        DeviceError
        """
        state = (table.model.model, table.epoch, table.generation)
        if state == self._held:
            return
        self._resident = None
        self._place = choose(self._asked, table.matrix.nbytes)
        if self._place.gpu is not None and len(table):
            try:
                self._resident = ann.resident(table.matrix, self._place.gpu)
            except RuntimeError as error:
                if self._asked != AUTO:
                    raise DeviceError(f'device="{self._asked}": {ann.first_line(error)}') from error
                self._place = Place(None, f"the GPU failed: {ann.first_line(error)}")
        self._held = state

    @property
    def function(self) -> Scan:
        """What finds candidates: this object where a GPU holds the vectors, else the CPU's own way."""
        return ann.inner_products if self._resident is None else self

    def place(self, needed: int) -> Place:
        """Where searches run, or would run."""
        return self._place or choose(self._asked, needed)

    def __call__(
        self, Q: NDArray[np.float32], X: NDArray[np.float32], k: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """As `ann.inner_products`; X must be the matrix of the table that was prepared."""
        if self._resident is None or k > _GPU_WIDEST:
            return ann.inner_products(Q, X, k)
        # FAISS's GPU resources serve one thread at a time.
        with self._lock:
            products, rows = self._resident.search(Q, k)
        return products, rows
