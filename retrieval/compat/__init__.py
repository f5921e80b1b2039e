"""One model's vectors in another model's space."""

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
from retrieval.compat.pairs import PairInfo

__all__ = [
    "DamagedMapError",
    "FewPairsWarning",
    "InvalidPairsError",
    "Isometry",
    "MapFileError",
    "NewerMapError",
    "PairInfo",
    "PairsWarning",
    "UnrelatedPairsWarning",
]
