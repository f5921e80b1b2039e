"""Range search and near-duplicates."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_gallery import unit
from test_cli import run

from retrieval import Gallery, InvalidVectorError, surveys
from retrieval.exact import exact_scores


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(0, 80), bound=st.sampled_from([0.5, 0.9, 0.99, 1.0, -1.1]))
def test_range_and_duplicates_are_brute_force(
    tmp_path_factory: pytest.TempPathFactory, seed: int, n: int, bound: float
) -> None:
    rng = np.random.default_rng(seed)
    X = unit(rng.integers(0, 3, (n + 1, 4)) + 0.5)
    X, q = X[:n], X[n]
    with (
        Gallery.create(tmp_path_factory.mktemp("g") / "g", dim=4) as gallery,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(surveys, "_ROWS", 7)
        patch.setattr(surveys, "_COLUMNS", 11)
        gallery.add_vectors(range(n), X, payloads=[{"even": row % 2 == 0} for row in range(n)])
        scores = exact_scores(X, np.arange(n), q)
        order = [row for row in np.lexsort((np.arange(n), -scores)).tolist() if scores[row] >= bound]
        found = gallery.search_range(q, bound)
        assert [(hit.id, hit.score) for hit in found] == [(str(row), scores[row]) for row in order]
        even = gallery.search_range(q, bound, where={"even": True})
        assert [hit.id for hit in even] == [str(row) for row in order if row % 2 == 0]
        wanted = []
        for i in range(n):
            for j in range(i + 1, n):
                score = float(exact_scores(X, np.array([j]), X[i])[0])
                if score >= bound:
                    wanted.append((str(i), str(j), score))
        assert list(gallery.near_duplicates(bound)) == wanted


def test_one_query_at_a_time(tmp_path: Path) -> None:
    with Gallery.create(tmp_path / "g", dim=2) as gallery, pytest.raises(InvalidVectorError, match="one query"):
        gallery.search_range(np.eye(2), 0.5)


def test_duplicates_on_the_command_line(tmp_path: Path) -> None:
    with Gallery.create(tmp_path / "g", dim=2) as gallery:
        gallery.add_vectors(["a", "b", "c"], [[1, 0], [0, 1], [1, 0.1]])
    assert run("duplicates", tmp_path / "g")[0].split() == ["0.9950", "a", "c"]
    (line,) = run("duplicates", tmp_path / "g", "--json")[0].splitlines()
    assert (json.loads(line)["a"], json.loads(line)["b"]) == ("a", "c")
