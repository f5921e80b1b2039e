"""Upgrades that no rule of the report was made on: other data, models, seeds and splits than `scenarios`.

Films by genre, countries by region, recipes by cuisine, products by match, artworks by classification, characters.
"""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np

import vsa
from benchmarks.compat.data import folder, lsa, omniglot
from benchmarks.compat.table import Array
from benchmarks.upgrade.scenarios import Codes, Scenario, Views, views

Labelled = tuple[list[dict[str, Any]], list[str]]
_SEED = 11


@cache
def films() -> Labelled:
    """Films of the 2010s by their first genre, the ten most common ones."""
    all_films = json.loads((folder() / "movies" / "movies-2010s.json").read_text(encoding="utf-8"))
    told = [film for film in all_films if film.get("genres") and film.get("extract")]
    common = {genre for genre, _ in Counter(film["genres"][0] for film in told).most_common(10)}
    kept = [film for film in told if film["genres"][0] in common]
    records = [{key: film[key] for key in ("title", "cast", "extract")} for film in kept]
    return records, [film["genres"][0] for film in kept]


@cache
def countries() -> Labelled:
    """Countries by region; what tells the region outright is left out."""
    found = json.loads((folder() / "countries" / "countries.json").read_text(encoding="utf-8"))
    keys = ("name", "currencies", "languages", "demonyms", "landlocked", "area")
    return [{key: one.get(key) for key in keys} for one in found], [one["region"] for one in found]


@cache
def recipes() -> Labelled:
    """Ingredient lists by cuisine."""
    with (folder() / "recipes" / "recipes.jsonl").open(encoding="utf-8") as lines:
        found = [json.loads(line) for line in lines]
    return [{"ingredients": one["ingredients"]} for one in found], [one["cuisine"] for one in found]


