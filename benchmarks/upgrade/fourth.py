"""A fourth set of upgrades that no rule of the report was made on: other data, models, seeds and splits once more.

Utterances by intent, films of the 1990s by genre and what came after them, products by match, artworks by
classification and by the card that stands for them, recipes by cuisine, digits and characters; among the models
MiniLM-L6, the mean of its token vectors as static models take it, its first dims, and a head trained on labels. Needs
what `benchmarks.upgrade.third` needs, and scikit-learn for its digits.
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

from benchmarks.compat.data import clinc, folder, lsa, omniglot
from benchmarks.compat.table import Array, unit
from benchmarks.upgrade.fresh import Labelled, texts
from benchmarks.upgrade.scenarios import Codes, Scenario, views
from benchmarks.upgrade.third import Split, between, cut, mbat, minilm, model, recipes, strokes
from retrieval.upgrade import Queries

_SEED = 53
_ASKED = 250


def parts(n: int, n_pairs: int, size: int = 1) -> Split:
    """Rows of pairs and of the gallery; groups of `size` rows that follow each other go along whole."""
    order = np.random.default_rng(_SEED).permutation(n // size)
    rows = (order[:, None] * size + np.arange(size)).ravel()
    return rows[:n_pairs], rows[n_pairs:]


def tokens(some: list[str]) -> Array:
    """Mean of MiniLM's vectors of the tokens in the first 300 letters, as they stand before any layer."""
    table = model()[0].auto_model.get_input_embeddings().weight.detach().numpy()
    found = model().tokenizer([t[:300] for t in some], add_special_tokens=False)["input_ids"]
    return np.stack([table[ids].mean(axis=0) if ids else np.zeros(table.shape[1]) for ids in found]).astype(np.float32)


def head(X: Array, codes: Codes, dim: int) -> Array:
    """Columns that tell classes apart: discriminant directions of Fisher, shrunk; X @ head is the trained model."""
    mean = X.mean(axis=0)
    centres = np.stack([X[codes == code].mean(axis=0) for code in np.unique(codes)])
    inner = X - centres[np.unique(codes, return_inverse=True)[1]]
    within = inner.T @ inner / len(X) + 1e-3 * np.eye(X.shape[1])
    root = np.linalg.inv(np.linalg.cholesky(within)).T
    axes = np.linalg.svd((centres - mean) @ root, full_matrices=False)[2]
    return np.asarray(root @ axes[:dim].T, dtype=np.float32)


def films(decade: str) -> Labelled:
    """Films of a decade by their first genre, of ten; title, cast and extract."""
    genres = ("Drama", "Comedy", "Action", "Horror", "Thriller", "Science Fiction", "Crime", "Animated", "Documentary")
    everything = json.loads((folder() / "movies" / f"movies-{decade}.json").read_text(encoding="utf-8"))
    told = [film for film in everything if film.get("genres") and film.get("extract")]
    kept = [film for film in told if film["genres"][0] in genres]
    return [{key: film[key] for key in ("title", "cast", "extract")} for film in kept], [f["genres"][0] for f in kept]


@cache
def products() -> Labelled:
    """Products of Amazon and Google, match after match; whatever matches twice is taken once."""
    base = folder() / "amazon-google"
    sides = [
        {one["id"]: one for one in map(json.loads, (base / f"{name}.jsonl").read_text(encoding="utf-8").splitlines())}
        for name in ("amazon", "google")
    ]
    matches = [list(map(int, line.split(","))) for line in (base / "matches.csv").read_text().splitlines()[1:]]
    records, labels, taken = [], [], tuple[set[int], set[int]]((set(), set()))
    for number, ids in enumerate(matches):
        if any(one in known for one, known in zip(ids, taken, strict=True)):
            continue
        for side, one, known in zip(sides, ids, taken, strict=True):
            known.add(one)
            records.append({key: side[one].get(key) for key in ("title", "description", "manufacturer", "price")})
            labels.append(str(number))
    return records, labels


