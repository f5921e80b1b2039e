"""Data sets and the models that scenarios may draw for them.

Utterances, films, recipes, artworks, products, characters and digits. Models stand in the order in which teams take
them up: hashed words first and trained heads last, random features first and trained nets last.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

import numpy as np

from benchmarks.compat.data import clinc, omniglot
from benchmarks.compat.omniglot import backbone, shift
from benchmarks.compat.table import Array
from benchmarks.upgrade import fourth, fresh
from benchmarks.upgrade.fifth import latent
from benchmarks.upgrade.fourth import head, tokens, told
from benchmarks.upgrade.scenarios import Codes
from benchmarks.upgrade.third import Split, artworks, cut, films, mbat, minilm, products, recipes, strokes, trigrams
from retrieval import compat

_SEED = 211
# Of a larger data set so many are drawn.
MOST_ITEMS = 7500

# By the split, a number of dims and a seed: vectors of the pairs' items and of the gallery's.
Made = Callable[[Split, int, int], tuple[Array, Array]]


@dataclass(frozen=True, eq=False)
class Source:
    """A data set: classes; models with the dims that they come in, by name; rows that stay together."""

    name: str
    codes: Codes
    models: dict[str, tuple[tuple[int, ...], Made]]
    size: int = 1


def _words(said: list[str], dim: int, seed: int, weights: dict[str, float] | None = None) -> Array:
    """Words summed by a hash: one signed dim each, or a random direction where there are weights."""
    X = np.zeros((len(said), dim), dtype=np.float32)
    for row, text in enumerate(said):
        for word in re.findall(r"\w+", text.lower()):
            code = zlib.crc32(f"{seed} {word}".encode())
            if weights is None:
                X[row, (code >> 1) % dim] += 1 - 2 * (code & 1)
            else:
                X[row] += weights.get(word, weights[""]) * _direction(code, dim)
    return X


@cache
def _direction(code: int, dim: int) -> Array:
    return np.random.default_rng(code).standard_normal(dim).astype(np.float32)


def _weights(said: list[str]) -> dict[str, float]:
    """Log of the inverse frequency among texts; that of a word never seen under ""."""
    counts: dict[str, int] = {}
    for text in said:
        for word in set(re.findall(r"\w+", text.lower())):
            counts[word] = counts.get(word, 0) + 1
    n = len(said) + 1
    return {word: float(np.log(n / (1 + c)) + 1) for word, c in counts.items()} | {"": float(np.log(n)) + 1}


def _of_texts(name: str, data: fresh.Labelled, said: list[str], sense: Array, size: int = 1) -> Source:
    """Models of records and of what they say: words hashed, projected, latent; MBAT; MiniLM in parts, and trained."""
    codes = np.unique(data[1], return_inverse=True)[1].astype(np.int64)

    def projected(split: Split, dim: int, seed: int) -> tuple[Array, Array]:
        return cut(_words(said, dim, seed, _weights([said[row] for row in split[0].tolist()])), split)

    def trained(split: Split, dim: int, _: int) -> tuple[Array, Array]:
        axes = head(sense[split[0]], codes[split[0]], dim)
        return sense[split[0]] @ axes, sense[split[1]] @ axes

    models: dict[str, tuple[tuple[int, ...], Made]] = {
        "hashed words": ((128, 512), lambda split, dim, seed: cut(_words(said, dim, seed), split)),
        "words projected": ((128, 512), projected),
        "MBAT": ((256, 512, 1024), partial(mbat, data)),
        "MBAT fitted": ((256, 512, 1024), partial(mbat, data, fitted=True)),
        "LSA": ((24, 60, 150), partial(latent, said)),
        "trigram-LSA": ((60, 150, 300), partial(latent, trigrams(said))),
        "means of tokens": ((0,), lambda split, *_: cut(tokens(said), split)),
        "MiniLM's first dims": ((48, 96, 192), lambda split, dim, _: cut(sense[:, :dim], split)),
        "MiniLM": ((0,), lambda split, *_: cut(sense, split)),
        "MiniLM with a trained head": ((8, 40), trained),
    }
    return Source(name, codes, models, size)


@cache
def _utterances() -> Source:
    data = clinc()
    said = data.train_texts + data.test_texts
    rows = np.random.default_rng(_SEED).permutation(len(said))[:MOST_ITEMS]
    codes = np.concatenate([data.train_classes, data.test_classes])[rows]
    kept = [said[row] for row in rows.tolist()]
    sense = np.concatenate([data.train_minilm, data.test_minilm])[rows]
    return _of_texts("utterances", ([{"text": t} for t in kept], list(map(str, codes))), kept, sense)


def _records(name: str, data: fresh.Labelled, *keys: str, size: int = 1) -> Source:
    said = told(data[0], *keys)
    return _of_texts(name, data, said, minilm(said), size)


@cache
def _films_before() -> Source:
    return _records("films of the 1990s", fourth.films("1990s"), "title", "extract")


@cache
def _films_after() -> Source:
    return _records("films of the 2000s", films(), "title", "extract")


@cache
def _recipes() -> Source:
    data = recipes()
    said = [", ".join(one["ingredients"]) for one in data[0]]
    return _of_texts("recipes", data, said, minilm(said))


@cache
def _by_artist() -> Source:
    return _records("artworks by artist", artworks(), "title", "medium", "dateText")


@cache
def _by_kind() -> Source:
    return _records("artworks by kind", fresh.artworks(), "title", "all_artists", "dateText")


@cache
def _abt() -> Source:
    return _records("products of Abt and Buy", products(), "name", "description", size=2)


@cache
def _amazon() -> Source:
    return _records("products of Amazon and Google", fourth.products(), "title", "description", "manufacturer", size=2)


def _of_pictures(name: str, flat: Array, codes: Codes, dims: tuple[int, ...], more: dict[str, Made]) -> Source:
    """Models of pixels: random features, principal axes, all of them, and those that are given."""

    def axes(split: Split, dim: int, _: int) -> tuple[Array, Array]:
        mean = flat[split[0]].mean(axis=0)
        main = np.linalg.svd(flat[split[0]] - mean, full_matrices=False)[2][:dim].T
        return (flat[split[0]] - mean) @ main, (flat[split[1]] - mean) @ main

    def rectified(split: Split, dim: int, seed: int) -> tuple[Array, Array]:
        W = np.random.default_rng(seed).standard_normal((flat.shape[1], dim)).astype(np.float32)
        return cut(np.maximum(flat @ W, 0), split)

    models: dict[str, tuple[tuple[int, ...], Made]] = {
        "random features": (tuple(8 * dim for dim in dims), rectified),
        "axes of pixels": (dims, axes),
        "pixels": ((0,), lambda split, *_: cut(flat, split)),
    }
    return Source(name, codes, models | {one: ((0,), made) for one, made in more.items()})


def _characters(part: str) -> Source:
    """Omniglot's; the small CNN is trained on half of the characters."""
    images, codes = omniglot(part)
    flat = images.reshape(len(images), -1)

    def convolved(split: Split, _: int, seed: int) -> tuple[Array, Array]:
        known = np.random.default_rng(seed).permutation(np.unique(codes))[: (int(codes.max()) + 1) // 2]
        rows = split[0][np.isin(codes[split[0]], known)]
        schedule = compat.Schedule(epochs=15, warmup=2, batch_size=64, rate=3e-3, seed=seed)
        classes = np.unique(codes[rows], return_inverse=True)[1]
        made = compat.train_independent(backbone(64, seed), 64, images[rows], classes, schedule=schedule, augment=shift)
        return made.encode(images[split[0]]), made.encode(images[split[1]])

    drawn = {"strokes": lambda split, *_: cut(strokes(images[:, 0]), split), "a CNN of half of them": convolved}
    return _of_pictures(f"characters of {part}", flat, codes, (12, 32, 64), drawn)


@cache
def _digits() -> Source:
    # Late: scikit-learn stands beside the package, and only this data set is its own.
    from sklearn.datasets import load_digits

    found = load_digits()
    X, codes = found.data.astype(np.float32), found.target.astype(np.int64)

    def trained(split: Split, *_: int) -> tuple[Array, Array]:
        return cut(X @ head(X[split[0]], codes[split[0]], 9), split)

    return _of_pictures("digits", X, codes, (6, 12, 30), {"a trained head": trained})


SOURCES: tuple[Callable[[], Source], ...] = (
    _utterances,
    _films_before,
    _films_after,
    _recipes,
    _by_artist,
    _by_kind,
    _abt,
    _amazon,
    cache(partial(_characters, "small1")),
    cache(partial(_characters, "small2")),
    _digits,
)
