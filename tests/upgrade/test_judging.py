"""Measures of the held-out searches, against slow references."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import reference_upgrade as reference
from worlds import World, unit

from retrieval.compat import Calibration
from retrieval.upgrade.evidence import no_calibration
from retrieval.upgrade.judging import CROSS, SELF, STAY, attained, mean_of, mixed, outcomes, reach, unlabelled
from retrieval.upgrade.trial import Trial, clusters, group_folds, random_folds

N, FIRST = 60, 35


@pytest.fixture(scope="module")
def trial():
    """Two folds, of 35 and 25; the map is a made-up one."""
    old, new, _ = World().items(N, seed=0, classes=range(6))
    classes = np.arange(N) % 6
    mapped = unit(World(blur=0.8).items(N, seed=0, classes=range(6))[1] + 0.3 * new[::-1])
    spread = np.random.default_rng(1).random(N)
    return Trial("gallery", old, new, mapped, spread, classes, np.array([FIRST, N - FIRST]), 0.0, {})


@pytest.fixture(scope="module")
def halved():
    return Calibration(np.array([-1.0, 1.0]), np.array([-0.4, 0.6]), 0)


def searches(trial, fold):
    """Native scores, and scores by search, of one fold under the calibration `halved`."""
    native = (trial.new[fold] @ trial.new[fold].T).astype(np.float64)
    cross = (trial.new[fold] @ trial.mapped[fold].T).astype(np.float64)
    n = len(native)
    encoded = set(sorted(range(n), key=lambda j: -trial.spread[fold][j])[: round(0.4 * n)])
    level = np.array([reference.levelled(0.5 * cross[i] + 0.1, native[i], i) for i in range(n)])
    blend = np.array([[native[i, j] if j in encoded else level[i, j] for j in range(n)] for i in range(n)])
    return native, {
        STAY: (trial.old[fold] @ trial.old[fold].T).astype(np.float64),
        SELF: native,
        CROSS: cross,
        mixed(0.0): level,
        mixed(0.4): blend,
    }


FOLDS = [slice(0, FIRST), slice(FIRST, N)]


@pytest.mark.parametrize("fold", FOLDS)
def test_every_measure_of_every_search_is_its_definition(trial, halved, fold):
    found = outcomes(trial, halved, (0.0, 0.4), 5)
    native, by_search = searches(trial, fold)
    classes = trial.codes[fold]
    for name, scores in by_search.items():
        values = {measure: of[fold] for measure, of in found[name].items()}
        for i in range(len(native)):
            first = reference.ranking(scores, i)[0]
            assert values["recall@5"][i] == pytest.approx(reference.recall(scores, native, i, 5))
            assert values["CMC@1"][i] == float(classes[first] == classes[i])
            assert values["mAP"][i] == pytest.approx(reference.average_precision(scores, classes, i))


@pytest.mark.parametrize("k", [1, 5])
@pytest.mark.parametrize("n_items", [None, 20, 30, 400, 100_000])
def test_nearness_is_what_the_new_model_finds_near_foretold_for_the_gallery(trial, halved, k, n_items):
    found = outcomes(trial, halved, (0.0, 0.4), 5, n_items)
    raw = {}
    for fold in FOLDS:
        native, by_search = searches(trial, fold)
        n = len(native)
        for name, scores in by_search.items():
            values = [reference.foretold(scores, native, i, k, n_items or n - 1) for i in range(n)]
            raw.setdefault(name, []).extend(values)
    for name, values in raw.items():
        np.testing.assert_allclose(found[name][f"nearness@{k}"], np.array(values) / np.mean(raw[SELF]), atol=1e-5)
    assert found[SELF][f"nearness@{k}"].mean() == pytest.approx(1)


@pytest.mark.parametrize(("n", "k"), [(4, 1), (6, 2), (9, 3), (9, 8)])
def test_a_half_is_the_mean_over_all_halves(n, k):
    rng = np.random.default_rng(n)
    scores, judge = (rng.standard_normal((1, n)).astype(np.float32) for _ in range(2))
    found = np.argsort(-scores, axis=1, kind="stable")
    whole, doubled = (attained(found, judge, 0.0, k, n, size)[unlabelled(k)[1]][0] for size in (n, 2 * n))
    ranked = [judge[0, j] for j in found[0]]
    halves = [np.mean([ranked[i] for i in some][:k]) for some in combinations(range(n), n // 2)]
    assert whole == pytest.approx(np.mean(ranked[:k]), abs=1e-6)
    assert doubled == pytest.approx(2 * whole - np.mean(halves), abs=1e-6)


def test_what_a_small_gallery_foretells_is_nearer_to_a_large_one_than_what_it_shows():
    """An old model that sees what is near alone is the better one as soon as there is something near."""
    rng = np.random.default_rng(3)
    new = unit(rng.standard_normal((1601, 10)))
    old = unit(np.cos(new @ (2 * rng.standard_normal((10, 60))) + rng.uniform(0, 2 * np.pi, 60)))
    mapped = unit(new + 0.2 * rng.standard_normal(new.shape))

    def gain(size, n_items):
        values = []
        for start in range(0, min(1600, 10 * size), size):
            rows, n = slice(start, start + size + 1), size + 1
            sides = old[rows], new[rows], mapped[rows]
            fold = Trial("gallery", *sides, np.zeros(n), np.full(n, -1), np.array([n]), 0.0, {})
            found = outcomes(fold, no_calibration(), (), 10, n_items)
            values.append(found[CROSS]["nearness@1"] - found[STAY]["nearness@1"])
        return 100 * np.concatenate(values).mean()

    shown, foretold, large = gain(100, 100), gain(100, 1600), gain(1600, 1600)
    assert shown > 5
    assert large < -5
    assert foretold < 0
    assert abs(foretold - large) < abs(shown - large) / 2


def test_nothing_is_foretold_for_more_than_32_held_out_galleries(trial):
    assert [reach(trial, n) for n in (10, 30, 800, 801, 10**9)] == [25, 30, 800, 800, 800]


def test_a_class_with_one_item_has_no_cmc(trial, halved):
    codes = trial.codes.copy()
    codes[3] = 77
    found = outcomes(Trial(**{**vars(trial), "codes": codes}), halved, (), 5)
    assert np.isnan(found[CROSS]["CMC@1"][3])
    assert np.isnan(found[CROSS]["mAP"][3])
    assert np.isnan(found[CROSS]["CMC@1"]).sum() == 1


def test_of_two_judgements_the_one_that_is_known_counts():
    first, second = np.array([1.0, np.nan, 3.0, np.nan]), np.array([np.nan, np.nan, 4.0, 0.0])
    both = mean_of({SELF: {"mAP": first}}, {SELF: {"mAP": second}}, np.array([1, 2, 3, 0]))
    np.testing.assert_array_equal(both[SELF]["mAP"], [1.0, 4.0, 1.5, np.nan])


def test_folds_never_fit_on_what_they_hold_out():
    codes = np.random.default_rng(0).integers(0, 12, 500)
    for folds in (random_folds(codes, 0), group_folds(codes, 0)):
        for fold in folds:
            assert not np.intersect1d(fold.fit, fold.held_out).size
            assert len(fold.fit) + len(fold.held_out) == 500
        assert len(np.unique(np.concatenate([fold.held_out for fold in folds]))) == 500


def test_group_folds_keep_groups_whole_and_random_folds_split_them_evenly():
    codes = np.repeat(np.arange(10), 50)
    for fold in group_folds(codes, 0):
        assert not np.intersect1d(codes[fold.fit], codes[fold.held_out]).size
    for fold in random_folds(codes, 0):
        assert np.bincount(codes[fold.held_out]).tolist() == [10] * 10


def test_large_samples_hold_out_a_part_only():
    codes = np.zeros(30_000, dtype=np.int64)
    (fold,) = random_folds(codes, 0)
    assert len(fold.held_out) == 2000


def test_clusters_follow_the_classes_of_a_clear_world():
    old, new, classes = World(blur=0.01).items(900, seed=0, classes=range(6))
    codes = clusters(old, new, 0)
    pure = sum(np.bincount(classes[codes == c]).max() for c in np.unique(codes))
    assert pure > 0.9 * 900


def test_settings_are_chosen_once_and_kept():
    old, new, _ = World().items(400, seed=0)
    codes = np.full(400, -1)
    folds = random_folds(codes, 0)
    chosen = Trial.of("gallery", old, new, codes, folds, 0)
    alone = Trial.of("gallery", old, new, codes, folds[:1], 0)
    assert chosen.settings == alone.settings
    odd = {"penalty": 0.3, "temperature": 0.07, "n_neighbours": 17, "width": 0.0}
    given = Trial.of("gallery", old, new, codes, folds, 0, odd)
    assert given.settings == odd
    assert np.abs(given.mapped - chosen.mapped).max() > 1e-3
