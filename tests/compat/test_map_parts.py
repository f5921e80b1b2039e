"""The parts that maps are made of, each by itself against a slow oracle: quick, so that planted bugs are found soon."""

from __future__ import annotations

import math

import numpy as np
import pytest
import reference_compat as reference

from retrieval.compat import kernel_ridge, leave_one_out, ridge
from retrieval.compat.kernel_ridge import KernelRidge, choose_solution, mean_cosine
from retrieval.compat.leave_one_out import KernelMeans, Missed, Neighbourhoods, choose, floor_of, gate, kernel, left_out
from retrieval.compat.ridge import RidgePath


def unit(X):
    return X / np.linalg.norm(X, axis=1, keepdims=True)


def rows_of(n, d, seed, mean=0.0):
    return unit(np.random.default_rng(seed).standard_normal((n, d)) + mean).astype(np.float32)


# Ridge.


def test_a_ridge_is_the_solution_of_the_normal_equations(monkeypatch):
    """In blocks that do not divide the rows, and far from the origin, where sums that are not centred would cancel."""
    monkeypatch.setattr(ridge, "BLOCK_ROWS", 7)
    source, target = rows_of(40, 5, 0, mean=30), rows_of(40, 3, 1)
    path = RidgePath.of(source, target)
    S, T = source.astype(np.float64), target.astype(np.float64)
    assert path.scale == pytest.approx(np.trace(np.cov(S.T, bias=True)) * 40 / 5, rel=1e-9)
    for penalty in (0.01, 2.0):
        mean_s, mean_t, W = reference.ridge(S, T, penalty * path.scale)
        made = path.at(penalty)
        np.testing.assert_allclose(made.weights, W, rtol=1e-5, atol=1e-7)
        queries = rows_of(4, 5, 2).astype(np.float64)
        np.testing.assert_allclose(made.predict(queries), mean_t + (queries - mean_s) @ W, rtol=1e-5, atol=1e-7)
        gram = (S - mean_s).T @ (S - mean_s) + penalty * path.scale * np.eye(5)
        expected = [
            1 / 40 + (x - mean_s) @ np.linalg.inv(gram) @ (z - mean_s) for x, z in zip(queries, S, strict=False)
        ]
        np.testing.assert_allclose(made.leverage(made.pull(queries), S[:4]), expected, rtol=1e-5)
        assert made.n == 40


def test_eigenvalues_below_zero_are_rounding_and_count_as_zero():
    source = np.repeat(rows_of(3, 6, 0), 20, axis=0)
    path = RidgePath.of(source, source)
    assert (path.eigenvalues >= 0).all()
    assert path.eigenvalues[-1] > 0.1


# Kernel-weighted means, and what leaving a pair out does.


def test_the_kernel_is_a_softmax_and_its_level_the_log_of_the_sum():
    scores = np.array([[0.9, 0.7, -0.4], [0.1, 0.1, 0.1]], dtype=np.float32)
    weights, levels = kernel(scores, 0.3)
    exponentials = np.exp(scores.astype(np.float64) / 0.3)
    np.testing.assert_allclose(weights, exponentials / exponentials.sum(axis=1, keepdims=True), rtol=1e-5)
    np.testing.assert_allclose(levels, 0.3 * np.log(exponentials.sum(axis=1)), rtol=1e-6)
    # Where exp(score / T) is beyond float32 too.
    weights, levels = kernel(np.array([[1.0, 0.5]], dtype=np.float32), 0.005)
    np.testing.assert_allclose(weights, [[1.0, math.exp(-100)]], atol=1e-40)
    assert levels[0] == pytest.approx(1.0)


def test_the_gate_is_half_at_the_floor_and_ends_in_0_and_1():
    levels = np.array([-1e6, 0.2, 0.3, 0.5, 1e6])
    share = gate(levels, 0.3, 0.1)
    np.testing.assert_allclose(share[1:4], 1 / (1 + np.exp([1.0, 0.0, -2.0])))
    assert share[0] < 1e-25
    assert share[4] == 1.0
    assert gate(np.array([0.0]), 50 * 0.1, 0.1)[0] == pytest.approx(math.exp(-50), rel=1e-6)
    assert floor_of(np.arange(101.0)) == 1.0


def test_neighbourhoods_are_the_nearest_others():
    source = rows_of(60, 4, 0)
    rows = np.array([3, 50, 7])
    near = Neighbourhoods.of(source, rows, 5)
    for i, row in enumerate(rows):
        order = [other for other in reference.ranking(source[row], source) if other != row][:5]
        assert near.others[i].tolist() == order
        np.testing.assert_allclose(near.scores[i], source[order] @ source[row], rtol=1e-5)
    assert near.rows.tolist() == rows.tolist()


def test_kernel_means_are_weighted_sums_over_the_first_neighbours(monkeypatch):
    monkeypatch.setattr(leave_one_out, "_BLOCK", 7)
    source, target = rows_of(60, 4, 0), rows_of(60, 3, 1)
    near = Neighbourhoods.of(source, np.arange(60), 9)
    means = KernelMeans.of(source, target, near, 0.2, 5)
    for i in range(60):
        odds = np.exp(near.scores[i, :5].astype(np.float64) / 0.2)
        np.testing.assert_allclose(means.levels[i], 0.2 * np.log(odds.sum()), rtol=1e-5)
        np.testing.assert_allclose(means.source[i], odds @ source[near.others[i, :5]] / odds.sum(), atol=1e-6)
        np.testing.assert_allclose(means.target[i], odds @ target[near.others[i, :5]] / odds.sum(), atol=1e-6)


