"""Local-linear maps: the formula, exact leave-one-out, support, fallback, and what is refused."""

from __future__ import annotations

import subprocess
import sys
from functools import partial

import numpy as np
import pytest
import reference_compat as reference

from retrieval import compat
from retrieval.compat.leave_one_out import Neighbourhoods, gate, kernel
from retrieval.compat.neighbours import Cells, exact, nearest_only
from retrieval.compat.pairs import unit_rows
from retrieval.compat.ridge import RidgePath
from retrieval.errors import InvalidVectorError, ModelMismatchError

# float32 vectors of length 1, and sums of some hundred of them: measured 4e-7 at worst.
TOLERANCE = 3e-6


def unit(X):
    return X / np.linalg.norm(X, axis=1, keepdims=True)


def curved_pairs(n, d_source=6, d_target=9, seed=0, world=0, noise=0.1):
    """Rows on a sphere, and a bent image of them: no straight map fits. `world` sets the bend."""
    rng, bend = np.random.default_rng(seed), np.random.default_rng(world)
    source = unit(rng.standard_normal((n, d_source)))
    hidden = np.tanh(3 * source @ bend.standard_normal((d_source, 24)))
    target = unit(hidden @ bend.standard_normal((24, d_target)) / 5 + noise * rng.standard_normal((n, d_target)))
    return source.astype(np.float32), target.astype(np.float32)


mean_map = partial(compat.LocalLinearMap.fit, method="mean")


def fixed(source, target, temperature=0.1, k=12, penalty=0.05):
    return mean_map(source=source, target=target, penalties=[penalty], temperatures=[temperature], neighbours=[k])


def test_it_is_the_formula_of_its_docstring():
    source, target = curved_pairs(300)
    queries, _ = curved_pairs(40, seed=5)
    m = fixed(source, target)
    S, T = unit(source.astype(np.float64)), unit(target.astype(np.float64))
    penalty = m.penalty * RidgePath.of(source, target).scale
    expected = [reference.local_linear(x, S, T, penalty, 0.1, 12, m.floor) for x in queries.astype(np.float64)]
    np.testing.assert_allclose(m.transform(queries), unit(np.array(expected)), atol=TOLERANCE)


def test_leave_one_out_equals_refitting_without_the_pair():
    """Weights, mean, ridge, residuals: all of it anew, without pair i, by the slow reference."""
    source, target = curved_pairs(90)
    m = fixed(source, target)
    rows, mapped, actual = m.leave_one_out(90)
    assert rows.tolist() == list(range(90))
    np.testing.assert_allclose(actual, target, atol=1e-6)
    S, T = unit(source.astype(np.float64)), unit(target.astype(np.float64))
    penalty = m.penalty * RidgePath.of(source, target).scale
    for i in range(90):
        rest = np.arange(90) != i
        expected = reference.local_linear(S[i], S[rest], T[rest], penalty, 0.1, 12, m.floor)
        np.testing.assert_allclose(mapped[i], expected / np.linalg.norm(expected), atol=TOLERANCE)


def test_the_reported_cosine_is_the_leave_one_out_cosine():
    source, target = curved_pairs(200)
    m = mean_map(source=source, target=target)
    _, mapped, actual = m.leave_one_out(200)
    assert m.cosine == pytest.approx(float(np.mean(np.sum(mapped * actual, axis=1))), abs=1e-5)


def test_the_cosine_foretells_that_of_new_items():
    """Held-out items from the same world: the mean cosine of 2,000 of each agrees to 4 standard errors."""
    source, target = curved_pairs(3000)
    new_source, new_target = curved_pairs(2000, seed=9)
    m = mean_map(source=source, target=target, n_validation=2000)
    found = np.sum(m.transform(new_source) * new_target, axis=1)
    assert abs(m.cosine - found.mean()) < 4 * np.sqrt(2 / 2000) * found.std()


def test_the_choice_is_the_best_of_its_grid():
    source, target = curved_pairs(250)
    chosen = mean_map(source=source, target=target, penalties=[0.01, 1.0], temperatures=[0.02, 0.2], neighbours=[5, 50])
    cosines = {
        (p, t, k): fixed(source, target, t, k, p).cosine for p in (0.01, 1.0) for t in (0.02, 0.2) for k in (5, 50)
    }
    best = max(cosines, key=cosines.get)
    assert (chosen.penalty, chosen.temperature, chosen.n_neighbours) == best
    assert len(set(cosines.values())) == 8


