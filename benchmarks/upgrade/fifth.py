"""A fifth set of upgrades that no rule of the report was made on, chosen for what a map may lose.

In the fourth set most switches pay, and whoever always advised one would have been right too often. Here most new
models are better, and the maps are at their limits: few pairs, old models that know the letter of a text (hashed
tokens, many dims of LSA), heads trained on some classes alone and asked about others, one match to be found.
Utterances, products, films of the 2010s, artworks by artist, recipes, digits and characters, by other splits and seeds
again. Needs what `benchmarks.upgrade.fourth` needs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from benchmarks.compat.data import clinc, lsa, omniglot
from benchmarks.compat.table import Array, unit
from benchmarks.upgrade.fourth import head, tokens, told
from benchmarks.upgrade.fresh import Labelled, films, texts
from benchmarks.upgrade.scenarios import Codes, Scenario, views
from benchmarks.upgrade.third import Split, artworks, between, cut, mbat, minilm, products, recipes, strokes, trigrams
from vsa import JSONEncoder

_SEED = 71


def parts(n: int, n_pairs: int, size: int = 1, seed: int = _SEED) -> Split:
    """Rows of pairs and of the gallery; groups of `size` rows that follow each other go along whole."""
    order = np.random.default_rng(seed).permutation(n // size)
    rows = (order[:, None] * size + np.arange(size)).ravel()
    return rows[:n_pairs], rows[n_pairs:]


def latent(some: list[str], split: Split, dim: int, seed: int = _SEED) -> tuple[Array, Array]:
    """LSA, its directions from the pairs' items."""
    return lsa(*([some[row] for row in part.tolist()] for part in split), dim, seed)


def fifth() -> Iterator[Scenario]:
    """All of them."""
    yield from _utterances()
    yield from _products()
    yield from _films()
    yield from _artworks()
    yield from _dishes()
    yield from _pictures()


def _utterances() -> Iterator[Scenario]:
    """CLINC150: pairs from the training part, its validation part as gallery."""
    data, rng = clinc(), np.random.default_rng(_SEED)
    rows = rng.permutation(len(data.train_texts))[:3000]
    said = [data.train_texts[row] for row in rows.tolist()], data.val_texts
    codes = data.train_classes[rows], data.val_classes
    sense = data.train_minilm[rows], minilm(data.val_texts)
    words = views(lsa(*said, 200, _SEED), sense, codes)
    yield words.scenario("utterances, LSA-200 → MiniLM, 3,000 pairs")
    yield words.scenario("the same from 800 pairs", np.arange(800))
    yield words.scenario("the same from 300 pairs", np.arange(300))
    yield words.scenario("the same from 300 pairs, with classes", np.arange(300), labels=True)
    intents = rng.permutation(150)
    closed = np.flatnonzero(np.isin(words.classes, intents[:100]))
    yield words.gallery_of(~np.isin(words.gallery_classes, intents[:100])).scenario(
        "utterances, LSA-200 → MiniLM, pairs of 100 intents, gallery of the other 50", closed
    )
    letters = views(lsa(*(trigrams(part) for part in said), 256, _SEED), sense, codes)
    yield letters.scenario("utterances, trigram-LSA-256 → MiniLM, 1,500 pairs", np.arange(1500))
    hashed = [
        tuple(JSONEncoder(dim=512, seed=seed).encode({"text": t} for t in part) for part in said) for seed in (3, 4)
    ]
    yield views(hashed[0], sense, codes).scenario("utterances, MBAT-512 → MiniLM, 700 pairs", np.arange(700))
    yield views(hashed[0], hashed[1], codes).scenario("utterances, MBAT-512, seed 3 → seed 4")
    known = np.isin(data.train_classes, intents[:100])
    trained = head(data.train_minilm[known], data.train_classes[known], 60)
    tuned = sense[0] @ trained, sense[1] @ trained
    part = views(sense, tuned, codes)
    yield part.scenario("MiniLM → a head trained on 100 intents, gallery of all 150, 1,000 pairs", np.arange(1000))
    static = views((tokens(said[0]), tokens(said[1])), tuned, codes)
    yield static.gallery_of(~np.isin(static.gallery_classes, intents[:100])).scenario(
        "means of tokens → the same head, gallery of the other 50",
        np.flatnonzero(np.isin(static.classes, intents[:100])),
    )


