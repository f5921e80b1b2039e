"""A gallery on its way from one model to the next: mixed searches, backfill, rollback, against plain NumPy."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import retrieval
import vsa
from retrieval import Gallery, Upgrade, applying

N = 400
NAMES = [f"item-{number}" for number in range(N)]


def unit(X: np.ndarray) -> np.ndarray:
    return np.asarray(X / np.linalg.norm(X, axis=1, keepdims=True), dtype=np.float32)


class World:
    """The same items under three models."""

    def __init__(self) -> None:
        rng = np.random.default_rng(5)
        hidden = rng.standard_normal((N + 60, 6))
        self.v1 = unit(np.tanh(hidden @ rng.standard_normal((6, 10))) + 0.1 * rng.standard_normal((N + 60, 10)))
        self.v2 = unit(np.tanh(hidden @ rng.standard_normal((6, 12))))
        self.v3 = unit(np.tanh(hidden @ rng.standard_normal((6, 12))))
        self.upgrades = {
            (a, b, kind): Upgrade.fit(
                getattr(self, a)[:300], getattr(self, b)[:300], old_model=a, new_model=b, kinds=[kind]
            )
            for a, b in (("v1", "v2"), ("v2", "v3"), ("v1", "v3"))
            for kind in ("gallery", "query", "isometry")
        }

    def encode(self, model: str) -> Any:
        return lambda records: getattr(self, model)[[record["n"] for record in records]]


@pytest.fixture(scope="module")
def world() -> World:
    return World()


@pytest.fixture
def gallery(world: World, tmp_path: Path) -> Iterator[Gallery]:
    with Gallery.create(tmp_path / "g", dim=10, model="v1") as gallery:
        gallery.add_vectors(NAMES, world.v1[:N], payloads=[{"n": number} for number in range(N)])
        yield gallery


def answers(gallery: Gallery, Q: np.ndarray, **options: Any) -> list[list[tuple[str, float, str]]]:
    return [[(hit.id, hit.score, hit.model) for hit in hits] for hits in gallery.search(Q, k=7, **options)]


def expected(
    parts: list[tuple[str, np.ndarray, np.ndarray, np.ndarray, tuple[Upgrade, ...]]], k: int = 7
) -> list[list[tuple[str, float, str]]]:
    """Rank by hand: (model, queries, rows, item numbers, upgrades that calibrate), all scores on one list."""
    ranked = []
    asked = parts[0][1]
    for query in range(len(parts[0][1])):
        heap = []
        for model, Q, X, items, upgrades in parts:
            scores = (X.astype(np.float64) @ Q[query].astype(np.float64)).astype(np.float32)
            for upgrade in upgrades:
                scores = upgrade.calibration.apply(scores)
            if len(upgrades) == 1 and upgrades[0].evidence is not None:
                held, step = upgrades[0].evidence.random, max(1, len(upgrades[0].evidence.random.new) // 500)
                theirs = np.array([upgrades[0].calibration.apply(Q[query] @ row) for row in held.stored[::step]])
                native = np.array([asked[query] @ row for row in held.new[::step]])
                scores = native.mean() + (scores - theirs.mean()) / theirs.std() * native.std()
            heap += [(-float(score), int(item), model) for score, item in zip(scores, items, strict=True)]
        ranked.append([(NAMES[item], -score, model) for score, item, model in sorted(heap)[:k]])
    return ranked


def same(mine: list[list[tuple[str, float, str]]], theirs: list[list[tuple[str, float, str]]]) -> None:
    assert [[(name, model) for name, _, model in hits] for hits in mine] == [
        [(name, model) for name, _, model in hits] for hits in theirs
    ]
    np.testing.assert_allclose(
        [[score for _, score, _ in hits] for hits in mine],
        [[score for _, score, _ in hits] for hits in theirs],
        atol=1e-6,
    )


@pytest.mark.parametrize("kind", ["gallery", "isometry", "query"])
def test_one_search_ranks_rows_of_both_models_by_calibrated_scores(gallery: Gallery, world: World, kind: str) -> None:
    upgrade = world.upgrades["v1", "v2", kind]
    gallery.apply(upgrade)
    done = np.arange(0, N, 3)
    gallery.backfill(world.encode("v2"), budget=len(done), order="insertion")
    done, left = np.arange(len(done)), np.arange(len(done), N)
    Q = world.v2[N:]
    queries = upgrade.map_query(Q) if kind == "query" else Q
    rows = world.v1[left] if kind == "query" else upgrade.map_gallery(world.v1[left]).vectors
    same(
        answers(gallery, Q),
        expected([("v2", Q, world.v2[done], done, ()), ("v1", queries, rows, left, (upgrade,))]),
    )


@pytest.mark.parametrize("kind", ["gallery", "query"])
def test_the_old_model_may_still_ask(gallery: Gallery, world: World, kind: str) -> None:
    before = answers(gallery, world.v1[N:])
    gallery.apply(world.upgrades["v1", "v2", kind])
    assert gallery.dim == 12
    gallery.backfill(world.encode("v2"), budget=100)
    assert answers(gallery, world.v1[N:], model="v1") == before


@pytest.mark.parametrize("kind", ["gallery", "query"])
def test_a_filter_and_a_range_see_both_models(gallery: Gallery, world: World, kind: str) -> None:
    gallery.apply(world.upgrades["v1", "v2", kind])
    gallery.backfill(world.encode("v2"), budget=150, order="random")
    Q = world.v2[N : N + 20]
    everything = gallery.search(Q, k=N)
    for query, hits in enumerate(everything):
        kept = [(hit.id, hit.score, hit.model) for hit in hits if hit.payload["n"] < 90]
        filtered = gallery.search(Q[query], k=7, where={"n": {"<": 90}})
        # One query is mapped with other rounding than a batch of them.
        same([[(hit.id, hit.score, hit.model) for hit in filtered]], [kept[:7]])
        near = gallery.search_range(Q[query], 0.5)
        assert [(hit.id, hit.model) for hit in near] == [(hit.id, hit.model) for hit in hits if hit.score >= 0.5]
    assert {hit.model for hits in everything for hit in hits} == {"v1", "v2"}


@pytest.mark.parametrize("kind", ["gallery", "query"])
def test_rolling_back_restores_every_bit(gallery: Gallery, world: World, kind: str) -> None:
    before = answers(gallery, world.v1[N:])
    ids, stored = gallery.vectors()
    gallery.apply(world.upgrades["v1", "v2", kind])
    gallery.backfill(world.encode("v2"), budget=200)
    status = gallery.rollback()
    assert status.model == gallery.model == "v1"
    assert not status.can_roll_back
    assert answers(gallery, world.v1[N:]) == before
    again, restored = gallery.vectors()
    assert again == ids
    assert restored.tobytes() == stored.tobytes()
    # What was encoded is kept for the next time.
    assert gallery.apply(world.upgrades["v1", "v2", kind]).encoded == 200


def test_an_old_row_is_backfilled_once_and_the_least_sure_come_first(gallery: Gallery, world: World) -> None:
    upgrade = world.upgrades["v1", "v2", "gallery"]
    spread = upgrade.map_gallery(world.v1[:N]).spread
    asked: list[int] = []

    def encode(records: list[dict[str, int]]) -> np.ndarray:
        asked.extend(record["n"] for record in records)
        return world.encode("v2")(records)

    gallery.apply(upgrade)
    gallery.backfill(encode, budget=90, batch_size=40)
    assert asked == np.argsort(-spread, kind="stable")[:90].tolist()
    status = gallery.upgrade_status()
    assert (status.encoded, status.waiting) == (90, N - 90)
    assert status.expected_cosine == pytest.approx(1 - np.delete(spread, asked).sum() / 2 / N)
    gallery.backfill(encode)
    assert sorted(asked) == list(range(N))
    assert gallery.upgrade_status().by_origin == {"v2": N}
    np.testing.assert_array_equal(gallery.vectors()[1], world.v2[:N])


def test_failing_items_are_tried_again_then_listed_and_keep_their_mapped_vector(gallery: Gallery, world: World) -> None:
    calls: dict[int, int] = {}

    def encode(records: list[dict[str, int]]) -> np.ndarray:
        for record in records:
            calls[record["n"]] = calls.get(record["n"], 0) + 1
            if record["n"] % 50 == 7 or (record["n"] == 3 and calls[3] < 3):
                raise RuntimeError(f"no answer for {record['n']}")
        return world.encode("v2")(records)

    bad = {f"item-{number}" for number in range(7, N, 50)}
    gallery.apply(world.upgrades["v1", "v2", "gallery"])
    done = gallery.backfill(encode, attempts=2, batch_size=64, order="insertion")
    assert set(done.failed) == set(gallery.failures()) == bad
    assert gallery.failures()["item-7"] == "RuntimeError: no answer for 7"
    assert (done.encoded, done.waiting) == (N - len(bad), len(bad))
    assert len(gallery.search(world.v2[N], k=N)) == N
    assert gallery.backfill(encode).encoded == 0
    assert gallery.backfill(world.encode("v2"), retry_failed=True).encoded == len(bad)
    assert gallery.failures() == {}


def test_a_backfill_pauses_when_told_to(gallery: Gallery, world: World) -> None:
    gallery.apply(world.upgrades["v1", "v2", "gallery"])
    seen: list[float] = []

    def on_batch(progress: Any) -> bool:
        seen.append(progress.expected_cosine)
        return len(seen) < 3

    done = gallery.backfill(world.encode("v2"), batch_size=50, on_batch=on_batch)
    assert done.stopped
    assert done.encoded == 150
    assert seen == sorted(seen)


def test_an_item_that_changes_while_it_is_encoded_keeps_the_change(gallery: Gallery, world: World) -> None:
    gallery.apply(world.upgrades["v1", "v2", "gallery"])

    def encode(records: list[dict[str, int]]) -> np.ndarray:
        if any(record["n"] == 5 for record in records):
            gallery.add_vectors(["item-5"], world.v2[N : N + 1], payloads=[{"n": -1}])
            gallery.delete(["item-6"])
        return world.encode("v2")(records)

    done = gallery.backfill(encode, budget=20, order="insertion")
    assert (done.encoded, done.skipped) == (18, 2)
    np.testing.assert_array_equal(gallery.vector("item-5"), world.v2[N])
    assert "item-6" not in gallery


def test_three_models_in_one_gallery_and_back_again(gallery: Gallery, world: World) -> None:
    first, second = world.upgrades["v1", "v2", "gallery"], world.upgrades["v2", "v3", "gallery"]
    before = answers(gallery, world.v1[N:])
    gallery.apply(first)
    gallery.backfill(world.encode("v2"), budget=120, order="insertion")
    between = answers(gallery, world.v2[N:])
    gallery.apply(second)
    gallery.backfill(world.encode("v3"), budget=50, order="insertion")
    a, b, c = np.arange(50), np.arange(50, 120), np.arange(120, N)
    through = first.map_gallery(world.v1[c]).vectors
    Q = world.v3[N:]
    same(
        answers(gallery, Q),
        expected(
            [
                ("v3", Q, world.v3[a], a, ()),
                ("v2", Q, second.map_gallery(world.v2[b]).vectors, b, (second,)),
                ("v1", Q, second.map_gallery(through).vectors, c, (first, second)),
            ]
        ),
    )
    assert gallery.rollback().model == "v2"
    assert answers(gallery, world.v2[N:]) == between
    gallery.rollback()
    assert answers(gallery, world.v1[N:]) == before
    with pytest.raises(retrieval.UpgradeError, match="no upgrade is applied"):
        gallery.rollback()


def test_a_direct_map_spares_the_way_through_the_middle(gallery: Gallery, world: World) -> None:
    straight = world.upgrades["v1", "v3", "gallery"]
    gallery.apply(world.upgrades["v1", "v2", "gallery"])
    gallery.backfill(world.encode("v2"), budget=120, order="insertion")
    second = world.upgrades["v2", "v3", "gallery"]
    gallery.apply(second, direct=[straight])
    b, c = np.arange(120), np.arange(120, N)
    Q = world.v3[N:]
    same(
        answers(gallery, Q),
        expected(
            [
                ("v3", Q, world.v3[:0], b[:0], ()),
                ("v2", Q, second.map_gallery(world.v2[b]).vectors, b, (second,)),
                ("v1", Q, straight.map_gallery(world.v1[c]).vectors, c, (straight,)),
            ]
        ),
    )


def test_query_maps_lead_through_two_models(gallery: Gallery, world: World) -> None:
    first, second = world.upgrades["v1", "v2", "query"], world.upgrades["v2", "v3", "query"]
    gallery.apply(first)
    gallery.backfill(world.encode("v2"), budget=120, order="insertion")
    gallery.apply(second)
    gallery.backfill(world.encode("v3"), budget=50, order="insertion")
    a, b, c = np.arange(50), np.arange(50, 120), np.arange(120, N)
    Q = world.v3[N:]
    through = second.map_query(Q)
    same(
        answers(gallery, Q),
        expected(
            [
                ("v3", Q, world.v3[a], a, ()),
                ("v2", through, world.v2[b], b, (second,)),
                ("v1", first.map_query(through), world.v1[c], c, (first, second)),
            ]
        ),
    )
    with pytest.raises(retrieval.UpgradeError, match="'v2' only"):
        gallery.vectors()


def test_rows_of_a_query_map_cannot_be_rewritten_without_a_direct_map(gallery: Gallery, world: World) -> None:
    gallery.apply(world.upgrades["v1", "v2", "query"])
    before = answers(gallery, world.v2[N:])
    with pytest.raises(retrieval.UpgradeError, match="direct="):
        gallery.apply(world.upgrades["v2", "v3", "gallery"])
    assert answers(gallery, world.v2[N:]) == before
    gallery.apply(world.upgrades["v2", "v3", "gallery"], direct=[world.upgrades["v1", "v3", "gallery"]])
    assert len(gallery.search(world.v3[N], k=N)) == N


def test_writes_go_on_after_the_switch(gallery: Gallery, world: World) -> None:
    upgrade = world.upgrades["v1", "v2", "gallery"]
    gallery.apply(upgrade)
    gallery.add_vectors(["new"], world.v2[N : N + 1], payloads=[{"n": N}])
    gallery.add_vectors(["late"], world.v1[N + 1 : N + 2], payloads=[{"n": N + 1}], model="v1")
    hit = gallery.search(world.v2[N], k=1)[0]
    assert (hit.id, hit.model) == ("new", "v2")
    np.testing.assert_array_equal(gallery.vector("late"), upgrade.map_gallery(world.v1[N + 1 : N + 2]).vectors[0])
    # An old query finds old rows as they are, and new ones through the map.
    assert gallery.search(world.v1[N + 1], k=1, model="v1")[0].id == "late"
    assert "new" in {hit.id for hit in gallery.search(world.v1[N], k=20, model="v1")}
    gallery.delete(["late"])
    status = gallery.rollback()
    assert (status.encoded, status.waiting) == (N, 1)
    assert gallery.get("new") == {"n": N}
    assert gallery.backfill(world.encode("v1")).encoded == 1
    assert gallery.search(world.v1[N], k=1)[0].id == "new"


@pytest.mark.parametrize("late", [3, 30])
def test_what_is_written_while_vectors_are_mapped_is_mapped_too(
    gallery: Gallery, world: World, monkeypatch: pytest.MonkeyPatch, late: int
) -> None:
    """Another writer comes between the last look and the switch: a few rows go with the switch, many before it."""
    upgrade = world.upgrades["v1", "v2", "gallery"]
    monkeypatch.setattr(applying, "_ROWS", 10)
    carried, times = applying._carried, 0

    def and_then_another_writes(*arguments: Any) -> int:
        nonlocal times
        done = carried(*arguments)
        times += 1
        if times == 1:
            with Gallery.open(gallery.path) as other:
                other.delete(["item-7"])
                other.add_vectors(["item-8"], world.v1[N : N + 1])
                rows = slice(N + 1, N + 1 + late)
                other.add_vectors([f"late-{n}" for n in range(late)], world.v1[rows], payloads=[{"n": 0}] * late)
        return done

    monkeypatch.setattr(applying, "_carried", and_then_another_writes)
    status = gallery.apply(upgrade)
    assert times == (1 if late < 10 else 2)
    assert status.by_origin == {"v2": 0, "v1": N - 1 + late}
    mapped = upgrade.map_gallery(world.v1[N : N + 1 + late]).vectors
    np.testing.assert_allclose(gallery.vector("item-8"), mapped[0], atol=1e-6)
    for n in range(late):
        np.testing.assert_allclose(gallery.vector(f"late-{n}"), mapped[1 + n], atol=1e-6)
    assert len(gallery.search(world.v2[0], k=1000)) == N - 1 + late
    assert gallery.rollback().by_origin == {"v1": N - 1 + late}


def test_a_switch_is_seen_by_other_handles_whole(gallery: Gallery, world: World) -> None:
    with Gallery.open(gallery.path) as other:
        assert other.search(world.v1[N], k=1)[0].model == "v1"
        gallery.apply(world.upgrades["v1", "v2", "gallery"])
        assert other.dim == 12
        assert answers(other, world.v2[N:]) == answers(gallery, world.v2[N:])
        with pytest.raises(retrieval.InvalidVectorError, match="12"):
            other.search(world.v1[N], k=1)


def test_searches_during_a_switch_find_the_state_before_or_the_one_after(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("retrieval.applying._ROWS", 50)
    upgrade, Q = world.upgrades["v2", "v3", "gallery"], world.v3[N : N + 6]

    def made(name: str) -> Gallery:
        gallery = Gallery.create(tmp_path / name, dim=12, model="v2")
        gallery.add_vectors(NAMES, world.v2[:N], payloads=[{"n": number} for number in range(N)])
        return gallery

    with made("twin") as twin:
        before = answers(twin, Q)
        twin.apply(upgrade)
        after = answers(twin, Q)
    assert before != after
    seen: list[list[list[tuple[str, float, str]]]] = []
    over = threading.Event()

    def look(handle: Gallery) -> None:
        while not over.is_set():
            seen.append(answers(handle, Q))

    with made("g") as gallery, Gallery.open(gallery.path) as other, ThreadPoolExecutor(3) as pool:
        looking = [pool.submit(look, handle) for handle in (gallery, gallery, other)]
        for _ in range(6):
            gallery.apply(upgrade)
            wanted = len(seen) + 3
            while len(seen) < wanted and not any(one.done() for one in looking):
                time.sleep(0.001)
            gallery.rollback()
        over.set()
        for one in looking:
            one.result()
    assert before in seen
    assert after in seen
    odd = [one for one in seen if one not in (before, after)]
    assert not odd


def test_an_upgrade_that_does_not_fit_is_refused(gallery: Gallery, world: World) -> None:
    with pytest.raises(retrieval.ModelMismatchError, match="starts from 'v2'"):
        gallery.apply(world.upgrades["v2", "v3", "gallery"])
    gallery.apply(world.upgrades["v1", "v2", "gallery"])
    with pytest.raises(retrieval.ModelMismatchError, match="starts from 'v1', but the gallery searches with 'v2'"):
        gallery.apply(world.upgrades["v1", "v3", "gallery"])
    with pytest.raises(retrieval.ModelMismatchError, match="no model 'v9'"):
        gallery.search(world.v2[N], model="v9")
    with pytest.raises(retrieval.NoEncoderError):
        gallery.backfill()
    with pytest.raises(ValueError, match="uncertian"):
        gallery.backfill(world.encode("v2"), order="uncertian")
    wrong = gallery.backfill(lambda records: np.ones((len(records), 3)), budget=2, attempts=1)
    assert "expected vectors of shape (n, 12)" in next(iter(wrong.failed.values()))


def test_an_index_serves_each_part(gallery: Gallery, world: World) -> None:
    gallery.apply(world.upgrades["v1", "v2", "gallery"])
    gallery.backfill(world.encode("v2"), budget=200)
    exact = answers(gallery, world.v2[N:])
    gallery.optimize(index="HNSW16", recall=0.9)
    mine = answers(gallery, world.v2[N:])
    overlap = [
        len({name for name, _, _ in a} & {name for name, _, _ in b}) / 7 for a, b in zip(mine, exact, strict=True)
    ]
    assert np.mean(overlap) > 0.9


@pytest.mark.parametrize("kind", ["gallery", "query"])
def test_old_vectors_are_dropped_only_when_nothing_hangs_on_them(gallery: Gallery, world: World, kind: str) -> None:
    gallery.apply(world.upgrades["v1", "v2", kind])
    gallery.backfill(world.encode("v2"), budget=150)
    before = answers(gallery, world.v2[N:])
    if kind == "query":
        with pytest.raises(retrieval.UpgradeError, match="250 items"):
            gallery.compact(drop="v1")
        gallery.backfill(world.encode("v2"))
        before = answers(gallery, world.v2[N:])
    with pytest.raises(retrieval.UpgradeError, match="searches use 'v2'"):
        gallery.compact(drop="v2")
    done = gallery.compact(drop="v1")
    assert done.after <= done.before
    assert answers(gallery, world.v2[N:]) == before
    assert not gallery.upgrade_status().can_roll_back
    with pytest.raises(retrieval.UpgradeError, match="400 vectors of 'v1' were dropped"):
        gallery.rollback()
    assert retrieval.check(gallery.path).sound


def test_vectors_of_another_model_are_noticed(gallery: Gallery, world: World) -> None:
    gallery.apply(world.upgrades["v1", "v2", "gallery"])
    gallery.backfill(world.encode("v2"))
    gallery.apply(world.upgrades["v2", "v3", "gallery"])
    gallery.backfill(world.encode("v3"))
    gallery.search(world.v3[N:], k=1)
    assert gallery.health().sound, str(gallery.health())
    # Someone goes on adding vectors of the model before, which has the same dim.
    wrong = [f"wrong-{number}" for number in range(30)]
    gallery.add_vectors(wrong, world.v2[N : N + 30])
    health = gallery.health()
    assert set(health.strangers) <= set(wrong)
    assert len(health.strangers) >= 24
    assert set(health.strangers.values()) == {"v2"}
    assert "look like another model's" in str(health)


def test_what_a_backfill_chose_is_no_drift(gallery: Gallery, world: World) -> None:
    """It begins with the items that are least like the pairs."""
    gallery.apply(world.upgrades["v1", "v2", "gallery"])
    gallery.backfill(world.encode("v2"), budget=150)
    assert (gallery.info().count, gallery.info().models["v2"]) == (400, 150)
    assert gallery.health().rows is None
    new = [f"new-{number}" for number in range(40)]
    gallery.add_vectors(new, world.v2[N : N + 40])
    rows = gallery.health().rows
    assert rows is not None
    assert (rows.n, rows.found) == (40, False)
    gallery.add_vectors(new, unit(np.ones(12) + 0.3 * np.random.default_rng(0).standard_normal((40, 12))))
    assert "the vectors differ" in str(gallery.health())
    gallery.delete(new)
    gallery.backfill(world.encode("v2"))
    rows = gallery.health().rows
    assert rows is not None
    assert (rows.n, rows.found) == (400, False)


def test_queries_that_drift_are_noticed(gallery: Gallery, world: World) -> None:
    gallery.apply(world.upgrades["v1", "v2", "gallery"])
    rng = np.random.default_rng(0)
    assert not gallery.health().queries
    gallery.search(world.v2[rng.integers(0, N, 200)] + 0.01 * rng.standard_normal((200, 12)), k=1)
    assert gallery.health().sound
    elsewhere = unit(np.ones(12) + 0.3 * rng.standard_normal((200, 12)))
    health = gallery.health(elsewhere)
    assert health.queries is not None
    assert health.queries.found
    assert "queries differ" in str(health)


def test_an_upgrade_is_fitted_on_a_sample_of_the_gallery(gallery: Gallery, world: World) -> None:
    asked: list[int] = []

    def encode(records: list[dict[str, int]]) -> np.ndarray:
        asked.extend(record["n"] for record in records)
        return world.encode("v2")(records)

    upgrade = Upgrade.from_gallery(gallery, encode, sample=250, new_model="v2", kinds=["gallery"], batch_size=64)
    assert len(asked) == len(set(asked)) == 250
    assert (upgrade.old_model, upgrade.new_model, upgrade.new_dim) == ("v1", "v2", 12)
    gallery.apply(upgrade)
    assert gallery.search(world.v2[3], k=5)
    with pytest.raises(ValueError, match="new_model"):
        Upgrade.from_gallery(gallery, encode)
    with pytest.raises(retrieval.InvalidVectorError, match=r"shape \(3, 12\) of 64 records"):
        Upgrade.from_gallery(gallery, lambda records: world.v3[:3], new_model="v3", batch_size=64)


def test_queries_of_a_gallery_go_through_both_models_and_keep_what_they_want_out_of_the_fit(tmp_path: Path) -> None:
    words = [
        "red",
        "blue",
        "green",
        "grey",
        "old",
        "new",
        "tall",
        "wide",
        "oak",
        "elm",
        "ash",
        "fir",
        "house",
        "tower",
        "bridge",
        "mill",
    ]
    rng = np.random.default_rng(0)
    records = [{"title": " ".join(rng.permutation(words)[:4].tolist()), "n": n} for n in range(300)]
    old, new = vsa.JSONEncoder(dim=64, seed=1), vsa.JSONEncoder(dim=128, seed=2)
    with Gallery.create(tmp_path / "g", encoder=old) as gallery:
        gallery.add(records, id="n")
        asked = [({"title": records[n]["title"]}, str(n)) for n in (*range(120), 5)]
        upgrade = Upgrade.from_gallery(gallery, new, sample=150, kinds=["gallery"], queries=asked)
        assert upgrade.evidence is not None
        queries = upgrade.evidence.queries
        assert queries is not None
        assert queries.wanted is not None
        assert 150 <= upgrade.evidence.n_pairs <= 180
        np.testing.assert_allclose(queries.old[5], old.encode_one(asked[5][0]), atol=1e-6)
        np.testing.assert_allclose(queries.new[120], new.encode_one(asked[5][0]), atol=1e-6)
        np.testing.assert_allclose(queries.wanted[0][7], gallery.vector("7"), atol=1e-6)
        np.testing.assert_allclose(queries.wanted[1][7], new.encode_one(records[7]), atol=1e-6)
        fitted = upgrade.map.anchors  # type: ignore[union-attr]
        assert (fitted @ np.stack([gallery.vector(str(n)) for n in range(120)]).T).max() < 0.9999
        found = upgrade.report().asked
        assert found is not None
        assert (found.n, found.known, found.unfit) == (121, True, 0)
        alone = Upgrade.from_gallery(gallery, new, sample=150, kinds=["gallery"], queries=[one for one, _ in asked])
        assert alone.report().asked is not None
        assert not alone.report().asked.known  # type: ignore[union-attr]
        for wrong, error, message in (
            ([asked[0], asked[1][0]], ValueError, "query 1 is a record alone"),
            ([], ValueError, "queries is empty"),
            ([({"title": "oak"}, "none such")], retrieval.UnknownIdError, "none such"),
        ):
            with pytest.raises(error, match=message):
                Upgrade.from_gallery(gallery, new, sample=100, queries=wrong)


def test_a_sample_takes_its_share_of_every_region(gallery: Gallery) -> None:
    far = unit(np.eye(10)[:1].repeat(600, axis=0) + 0.01 * np.random.default_rng(0).standard_normal((600, 10)))
    gallery.add_vectors([f"far-{number}" for number in range(600)], far)
    drawn = gallery.sample(100)
    assert drawn.ids == gallery.sample(100).ids != gallery.sample(100, seed=1).ids
    assert 55 <= sum(name.startswith("far") for name in drawn.ids) <= 65
    np.testing.assert_array_equal(drawn.X[7], gallery.vector(drawn.ids[7]))
    assert len(gallery.sample(5000).ids) == N + 600


def test_a_compatible_model_searches_old_rows_by_its_first_dims(gallery: Gallery, world: World, tmp_path: Path) -> None:
    new = unit(np.concatenate([world.v1, world.v2], axis=1))
    Upgrade.compatible(world.v1[:200], new[:200], old_model="v1", new_model="bt2").save(tmp_path / "u")
    upgrade = Upgrade.load(tmp_path / "u")
    gallery.apply(upgrade)
    gallery.backfill(lambda records: new[[record["n"] for record in records]], budget=100, order="insertion")
    Q = new[N:]
    done, left = np.arange(100), np.arange(100, N)
    same(
        answers(gallery, Q),
        expected([("bt2", Q, new[done], done, ()), ("v1", unit(Q[:, :10]), world.v1[left], left, (upgrade,))]),
    )
    shares = [hit.model for hits in gallery.search(Q, k=10) for hit in hits].count("bt2") / len(Q) / 10
    assert 0.15 < shares < 0.35
    with pytest.raises(ValueError, match="held out"):
        upgrade.report()


def test_queries_unlike_the_pairs_do_not_favour_one_model(gallery: Gallery, world: World) -> None:
    gallery.apply(world.upgrades["v1", "v2", "gallery"])
    gallery.backfill(world.encode("v2"), budget=N * 3 // 10, order="random")
    rng = np.random.default_rng(2)
    # As a partial record is: far from everything, a little nearer to what it is part of.
    vague = unit(0.3 * world.v2[N:] + unit(rng.standard_normal((60, 12))))
    hits = [hit.model for one in gallery.search(vague, k=10) for hit in one]
    # Without a scale of their own these queries find .35 of theirs among the encoded; .30 of the items are.
    assert 0.24 < hits.count("v2") / len(hits) < 0.32
