"""Scores, to the bit, against a loop over single numbers."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_gallery import unit

import retrieval
from retrieval import exact, scoring
from retrieval.engine import limited


def by_hand(q: np.ndarray, x: np.ndarray) -> float:
    """The sum that `retrieval.scoring` describes, number by number."""
    sums = [0.0] * 32
    for place, (a, b) in enumerate(zip(q.tolist(), x.tolist(), strict=True)):
        sums[place % 32] += a * b
    while len(sums) > 1:
        half = len(sums) // 2
        sums = [sums[i] + sums[half + i] for i in range(half)]
    return float(np.float32(sums[0]))


@pytest.fixture(params=["NumPy", "compiled"])
def kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Have every score made in one of the two ways."""
    fresh = scoring._Kernel()
    if request.param == "compiled":
        pytest.importorskip("numba")
        from retrieval import scorekernel

        fresh.module = scorekernel
    else:
        fresh._before = None
    monkeypatch.setattr(scoring, "_kernel", fresh)
    return str(request.param)


# Sums of many dimensions, few queries and many rows take the ways of NumPy's pieces.
@pytest.mark.parametrize("dim", [1, 2, 31, 32, 33, 64, 100, 257, 1024])
@pytest.mark.parametrize("gathered", [1, 3000, 1 << 18])
def test_scores_are_the_sums_described(dim: int, gathered: int, kernel: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "_GATHERED", gathered)
    rng = np.random.default_rng(dim)
    X, Q = unit(rng.standard_normal((40, dim))), unit(rng.standard_normal((7, dim)))
    rows = rng.integers(-1, 40, (7, 25))
    scores = scoring.scores_of(Q, X, rows)
    expected = [[by_hand(q, X[row]) if row >= 0 else -np.inf for row in one] for q, one in zip(Q, rows, strict=True)]
    np.testing.assert_array_equal(scores, np.array(expected, dtype=np.float32))
    assert scores.dtype == np.float32


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    width=st.integers(1, 30),
    levels=st.integers(1, 4),
    data=st.data(),
)
def test_the_kernel_ranks_as_numpy_does(seed: int, width: int, levels: int, data: st.DataObject) -> None:
    pytest.importorskip("numba")
    from retrieval import scorekernel

    k = data.draw(st.integers(1, width))
    rng = np.random.default_rng(seed)
    # Few levels make many equal rows.
    X, Q = unit(rng.integers(0, levels, (30, 5)) + 0.5), unit(rng.integers(0, levels, (6, 5)) + 0.5)
    order = rng.permutation(30)
    candidates = np.array([rng.permutation(30)[:width] for _ in range(6)])
    candidates[rng.random(candidates.shape) < 0.2] = -1
    answers = []
    before = scoring._kernel
    try:
        for module in (None, scorekernel):
            scoring._kernel = scoring._Kernel()
            scoring._kernel._before = None
            scoring._kernel.module = module
            answers.append(scoring.ranked(Q, X, order, candidates, k))
    finally:
        scoring._kernel = before
    np.testing.assert_array_equal(answers[0][0], answers[1][0])
    np.testing.assert_array_equal(answers[0][1], answers[1][1])


def test_nothing_has_no_scores(kernel: str) -> None:
    X = unit(np.eye(4))
    assert scoring.scores_of(X[:0], X, np.empty((0, 3), dtype=np.int64)).shape == (0, 3)
    assert scoring.scores_of(X, X, np.empty((4, 0), dtype=np.int64)).shape == (4, 0)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_threads_change_nothing(threads: int, kernel: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "_SHARED_FROM", 1)
    rng = np.random.default_rng(0)
    X, Q = unit(rng.standard_normal((500, 24))), unit(rng.standard_normal((33, 24)))
    rows = rng.integers(0, 500, (33, 20))
    with limited(1):
        alone = scoring.scores_of(Q, X, rows), *scoring.ranked(Q, X, np.arange(500), rows, 7)
    with limited(threads):
        together = scoring.scores_of(Q, X, rows), *scoring.ranked(Q, X, np.arange(500), rows, 7)
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_kernel_is_loaded_once_it_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("numba")
    monkeypatch.setattr(scoring, "_LOADED_FROM", 1000)
    fresh = scoring._Kernel()
    assert [fresh.takes(numbers) for numbers in (400, 400, 400, 1)] == [False, False, True, True]
    monkeypatch.setattr(scoring, "find_spec", lambda name: None)
    without = scoring._Kernel()
    assert not any(without.takes(10_000) for _ in range(3))


def test_work_counts_once_towards_loading_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "find_spec", lambda name: name)
    monkeypatch.setattr(scoring, "_kernel", scoring._Kernel())
    X = unit(np.eye(8))
    rows = np.tile(np.arange(8), (8, 1))
    for done, work in enumerate((scoring.scores_of, exact.refined), 1):
        more: tuple[Any, ...] = (rows,) if work is scoring.scores_of else (np.arange(8), rows, 8)
        work(X, X, *more)
        assert scoring._kernel._before == done * 8**3


def test_a_numba_that_does_not_load_is_done_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "retrieval.scorekernel", None)
    monkeypatch.delattr(retrieval, "scorekernel", raising=False)
    monkeypatch.setattr(scoring, "_LOADED_FROM", 1)
    monkeypatch.setattr(scoring, "find_spec", lambda name: name)
    fresh = scoring._Kernel()
    assert not fresh.takes(10)
    assert not fresh.takes(10)


def test_a_search_of_few_rows_imports_no_numba() -> None:
    code = (
        "import sys, numpy as np\n"
        "from retrieval import exact\n"
        "X = np.eye(64, dtype=np.float32)\n"
        "exact.search(X, X, np.arange(64), 10)\n"
        "assert 'numba' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