def _products() -> Iterator[Scenario]:
    """Products of two catalogues, one match each to be found."""
    goods = products()
    split, said = parts(len(goods[0]), 1200, size=2), texts(goods[0])
    sense = cut(minilm(said), split)
    hashed = between(goods, split, mbat(goods, split, 512, 5), sense)
    yield hashed.scenario("products, MBAT-512 → MiniLM")
    spelled = between(goods, split, latent(trigrams(said), split, 200), sense)
    yield spelled.scenario("products, trigram-LSA-200 → MiniLM, with classes", labels=True)
    static = between(goods, split, cut(tokens(said), split), sense)
    yield static.scenario("products, means of tokens → MiniLM, 240 pairs", np.arange(240))


def _films() -> Iterator[Scenario]:
    """Films of the 2010s by genre."""
    seen: Labelled = films()
    split = parts(len(seen[0]), 1100)
    said, sense = texts(seen[0]), cut(minilm([one["extract"] for one in seen[0]]), split)
    yield between(seen, split, latent(said, split, 250), sense).scenario("films, LSA-250 → MiniLM")
    hashed = between(seen, split, mbat(seen, split, 1024, 5, fitted=True), sense)
    yield hashed.scenario("films, MBAT-1024 fitted → MiniLM, 300 pairs", np.arange(300))


def _artworks() -> Iterator[Scenario]:
    """Artworks by artist, who is not in the record."""
    works = artworks()
    split = parts(len(works[0]), 1500)
    sense = cut(minilm(told(works[0], "title", "medium", "dateText")), split)
    yield between(works, split, mbat(works, split, 512, 5), sense).scenario("artworks, MBAT-512 → MiniLM")
    some = cut(minilm(told(works[0], "title", "medium")), split)
    grown = between(works, split, some, sense)
    yield grown.scenario("artworks, MiniLM of title and medium → of more, 400 pairs", np.arange(400))
    swapped = between(works, split, sense, mbat(works, split, 1024, 5, fitted=True))
    yield swapped.scenario("artworks, MiniLM → MBAT-1024 fitted, with classes", labels=True)


def _dishes() -> Iterator[Scenario]:
    """Recipes by cuisine."""
    dishes = recipes()
    split = parts(len(dishes[0]), 1000)
    plain, fitted = mbat(dishes, split, 512, 5), mbat(dishes, split, 512, 5, fitted=True)
    yield between(dishes, split, plain, fitted).scenario("recipes, MBAT-512 → MBAT-512 fitted")
    sense = cut(minilm([", ".join(one["ingredients"]) for one in dishes[0]]), split)
    found = between(dishes, split, sense, sense)
    axes = head(found.new, found.classes, 15)
    yield replace(found, new=unit(found.new @ axes), new_gallery=unit(found.new_gallery @ axes)).scenario(
        "recipes, MiniLM → MiniLM with a trained head, 500 pairs", np.arange(500)
    )


def _pictures() -> Iterator[Scenario]:
    """Digits of 8 × 8 pixels, and Omniglot's characters."""
    # Late: scikit-learn stands beside the package, and only this data set is its own.
    from sklearn.datasets import load_digits

    found = load_digits()
    split = parts(len(found.data), 900)
    X, codes = unit(found.data.astype(np.float32)), found.target.astype(np.int64)
    seen = split[0][codes[split[0]] < 7]
    axes = head(X[seen], codes[seen], 6)
    sides = cut(X, split), cut(X @ axes, split)
    shown = views(*sides, (codes[split[0]], codes[split[1]]))
    yield shown.scenario("digits, pixels → a head trained on 0 to 6, gallery of all", np.flatnonzero(shown.classes < 7))
    images, characters = omniglot("small1")
    drawn, which = images[:, 0], characters.ravel()
    train = np.arange(len(drawn)) % 4 != 1
    flat = drawn.reshape(len(drawn), -1)
    there = views(
        (flat[train], flat[~train]), (strokes(drawn[train]), strokes(drawn[~train])), (which[train], which[~train])
    )
    some = np.random.default_rng(_SEED).permutation(int(train.sum()))
    yield there.scenario("characters, pixels → strokes, 250 pairs", some[:250])
    apart: Codes = np.random.default_rng(_SEED).permutation(np.unique(which))
    half = np.flatnonzero(np.isin(there.classes, apart[: len(apart) // 2]))
    others = there.gallery_of(~np.isin(there.gallery_classes, apart[: len(apart) // 2]))
    yield others.scenario("characters, pixels → strokes, gallery of other characters, with classes", half, labels=True)
