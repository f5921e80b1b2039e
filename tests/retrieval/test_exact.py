"""Exact search against a loop over all rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_gallery import brute_force, unit

from retrieval import ann, exact, scoring
from retrieval.engine import engine


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 60),
    dim=st.sampled_from([1, 2, 3, 8, 33]),
    k=st.integers(1, 70),
    levels=st.integers(1, 4),
)
def test_search_is_brute_force_with_ties_in_insertion_order(seed: int, n: int, dim: int, k: int, levels: int) -> None:
    rng = np.random.default_rng(seed)
    # Few levels a coordinate make many equal rows; a constant keeps them off zero.
    X = unit(rng.integers(0, levels, (n, dim)) + 0.5)
    Q = unit(rng.integers(0, levels, (5, dim)) + 0.5)
    rows, scores = exact.search(Q, X, np.arange(n), k)
    expected_rows, expected_scores = brute_force(Q, X, k)
    np.testing.assert_allclose(scores, expected_scores, rtol=0, atol=6e-8)
    for q, found, wanted in zip(Q, rows.tolist(), expected_rows, strict=True):
        # Summation order may move a float64 sum across a float32 boundary; the exact scores decide.
        own = exact.exact_scores(X, np.arange(n), q)
        assert found == np.lexsort((np.arange(n), -own))[: len(wanted)].tolist()
        assert len(found) == min(k, n)


def test_more_equal_rows_than_candidates_still_come_in_insertion_order() -> None:
    rng = np.random.default_rng(3)
    X = unit(rng.standard_normal((400, 16)))
    twin = unit(rng.standard_normal(16))
    places = rng.permutation(400)[:200]
    X[places] = twin
    order = rng.permutation(400).astype(np.int64)
    rows, scores = exact.search(twin[None, :], X, order, 50)
    assert sorted(order[rows[0]].tolist()) == order[rows[0]].tolist()
    assert order[rows[0]].tolist() == sorted(order[places].tolist())[:50]
    assert len(set(scores[0].tolist())) == 1


@pytest.mark.parametrize("dim", [5, 64, 255, 1024])
def test_a_row_scores_the_same_wherever_it_stands(dim: int) -> None:
    rng = np.random.default_rng(dim)
    X = unit(rng.standard_normal((203, dim)))
    X[:] = X[7]
    Q = unit(rng.standard_normal((31, dim)))
    rows, scores = exact.search(Q, X, np.arange(203)[::-1].copy(), 20)
    assert np.array_equal(rows, np.tile(np.arange(202, 182, -1), (31, 1)))
    for number, q in enumerate(Q):
        single = exact.exact_scores(X, np.arange(203), q)
        assert len(np.unique(single)) == 1
        assert np.array_equal(single[:20], scores[number])


def test_no_rows_and_no_queries_give_nothing() -> None:
    nothing = np.empty((0, 4), dtype=np.float32)
    some = unit(np.eye(4))
    assert exact.search(some, nothing, np.empty(0, dtype=np.int64), 3)[0].shape == (4, 0)
    assert exact.search(nothing, some, np.arange(4), 3)[0].shape == (0, 3)


def test_missing_candidates_come_last() -> None:
    X = unit(np.eye(3))
    candidates = np.array([[-1, 2, 0, -1]])
    rows, scores = scoring.ranked(X[:1], X, np.arange(3), candidates, 4)
    assert rows.tolist() == [[0, 2, -1, -1]]
    assert scores[0].tolist() == [1.0, 0.0, -np.inf, -np.inf]


@pytest.mark.parametrize("levels", [2, 50])
def test_scoring_only_what_is_in_question_changes_nothing(levels: int) -> None:
    rng = np.random.default_rng(levels)
    X = unit(rng.integers(0, levels, (300, 4)) + 0.5)
    X[200:] = unit(X[:100] + 3e-6 * rng.standard_normal((100, 4)))
    Q = X[:40]
    candidates = rng.permuted(np.tile(np.arange(300), (40, 1)), axis=1)
    candidates[0, :295] = -1
    true = np.where(candidates < 0, -np.inf, np.take_along_axis(Q @ X.T, np.maximum(candidates, 0), axis=1))
    # As wrong as products may be: the k that are best least, all others most.
    wanted = scoring.ranked(Q, X, np.arange(300), candidates, 10)
    best = (candidates[:, :, None] == wanted[0][:, None, :]).any(axis=2)
    products = true + np.where(best, -1, 1) * np.float32(0.99 * exact.rounding_bound(4))
    products = products.astype(np.float32)
    # One query at a time, since what one leaves in question is scored for all.
    for one in (slice(row, row + 1) for row in range(40)):
        found = exact.refined(Q[one], X, np.arange(300), candidates[one], 10, products[one])
        assert np.array_equal(found[0], wanted[0][one])
        assert np.array_equal(found[1], wanted[1][one])


@pytest.mark.parametrize("n_queries", [1, 2, 3, 20, 130])
def test_products_of_a_batch_of_any_size_are_those_of_a_loop(n_queries: int) -> None:
    # More rows than FAISS multiplies at a time, and no multiple of it.
    rng = np.random.default_rng(n_queries)
    X, Q = unit(rng.standard_normal((9_001, 48))), unit(rng.standard_normal((n_queries, 48)))
    # Found by the last query wherever a part begins or ends.
    X[[0, 4_095, 4_096, 8_191, 8_192, 9_000]] = Q[-1]
    products, rows = ann.inner_products(Q, X, 12)
    every = Q.astype(np.float64) @ X.T.astype(np.float64)
    assert np.abs(np.take_along_axis(every, rows, axis=1) - products).max() <= exact.rounding_bound(48)
    assert np.abs(-np.sort(-every, axis=1)[:, :12] - products).max() <= exact.rounding_bound(48)


def test_faiss_multiplies_matrices_for_small_batches() -> None:
    engine()
    import faiss

    assert faiss.cvar.distance_compute_blas_threshold <= 256
