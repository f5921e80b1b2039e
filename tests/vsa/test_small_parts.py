"""Paths, tables of rows and operators of paths."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsa.binding import binding
from vsa.budget import row_bytes
from vsa.gathering import Gathered
from vsa.hashing import sorting_order
from vsa.operators import PathOperators, step_name
from vsa.paths import format_path, parse_path
from vsa.sampling import sample
from vsa.table import RowTable

steps = st.one_of(st.text(st.characters(codec="utf-8"), max_size=6), st.integers(0, 99), st.none())


@given(st.lists(steps, max_size=5))
def test_paths_survive_their_text(path):
    assert parse_path(format_path(tuple(path))) == tuple(path)


@pytest.mark.parametrize("text", [".a", "a..b", "a[", "a[x]", "a b", "a]b", 'a["x"', "a[]b"])
def test_texts_that_are_no_paths(text):
    with pytest.raises(ValueError, match="not a path"):
        parse_path(text)


@given(st.lists(steps, max_size=4), st.lists(steps, max_size=4))
def test_names_of_steps_collide_for_equal_steps_only(one, two):
    assert ([step_name(s) for s in one] == [step_name(s) for s in two]) == (one == two)


@given(st.lists(st.integers(0, 2**64 - 1) | st.sampled_from([0, 1, 2**63, 2**63 + 1]), max_size=40))
def test_the_order_of_words_is_that_of_a_stable_sort(words):
    array = np.array(words, np.uint64)
    assert sorting_order(array).tolist() == np.argsort(array, kind="stable").tolist()


def test_operators_of_paths_are_bounded_and_right_after_eviction():
    family = binding("permutation", 16, 1)
    operators = PathOperators(family, 300)
    first = operators.of(("a", None, "b")).index.copy()
    for i in range(310):
        operators.of((f"k{i}",))
    assert len(operators._kept) == 300
    np.testing.assert_array_equal(operators.of(("a", None, "b")).index, first)


def test_the_table_throws_out_what_was_used_longest_ago():
    table: RowTable[str] = RowTable(2, 4 * row_bytes(2))
    names: dict[str, int] = {}
    for name in "abcd":
        table.rows[table.claim(names, name, name.upper())] = ord(name)
    table.touch(np.array([names["a"], names["c"]]))
    assert table.is_full()
    with pytest.raises(OverflowError, match="all 4 rows"):
        table.claim(names, "e", "E")
    table.evict()
    assert set(names) == {"a", "c"}
    assert len(table) == 2
    row = table.claim(names, "e", "E")
    assert table.tags[row] == "E"
    assert table.rows[names["a"], 0] == ord("a")
    table.clear()
    assert names == {}
    assert len(table) == 0


def test_samples_are_uniform_and_seeded():
    assert sample(range(100), 10, seed=1) == sample(range(100), 10, seed=1) != sample(range(100), 10, seed=2)
    times = np.zeros(20)
    for seed in range(2000):
        times[sample(range(20), 5, seed=seed)] += 1
    # Each is drawn 500 times on average with a deviation of sqrt(2000 · 1/4 · 3/4) = 19.4; six of them.
    assert abs(times - 500).max() < 6 * 19.4


def test_rows_are_gathered_in_order_wherever_they_lie(monkeypatch):
    monkeypatch.setattr("vsa.gathering._ROWS", 4)
    rng = np.random.default_rng(0)
    gathered, expected = Gathered(3, 2), []
    for n in (1, 2, 3, 0, 5, 12, 1):
        rows = rng.normal(size=(n, 3)).astype(np.float32)
        expected.append(rows)
        place = gathered.ahead(n + 1)
        if n % 2:
            place[:n] = rows
            gathered.take(place[:n])
        else:
            place[:] = -1
            gathered.take(rows)
    np.testing.assert_array_equal(gathered.all(), np.concatenate(expected))
    assert Gathered(3).all().shape == (0, 3)
