"""Where the metrics' arguments stop being taken, and what a block of scores may hold."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from retrieval import metrics
from retrieval.metrics import Interval, paired_bootstrap


@pytest.mark.parametrize("shape", [(4,), (2, 2, 1)])
@pytest.mark.parametrize("name", ["retrieved", "truth"])
def test_row_numbers_come_in_two_dimensions(shape: tuple[int, ...], name: str) -> None:
    arrays = {"retrieved": np.zeros((2, 1), int), "truth": np.zeros((2, 1), int)}
    with pytest.raises(ValueError, match=f"{name} must be a 2-D array"):
        metrics.recall_at_k(**{**arrays, name: np.zeros(shape, int)})


@pytest.mark.parametrize(("found", "true"), [((3, 1), (3, 2)), ((3, 2), (3, 1)), ((1, 1), (1, 2)), ((1, 2), (1, 1))])
def test_k_is_at_most_the_columns_of_either_side(found: tuple[int, int], true: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="k is 2, but only 1 columns"):
        metrics.recall_at_k(np.zeros(found, int), np.zeros(true, int), k=2)
    assert metrics.recall_at_k(np.zeros(found, int), np.zeros(true, int), k=1) == 1.0


@pytest.mark.parametrize("shape", [(2,), (4,), (2, 3), (3, 2), (2, 2, 2), (1, 1), (0, 0)])
def test_a_compatibility_matrix_is_square_and_of_two_models_at_least(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="square with two models or more"):
        metrics.compatibility_rate(np.zeros(shape))
    assert metrics.compatibility_rate([[0.5, 0.0], [0.6, 0.7]]) == 1.0


@pytest.mark.parametrize(("mine", "theirs"), [([0, 1], ["0", "1"]), (["0", "1"], [0, 1]), ([0.0, 1.0], [0, 1])])
def test_classes_of_two_types_are_refused_either_way_round(mine: list[Any], theirs: list[Any]) -> None:
    with pytest.raises(TypeError, match="two types"):
        metrics.rank_by_class(np.eye(2), np.eye(2), mine, theirs)
    signs = metrics.rank_by_class(np.eye(2), np.eye(2), np.array([0, 1], np.uint8), np.array([0, 1], np.int64))
    assert signs.first_rank.tolist() == [1, 1]


@pytest.mark.parametrize(
    "options", [{"n_resamples": 0}, {"confidence": 0.0}, {"confidence": 1.0}, {"confidence": -0.5}, {"confidence": 1.5}]
)
def test_resamples_and_confidence_have_bounds(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="n_resamples must be at least 1 and confidence between 0 and 1"):
        paired_bootstrap([0.0, 1.0], **options)
    assert paired_bootstrap([0.0, 1.0], n_resamples=1, confidence=1e-9).estimate == 0.5


def test_the_defaults_of_the_bootstrap_are_those_in_its_signature() -> None:
    values = np.random.default_rng(0).normal(size=40)
    assert paired_bootstrap(values) == paired_bootstrap(values, n_resamples=2_000, confidence=0.95, seed=0)
    assert paired_bootstrap(after=values, before=0 * values) == paired_bootstrap(values)
    assert paired_bootstrap(values) != paired_bootstrap(values, seed=1)


def test_tails_of_the_interval_are_even() -> None:
    """Two values: a mean of n draws is Binomial(n, 1/2) / n; its 5 % and 95 % quantiles lie evenly about 1/2."""
    interval = paired_bootstrap(np.repeat([0.0, 1.0], 200), n_resamples=4_000, confidence=0.9)
    assert interval.low < 0.5 < interval.high
    # Quantiles at ± 1.645 · .025 = ± .0411; of 4,000 draws each is sure to ± .0012, times four.
    np.testing.assert_allclose([0.5 - interval.low, interval.high - 0.5], 0.0411, atol=0.005)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0.2, 0.8, True), (-0.8, -0.2, True), (-0.1, 0.1, False), (0.0, 0.5, False), (-0.5, 0.0, False), (2.0, 3.0, True)],
)
def test_an_interval_excludes_zero_where_both_ends_are_on_one_side(low: float, high: float, expected: bool) -> None:
    assert Interval((low + high) / 2, low, high, 0.95).excludes_zero is expected


def test_a_block_holds_no_more_scores_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    sort = np.sort

    def counting(array: Any, *rest: Any, **options: Any) -> Any:
        if np.ndim(array) == 2:
            sizes.append(np.size(array))
        return sort(array, *rest, **options)

    monkeypatch.setattr(np, "sort", counting)
    monkeypatch.setattr("retrieval.metrics.ranking._BLOCK_SCORES", 100)
    X = np.random.default_rng(0).normal(size=(37, 4)).astype(np.float32)
    metrics.rank_by_class(X, X, np.arange(37) % 5, np.arange(37) % 5)
    assert max(sizes) == 74
    assert sum(sizes) == 37 * 37
