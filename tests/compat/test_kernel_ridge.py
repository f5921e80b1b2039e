"""Local-linear maps corrected by a kernel ridge: the formula, exact leave-one-out, the choice, the fallback."""

from __future__ import annotations

import math

import numpy as np
import pytest
import reference_compat as reference
from test_local_linear import curved_pairs, unit

from retrieval import compat
from retrieval.compat.fitting import SOLVED_UP_TO

# float32 sums over some hundred pairs with coefficients of length 1 or so: measured 2e-6 at worst.
TOLERANCE = 1e-5


def solved(source, target, width=0.5, penalty=0.2, temperature=0.1, k=12):
    return compat.LocalLinearMap.fit(
        source=source,
        target=target,
        method="solve",
        widths=[width],
        solve_penalties=[penalty],
        temperatures=[temperature],
        neighbours=[k],
        penalties=[0.05],
    )


def level(x, source, k, temperature):
    similar = sorted((float(x @ row) for row in source), reverse=True)[:k]
    return temperature * math.log(sum(math.exp(s / temperature) for s in similar))


def expected(x, source, target, m, null):
    affine, bent = reference.kernel_ridge(x, source, target, m.penalty, m.width)
    gate = 1 / (1 + math.exp((null - level(x, source, m.n_neighbours, m.temperature)) / m.temperature))
    return affine + gate * bent


def test_it_is_the_formula_of_its_docstring():
    source, target = curved_pairs(120)
    queries, _ = curved_pairs(20, seed=5)
    m = solved(source, target)
    assert (m.width, m.penalty, m.n_neighbours) == (0.5, 0.2, 12)
    S, T = unit(source.astype(np.float64)), unit(target.astype(np.float64))
    naive = [expected(x, S, T, m, m.floor) for x in queries.astype(np.float64)]
    np.testing.assert_allclose(m.transform(queries), unit(np.array(naive)), atol=TOLERANCE)
    np.testing.assert_array_equal(m.map(queries).vectors, m.transform(queries))


def test_leave_one_out_equals_solving_without_the_pair():
    source, target = curved_pairs(60)
    m = solved(source, target)
    rows, mapped, actual = m.leave_one_out(60)
    assert rows.tolist() == list(range(60))
    np.testing.assert_allclose(actual, target, atol=TOLERANCE)
    S, T = unit(source.astype(np.float64)), unit(target.astype(np.float64))
    for i in range(60):
        others = np.arange(60) != i
        naive = expected(S[i], S[others], T[others], m, m.floor)
        np.testing.assert_allclose(mapped[i], naive / np.linalg.norm(naive), atol=TOLERANCE)
    assert m.cosine == pytest.approx(float(np.mean(np.sum(mapped * actual, axis=1))), abs=1e-5)


def test_the_better_by_leave_one_out_is_taken():
    for n, noise in ((60, 0.02), (400, 0.5)):
        source, target = curved_pairs(n, noise=noise)
        cosines = {
            method: compat.LocalLinearMap.fit(source=source, target=target, method=method).cosine
            for method in ("auto", "mean", "solve")
        }
        assert cosines["mean"] != cosines["solve"]
        assert cosines["auto"] == max(cosines["mean"], cosines["solve"])


def test_the_width_and_penalty_are_the_best_of_their_grid():
    source, target = curved_pairs(150)
    grid = [(w, p) for w in (0.1, 0.4, 1.6) for p in (0.01, 0.3)]
    cosines = {setting: solved(source, target, *setting).cosine for setting in grid}
    chosen = compat.LocalLinearMap.fit(
        source=source,
        target=target,
        method="solve",
        widths=[0.1, 0.4, 1.6],
        solve_penalties=[0.01, 0.3],
        temperatures=[0.1],
        neighbours=[12],
        penalties=[0.05],
    )
    assert (chosen.width, chosen.penalty) == max(cosines, key=cosines.get)
    assert len(set(cosines.values())) == len(grid)


def test_with_few_pairs_it_beats_the_kernel_mean():
    source, target = curved_pairs(150, noise=0.05)
    queries, truth = curved_pairs(1000, seed=3, noise=0.05)
    found = {
        method: float(
            np.mean(
                np.sum(
                    compat.LocalLinearMap.fit(source=source, target=target, method=method).transform(queries) * truth,
                    axis=1,
                )
            )
        )
        for method in ("mean", "solve")
    }
    assert found["solve"] > found["mean"] + 0.005


