"""Cells of near pairs, what they are cut by, and how vectors are walked through them."""

from __future__ import annotations

import numpy as np
import pytest
from test_map_parts import rows_of, unit

from retrieval import compat
from retrieval.compat import correction, neighbours
from retrieval.compat.neighbours import Cells, principal, spherical_kmeans


def test_principal_directions_are_as_few_as_hold_the_share():
    rng = np.random.default_rng(0)
    turned = np.linalg.qr(rng.standard_normal((6, 6)))[0]
    # Squared lengths along four directions: 50, 30, 15, 5 percent.
    rows = (np.diag(np.sqrt([50, 30, 15, 5])) @ turned[:4]).astype(np.float32)
    for share, m in ((0.4, 1), (0.79, 2), (0.81, 3), (0.94, 3), (0.96, 4)):
        basis = principal(rows, share)
        assert basis.shape == (6, m)
        np.testing.assert_allclose(basis.T @ basis, np.eye(m), atol=1e-5)
        np.testing.assert_allclose(np.abs(basis.T @ turned[:m].T), np.eye(m), atol=1e-4)
        assert basis.flags.c_contiguous


def test_kmeans_ends_in_unit_means_of_what_is_nearest():
    rng = np.random.default_rng(0)
    poles = np.eye(5, dtype=np.float32)
    rows = unit(np.repeat(poles, 30, axis=0) + 0.05 * rng.standard_normal((150, 5))).astype(np.float32)
    # Some centres start in one cluster; after all rounds hardly any moves.
    centres = spherical_kmeans(rows, 12, np.random.default_rng(3))
    np.testing.assert_allclose(np.linalg.norm(centres, axis=1), 1, atol=1e-6)
    cells = np.argmax(rows @ centres.T, axis=1)
    assert np.isin(np.arange(12), cells).sum() >= 8
    for cell in set(cells):
        mean = rows[cells == cell].sum(axis=0)
        assert centres[cell] @ (mean / np.linalg.norm(mean)) > 0.999


def test_a_centre_without_rows_stays_where_it_is():
    rows = np.array([[1, 0], [1, 0], [0, 1]], dtype=np.float32)
    centres = spherical_kmeans(rows, 3, np.random.default_rng(0))
    assert sorted(centres.tolist()) == [[0, 1], [1, 0], [1, 0]]


def test_centres_settle_in_the_means_of_their_cells(monkeypatch):
    """Whatever the cells hold: rows that nearly cancel, or one row alone."""
    monkeypatch.setattr(neighbours, "_KMEANS_ROUNDS", 100)
    for seed in range(5):
        rows = rows_of(40, 3, seed)
        centres = spherical_kmeans(rows, 25, np.random.default_rng(seed))
        cells = np.argmax(rows @ centres.T, axis=1)
        assert min(np.bincount(cells)[np.unique(cells)]) == 1
        for cell in np.unique(cells):
            mean = rows[cells == cell].sum(axis=0)
            np.testing.assert_allclose(centres[cell], mean / np.linalg.norm(mean), atol=1e-5)


def test_a_cell_that_ran_empty_takes_the_pairs_nearest_its_centre():
    anchors = np.array([[0, 1], [1, 0], [1, 0]], dtype=np.float32)
    cells = Cells.build(anchors, 1)
    assert sorted(cells.members[:, 0] == 0) == [False, False, True]


@pytest.mark.parametrize(("n", "n_cells"), [(3, 3), (16, 16), (100, 40), (400, 80), (70_000, 1024)])
def test_cells_are_four_roots_of_the_pairs(n, n_cells, monkeypatch):
    monkeypatch.setattr(neighbours, "_KMEANS_ROUNDS", 1)
    anchors = rows_of(n, 3, 0)
    cells = Cells.build(anchors, 5)
    assert len(cells.centres) == len(cells.members) == n_cells
    assert cells.members.shape[1] == min(5, n)


