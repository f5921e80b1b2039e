"""Measures of the held-out searches, against slow references."""

from __future__ import annotations

import numpy as np
import pytest
import reference_upgrade as reference
from worlds import World

from retrieval.compat import Calibration
from retrieval.upgrade.evidence import no_calibration
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
def test_nearness_is_what_two_judges_make_of_it(trial, halved, k):
    found = outcomes(trial, halved, (0.0, 0.4), 5)
    raw = {}
    for fold in FOLDS:
        native, by_search = searches(trial, fold)
        # The mapped search turned round: a query of the old model, mapped, among the new model's items.
        turned = (trial.mapped[fold] @ trial.new[fold].T).astype(np.float64)
        for name, scores in by_search.items():
            pairs = [
                [reference.attained(scores, judge, i, k) for judge in (native, turned)] for i in range(len(native))
            ]
            raw.setdefault(name, []).extend(pairs)
    wanted = reference.nearness(raw)
    for name, values in wanted.items():
        np.testing.assert_allclose(found[name][f"nearness@{k}"], values, atol=1e-5)
    assert found[SELF][f"nearness@{k}"].mean() == pytest.approx(1)


def noisy(n, d, share, rng):
    """Unit rows of what two models both see, and of what each adds of its own."""
    signal = rng.standard_normal((n, d))

    def seen():
        rows = signal + share * rng.standard_normal((n, d))
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)

    return signal / np.linalg.norm(signal, axis=1, keepdims=True), seen(), seen()


def test_noise_that_a_query_shares_with_its_judge_counts_for_no_search():
    rng = np.random.default_rng(0)
    truth, old, new = noisy(800, 24, 1.0, rng)
    none = no_calibration()
    plain = Trial("gallery", old, new, old, np.zeros(800), np.full(800, -1), np.array([800]), 0.0, {})
    found = outcomes(plain, none, (), 10)
    gain = found[CROSS]["nearness@10"] - found[STAY]["nearness@10"]
    # By the truth, new queries among old rows find as much as old queries do: both see it through as much noise.
    near = truth @ truth.T
    scores = {STAY: old @ old.T, CROSS: new @ old.T}
    true = {
        name: np.mean([reference.attained(one, near, i, 10) for i in range(0, 800, 40)]) for name, one in scores.items()
    }
    assert true[CROSS] == pytest.approx(true[STAY], rel=0.1)
    # The new model alone takes its own noise for right, the mapped query that of the old one; their mean neither.
    assert gain[:, 0].mean() > 0.1
    assert gain[:, 1].mean() < -0.1
    assert gain.mean() == pytest.approx(0, abs=0.03)


def test_a_judge_that_is_wrong_about_staying_is_not_asked(trial, halved):
    upside = Trial(**{**vars(trial), "mapped": -trial.mapped})
    values = outcomes(upside, halved, (), 5)
    for name in (STAY, CROSS, SELF):
        np.testing.assert_array_equal(values[name]["nearness@5"][:, 0], values[name]["nearness@5"][:, 1])


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
    odd = {"penalty": 0.3, "temperature": 0.07, "n_neighbours": 17, "width": 0.0}
    given = Trial.of("gallery", old, new, codes, folds, 0, odd)
    assert given.settings == odd
    assert np.abs(given.mapped - chosen.mapped).max() > 1e-3
