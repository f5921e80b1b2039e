"""A sixth set of upgrades that no rule of the report was made on: first trials, mostly, of 250 to 800 pairs.

The fifth set's misses were switches advised from few pairs. Here a good half of the upgrades is fitted on few, some so
good that a few hundred will do and some at their limits, beside the kinds of all sets: open classes, rows in another
order, downgrades, too few pairs, the same model, itself or turned. Utterances the other way round (pairs of the
validation part, gallery of the training part), films of the 2000s, products, artworks by artist, recipes, digits and
characters, by other splits, seeds, sizes and pairings. Needs what `benchmarks.upgrade.fourth` needs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import numpy as np

from benchmarks.compat.data import clinc, lsa, omniglot
from benchmarks.compat.table import unit
from benchmarks.upgrade import fifth
from benchmarks.upgrade.fourth import head, products, tokens, told
from benchmarks.upgrade.fresh import texts
from benchmarks.upgrade.scenarios import Scenario, views
from benchmarks.upgrade.third import artworks, between, cut, films, mbat, minilm, recipes, strokes, trigrams
from retrieval.upgrade import Queries
from vsa import JSONEncoder

_SEED = 113
_ASKED = 200

parts = partial(fifth.parts, seed=_SEED)
latent = partial(fifth.latent, seed=_SEED)


def sixth() -> Iterator[Scenario]:
    """All of them."""
    yield from _utterances()
    yield from _films()
    yield from _products()
    yield from _artworks()
    yield from _dishes()
    yield from _pictures()


def _utterances() -> Iterator[Scenario]:
    """CLINC150: pairs from the validation part, a sixth of the training part as gallery."""
    data, rng = clinc(), np.random.default_rng(_SEED)
    pairs = rng.permutation(len(data.val_texts))[:2400]
    rows = rng.permutation(len(data.train_texts))[:2500]
    said = [data.val_texts[row] for row in pairs.tolist()], [data.train_texts[row] for row in rows.tolist()]
    codes = data.val_classes[pairs], data.train_classes[rows]
    sense = minilm(data.val_texts)[pairs], data.train_minilm[rows]
    words = views(lsa(*said, 48, _SEED), sense, codes)
    yield words.scenario("utterances, LSA-48 → MiniLM, 260 pairs", np.arange(260))
    yield words.scenario("the same from 650 pairs", np.arange(650))
    yield words.scenario("the same from 450 pairs, with classes", np.arange(450), labels=True)
    yield words.scenario("the same from 120 pairs", np.arange(120))
    yield words.swapped().scenario("utterances, MiniLM → LSA-48, with classes", labels=True)
    letters = views(lsa(*(trigrams(part) for part in said), 300, _SEED), sense, codes)
    yield letters.scenario("utterances, trigram-LSA-300 → MiniLM, 350 pairs", np.arange(350))
    yield letters.scenario("the same from 2,200 pairs", np.arange(2200))
    intents = rng.permutation(150)
    closed = np.flatnonzero(np.isin(letters.classes, intents[:80]))
    beyond = letters.gallery_of(~np.isin(letters.gallery_classes, intents[:80]))
    yield beyond.scenario("pairs of 80 intents, gallery of the other 70", closed)
    yield beyond.scenario("pairs of 80 intents, gallery of the other 70, with classes", closed, labels=True)
    hashed = tuple(JSONEncoder(dim=1024, seed=6).encode({"text": t} for t in part) for part in said)
    yield views(hashed, sense, codes).scenario("utterances, MBAT-1024 → MiniLM, 500 pairs", np.arange(500))
    static = views((tokens(said[0]), tokens(said[1])), sense, codes)
    yield static.scenario("utterances, means of tokens → MiniLM, 280 pairs", np.arange(280))
    yield replace(static, new=static.new[::-1]).scenario("means of tokens → MiniLM, rows the other way round")
    same = views(sense, sense, codes)
    yield same.scenario("MiniLM as it is")
    columns = rng.permutation(384)
    permuted = replace(same, new=same.new[:, columns], new_gallery=same.new_gallery[:, columns])
    yield permuted.scenario("MiniLM → MiniLM, dims permuted, 500 pairs", np.arange(500))
    turn = np.linalg.qr(rng.standard_normal((384, 384)))[0].astype(np.float32)
    short = replace(same, new=unit(same.new @ turn[:, :80]), new_gallery=unit(same.new_gallery @ turn[:, :80]))
    yield short.scenario("MiniLM → 80 of its axes, turned, 700 pairs, with classes", np.arange(700), labels=True)


def _films() -> Iterator[Scenario]:
    """Films of the 2000s by genre."""
    seen = films()
    split, said = parts(len(seen[0]), 1000), texts(seen[0])
    sense = cut(minilm([one["extract"] for one in seen[0]]), split)
    yield between(seen, split, latent(said, split, 50), sense).scenario(
        "films, LSA-50 → MiniLM, 300 pairs", np.arange(300)
    )
    hashed = between(seen, split, mbat(seen, split, 512, 6), sense)
    yield hashed.scenario("films, MBAT-512 → MiniLM, 800 pairs", np.arange(800))
    grown = between(seen, split, latent(trigrams(said), split, 120), sense)
    off = np.arange(len(grown.new))
    some = np.random.default_rng(_SEED).permutation(len(off))[: len(off) // 5]
    off[some] = np.roll(some, 1)
    yield replace(grown, new=grown.new[off]).scenario(
        "films, trigram-LSA-120 → MiniLM, a fifth of the pairs shuffled", np.arange(700)
    )


def _products() -> Iterator[Scenario]:
    """Products of two catalogues, one match each to be found."""
    goods = products()
    split, said = parts(len(goods[0]), 1200, size=2), told(goods[0], "title", "manufacturer", "description")
    sense = cut(minilm(said), split)
    static = between(goods, split, cut(tokens(said), split), sense)
    yield static.scenario("products, means of tokens → MiniLM, 450 pairs", np.arange(450))
    spelled = between(goods, split, latent(trigrams(said), split, 100), sense)
    yield spelled.scenario("products, trigram-LSA-100 → MiniLM")
    ask, want = (slice(side, 2 * _ASKED, 2) for side in (1, 0))
    queries = Queries.of(spelled.old[ask], spelled.new[ask], wanted_old=spelled.old[want], wanted_new=spelled.new[want])
    others = spelled.scenario("the same with 200 queries and what they want", np.arange(2 * _ASKED, len(spelled.old)))
    yield replace(others, queries=queries)


def _artworks() -> Iterator[Scenario]:
    """Artworks by artist, who is not in the record."""
    works = artworks()
    split = parts(len(works[0]), 1400)
    fields = "title", "medium", "dateText"
    sense = cut(minilm(told(works[0], *fields)), split)
    words = between(works, split, latent(told(works[0], *fields), split, 120), sense)
    yield words.scenario("artworks, LSA-120 → MiniLM, 600 pairs", np.arange(600))
    some = between(works, split, cut(tokens(told(works[0], *fields)), split), sense)
    yield some.scenario("artworks, means of tokens → MiniLM, 300 pairs", np.arange(300))
    plain = mbat(works, split, 512, 6)
    yield between(works, split, plain, mbat(works, split, 256, 6)).scenario(
        "artworks, MBAT-512 → MBAT-256, with classes", labels=True
    )


def _dishes() -> Iterator[Scenario]:
    """Recipes by cuisine."""
    dishes = recipes()
    split, words = parts(len(dishes[0]), 1100), [", ".join(one["ingredients"]) for one in dishes[0]]
    static = cut(tokens(words), split)
    fitted = between(dishes, split, static, mbat(dishes, split, 512, 6, fitted=True))
    yield fitted.scenario("recipes, means of tokens → MBAT-512 fitted, 350 pairs", np.arange(350))
    topics = between(dishes, split, latent(words, split, 40), cut(minilm(words), split))
    yield topics.scenario("recipes, LSA-40 → MiniLM, 400 pairs, with classes", np.arange(400), labels=True)


def _pictures() -> Iterator[Scenario]:
    """Digits of 8 × 8 pixels, and Omniglot's characters."""
    # Late: scikit-learn stands beside the package, and only this data set is its own.
    from sklearn.datasets import load_digits

    found = load_digits()
    split = parts(len(found.data), 600)
    X, codes = found.data.astype(np.float32), found.target.astype(np.int64)
    flat = X - X[split[0]].mean(axis=0)
    axes = np.linalg.svd(flat[split[0]], full_matrices=False)[2]
    learnt = head(X[split[0]], codes[split[0]], 9)
    known = codes[split[0]], codes[split[1]]
    better = views(cut(flat @ axes[:8].T, split), cut(X @ learnt, split), known)
    yield better.scenario("digits, 8 axes of pixels → a trained head, 250 pairs", np.arange(250))
    images, characters = omniglot("small2")
    drawn, which = images[:, 0], characters.ravel()
    train = np.arange(len(drawn)) % 5 != 3
    pixels = drawn.reshape(len(drawn), -1) - drawn[train].reshape(int(train.sum()), -1).mean(axis=0)
    main = np.linalg.svd(pixels[train], full_matrices=False)[2][:24]
    old, new = pixels @ main.T, strokes(drawn)
    there = views((old[train], old[~train]), (new[train], new[~train]), (which[train], which[~train]))
    some = np.random.default_rng(_SEED).permutation(int(train.sum()))
    yield there.scenario("characters, 24 axes of pixels → strokes, 750 pairs", some[:750])
    yield there.swapped().scenario("characters, strokes → 24 axes of pixels, 400 pairs", some[:400])
