"""Neighbours that survive a model upgrade.

`Gallery` holds ids, payloads and vectors in one folder and finds the nearest; `compat` maps one model's
vectors into another's space, and `Upgrade` plans the switch from one to the next. FAISS and PyTorch are
imported by the first call that needs them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from retrieval.checking import CheckReport, check
from retrieval.errors import (
    ClosedGalleryError,
    DamagedGalleryError,
    DeviceError,
    DuplicateIdError,
    FilterError,
    GalleryBusyError,
    GalleryExistsError,
    GalleryNotFoundError,
    GalleryPathError,
    InvalidIdError,
    InvalidPayloadError,
    InvalidVectorError,
    MissingDependencyError,
    ModelMismatchError,
    NewerGalleryError,
    NoEncoderError,
    NotAGalleryError,
    ReadOnlyGalleryError,
    RetrievalError,
    UnknownIdError,
    UpgradeError,
)
from retrieval.gallery import Gallery
from retrieval.hits import Hit, HitLists, Hits
from retrieval.plan import Plan, Trial
from retrieval.sizing import Estimate, estimate

if TYPE_CHECKING:
    from retrieval.upgrade import Upgrade

__all__ = [
    "CheckReport",
    "ClosedGalleryError",
    "DamagedGalleryError",
    "DeviceError",
    "DuplicateIdError",
    "Estimate",
    "FilterError",
    "Gallery",
    "GalleryBusyError",
    "GalleryExistsError",
    "GalleryNotFoundError",
    "GalleryPathError",
    "Hit",
    "HitLists",
    "Hits",
    "InvalidIdError",
    "InvalidPayloadError",
    "InvalidVectorError",
    "MissingDependencyError",
    "ModelMismatchError",
    "NewerGalleryError",
    "NoEncoderError",
    "NotAGalleryError",
    "Plan",
    "ReadOnlyGalleryError",
    "RetrievalError",
    "Trial",
    "UnknownIdError",
    "Upgrade",
    "UpgradeError",
    "check",
    "estimate",
]


def __getattr__(name: str) -> Any:
    # Maps need parts of SciPy that take longer to import than all the rest.
    if name == "Upgrade":
        return import_module("retrieval.upgrade").Upgrade
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
