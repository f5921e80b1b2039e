"""Galleries whose vectors lie in files: what tests of them share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from reference_gallery import unit

from retrieval import Gallery

N, DIM = 3000, 32


def directions() -> np.ndarray:
    return unit(np.random.default_rng(3).standard_normal((N, DIM)))


def names(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir() if file.name.startswith("vectors-")}


def same(gallery: Gallery, X: np.ndarray) -> None:
    """The gallery holds the rows of X under their numbers."""
    ids, stored = gallery.vectors()
    assert np.array_equal(stored, X[[int(name) for name in ids]])