def test_left_out_is_a_refit_without_the_pair_and_choose_takes_the_best_of_it():
    source, target = rows_of(40, 4, 0), rows_of(40, 3, 1)
    S, T = source.astype(np.float64), target.astype(np.float64)
    path = RidgePath.of(source, target)
    rows = np.arange(0, 40, 3)
    near = Neighbourhoods.of(source, rows, 8)
    grid = [(p, t, k) for t in (0.1, 0.5) for k in (3, 8) for p in (0.05, 3.0)]
    cosines = {}
    for penalty, temperature, k in grid:
        means = KernelMeans.of(source, target, near, temperature, k)
        floor = floor_of(means.levels)
        mapped = left_out(Missed.of(path.at(penalty), source, target, rows), means, floor, temperature)
        for i, row in enumerate(rows):
            rest = np.arange(40) != row
            expected = reference.local_linear(S[row], S[rest], T[rest], penalty * path.scale, temperature, k, floor)
            np.testing.assert_allclose(mapped[i], expected, atol=1e-5)
        cosines[penalty, temperature, k] = float(np.mean(np.sum(unit(mapped) * T[rows], axis=1)))
    best = max(cosines, key=cosines.__getitem__)
    for order in (1, -1):
        chosen = choose(path, source, target, near, (0.05, 3.0)[::order], (0.1, 0.5)[::order], (3, 8)[::order])
        assert (chosen.penalty, chosen.temperature, chosen.n_neighbours) == best
        assert chosen.cosine == pytest.approx(cosines[best], rel=1e-9)
    # More neighbours than there are change nothing: of equal settings the first is taken.
    few = [choose(path, source, target, near, (0.05,), (0.1,), k).n_neighbours for k in ((8, 20), (20, 8))]
    assert few == [8, 20]
    with pytest.raises(ValueError, match="must each hold a value"):
        choose(path, source, target, near, (), (0.1,), (3,))


# Kernel ridge.


def test_a_kernel_ridge_solves_its_equations_and_leaves_pairs_out_exactly():
    source, target = rows_of(25, 4, 0), rows_of(25, 3, 1)
    S, T = source.astype(np.float64), target.astype(np.float64)
    for width, penalty in ((0.3, 0.1), (1.5, 2.0)):
        solved = KernelRidge.solve(source, target, width, penalty)
        assert (solved.width, solved.penalty) == (width, penalty)
        for x in rows_of(4, 4, 2).astype(np.float64):
            affine, bent = reference.kernel_ridge(x, S, T, penalty, width)
            np.testing.assert_allclose(solved.offset + x @ solved.weights, affine, atol=1e-9)
            np.testing.assert_allclose(np.exp((S @ x - 1) / width) @ solved.coefficients, bent, atol=1e-9)
        share = np.linspace(0, 1, 25)
        mapped = solved.left_out(source, target, share)
        for i in range(25):
            rest = np.arange(25) != i
            affine, bent = reference.kernel_ridge(S[i], S[rest], T[rest], penalty, width)
            np.testing.assert_allclose(mapped[i], affine + share[i] * bent, atol=1e-9)


def test_a_kernel_that_cannot_be_solved_is_told():
    source = np.repeat(rows_of(1, 4, 0), 5, axis=0)
    with pytest.raises(np.linalg.LinAlgError, match="the kernel of 5 pairs is singular at penalty -9"):
        KernelRidge.solve(source, source, 1.0, -9.0)


def test_the_solution_chosen_is_the_best_left_out(monkeypatch):
    source, target = rows_of(50, 4, 0), rows_of(50, 3, 1)
    rows, share = np.arange(0, 50, 2), np.linspace(1, 0.2, 50)
    settings = [(w, p) for w in (0.2, 2.0) for p in (0.01, 1.0)]
    found = [
        mean_cosine(
            KernelRidge.solve(source[rows], target[rows], w, p).left_out(source[rows], target[rows], share[rows]),
            target[rows],
        )
        for w, p in settings
    ]
    best = settings[int(np.argmax(found))]
    for order in (1, -1):
        assert choose_solution(source, target, share, rows, (0.2, 2.0)[::order], (0.01, 1.0)[::order]) == best
    assert choose_solution(source, target, share, rows, (5.0,), (7.0,)) == (5.0, 7.0)
    monkeypatch.setattr(kernel_ridge, "KernelRidge", None)
    assert choose_solution(source, target, share, rows, (5.0,), (7.0,)) == (5.0, 7.0)


def test_the_mean_cosine_is_of_rows_of_any_length():
    target = np.eye(3, dtype=np.float32)
    mapped = np.array([[2.0, 0, 0], [0, 0.1, 0.1], [0, 0, 0]])
    assert mean_cosine(mapped, target) == pytest.approx((1 + math.sqrt(0.5) + 0) / 3)