def test_it_beats_ridge_and_isometry_on_a_bent_relation():
    source, target = curved_pairs(2000)
    new_source, new_target = curved_pairs(500, seed=3)
    m = mean_map(source=source, target=target)
    rotation = compat.Isometry.fit(source=source, target=target)
    ridge = m.target_mean + (new_source - m.source_mean) @ m.weights

    def cosine(Y):
        return float(np.mean(np.sum(unit(Y) * new_target, axis=1)))

    assert cosine(m.transform(new_source)) > cosine(ridge) + 0.05
    assert cosine(m.transform(new_source)) > cosine(rotation.transform(new_source)) + 0.05


def test_support_is_uniform_on_items_like_the_pairs_and_zero_far_away():
    """KS distance of 1,000 against 1,000 exceeds 1.95 / √500 = .087 with p = .001."""
    rng = np.random.default_rng(0)
    pole = np.array([3.0, 0, 0, 0, 0, 0])
    source = unit(rng.standard_normal((3000, 6)) * 0.5 + pole)
    target = np.tanh(4 * source @ rng.standard_normal((6, 5)))
    m = mean_map(source=source[:2000], target=target[:2000])
    inside = np.sort(m.support(source[2000:]))
    assert np.abs(inside - np.arange(1, 1001) / 1000).max() < 0.087
    assert not m.support(-source[2000:]).any()


def test_far_from_the_pairs_it_is_the_ridge():
    rng = np.random.default_rng(0)
    source = unit(rng.standard_normal((500, 6)) * 0.2 + np.eye(6)[0]).astype(np.float32)
    target = unit(np.tanh(4 * source @ rng.standard_normal((6, 5)))).astype(np.float32)
    m = fixed(source, target, temperature=0.02)
    far = -source[:20]
    ridge = unit(m.target_mean + (far.astype(np.float64) - m.source_mean) @ m.weights)
    np.testing.assert_allclose(m.transform(far), ridge, atol=TOLERANCE)
    mapped = m.map(far)
    assert not mapped.support.any()
    # The neighbours tell nothing there, so that their targets disagree as all pairs' do.
    targets = target.astype(np.float64)
    short = np.maximum(1 - np.sum((m.target_mean + (far - m.source_mean) @ m.weights) ** 2, axis=1), 0)
    np.testing.assert_allclose(mapped.spread, m.scale * (short + targets.var(axis=0).sum()), rtol=1e-4)
    near = m.map(source[:20])
    assert np.abs(near.vectors - unit(m.target_mean + (source[:20] - m.source_mean) @ m.weights)).max() > 0.01


def test_the_gate_is_a_null_neighbour_of_the_softmax():
    scores = np.array([[0.9, 0.7, 0.1]], dtype=np.float32)
    weights, levels = kernel(scores, 0.2)
    exponentials = np.exp(np.append(scores.astype(np.float64), 0.5) / 0.2)
    share = gate(levels, 0.5, 0.2)
    np.testing.assert_allclose(share * weights[0], exponentials[:3] / exponentials.sum(), rtol=1e-6)


def test_spread_is_what_lacks_in_length_and_the_variance_of_a_target_drawn_by_the_kernel():
    source, target = curved_pairs(100)
    queries, _ = curved_pairs(5, seed=2)
    m = fixed(source, target, k=7)
    got = m.map(queries).spread
    Y = target.astype(np.float64)
    for x, spread in zip(queries.astype(np.float64), got, strict=True):
        similar = source.astype(np.float64) @ x
        near = np.argsort(-similar)[:7]
        odds = np.exp(similar[near] / m.temperature)
        chances = odds / (odds.sum() + np.exp(m.floor / m.temperature))
        drawn = chances @ Y[near] + (1 - chances.sum()) * Y.mean(axis=0)
        variance = chances @ np.sum((Y[near] - drawn) ** 2, axis=1)
        variance += (1 - chances.sum()) * np.mean(np.sum((Y - drawn) ** 2, axis=1))
        penalty = m.penalty * RidgePath.of(source, target).scale
        mapped = reference.local_linear(x, source, target, penalty, m.temperature, 7, m.floor)
        assert spread == pytest.approx(m.scale * (max(1 - mapped @ mapped, 0) + variance), rel=1e-3)


