"""Upgrade.fit: the kind of map, what it maps, what it refuses, and that a saved one comes back."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from worlds import World, rotated

import retrieval
from retrieval import compat
from retrieval.errors import InvalidVectorError, ModelMismatchError
from retrieval.upgrade import Upgrade, evidence

BENT = World()


@pytest.fixture(scope="module")
def pairs():
    return BENT.items(1200, seed=1)


@pytest.fixture(scope="module")
def fitted(pairs):
    return Upgrade.fit(pairs[0], pairs[1], old_model="v1", new_model="v2", kinds=["isometry", "gallery"])


def test_it_is_exported():
    assert retrieval.Upgrade is Upgrade


def test_equal_vectors_are_an_identity(pairs):
    upgrade = Upgrade.fit(pairs[1], pairs[1])
    assert upgrade.kind == "identity"
    assert upgrade.map is None
    np.testing.assert_array_equal(upgrade.map_gallery(pairs[1]).vectors, upgrade.map_query(pairs[1]))
    np.testing.assert_allclose(upgrade.calibration.apply([-0.3, 0.9]), [-0.3, 0.9], rtol=1e-15)


@pytest.mark.parametrize("dim", [16, 20])
def test_a_rotation_is_an_isometry_and_is_undone(pairs, dim):
    _, new, _ = pairs
    old = rotated(new, dim=dim)
    upgrade = Upgrade.fit(old, new)
    assert upgrade.kind == "isometry"
    np.testing.assert_allclose(upgrade.map_gallery(old).vectors, new, atol=2e-6)


def test_a_bent_lens_takes_a_gallery_map(fitted, pairs):
    assert fitted.kind == "gallery"
    old, new, _ = BENT.items(300, seed=2)
    method = fitted.evidence.random.method
    direct = compat.LocalLinearMap.fit(source=pairs[0], target=pairs[1], method=method)
    np.testing.assert_allclose(fitted.map_gallery(old).vectors, direct.transform(old), atol=1e-6)
    np.testing.assert_allclose(fitted.map_query(new * 3), new, atol=1e-6)
    assert fitted.search_model == "v2"


def test_few_pairs_are_solved_for_where_that_wins_on_held_out_pairs(tmp_path):
    smooth, noisy = World(blur=0.05, bend=0.6), World(blur=0.8)
    for world, method in ((smooth, "solve"), (noisy, "mean")):
        old, new, _ = world.items(400, seed=1)
        upgrade = Upgrade.fit(old, new, kinds=["gallery"], old_model="v1", new_model="v2")
        assert (upgrade.evidence.random.method, upgrade.evidence.groups.method) == (method, method)
        assert bool(upgrade.map.width) == (method == "solve")
        direct = compat.LocalLinearMap.fit(source=old, target=new, method=method)
        fresh = world.items(300, seed=2)[0]
        np.testing.assert_allclose(upgrade.map_gallery(fresh).vectors, direct.transform(fresh), atol=5e-6)
        upgrade.save(tmp_path / method)
        again = Upgrade.load(tmp_path / method)
        assert again.evidence.random.settings == upgrade.evidence.random.settings
        np.testing.assert_array_equal(again.map_gallery(fresh).vectors, upgrade.map_gallery(fresh).vectors)


def test_many_pairs_are_not_solved_for(monkeypatch, pairs):
    monkeypatch.setattr(evidence, "SOLVED_UP_TO", 399)
    old, new, _ = World(blur=0.05, bend=0.6).items(400, seed=1)
    assert Upgrade.fit(old, new, kinds=["gallery"]).map.width == 0


def test_a_query_map_leaves_the_gallery_as_it_is(pairs):
    upgrade = Upgrade.fit(pairs[0], pairs[1], kinds=["query"], old_model="v1", new_model="v2")
    old, new, _ = BENT.items(300, seed=2)
    assert (upgrade.kind, upgrade.search_model, upgrade.search_dim) == ("query", "v1", 12)
    np.testing.assert_allclose(upgrade.map_gallery(old).vectors, old, atol=1e-6)
    direct = compat.LocalLinearMap.fit(source=pairs[1], target=pairs[0], source_model="v2", target_model="v1")
    np.testing.assert_allclose(upgrade.map_query(new), direct.transform(new), atol=1e-6)


@pytest.mark.parametrize("kinds", [["isometry"], ["gallery"], ["query"]])
def test_a_saved_upgrade_comes_back(tmp_path, pairs, kinds):
    upgrade = Upgrade.fit(pairs[0], pairs[1], kinds=kinds, old_model="v1", new_model="v2")
    upgrade.save(tmp_path / "v1-v2.upgrade")
    again = Upgrade.load(tmp_path / "v1-v2.upgrade")
    old, new, _ = BENT.items(100, seed=3)
    one, other = upgrade.map_gallery(old), again.map_gallery(old)
    for name in ("vectors", "support", "spread"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    np.testing.assert_array_equal(upgrade.map_query(new), again.map_query(new))
    np.testing.assert_array_equal(upgrade.calibration.apply([0.1, 0.9]), again.calibration.apply([0.1, 0.9]))
    assert (again.name, again.kind) == ("v1 → v2", kinds[0])
    np.testing.assert_array_equal(upgrade.fingerprints.new.surprise(new), again.fingerprints.new.surprise(new))


def test_a_damaged_file_is_refused(tmp_path, fitted):
    fitted.save(tmp_path / "u")
    raw = bytearray((tmp_path / "u").read_bytes())
    raw[len(raw) // 2] ^= 1
    (tmp_path / "u").write_bytes(raw)
    with pytest.raises(compat.DamagedMapError):
        Upgrade.load(tmp_path / "u")


def test_vectors_of_another_model_are_refused(fitted, pairs):
    with pytest.raises(ModelMismatchError, match="'v1'"):
        fitted.map_gallery(pairs[0], model="v2")
    with pytest.raises(ModelMismatchError, match="dim 16"):
        fitted.map_gallery(pairs[1])
    with pytest.raises(ModelMismatchError, match="'v2'"):
        fitted.map_query(pairs[1], model="v1")


def test_bad_pairs_are_refused(pairs):
    old, new, _ = pairs
    bad = old.copy()
    bad[7, 3] = np.nan
    with pytest.raises(InvalidVectorError, match="row 7"):
        Upgrade.fit(bad, new)
    with pytest.raises(compat.InvalidPairsError, match="1199 target rows"):
        Upgrade.fit(old, new[:-1])
    with pytest.raises(compat.InvalidPairsError, match="too few"):
        Upgrade.fit(old[:1], new[:1])
    with pytest.raises(compat.InvalidPairsError, match="19 pairs are too few"):
        Upgrade.fit(old[:19], new[:19])
    with pytest.raises(compat.InvalidPairsError, match="all old vectors are alike"):
        Upgrade.fit(np.ones_like(old), new)
    with pytest.raises(compat.InvalidPairsError, match="all new vectors are alike"):
        Upgrade.fit(old, np.ones_like(new))
    with pytest.raises(compat.InvalidPairsError, match="id 'a' stands"):
        Upgrade.fit(old[:20], new[:20], ids=["a", "b"] * 10)
    with pytest.raises(compat.InvalidPairsError, match="3 classes for 1200"):
        Upgrade.fit(old, new, classes=[1, 2, 3])
    with pytest.raises(ValueError, match="kinds must be"):
        Upgrade.fit(old, new, kinds=["magic"])
    with pytest.raises(ValueError, match="name them apart"):
        Upgrade.fit(old, new, old_model="same", new_model="same")


def test_shuffled_and_few_pairs_are_warned_of_once(pairs):
    old, new, _ = pairs
    with pytest.warns(compat.UnrelatedPairsWarning) as caught:
        Upgrade.fit(old, new[np.random.default_rng(0).permutation(len(new))], kinds=["gallery"])
    assert len(caught) == 1
    few_old = rotated(old, dim=24)
    with pytest.warns(compat.FewPairsWarning):
        Upgrade.fit(few_old[:20], new[:20], kinds=["gallery"])


def test_arguments_are_left_as_they_were(pairs):
    old, new = pairs[0][:100].copy(), pairs[1][:100].copy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        Upgrade.fit(old, new)
    np.testing.assert_array_equal(old, pairs[0][:100])
    np.testing.assert_array_equal(new, pairs[1][:100])
