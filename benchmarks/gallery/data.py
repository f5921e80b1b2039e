"""Vectors to search: two made from a seed, and the artworks of the Tate encoded; kept on disk once made."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

N, DIM, QUERIES = 200_000, 256, 1_000


@dataclass(frozen=True)
class Vectors:
    """Unit rows to search and unit rows to ask with, which were held out."""

    name: str
    X: Array
    Q: Array


def unit(X: NDArray[np.floating]) -> Array:
    """Rows of length one; in place where they are float32."""
    X = np.asarray(X, dtype=np.float32)
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    return X


def clustered(n: int) -> Array:
    """2,000 Gaussian clusters, sizes falling as rank^-.75, each with a covariance of rank 24 of its own."""
    clusters, rank = 2_000, 24
    rng = np.random.default_rng(0)
    sizes = np.arange(1, clusters + 1) ** -0.75
    of = np.sort(rng.choice(clusters, n, p=sizes / sizes.sum()))
    X = rng.standard_normal((clusters, DIM), dtype=np.float32)[of]
    starts = np.searchsorted(of, np.arange(clusters + 1))
    for start, stop in itertools.pairwise(starts):
        factor = rng.standard_normal((rank, DIM), dtype=np.float32) / np.float32(np.sqrt(rank))
        X[start:stop] += rng.standard_normal((stop - start, rank), dtype=np.float32) @ factor
    return unit(X[rng.permutation(n)])


def smooth(n: int) -> Array:
    """One manifold: 32 latent normals through tanh(z W1) W2, and noise of a tenth of its length."""
    rng = np.random.default_rng(0)
    first = rng.standard_normal((32, DIM), dtype=np.float32) / np.float32(np.sqrt(32))
    second = rng.standard_normal((DIM, DIM), dtype=np.float32)
    X = np.empty((n, DIM), dtype=np.float32)
    for start in range(0, n, 50_000):
        z = rng.standard_normal((min(50_000, n - start), 32), dtype=np.float32)
        X[start : start + len(z)] = unit(np.tanh(z @ first) @ second)
    X += np.float32(0.1 / np.sqrt(DIM)) * rng.standard_normal(X.shape, dtype=np.float32)
    return unit(X)


def tate(n: int) -> Array:
    """Artworks encoded by `vsa.JSONEncoder(1024)`, fitted on the first 10,000; in another order than the file's."""
    import vsa
    from benchmarks.vsa.data import find

    file = find("tate/artworks.jsonl.gz")
    encoder = vsa.JSONEncoder(1024, seed=7)
    encoder.fit(record for _, record in itertools.islice(vsa.iter_json(file), 10_000))
    records = (record for _, record in vsa.iter_json(file))
    parts = []
    while part := list(itertools.islice(records, 4096)):
        parts.append(encoder.encode(part))
    X = np.concatenate(parts)
    return X[np.random.default_rng(0).permutation(len(X))[:n]]


_MAKERS: dict[str, tuple[Callable[[int], Array], int]] = {
    "clustered": (clustered, N + QUERIES),
    "smooth": (smooth, N + QUERIES),
    "tate": (tate, 69_202),
}

NAMES = tuple(_MAKERS)


def load(name: str, cache: Path, quick: bool = False) -> Vectors:
    """One of the data sets, made if the cache has it not; a tenth of it with `quick`."""
    make, n = _MAKERS[name]
    n = n // 10 if quick else n
    held_out = QUERIES // 5 if quick else QUERIES
    file = cache / f"{name}-{n}.npy"
    if not file.exists():
        cache.mkdir(parents=True, exist_ok=True)
        part = file.with_suffix(".part.npy")
        np.save(part, make(n))
        os.replace(part, file)
    rows = np.load(file)
    return Vectors(name, rows[:-held_out], rows[-held_out:])
