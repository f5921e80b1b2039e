"""Neighbours that survive a model upgrade.

`Gallery` holds ids, payloads and vectors in one folder and finds the nearest; `compat` maps one model's
vectors into another's space. FAISS and PyTorch are imported by the first call that needs them.
"""

from __future__ import annotations

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
)
from retrieval.gallery import Gallery
from retrieval.hits import Hit, HitLists
from retrieval.plan import Plan, Trial
from retrieval.sizing import Estimate, estimate

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
    "Hit",
    "HitLists",
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
    "check",
    "estimate",
]