def test_spread_is_the_mean_squared_distance_of_pairs_left_out():
    source, target = curved_pairs(3000)
    m = mean_map(source=source[:2000], target=target[:2000], n_validation=2000)
    mapped = m.map(source[2000:])
    error = np.mean(np.sum((mapped.vectors - target[2000:]) ** 2, axis=1))
    assert mapped.spread.mean() == pytest.approx(error, rel=0.1)


def test_spread_ranks_items_by_their_error():
    """Noise that grows along one axis: the map must be less sure where the pairs disagree."""
    rng = np.random.default_rng(1)
    source, target = curved_pairs(4000, seed=1, noise=0)
    loud = rng.standard_normal(target.shape) * np.where(source[:, :1] > 0, 0.5, 0.02)
    target = unit(target + loud).astype(np.float32)
    m = mean_map(source=source[:3000], target=target[:3000])
    mapped = m.map(source[3000:])
    error = 1 - np.sum(mapped.vectors * target[3000:], axis=1)
    ranks = [np.argsort(np.argsort(a)) for a in (mapped.spread, error)]
    assert np.corrcoef(*ranks)[0, 1] > 0.4


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_lengths_of_rows_do_not_matter(dtype):
    source, target = curved_pairs(200)
    m = fixed(source, target)
    scale = np.linspace(0.5, 4, 200)[:, None]
    again = fixed(source * scale, target / scale)
    np.testing.assert_allclose(again.transform(source), m.transform(source), atol=TOLERANCE)
    loose = 5e-3 if dtype == np.float16 else TOLERANCE
    mapped = m.transform((source * scale).astype(dtype))
    assert mapped.dtype == np.float32
    np.testing.assert_allclose(mapped, m.transform(source), atol=loose)
    np.testing.assert_allclose(np.linalg.norm(mapped, axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("scale", [1e-25, 1e-12, 1.0, 1e12, 1e25])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_whose_squares_leave_float32_are_scaled_all_the_same(scale, dtype):
    rows = np.array([[3.0, 4.0], [-1.0, 0.0]]) * scale
    np.testing.assert_allclose(unit_rows(rows.astype(dtype)), [[0.6, 0.8], [-1.0, 0.0]], rtol=1e-6)
    source, target = curved_pairs(60)
    m = fixed(source, target, k=5)
    np.testing.assert_allclose(m.transform((source * scale).astype(dtype)), m.transform(source), atol=TOLERANCE)
    assert not unit_rows(np.zeros((1, 3), dtype=dtype)).any()


def test_blocks_do_not_change_the_result():
    source, target = curved_pairs(200)
    queries, _ = curved_pairs(9000, seed=2)
    m = fixed(source, target)
    whole = m.map(queries)
    for part in (slice(0, 1), slice(8190, 8195)):
        alone = m.map(queries[part])
        np.testing.assert_allclose(alone.vectors, whole.vectors[part], atol=TOLERANCE)
        np.testing.assert_allclose(alone.spread, whole.spread[part], atol=TOLERANCE)


def test_cells_that_hold_all_pairs_give_the_exact_map():
    source, target = curved_pairs(200)
    queries, _ = curved_pairs(700, seed=2)
    m = fixed(source, target)
    exactly, by_cells = m.map(queries), m.map(queries, neighbours="cells")
    np.testing.assert_allclose(by_cells.vectors, exactly.vectors, atol=TOLERANCE)
    np.testing.assert_allclose(by_cells.support, exactly.support)
    np.testing.assert_allclose(by_cells.spread, exactly.spread, atol=TOLERANCE)
    np.testing.assert_array_equal(m.support(queries, neighbours="cells"), by_cells.support)
    threaded = m.map(queries, neighbours="cells", workers=3)
    np.testing.assert_array_equal(threaded.vectors, by_cells.vectors)
    np.testing.assert_array_equal(threaded.spread, by_cells.spread)


def test_cells_find_most_neighbours_and_map_nearly_as_well():
    source, target = curved_pairs(4000)
    queries, truth = curved_pairs(500, seed=2)
    m = mean_map(source=source, target=target, neighbours=[30])
    cells = Cells.build(source, 256)
    _, rows = exact(source, queries, 30)
    own = cells.members[cells.assign(queries)]
    found = np.mean([np.isin(rows[i], own[i]).mean() for i in range(500)])
    assert found > 0.8  # measured .95
    cosine = [np.mean(np.sum(m.transform(queries, neighbours=how) * truth, axis=1)) for how in ("exact", "cells")]
    assert cosine[1] > cosine[0] - 0.01


def test_every_query_is_in_one_cell_once():
    source, _ = curved_pairs(500)
    queries, _ = curved_pairs(3000, seed=2)
    cells = Cells.build(source, 20)
    seen = np.concatenate([rows for _, rows in cells.batches(cells.assign(queries))])
    np.testing.assert_array_equal(np.sort(seen), np.arange(3000))


def test_nearest_only_keeps_the_largest():
    scores = np.array([[3.0, 1.0, 2.0, 0.0]], dtype=np.float32)
    assert np.isfinite(nearest_only(scores, 2)).tolist() == [[True, False, True, False]]
    assert nearest_only(scores, 4) is scores


def test_neighbourhoods_leave_the_pair_itself_out_among_duplicates():
    source = np.repeat(np.eye(3, dtype=np.float32), 5, axis=0)
    near = Neighbourhoods.of(source, np.arange(15), 2)
    assert near.others.shape == (15, 2)
    assert not (near.others == np.arange(15)[:, None]).any()
    assert (near.scores == 1).all()


def test_a_saved_map_comes_back_whole(tmp_path):
    source, target = curved_pairs(200)
    m = mean_map(source=source, target=target, source_model="v1", target_model="v2")
    m.save(tmp_path / "m.map")
    again = compat.LocalLinearMap.load(tmp_path / "m.map")
    assert (again.info, again.cosine, again.floor) == (m.info, m.cosine, m.floor)
    assert (again.info.n_pairs, again.info.source_dim, again.info.target_dim) == (200, 6, 9)
    np.testing.assert_array_equal(again.transform(source), m.transform(source))
    with pytest.raises(compat.MapFileError, match="kind 'local-linear', not 'isometry'"):
        compat.Isometry.load(tmp_path / "m.map")


def test_vectors_of_another_model_or_dim_are_refused():
    source, target = curved_pairs(200)
    m = mean_map(source=source, target=target, source_model="v1", target_model="v2")
    with pytest.raises(ModelMismatchError, match="dim 9, but vectors of model 'v1' have dim 6"):
        m.transform(target)
    with pytest.raises(ModelMismatchError, match="these are of 'v2'"):
        m.support(source, model="v2")
    with pytest.raises(InvalidVectorError, match="first in row 1"):
        m.transform(np.array([[1.0] * 6, [np.inf] + [1.0] * 5]))
    with pytest.raises(InvalidVectorError, match="all-zero"):
        m.transform(np.zeros((1, 6)))
    with pytest.raises(ValueError, match="'exact' or 'cells'"):
        m.transform(source, neighbours="some")
    with pytest.raises(ValueError, match="workers must be at least 1"):
        m.transform(source, neighbours="cells", workers=0)


def test_bad_pairs_and_settings_are_refused():
    source, target = curved_pairs(200)
    with pytest.raises(compat.InvalidPairsError, match="200 source rows and 199"):
        mean_map(source=source, target=target[1:])
    with pytest.raises(compat.InvalidPairsError, match="2 pairs are too few"):
        mean_map(source=source[:2], target=target[:2])
    with pytest.raises(compat.InvalidPairsError, match="alike"):
        mean_map(source=np.ones((50, 3)), target=target[:50])
    for name in ("penalties", "temperatures", "neighbours"):
        with pytest.raises(ValueError, match=r"above 0|at least 1"):
            mean_map(source=source, target=target, **{name: [0]})
        with pytest.raises(ValueError, match="each hold a value"):
            mean_map(source=source, target=target, **{name: []})


def test_few_and_shuffled_pairs_warn():
    source, target = curved_pairs(2000)
    with pytest.warns(compat.FewPairsWarning):
        mean_map(source=source[:8], target=target[:8])
    with pytest.warns(compat.UnrelatedPairsWarning):
        mean_map(source=source, target=target[::-1])


def test_maps_on_arrays_do_not_import_torch():
    code = "import sys, retrieval.compat as c; c.LocalLinearMap, c.Isometry; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
