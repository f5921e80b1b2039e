"""One model's vectors in another model's space."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from retrieval.compat.calibration import Calibration
from retrieval.compat.correction import Mapped
from retrieval.compat.errors import (
    DamagedMapError,
    FewPairsWarning,
    InvalidPairsError,
    MapFileError,
    NewerMapError,
    PairsWarning,
    UnrelatedPairsWarning,
)
from retrieval.compat.isometry import Isometry
from retrieval.compat.local_linear import LocalLinearMap
from retrieval.compat.pairs import PairInfo

if TYPE_CHECKING:
    from retrieval.compat.bt2 import BT2Head
    from retrieval.compat.recipes import train_bct, train_bt2, train_independent, train_regression
    from retrieval.compat.training import Schedule, TrainedModel

__all__ = [
    "BT2Head",
    "Calibration",
    "DamagedMapError",
    "FewPairsWarning",
    "InvalidPairsError",
    "Isometry",
    "LocalLinearMap",
    "MapFileError",
    "Mapped",
    "NewerMapError",
    "PairInfo",
    "PairsWarning",
    "Schedule",
    "TrainedModel",
    "UnrelatedPairsWarning",
    "train_bct",
    "train_bt2",
    "train_independent",
    "train_regression",
]

# What trains needs torch, which takes a second to import; maps on plain arrays do not.
_NEEDS_TORCH = {
    "BT2Head": "bt2",
    "Schedule": "training",
    "TrainedModel": "training",
    "train_bct": "recipes",
    "train_bt2": "recipes",
    "train_independent": "recipes",
    "train_regression": "recipes",
}


def __getattr__(name: str) -> Any:
    if name in _NEEDS_TORCH:
        return getattr(import_module(f"retrieval.compat.{_NEEDS_TORCH[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
