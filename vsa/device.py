"""Where batches are added up: on the CPU, or on a GPU that PyTorch can use."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vsa.errors import DeviceError

if TYPE_CHECKING:
    import torch

AUTO, CPU = "auto", "cpu"

_RESERVE = 1 << 30
"""Bytes of a GPU left to its context and to the batches."""


@dataclass(frozen=True)
class Place:
    """A device and the reason for it; `target` is None on the CPU, where NumPy holds the table."""

    target: torch.device | None
    why: str

    def __str__(self) -> str:
        return f"{CPU if self.target is None else self.target}; {self.why}"


def checked_device(device: str) -> str:
    """`device`, if it is "auto", "cpu", "cuda" or "cuda:" and a number.

    Raises
    ------
    ValueError
    """
    if not isinstance(device, str) or not re.fullmatch(r"auto|cpu|cuda(:\d+)?", device):
        raise ValueError(f'device must be "auto", "cpu", "cuda" or "cuda:1", got {device!r}')
    return device


def choose(device: str, needed: int) -> Place:
    """Where to add up, given what was asked for and how many bytes the table takes.

    Raises
    ------
    DeviceError
        If a GPU was asked for by name that is not there or too small; the message says which, and what to do. "auto"
        takes the CPU then.
    """
    if device == CPU:
        return Place(None, "as asked")
    import torch

    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    number = int(device.partition(":")[2] or 0)
    if torch.version.cuda is None and not gpus:
        why = f"PyTorch {torch.__version__} is built without CUDA; install a build with it (https://pytorch.org)"
    elif not gpus:
        why = f"PyTorch {torch.__version__} finds no GPU that it can use; see nvidia-smi for the driver"
    elif number >= gpus:
        why = f"PyTorch finds {gpus} GPU{'s' if gpus > 1 else ''}, numbered from 0"
    else:
        free = torch.cuda.mem_get_info(number)[0]
        if needed + _RESERVE <= free:
            return Place(
                torch.device("cuda", number), "as asked" if device != AUTO else "a GPU is there and the table fits"
            )
        why = f"the table needs {_gb(needed + _RESERVE)} of the GPU, {_gb(free)} are free; take a smaller cache_bytes"
    if device != AUTO:
        raise DeviceError(f'device="{device}": {why}. device="auto" would take the CPU')
    return Place(None, why)


def _gb(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
