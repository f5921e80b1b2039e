"""Filters against a second, plain reading of the same rules, and searches under them against brute force."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_gallery import brute_force, unit

from retrieval import FilterError, Gallery, selection
from retrieval.filters import compiled

PAINTING = {
    "classification": "painting",
    "dateRange": {"startYear": 1906, "endYear": None},
    "contributors": [{"role": "artist", "name": "A"}, {"role": "after", "n": 2}],
    "size": [10, 20.5],
    "a.b": {"c[d": 1},
    "flag": True,
    "one": 1,
    "empty": {},
    "tags": ["sea", "sky"],
    "and": 3,
}


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({}, True),
        ({"classification": "painting"}, True),
        ({"classification": "Painting"}, False),
        ({"classification": "painting", "one": 2}, False),
        ({"dateRange.startYear": {">=": 1900, "<": 1950}}, True),
        ({"dateRange.startYear": {">": 1906}}, False),
        ({"dateRange.startYear": {">=": 1906.0, "<=": 1906}}, True),
        ({"dateRange.startYear": {"<": "2000"}}, False),
        ({"classification": {"<": "q"}}, True),
        ({"dateRange.endYear": None}, True),
        ({"dateRange.gone": None}, False),
        ({"dateRange.gone": {"!=": None}}, True),
        ({"dateRange.endYear": {"<": 1}}, False),
        ({"dateRange.gone": {"exists": False}}, True),
        ({"dateRange.endYear": {"exists": True}}, True),
        ({"contributors[].role": "artist"}, True),
        ({"contributors[].role": {"!=": "artist"}}, False),
        ({"contributors[0].role": "after"}, False),
        ({"contributors[1].role": "after"}, True),
        ({"contributors[2].role": {"exists": True}}, False),
        ({"contributors.role": "artist"}, False),
        ({"contributors[].n": {">": 1}}, True),
        ({"size[]": 20.5}, True),
        ({"size[0]": {"in": [9, 10]}}, True),
        ({"size[]": {"in": []}}, False),
        ({"a\\.b.c\\[d": 1}, True),
        ({"a.b": {"exists": True}}, False),
        ({"flag": 1}, False),
        ({"one": True}, False),
        ({"one": 1.0}, True),
        ({"flag": {"<": 2}}, False),
        ({"empty": {"==": {}}}, True),
        ({"size": {"==": [10.0, 20.5]}}, True),
        ({"tags": {"contains": "sea"}}, True),
        ({"tags": {"contains": "se"}}, False),
        ({"tags[]": {"contains": "se"}}, True),
        ({"classification": {"contains": "paint"}}, True),
        ({"one": {"contains": 1}}, False),
        ({"and": 3}, True),
        ({"not": {"==": 3}}, False),
        ({"not": {"one": 2}}, True),
        ({"or": [{"one": 2}, {"flag": True}]}, True),
        ({"or": []}, False),
        ({"and": []}, True),
        ({"and": [{"one": 1}, {"not": {"flag": True}}]}, False),
    ],
)
def test_one_payload(where: Any, expected: bool) -> None:
    assert compiled(where)(PAINTING) is expected


@pytest.mark.parametrize("payload", [None, 3, "text", [1], {}])
def test_other_payloads_only_lack_the_path(payload: Any) -> None:
    assert not compiled({"a": 1})(payload)
    assert compiled({"a": {"!=": 1}})(payload)


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ([], "an object was expected"),
        ({"a": {"~": 1}}, r"'a' has the unknown operator '~'; known are =="),
        ({"a": {}}, "no operator"),
        ({"a": {"<": None}}, "no order"),
        ({"a": {">": True}}, "no order"),
        ({"a": {"in": "abc"}}, "needs an array"),
        ({"a": {"exists": 1}}, "needs true or false"),
        ({"a..b": 1}, "broken at character 3"),
        ({"a.": 1}, "ends in a dot"),
        ({"": 1}, "is empty"),
        ({"a[x]": 1}, "broken at character 2"),
        ({"or": [1]}, "an object was expected"),
        ({"a": {"==": float("nan")}}, "must be JSON"),
        ({"a": object()}, "must be JSON"),
    ],
)
def test_what_cannot_be_understood_is_refused(where: Any, message: str) -> None:
    with pytest.raises(FilterError, match=message):
        compiled(where)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Any:
    rng = np.random.default_rng(5)
    X = unit(rng.integers(0, 3, (6000, 6)) + 0.5)
    payloads = [
        {"n": number, "half": number % 2, "rare": number % 200, "near": float(x[0])} for number, x in enumerate(X)
    ]
    folder: Path = tmp_path_factory.mktemp("many") / "g"
    with Gallery.create(folder, dim=6) as gallery:
        gallery.add_vectors(range(6000), X, payloads=payloads)
        yield gallery, X, payloads


@pytest.mark.parametrize("tried", [0, 64, 4096])
@pytest.mark.parametrize(
    "where",
    [{}, {"half": 1}, {"rare": 7}, {"n": 4321}, {"n": -1}, {"near": {">": 0.5}}, {"n": {">=": 5990}}],
    ids=str,
)
def test_filtered_searches_are_brute_force_over_what_passes(
    many: Any, where: Any, tried: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    gallery, X, payloads = many
    monkeypatch.setattr(selection, "_TRIED", tried)
    gallery._searcher._selector._answers.clear()
    keep = [number for number, payload in enumerate(payloads) if compiled(where)(payload)]
    Q = X[[3, 77]]
    wanted, _ = brute_force(Q, X[keep], 12)
    expected = [[str(keep[place]) for place in one] for one in wanted]
    for number in range(2):
        assert [hit.id for hit in gallery.search(Q[number], k=12, where=where)] == expected[number]
    assert [[hit.id for hit in one] for one in gallery.search(Q, k=12, where=where)] == expected
    assert [hit.id for hit in gallery.search(Q[0], k=12, where=where)] == expected[0]


def test_a_filter_sees_every_write(tmp_path: Path) -> None:
    with Gallery.create(tmp_path / "g", dim=2) as gallery:
        gallery.add_vectors(["a", "b"], np.eye(2), payloads=[{"x": 1}, {"x": 2}])
        assert [hit.id for hit in gallery.search([1, 0], where={"x": 2})] == ["b"]
        gallery.add_vectors(["a"], [[1, 0]], payloads=[{"x": 2}])
        assert [hit.id for hit in gallery.search([1, 0], where={"x": 2})] == ["a", "b"]
        gallery.delete(["b"])
        assert [hit.id for hit in gallery.search([1, 0], where={"x": 2})] == ["a"]
        assert gallery.search([1, 0], where={"x": 1}) == []


@settings(max_examples=60, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from(["", "a"]),
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
    )
)
def test_a_value_equals_itself_and_not_its_opposite(value: Any) -> None:
    assert compiled({"v": {"==": value}})({"v": value})
    assert not compiled({"v": {"!=": value}})({"v": value})
    assert compiled({"v": {"in": [value]}})({"v": value})
    assert not compiled({"not": {"v": {"==": value}}})({"v": value})


def test_the_search_widens_when_one_is_missing(many: Any) -> None:
    gallery, X, _ = many
    nearest = [int(hit.id) for hit in gallery.search(X[9], k=150)]
    passing = nearest[5:16] + nearest[60:]
    hits = gallery.search(X[9], k=12, where={"n": {"in": passing}})
    assert [int(hit.id) for hit in hits] == passing[:12]


def test_the_search_that_widens_leaves_out_no_neighbour_at_the_seam(many: Any) -> None:
    gallery, X, _ = many
    nearest = [int(hit.id) for hit in gallery.search(X[9], k=40)]
    # For k = 2 the first try ends behind the 8th neighbour: one passes before the seam, one right behind it.
    passing = [nearest[3], nearest[8], *nearest[9:30]]
    hits = gallery.search(X[9], k=2, where={"n": {"in": passing}})
    assert [int(hit.id) for hit in hits] == passing[:2]
