"""Upgrades whose outcome is known: pairs as a team would have them, and a labelled gallery for the truth."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

import vsa
from benchmarks.compat.data import Clinc, clinc, folder, lsa, omniglot
from benchmarks.compat.table import Array, unit
from retrieval.upgrade import Queries

Codes = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Scenario:
    """Pairs to fit on, with classes where the team has labels; and the gallery, labelled, for the truth alone.

    Where the team knows what is asked, `queries` with the items that they want are given to the fit.
    """

    name: str
    old: Array
    new: Array
    classes: Codes | None
    old_gallery: Array
    new_gallery: Array
    gallery_classes: Codes
    queries: Queries | None = None


@dataclass(frozen=True, eq=False)
class Views:
    """One data set under two models, split into what pairs are drawn from and what the gallery holds."""

    old: Array
    new: Array
    classes: Codes
    old_gallery: Array
    new_gallery: Array
    gallery_classes: Codes

    def scenario(self, name: str, rows: Codes | None = None, *, labels: bool = False) -> Scenario:
        """Take some rows as pairs; by default all."""
        chosen = np.arange(len(self.old)) if rows is None else rows
        classes = self.classes[chosen] if labels else None
        return Scenario(
            name,
            self.old[chosen],
            self.new[chosen],
            classes,
            self.old_gallery,
            self.new_gallery,
            self.gallery_classes,
        )

    def swapped(self) -> Views:
        """The same with old and new model exchanged."""
        return Views(self.new, self.old, self.classes, self.new_gallery, self.old_gallery, self.gallery_classes)

    def kept(self, n: int, seed: int = 0) -> Views:
        """At most n of the rows to draw pairs from."""
        rows = np.random.default_rng(seed).permutation(len(self.old))[:n]
        return replace(self, old=self.old[rows], new=self.new[rows], classes=self.classes[rows])

    def gallery_of(self, inside: npt.NDArray[np.bool_]) -> Views:
        """The same with a part of the gallery."""
        return replace(
            self,
            old_gallery=self.old_gallery[inside],
            new_gallery=self.new_gallery[inside],
            gallery_classes=self.gallery_classes[inside],
        )


def views(old: tuple[Array, Array], new: tuple[Array, Array], classes: tuple[Codes, Codes]) -> Views:
    """Put views together, without the few items that a model has no vector for."""
    paired, stored = (
        (np.linalg.norm(o, axis=1) > 0) & (np.linalg.norm(n, axis=1) > 0) for o, n in zip(old, new, strict=True)
    )
    return Views(
        unit(old[0][paired]),
        unit(new[0][paired]),
        classes[0][paired],
        unit(old[1][stored]),
        unit(new[1][stored]),
        classes[1][stored],
    )


_clinc = cache(clinc)


@cache
def _lsa(dim: int) -> tuple[Array, Array]:
    data = _clinc()
    return lsa(data.train_texts, data.test_texts, dim, 0)


def _minilm() -> tuple[Array, Array]:
    return _clinc().train_minilm, _clinc().test_minilm


def _clinc_views(old: tuple[Array, Array], new: tuple[Array, Array]) -> Views:
    data: Clinc = _clinc()
    return views(old, new, (data.train_classes, data.test_classes))


def _mbat_texts(dim: int, seed: int) -> tuple[Array, Array]:
    encoder, data = vsa.JSONEncoder(dim=dim, seed=seed), _clinc()
    train, test = (encoder.encode({"text": t} for t in texts) for texts in (data.train_texts, data.test_texts))
    return train, test


def _split(n: int, n_pairs: int) -> tuple[Codes, Codes]:
    order = np.random.default_rng(0).permutation(n)
    return order[:n_pairs], order[n_pairs:]


def _mbat_views(records: list[dict[str, Any]], labels: list[str], n_pairs: int, *, old: int, new: int) -> Views:
    """MBAT unfitted with seed 7 in `old` dims, and fitted in `new` dims."""
    before, after = vsa.JSONEncoder(dim=old, seed=7), vsa.JSONEncoder(dim=new, seed=7)
    after.fit(records)
    X, Y = before.encode(records), after.encode(records)
    _, codes = np.unique(labels, return_inverse=True)
    pairs, stored = _split(len(records), n_pairs)
    return views((X[pairs], X[stored]), (Y[pairs], Y[stored]), (codes[pairs], codes[stored]))


def _recipes() -> Views:
    with (folder() / "recipes" / "recipes.jsonl").open(encoding="utf-8") as lines:
        recipes = [json.loads(line) for line in lines]
    records = [{"ingredients": r["ingredients"]} for r in recipes]
    return _mbat_views(records, [r["cuisine"] for r in recipes], 1500, old=512, new=1024)


def _tate() -> Views:
    """Works of artists with 8 to 200 works; the artist is what is searched for, and not in the record."""
    by_artist: dict[str, list[dict[str, Any]]] = {}
    with gzip.open(folder() / "tate" / "artworks.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            work = json.loads(line)
            record = {key: work.get(key) for key in ("title", "medium", "subjects", "dateText", "classification")}
            by_artist.setdefault(str(work.get("all_artists")), []).append(record)
    known = sorted(artist for artist, works in by_artist.items() if 8 <= len(works) <= 200)
    rng = np.random.default_rng(0)
    chosen = [known[i] for i in rng.permutation(len(known))[:150]]
    works = [(work, artist) for artist in chosen for work in by_artist[artist][:40]]
    return _mbat_views([w for w, _ in works], [a for _, a in works], len(works) * 2 // 3, old=512, new=1024)


def _pixels(old_dim: int, new_dim: int, *, seen: bool) -> Views:
    """Omniglot under the first principal axes of small1's pixels; the gallery is of its characters or of small2's."""
    images, characters = (part.reshape(len(part), -1) for part in omniglot("small1"))
    characters = characters.ravel()
    train = np.arange(len(images)) % 20 < 14 if seen else np.ones(len(images), dtype=np.bool_)
    mean = images[train].mean(axis=0)
    _, _, axes = np.linalg.svd(images[train] - mean, full_matrices=False)
    if seen:
        stored, stored_characters = images[~train], characters[~train]
    else:
        other, stored_characters = omniglot("small2")
        stored = other.reshape(len(other), -1)
    sides = [((images[train] - mean) @ axes[:dim].T, (stored - mean) @ axes[:dim].T) for dim in (old_dim, new_dim)]
    return views(sides[0], sides[1], (characters[train], stored_characters))


def _trained_nets() -> Views:
    """Two small nets on LSA features: the old one saw 75 of the 150 intents."""
    # Late: torch takes a second, and only this data set needs it.
    from benchmarks.compat.course import DIM
    from benchmarks.compat.trained_nets import FEATURES, backbone
    from retrieval import compat

    data = _clinc()
    inputs = [16 * part for part in _lsa(FEATURES)]
    known = np.isin(data.train_classes, np.random.default_rng(0).permutation(150)[:75])
    schedule = compat.Schedule(epochs=8, warmup=1, batch_size=256, rate=2e-3, seed=0)
    _, codes = np.unique(data.train_classes[known], return_inverse=True)
    old = compat.train_independent(backbone(DIM, 0), DIM, inputs[0][known], codes, schedule=schedule)
    new = compat.train_independent(backbone(DIM, 1), DIM, inputs[0], data.train_classes, schedule=schedule)
    before, after = ((m.encode(inputs[0]), m.encode(inputs[1])) for m in (old, new))
    return _clinc_views(before, after)


def _noise(like: Array, seed: int) -> Array:
    return unit(np.random.default_rng(seed).standard_normal(like.shape))


def _blurred(X: Array, seed: int, amount: float) -> Array:
    """Unit rows plus noise of length `amount`."""
    return unit(X + amount * _noise(X, seed))


def _rotated(X: Array, dim: int) -> Array:
    Q = np.linalg.qr(np.random.default_rng(0).standard_normal((dim, dim)))[0]
    return np.asarray(X @ Q[: X.shape[1]], dtype=np.float32)


def scenarios() -> Iterator[Scenario]:
    """All of them; vectors that several share are made once."""
    rng = np.random.default_rng(1)
    whole = _clinc_views(_lsa(128), _minilm())
    yield whole.scenario("LSA-128 → MiniLM, 15,000 pairs")
    real = whole.kept(6000)
    shuffled = rng.permutation(len(real.old))
    yield real.scenario("the same from 6,000 pairs, with classes", labels=True)
    for n in (2000, 500, 60, 20):
        yield real.scenario(f"the same from {n:,} pairs", shuffled[:n])
    yield real.scenario("the same from 500 pairs, with classes", shuffled[:500], labels=True)
    intents = rng.permutation(150)
    for n, label in ((100, "other 50"), (135, "whole 150")):
        paired = np.isin(real.classes, intents[:n])
        inside = ~np.isin(real.gallery_classes, intents[:n]) if n == 100 else np.ones(len(real.old_gallery), dtype=bool)
        part = real.gallery_of(inside)
        yield part.scenario(f"pairs from {n} intents, gallery of the {label}", np.flatnonzero(paired))
        if n == 100:
            yield part.scenario("the same with classes", np.flatnonzero(paired), labels=True)
    wrong = replace(real, new=real.new[shuffled])
    yield wrong.scenario("LSA-128 → MiniLM, pairs shuffled")
    half = np.where(rng.random(len(real.old)) < 0.5, np.arange(len(real.old)), shuffled)
    yield replace(real, new=real.new[half]).scenario("half of the pairs shuffled")
    yield real.swapped().scenario("MiniLM → LSA-128, with classes", labels=True)
    same = _clinc_views(_minilm(), _minilm()).kept(6000)
    yield same.scenario("an identical model")
    columns = rng.permutation(384)
    permuted = replace(same, new=same.new[:, columns], new_gallery=same.new_gallery[:, columns])
    yield permuted.scenario("dims permuted")
    turned = replace(same, new=_rotated(same.new, 512), new_gallery=_rotated(same.new_gallery, 512))
    yield turned.scenario("rotated into 512 dims")
    yield turned.scenario("rotated into 512 dims, from 200 pairs", np.arange(200))
    noise = replace(same, new=_noise(same.new, 1), new_gallery=_noise(same.new_gallery, 2))
    yield noise.scenario("MiniLM → noise")
    worse = replace(same, new=_blurred(same.new, 1, 1.5), new_gallery=_blurred(same.new_gallery, 2, 1.5))
    yield worse.scenario("MiniLM → MiniLM blurred, with classes", labels=True)
    better = worse.swapped()
    yield better.scenario("MiniLM blurred → MiniLM")
    yield _clinc_views(_lsa(64), _lsa(128)).kept(6000).scenario("LSA-64 → LSA-128")
    yield _clinc_views(_lsa(256), _lsa(32)).kept(6000).scenario("LSA-256 → LSA-32, with classes", labels=True)
    mbat = _mbat_texts(512, 7)
    yield _clinc_views(mbat, _minilm()).kept(6000).scenario("MBAT-512 → MiniLM")
    yield _clinc_views(mbat, _mbat_texts(512, 8)).kept(6000).scenario("MBAT-512, seed 7 → seed 8")
    nets = _trained_nets()
    yield nets.scenario("nets, 75 → 150 intents")
    part = nets.gallery_of(~np.isin(nets.gallery_classes, intents[:100]))
    yield part.scenario(
        "nets, pairs from 100 intents, gallery of the other 50", np.flatnonzero(np.isin(nets.classes, intents[:100]))
    )
    yield _recipes().scenario("recipes, MBAT-512 → MBAT-1024 fitted")
    yield _tate().scenario("Tate by artist, MBAT-512 → MBAT-1024 fitted")
    yield _pixels(16, 64, seen=True).scenario("Omniglot pixels, PCA-16 → PCA-64")
    yield _pixels(16, 64, seen=False).scenario("Omniglot pixels, PCA-16 → PCA-64, other characters")
    yield _pixels(64, 8, seen=True).scenario("Omniglot pixels, PCA-64 → PCA-8, with classes", labels=True)


Source = Callable[[], Iterator[Scenario]]