def test_far_from_the_pairs_it_is_affine_and_of_no_support():
    rng = np.random.default_rng(0)
    source = unit(rng.standard_normal((300, 6)) * 0.2 + np.eye(6)[0]).astype(np.float32)
    target = unit(np.tanh(4 * source @ rng.standard_normal((6, 5)))).astype(np.float32)
    m = solved(source, target, temperature=0.02)
    far = -source[:20]
    affine = unit(m.target_mean + far.astype(np.float64) @ m.weights)
    mapped = m.map(far)
    np.testing.assert_allclose(mapped.vectors, affine, atol=TOLERANCE)
    assert not mapped.support.any()
    near = m.map(source[:20])
    assert near.spread.max() < mapped.spread.min()
    assert near.support.min() > 0


def test_spread_is_what_lacks_in_length_and_the_variance_of_a_target_drawn_by_the_kernel():
    source, target = curved_pairs(100)
    queries, _ = curved_pairs(5, seed=2)
    m = solved(source, target, k=7)
    S, T = unit(source.astype(np.float64)), unit(target.astype(np.float64))
    for x, spread in zip(queries.astype(np.float64), m.map(queries).spread, strict=True):
        similar = S @ x
        near = np.argsort(-similar)[:7]
        odds = np.exp(similar[near] / m.temperature)
        chances = odds / (odds.sum() + np.exp(m.floor / m.temperature))
        drawn = chances @ T[near] + (1 - chances.sum()) * T.mean(axis=0)
        variance = chances @ np.sum((T[near] - drawn) ** 2, axis=1)
        variance += (1 - chances.sum()) * np.mean(np.sum((T - drawn) ** 2, axis=1))
        mapped = expected(x, S, T, m, m.floor)
        assert spread == pytest.approx(m.scale * (max(1 - mapped @ mapped, 0) + variance), rel=1e-3)


def test_spread_is_the_mean_squared_distance_of_pairs_left_out():
    source, target = curved_pairs(1500)
    m = compat.LocalLinearMap.fit(source=source[:500], target=target[:500], method="solve")
    mapped = m.map(source[500:])
    error = np.mean(np.sum((mapped.vectors - target[500:]) ** 2, axis=1))
    assert mapped.spread.mean() == pytest.approx(error, rel=0.15)


def test_cells_and_workers_change_nothing():
    source, target = curved_pairs(200)
    queries, _ = curved_pairs(3000, seed=2)
    m = solved(source, target)
    np.testing.assert_array_equal(m.transform(queries, neighbours="cells", workers=2), m.transform(queries))
    alone = m.transform(queries[2047:2049])
    np.testing.assert_allclose(alone, m.transform(queries)[2047:2049], atol=TOLERANCE)


def test_a_saved_map_comes_back_whole(tmp_path):
    source, target = curved_pairs(200)
    m = solved(source, target)
    m.save(tmp_path / "m.map")
    again = compat.LocalLinearMap.load(tmp_path / "m.map")
    assert (again.width, again.penalty, again.cosine) == (m.width, m.penalty, m.cosine)
    np.testing.assert_array_equal(again.map(source).vectors, m.map(source).vectors)
    np.testing.assert_array_equal(again.map(source).spread, m.map(source).spread)


def test_bad_settings_are_refused():
    source, target = curved_pairs(50)
    with pytest.raises(ValueError, match="method must be 'auto', 'mean' or 'solve', not 'best'"):
        compat.LocalLinearMap.fit(source=source, target=target, method="best")
    for name in ("widths", "solve_penalties"):
        with pytest.raises(ValueError, match="above 0"):
            compat.LocalLinearMap.fit(source=source, target=target, **{name: [0]})
        with pytest.raises(ValueError, match="each hold a value"):
            compat.LocalLinearMap.fit(source=source, target=target, **{name: []})


def test_more_pairs_than_can_be_solved_for_are_refused_or_averaged():
    source, target = curved_pairs(SOLVED_UP_TO + 1)
    with pytest.raises(compat.InvalidPairsError, match=f"{SOLVED_UP_TO + 1} pairs are too many to solve for"):
        compat.LocalLinearMap.fit(source=source, target=target, method="solve")
    m = compat.LocalLinearMap.fit(source=source, target=target, method="auto", temperatures=[0.1], neighbours=[10])
    assert m.width == 0