@cache
def artworks() -> list[dict[str, Any]]:
    """Every ninth artwork, as it is."""
    with gzip.open(folder() / "tate" / "artworks.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line) for number, line in enumerate(lines) if number % 9 == 4]


def told(records: list[dict[str, Any]], *keys: str) -> list[str]:
    """Some fields of each as one line."""
    return [". ".join(str(one[key]) for key in keys if one.get(key)) for one in records]


def fourth() -> Iterator[Scenario]:
    """All of them."""
    yield from _utterances()
    yield from _films()
    yield from _products()
    yield from _artworks()
    yield from _dishes()
    yield from _pictures()


def _utterances() -> Iterator[Scenario]:
    """CLINC150: pairs from the training part, every other utterance of the test part as gallery."""
    data, rng = clinc(), np.random.default_rng(_SEED)
    rows = rng.permutation(len(data.train_texts))[:2500]
    pairs, stored = [data.train_texts[row] for row in rows.tolist()], data.test_texts[::2]
    known = data.train_minilm[rows], data.test_minilm[::2]
    codes = data.train_classes[rows], data.test_classes[::2]
    static = views((tokens(pairs), tokens(stored)), known, codes)
    yield static.scenario("utterances, means of tokens → MiniLM, 2,500 pairs")
    yield static.scenario("the same from 600 pairs", np.arange(600))
    yield static.scenario("the same from 600 pairs, with classes", np.arange(600), labels=True)
    intents = rng.permutation(150)
    closed = np.isin(static.classes, intents[:120])
    beyond = static.gallery_of(~np.isin(static.gallery_classes, intents[:120]))
    yield beyond.scenario("pairs of 120 intents, gallery of the other 30", np.flatnonzero(closed))
    half = np.flatnonzero(np.isin(static.classes, intents[:90]))
    yield static.scenario("pairs of 90 intents, gallery of all 150", half)
    yield static.scenario("pairs of 90 intents, gallery of all 150, with classes", half, labels=True)
    same = views(known, known, codes)
    trained = head(data.train_minilm, data.train_classes, 100)
    tuned = replace(same, new=unit(same.new @ trained), new_gallery=unit(same.new_gallery @ trained))
    yield tuned.scenario("MiniLM → MiniLM with a trained head")
    yield tuned.swapped().scenario("MiniLM with a trained head → MiniLM, with classes", labels=True)
    first = replace(same, old=unit(same.new[:, :64]), old_gallery=unit(same.new_gallery[:, :64]))
    yield first.scenario("MiniLM's first 64 dims → all 384")
    coarse = replace(same, new=unit(np.round(16 * same.new)), new_gallery=unit(np.round(16 * same.new_gallery)))
    yield coarse.scenario("MiniLM → MiniLM in steps of a sixteenth")
    wrong = replace(first, new=np.roll(first.new, 1, axis=0))
    yield wrong.scenario("first 64 dims → all, rows off by one")
    yield first.scenario("first 64 dims → all, from 90 pairs", np.arange(90))
    yield same.scenario("the same model again")
    turn = np.linalg.qr(rng.standard_normal((384, 384)))[0].astype(np.float32)
    turned = replace(same, new=same.new @ turn, new_gallery=same.new_gallery @ turn)
    yield turned.scenario("MiniLM → MiniLM under a rotation, 900 pairs", np.arange(900))


def _films() -> Iterator[Scenario]:
    """Films of the 1990s, and what the 2020s brought."""
    before, after = films("1990s"), films("2020s")
    split = parts(len(before[0]), 1300)
    said, later = texts(before[0]), texts(after[0])
    paired, stored = ([said[row] for row in part.tolist()] for part in split)
    words = lsa(paired, stored, 150, _SEED)
    sense = cut(minilm([one["extract"] for one in before[0]]), split)
    yield between(before, split, words, sense).scenario("films, LSA-150 → MiniLM")
    shallow = between(before, split, sense, mbat(before, split, 128, 9))
    yield shallow.scenario("films, MiniLM → MBAT-128, with classes", labels=True)
    static = cut(tokens([one["extract"] for one in before[0]]), split)
    yield between(before, split, mbat(before, split, 512, 9), static).scenario("films, MBAT-512 → means of tokens")
    mixed = between(before, split, static, sense)
    off = np.arange(len(mixed.new))
    some = np.random.default_rng(_SEED).permutation(len(off))[: len(off) // 10]
    off[some] = np.roll(some, 1)
    yield replace(mixed, new=mixed.new[off]).scenario("films, means of tokens → MiniLM, a tenth of the pairs shuffled")
    grown = (words[0], lsa(paired, later, 150, _SEED)[1]), (sense[0], minilm([one["extract"] for one in after[0]]))
    _, codes = np.unique([*before[1], *after[1]], return_inverse=True)
    kinds = codes[: len(before[1])][split[0]], codes[len(before[1]) :]
    yield views(*grown, kinds).scenario("films, LSA-150 → MiniLM, pairs of the 1990s, gallery of the 2020s")


def _products() -> Iterator[Scenario]:
    """Products of two catalogues, one match each to be found."""
    goods = products()
    split, said = parts(len(goods[0]), 1300, size=2), told(goods[0], "title", "manufacturer", "description")
    static, sense = cut(tokens(said), split), cut(minilm(said), split)
    matched = between(goods, split, static, sense)
    yield matched.scenario("products, means of tokens → MiniLM")
    ask, want = (slice(side, 2 * _ASKED, 2) for side in (1, 0))
    queries = Queries.of(matched.old[ask], matched.new[ask], wanted_old=matched.old[want], wanted_new=matched.new[want])
    others = matched.scenario("the same with 250 queries and what they want", np.arange(2 * _ASKED, len(matched.old)))
    yield replace(others, queries=queries)
    titles = cut(minilm(told(goods[0], "title")), split)
    yield between(goods, split, titles, sense).scenario(
        "products, MiniLM of titles → of all, with classes", labels=True
    )


def _artworks() -> Iterator[Scenario]:
    """Artworks by classification, by date, and by their cards: title and artist alone."""
    works = artworks()
    often = {kind for kind, n in Counter(str(work["classification"]) for work in works).items() if n >= 40}
    kept = [work for work in works if work["classification"] in often and work["classification"] != "on paper, unique"]
    fields = ("title", "all_artists", "medium", "dateText")
    kinds = [{key: work[key] for key in fields} for work in kept], [str(work["classification"]) for work in kept]
    split = parts(len(kept), len(kept) // 2)
    sense = cut(minilm(told(kept, *fields)), split)
    plain = mbat(kinds, split, 512, 9)
    yield between(kinds, split, plain, sense).scenario("artworks by classification, MBAT-512 → MiniLM")
    fitted = mbat(kinds, split, 1024, 9, fitted=True)
    yield between(kinds, split, plain, fitted).scenario(
        "artworks by classification, MBAT-512 → MBAT-1024 fitted, with classes", labels=True
    )
    years = np.array([(work["dateRange"] or {}).get("startYear") or 0 for work in kept])
    order = np.argsort(years, kind="stable")
    early, late = order[: len(order) // 2], order[len(order) // 2 :]
    drifted = between(
        kinds, (early, late), cut(tokens(told(kept, *fields)), (early, late)), mbat(kinds, (early, late), 512, 9)
    )
    yield drifted.scenario("artworks, means of tokens → MBAT-512, older works as pairs, newer as gallery")
    some = works[:2200]
    both = [record for work in some for record in (work, {key: work[key] for key in ("title", "all_artists")})]
    cards = both, [str(number // 2) for number in range(len(both))]
    split = parts(len(both), 2400, size=2)
    found = between(cards, split, mbat(cards, split, 256, 9), mbat(cards, split, 1024, 9, fitted=True))
    whole = np.arange(2 * _ASKED, len(found.old))
    ask, want = (slice(side, 2 * _ASKED, 2) for side in (1, 0))
    queries = Queries.of(found.old[ask], found.new[ask], wanted_old=found.old[want], wanted_new=found.new[want])
    asked = found.scenario("artworks and their cards, MBAT-256 → MBAT-1024 fitted, 250 cards as queries", whole)
    yield replace(asked, queries=queries)


def _dishes() -> Iterator[Scenario]:
    """Recipes by cuisine."""
    dishes = recipes()
    split, words = parts(len(dishes[0]), 1400), [", ".join(one["ingredients"]) for one in dishes[0]]
    static, sense = cut(tokens(words), split), cut(minilm(words), split)
    yield between(dishes, split, static, sense).scenario("recipes, means of tokens → MiniLM")
    yield between(dishes, split, sense, static).scenario("recipes, MiniLM → means of tokens, with classes", labels=True)


def _pictures() -> Iterator[Scenario]:
    """Digits of 8 × 8 pixels, and Omniglot's characters."""
    # Late: scikit-learn stands beside the package, and only this data set is its own.
    from sklearn.datasets import load_digits

    found = load_digits()
    split = parts(len(found.data), 1000)
    flat = (found.data - found.data[split[0]].mean(axis=0)).astype(np.float32)
    axes = np.linalg.svd(flat[split[0]], full_matrices=False)[2]
    few, many = (cut(flat @ axes[:dim].T, split) for dim in (6, 40))
    codes = found.target[split[0]].astype(np.int64), found.target[split[1]].astype(np.int64)
    yield views(few, many, codes).scenario("digits, 6 axes of pixels → 40 axes")
    yield views(many, few, codes).scenario("digits, 40 axes of pixels → 6 axes, with classes", labels=True)
    seen = np.flatnonzero(codes[0] < 6)
    other = views(few, many, codes).gallery_of(codes[1] >= 6)
    yield other.scenario("digits, 6 axes → 40 axes, pairs of 0 to 5, gallery of 6 to 9", seen)
    images, characters = omniglot("small2")
    drawn, which = images[:, 0], characters.ravel()
    train = np.arange(len(drawn)) % 3 != 1
    pixels = drawn.reshape(len(drawn), -1) - drawn[train].reshape(int(train.sum()), -1).mean(axis=0)
    main = np.linalg.svd(pixels[train], full_matrices=False)[2][:48]
    old, new = pixels @ main.T, strokes(drawn)
    there = views((old[train], old[~train]), (new[train], new[~train]), (which[train], which[~train]))
    yield there.scenario(
        "characters, 48 axes of pixels → strokes, 1,500 pairs",
        np.random.default_rng(_SEED).permutation(int(train.sum()))[:1500],
    )