@cache
def products() -> Labelled:
    """Products of two catalogues; a match is a class of two, and what has none is left out."""
    base = folder() / "amazon-google"
    sides = [
        [json.loads(line) for line in (base / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]
        for name in ("amazon", "google")
    ]
    by_id = [{one["id"]: one for one in side} for side in sides]
    records, labels = [], []
    for line in (base / "matches.csv").read_text(encoding="utf-8").splitlines():
        ids = line.split(",")
        if not all(one.isdigit() for one in ids):
            continue
        for side, one in zip(by_id, ids, strict=True):
            records.append({key: value for key, value in side[int(one)].items() if key != "id"})
            labels.append(ids[0])
    return records, labels


@cache
def artworks() -> Labelled:
    """2,400 artworks by classification, of kinds with fifty works or more; title, artist, medium and date."""
    with gzip.open(folder() / "tate" / "artworks.jsonl.gz", "rt", encoding="utf-8") as lines:
        some = [json.loads(line) for number, line in enumerate(lines) if number % 23 == 5]
    often = {kind for kind, n in Counter(str(work.get("classification")) for work in some).items() if n >= 50}
    kept = [work for work in some if str(work.get("classification")) in often][:2400]
    keys = ("title", "all_artists", "medium", "dateText")
    return [{key: work.get(key) for key in keys} for work in kept], [work["classification"] for work in kept]


def texts(records: list[dict[str, Any]]) -> list[str]:
    """All words of each record."""
    return [" ".join(json.dumps(record, ensure_ascii=False).replace('"', " ").split()) for record in records]


@cache
def _rows(n: int, n_pairs: int) -> tuple[Codes, Codes]:
    order = np.random.default_rng(_SEED).permutation(n)
    return order[:n_pairs], order[n_pairs:]


def _codes(labels: list[str]) -> Codes:
    return np.unique(labels, return_inverse=True)[1].astype(np.int64)


def mbat(data: Labelled, n_pairs: int, dim: int, seed: int, *, fitted: bool = False) -> tuple[Array, Array]:
    """MBAT vectors of the pairs' items and of the gallery's."""
    records, _ = data
    pairs, stored = _rows(len(records), n_pairs)
    encoder = vsa.JSONEncoder(dim=dim, seed=seed)
    if fitted:
        encoder.fit([records[row] for row in pairs.tolist()])
    X = encoder.encode(records)
    return X[pairs], X[stored]


def latent(data: Labelled, n_pairs: int, dim: int) -> tuple[Array, Array]:
    """LSA vectors, its directions from the pairs' items."""
    words = texts(data[0])
    pairs, stored = _rows(len(words), n_pairs)
    return lsa([words[row] for row in pairs.tolist()], [words[row] for row in stored.tolist()], dim, _SEED)


def between(data: Labelled, n_pairs: int, old: tuple[Array, Array], new: tuple[Array, Array]) -> Views:
    """Both sides, with classes."""
    codes = _codes(data[1])
    pairs, stored = _rows(len(codes), n_pairs)
    return views(old, new, (codes[pairs], codes[stored]))


def fresh() -> Iterator[Scenario]:
    """All of them."""
    rng = np.random.default_rng(_SEED)
    films_, n = films(), 1300
    small, better = mbat(films_, n, 256, 3), mbat(films_, n, 1024, 3, fitted=True)
    grown = between(films_, n, small, better)
    yield grown.scenario("films, MBAT-256 → MBAT-1024 fitted")
    yield grown.scenario("films, the same with classes", labels=True)
    yield between(films_, n, small, mbat(films_, n, 256, 4)).scenario("films, MBAT-256, seed 3 → seed 4")
    wide, narrow = latent(films_, n, 128), latent(films_, n, 16)
    yield between(films_, n, latent(films_, n, 32), wide).scenario("films, LSA-32 → LSA-128")
    fallen = between(films_, n, wide, narrow)
    yield fallen.scenario("films, LSA-128 → LSA-16, with classes", labels=True)
    yield fallen.scenario("films, LSA-128 → LSA-16")
    across = between(films_, n, small, wide)
    yield across.scenario("films, MBAT-256 → LSA-128")
    yield across.scenario("films, the same from 100 pairs", np.arange(100))
    yield across.scenario("films, the same from 300 pairs", np.arange(300))
    yield replace(across, new=across.new[rng.permutation(len(across.new))]).scenario("films, pairs shuffled")
    mixed = np.arange(len(across.new))
    third = rng.permutation(len(mixed))[: len(mixed) // 3]
    mixed[third] = np.roll(third, 1)
    yield replace(across, new=across.new[mixed]).scenario("films, a third of the pairs shuffled")
    same = between(films_, n, wide, wide)
    yield same.scenario("films, an identical model")
    columns, signs = rng.permutation(128), rng.choice([-1.0, 1.0], 128).astype(np.float32)
    turned = replace(same, new=same.new[:, columns] * signs, new_gallery=same.new_gallery[:, columns] * signs)
    yield turned.scenario("films, dims permuted and flipped")
    genres = rng.permutation(int(grown.classes.max()) + 1)
    half = np.isin(grown.classes, genres[: len(genres) // 2])
    other = grown.gallery_of(~np.isin(grown.gallery_classes, genres[: len(genres) // 2]))
    yield other.scenario("films, pairs of half the genres, gallery of the others", np.flatnonzero(half))
    lands = countries()
    yield between(lands, 150, mbat(lands, 150, 256, 5), mbat(lands, 150, 512, 5, fitted=True)).scenario(
        "countries, MBAT-256 → MBAT-512 fitted, 150 pairs"
    )
    dishes, m = recipes(), 1500
    yield between(dishes, m, latent(dishes, m, 16), latent(dishes, m, 100)).scenario("recipes, LSA-16 → LSA-100")
    poor = between(dishes, m, mbat(dishes, m, 512, 6, fitted=True), mbat(dishes, m, 64, 6))
    yield poor.scenario("recipes, MBAT-512 fitted → MBAT-64, with classes", labels=True)
    yield poor.scenario("recipes, MBAT-512 fitted → MBAT-64")
    goods = products()
    yield between(goods, 1200, mbat(goods, 1200, 256, 5), mbat(goods, 1200, 1024, 5, fitted=True)).scenario(
        "products, MBAT-256 → MBAT-1024 fitted"
    )
    works, p = artworks(), 1500
    old, new = mbat(works, p, 256, 8), mbat(works, p, 512, 8, fitted=True)
    yield between(works, p, old, new).scenario("artworks, MBAT-256 → MBAT-512 fitted, with classes", labels=True)
    yield between(works, p, old, latent(works, p, 64)).scenario("artworks, MBAT-256 → LSA-64")
    yield pixels(24, 48).scenario("characters, PCA-24 → PCA-48")


def pixels(old_dim: int, new_dim: int) -> Views:
    """Omniglot's small2 under the first principal axes of its pixels; every fourth drawing is in the gallery."""
    images, characters = (part.reshape(len(part), -1) for part in omniglot("small2"))
    characters = characters.ravel()
    train = np.arange(len(images)) % 4 != 3
    mean = images[train].mean(axis=0)
    _, _, axes = np.linalg.svd(images[train] - mean, full_matrices=False)
    sides = [(images - mean) @ axes[:dim].T for dim in (old_dim, new_dim)]
    old, new = ((side[train], side[~train]) for side in sides)
    return views(old, new, (characters[train], characters[~train]))