@pytest.mark.parametrize("wide", [False, True])
def test_members_are_nearest_the_mean_of_the_cell(wide, monkeypatch):
    """In few directions cells are told apart within them; where no few hold the rows, in those of the centres."""
    monkeypatch.setattr(neighbours, "_BASIS", 2 if wide else 8)
    anchors = rows_of(300, 6, 0)
    cells = Cells.build(anchors, 10)
    assert cells.basis.shape[0] == 6
    assert cells.basis.shape[1] == 2 if wide else 2 < cells.basis.shape[1] <= 6
    np.testing.assert_allclose(cells.basis.T @ cells.basis, np.eye(cells.basis.shape[1]), atol=1e-5)
    own = cells.assign(anchors)
    np.testing.assert_array_equal(own, np.argmax((anchors @ cells.basis) @ cells.centres.T, axis=1))
    # Whatever the centres are, a cell's members lie nearer together than drawn ones do.
    together = np.mean([np.linalg.norm(anchors[members].mean(axis=0)) for members in cells.members])
    assert together > 0.85
    if not wide:
        for cell in np.unique(own):
            mean = anchors[own == cell].sum(axis=0)
            expected = np.argsort(-(anchors @ mean), kind="stable")[:10]
            assert len({*expected} & {*cells.members[cell]}) >= 8


def test_batches_are_bounded_and_by_cell(monkeypatch):
    monkeypatch.setattr(neighbours, "_BLOCK_QUERIES", 4)
    cells = Cells.build(rows_of(30, 3, 0), 5)
    own = np.array([2, 0, 2, 2, 1, 2, 2, 0, 2])
    assert [(cell, rows.tolist()) for cell, rows in cells.batches(own)] == [
        (0, [1, 7]),
        (1, [4]),
        (2, [0, 2, 3, 5]),
        (2, [6, 8]),
    ]


def test_ties_with_the_kth_stay():
    scores = np.array([[1, 2, 2, 0], [4, 1, 3, 2]], dtype=np.float32)
    kept = neighbours.nearest_only(scores, 1)
    assert kept.tolist() == [[-np.inf, 2, 2, -np.inf], [4, -np.inf, -np.inf, -np.inf]]
    assert kept.dtype == np.float32
    many = rows_of(5, 5000, 0)
    for k in (1, 370, 2500, 4999):
        assert (np.isfinite(neighbours.nearest_only(many, k)).sum(axis=1) == k).all()
        np.testing.assert_array_equal(np.nanmax(neighbours.nearest_only(many, k), axis=1), many.max(axis=1))
    assert neighbours.nearest_only(scores, 5) is scores


def test_rows_of_unit_length_are_taken_as_they_are():
    rows = rows_of(5, 4, 0)
    assert correction._unit(rows) is rows
    for other in (rows.astype(np.float64), 2 * rows):
        made = correction._unit(other)
        assert made.dtype == np.float32
        np.testing.assert_allclose(made, rows, atol=1e-6)
        np.testing.assert_allclose(np.linalg.norm(made, axis=1), 1, atol=1e-6)


def test_cells_are_assigned_and_walked_in_blocks(monkeypatch):
    source, target = rows_of(60, 4, 0), rows_of(60, 3, 1)
    m = compat.LocalLinearMap.fit(source=source, target=target, method="mean", neighbours=[5])
    queries = rows_of(23, 4, 2)
    whole = m.map(queries, neighbours="cells")
    monkeypatch.setattr(correction, "BLOCK_ROWS", 4)
    monkeypatch.setattr(correction, "_CELL_ROWS", 9)
    parts = m.map(queries, neighbours="cells")
    np.testing.assert_allclose(parts.vectors, whole.vectors, atol=1e-6)
    np.testing.assert_allclose(parts.spread, whole.spread, atol=1e-6)
    np.testing.assert_array_equal(parts.support, whole.support)
