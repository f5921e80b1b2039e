"""Which kind of map is taken: by a jury that is the same for every kind."""

from __future__ import annotations

import numpy as np
import pytest
import reference_upgrade as reference
from worlds import World

from retrieval.upgrade import choosing
from retrieval.upgrade.trial import Trial

N, FIRST = 50, 28


def unit(X):
    return (X / np.linalg.norm(X, axis=1, keepdims=True)).astype(np.float32)


def trial(kind, old, new, mapped, sizes=(FIRST, N - FIRST)):
    n = len(old)
    return Trial(kind, old, new, unit(mapped), np.zeros(n), np.full(n, -1), np.array(sizes), 0.0, {})


@pytest.fixture(scope="module")
def tried():
    old, new, _ = World(d_old=16, blur=0.5).items(N, seed=0)
    rng = np.random.default_rng(1)
    noise = [rng.standard_normal(new.shape) for _ in range(3)]
    return [
        trial("isometry", old, new, new + noise[0]),
        trial("gallery", old, new, new + 0.4 * noise[1]),
        trial("query", old, new, old + 0.3 * noise[2]),
    ]


def crossed(one, fold):
    return (one.queries[fold] @ one.stored[fold].T).astype(np.float64)


def test_scores_are_the_nearness_by_each_judge_in_the_mean(tried):
    folds = [slice(0, FIRST), slice(FIRST, N)]
    attained = {}
    for fold in folds:
        new = tried[0].new[fold].astype(np.float64)
        judges = {"new": new @ new.T, "gallery": crossed(tried[1], fold).T, "query": crossed(tried[2], fold).T}
        for name, judge in judges.items():
            for which, scores in [*((i, crossed(one, fold)) for i, one in enumerate(tried)), ("own", judge)]:
                for k in (1, 10):
                    values = [reference.attained(scores, judge, i, k) for i in range(len(judge))]
                    attained.setdefault((which, name, k), []).extend(values)
    for i, told in enumerate(choosing.scores(tried)):
        wanted = [
            np.mean(attained[i, name, k]) / np.mean(attained["own", name, k])
            for name in ("new", "gallery", "query")
            for k in (1, 10)
        ]
        assert told == pytest.approx(np.mean(wanted), abs=1e-5)


def test_a_map_alone_is_taken_and_a_simpler_one_that_comes_up_to_the_best(tried, monkeypatch):
    assert choosing.best_of(tried[:1]) is tried[0]
    monkeypatch.setattr(choosing, "scores", lambda trials: np.array([0.7, 0.8, 0.8049]))
    assert choosing.best_of(tried) is tried[1]
    monkeypatch.setattr(choosing, "scores", lambda trials: np.array([0.7, 0.8, 0.8051]))
    assert choosing.best_of(tried) is tried[2]
