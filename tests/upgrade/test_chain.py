"""Upgrades in a row: v1 → v2 → v3 without pairs of v1 and v3."""

from __future__ import annotations

import numpy as np
import pytest
from worlds import World, unit

from retrieval import metrics
from retrieval.errors import ModelMismatchError
from retrieval.upgrade import Upgrade


def three_models(n, seed):
    """Items under three models, each less blurred than the one before."""
    old, new, classes = World(blur=0.3).items(n, seed)
    lens = np.random.default_rng(5).standard_normal((16, 14))
    middle = unit(new @ lens + 0.3 * np.random.default_rng(seed).standard_normal((n, 14)))
    return old, middle, new, classes


@pytest.fixture(scope="module")
def links():
    v1, v2, v3, _ = three_models(1500, seed=1)
    return {
        kind: (
            Upgrade.fit(v1[:900], v2[:900], old_model="v1", new_model="v2", kinds=[kind]),
            Upgrade.fit(v2[600:], v3[600:], old_model="v2", new_model="v3", kinds=[kind]),
        )
        for kind in ("gallery", "query")
    }


@pytest.mark.parametrize("kind", ["gallery", "query"])
def test_a_chain_is_the_maps_one_after_the_other(links, kind):
    first, second = links[kind]
    chain = Upgrade.chain(first, second)
    v1, _, v3, _ = three_models(200, seed=2)
    stored, queries = v1, v3
    if kind == "gallery":
        stored = second.map_gallery(first.map_gallery(v1).vectors).vectors
    else:
        queries = first.map_query(second.map_query(v3))
    np.testing.assert_allclose(chain.map_gallery(v1, model="v1").vectors, stored, atol=1e-6)
    np.testing.assert_allclose(chain.map_query(v3, model="v3"), queries, atol=1e-6)
    assert (chain.name, chain.kind, chain.old_dim, chain.new_dim) == ("v1 → v3", kind, 12, 16)


@pytest.mark.parametrize("kind", ["gallery", "query"])
def test_chained_scores_are_on_the_scale_of_native_ones(links, kind):
    """Of fresh scores, as many lie above the native 99th percentile as of native ones, to a factor of 1.5."""
    chain = Upgrade.chain(*links[kind])
    v1, _, v3, _ = three_models(600, seed=3)
    others = ~np.eye(600, dtype=bool)
    scores = (chain.map_query(v3) @ chain.map_gallery(v1).vectors.T)[others]
    native = (v3 @ v3.T)[others]
    threshold = np.quantile(native, 0.99)
    assert 1 / 150 < (chain.calibration.apply(scores) > threshold).mean() < 1.5 / 100
    if kind == "query":
        assert (scores > threshold).mean() > 1.5 / 100


def test_support_is_that_of_the_worst_step(links):
    first, second = links["gallery"]
    v1 = three_models(200, seed=2)[0]
    one = first.map_gallery(v1)
    two = second.map_gallery(one.vectors)
    chained = Upgrade.chain(first, second).map_gallery(v1)
    np.testing.assert_array_equal(chained.support, np.minimum(one.support, two.support))
    np.testing.assert_allclose(chained.spread, one.spread + two.spread, rtol=1e-5)


def test_a_chain_finds_nearly_what_a_direct_map_finds(links):
    v1, _, v3, _ = three_models(1500, seed=1)
    direct = Upgrade.fit(v1, v3, old_model="v1", new_model="v3", kinds=["gallery"])
    old, _, new, classes = three_models(400, seed=4)
    found = [
        metrics.mean_average_precision(new, upgrade.map_gallery(old).vectors, classes, classes, exclude_same_row=True)
        for upgrade in (direct, Upgrade.chain(*links["gallery"]))
    ]
    assert found[1] > 0.9 * found[0]


def test_a_chain_is_saved_and_comes_back(tmp_path, links):
    chain = Upgrade.chain(*links["gallery"])
    chain.save(tmp_path / "chain")
    again = Upgrade.load(tmp_path / "chain")
    v1 = three_models(50, seed=2)[0]
    np.testing.assert_array_equal(again.map_gallery(v1).vectors, chain.map_gallery(v1).vectors)
    assert again.evidence is None
    with pytest.raises(ValueError, match="is chained"):
        again.report()
    with pytest.raises(ValueError, match="chained from 2 maps"):
        _ = again.map


def test_what_cannot_be_chained_is_refused(links):
    first, second = links["gallery"]
    with pytest.raises(ModelMismatchError, match="ends at 'v3'"):
        Upgrade.chain(second, first)
    with pytest.raises(ValueError, match="meet in no common space"):
        Upgrade.chain(first, links["query"][1])
    with pytest.raises(ValueError, match="two upgrades or more"):
        Upgrade.chain(first)
    later = Upgrade.chain(first, second)
    v3 = three_models(300, seed=1)[2]
    same = Upgrade.fit(v3, v3, old_model="v3", new_model="v4")
    with pytest.raises(ValueError, match="all in one call"):
        Upgrade.chain(later, same)
    assert Upgrade.chain(first, second, same).name == "v1 → v4"
