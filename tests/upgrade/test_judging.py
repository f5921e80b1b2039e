"""Measures of the held-out searches, against slow references."""

from __future__ import annotations

import numpy as np
import pytest
import reference_upgrade as reference
from worlds import World

from retrieval.compat import Calibration
from retrieval.upgrade.judging import CROSS, SELF, STAY, mixed, outcomes
from retrieval.upgrade.trial import Trial, clusters, group_folds, random_folds

N, FIRST = 60, 35


@pytest.fixture(scope="module")
def trial():
    """Two folds, of 35 and 25; the map is a made-up one."""
    old, new, _ = World().items(N, seed=0, classes=range(6))
    classes = np.arange(N) % 6
    mapped = World(blur=0.8).items(N, seed=0, classes=range(6))[1] + 0.3 * new[::-1]
    spread = np.random.default_rng(1).random(N)
    return Trial("gallery", old, new, mapped.astype(np.float32), spread, classes, np.array([FIRST, N - FIRST]), 0.0, {})


@pytest.fixture(scope="module")
def halved():
    return Calibration(np.array([-1.0, 1.0]), np.array([-0.4, 0.6]), 0)


@pytest.mark.parametrize("fold", [slice(0, FIRST), slice(FIRST, N)])
def test_every_measure_of_every_search_is_its_definition(trial, halved, fold):
    found = outcomes(trial, halved, (0.0, 0.4), 5)
    native = (trial.new[fold] @ trial.new[fold].T).astype(np.float64)
    cross = (trial.new[fold] @ trial.mapped[fold].T).astype(np.float64)
    n = len(native)
    encoded = set(sorted(range(n), key=lambda j: -trial.spread[fold][j])[: round(0.4 * n)])
    level = np.array([reference.levelled(0.5 * cross[i] + 0.1, native[i], i) for i in range(n)])
    blend = np.array([[native[i, j] if j in encoded else level[i, j] for j in range(n)] for i in range(n)])
    searches = {
        STAY: trial.old[fold] @ trial.old[fold].T,
        SELF: native,
        CROSS: cross,
        mixed(0.0): level,
        mixed(0.4): blend,
    }
    classes = trial.codes[fold]
    for name, scores in searches.items():
        values = {measure: of[fold] for measure, of in found[name].items()}
        for i in range(n):
            first = reference.ranking(scores, i)[0]
            assert values["recall@5"][i] == pytest.approx(reference.recall(scores, native, i, 5))
            assert values["nearness@1"][i] == pytest.approx(reference.nearness(scores, native, i, 1), abs=1e-5)
            assert values["nearness@5"][i] == pytest.approx(reference.nearness(scores, native, i, 5), abs=1e-5)
            assert values["CMC@1"][i] == float(classes[first] == classes[i])
            assert values["mAP"][i] == pytest.approx(reference.average_precision(scores, classes, i))


def test_a_class_with_one_item_has_no_cmc(trial, halved):
    codes = trial.codes.copy()
    codes[3] = 77
    found = outcomes(Trial(**{**vars(trial), "codes": codes}), halved, (), 5)
    assert np.isnan(found[CROSS]["CMC@1"][3])
    assert np.isnan(found[CROSS]["mAP"][3])
    assert np.isnan(found[CROSS]["CMC@1"]).sum() == 1


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
    odd = {"penalty": 0.3, "temperature": 0.07, "n_neighbours": 17}
    given = Trial.of("gallery", old, new, codes, folds, 0, odd)
    assert given.settings == odd
    assert np.abs(given.mapped - chosen.mapped).max() > 1e-3
