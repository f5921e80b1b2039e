"""Reports judged by what users ask: against a slow reference, and where whole items as queries mislead."""

from __future__ import annotations

import json

import numpy as np
import pytest
from worlds import World, rotated, unit

from retrieval.errors import InvalidVectorError, ModelMismatchError
from retrieval.upgrade import Decision, Queries, Upgrade
from retrieval.upgrade.asking import Stage

N, N_QUERIES, U, W = 1200, 150, 4, 30


def hidden(n, seed):
    """Items alike in a few directions that both models see, and told apart by details that each sees in its own way."""
    rng = np.random.default_rng(seed)
    return [rng.standard_normal((n, width)) for width in (U, W, W)]


def seen(u, detail, share):
    return unit(np.concatenate([unit(u), share * unit(detail)], axis=1))


def items(n, seed):
    u, old, new = hidden(n, seed)
    return seen(u, old, 0.7), seen(u, new, 0.7)


def asked(n=N_QUERIES, seed=5, share=12.0):
    """Queries for n fresh items: mostly of their details, as a few words of a record are."""
    u, old, new = hidden(n, seed)
    return Queries.of(
        seen(u, old, share),
        seen(u, new, share),
        wanted_old=seen(u, old, 0.7),
        wanted_new=seen(u, new, 0.7),
    )


@pytest.fixture(scope="module")
def plain():
    return Upgrade.fit(*items(N, 1), kinds=["gallery"], old_model="v1", new_model="v2")


@pytest.fixture(scope="module")
def large():
    return Upgrade.fit(*items(2000, 1), kinds=["gallery"])


@pytest.fixture(scope="module")
def by_queries():
    return Upgrade.fit(*items(N, 1), kinds=["gallery"], old_model="v1", new_model="v2", queries=asked())


@pytest.fixture(scope="module")
def report(by_queries):
    return by_queries.report(gallery_vectors=items(2000, 9)[0])


def rank(scores, own):
    """How many score above the item wanted."""
    return sum(1 for score in scores if score > own + 1e-6)


def test_every_search_finds_what_it_says(plain):
    queries, k = asked(40), 5
    stage = Stage.of(plain, queries)
    found = stage.outcomes(plain, (0.0, 0.3), k)
    trial = plain.evidence.random
    wanted_old, wanted_new = queries.wanted
    mapped = plain.map_gallery(wanted_old)
    old, new = np.concatenate([trial.old, wanted_old]), np.concatenate([trial.new, wanted_new])
    stored = np.concatenate([trial.mapped, mapped.vectors])
    spread = np.concatenate([trial.spread, mapped.spread])
    encoded = set(sorted(range(len(old)), key=lambda j: -spread[j])[: round(0.3 * len(old))])
    first_of_query = len(trial.old)
    for i in range(40):
        raw = stored @ queries.new[i]
        level = plain.comparable(raw[None], queries.new[i : i + 1], queries.new[i : i + 1])[0]
        native = new @ queries.new[i]
        by_search = {
            "old/old": old @ queries.old[i],
            "mapped": raw,
            "new/new": native,
            "mixed 0%": level,
            "mixed 30%": [native[j] if j in encoded else level[j] for j in range(len(old))],
        }
        for name, scores in by_search.items():
            above = rank(scores, scores[first_of_query + i])
            assert found[name]["found@1"][i] == (above < 1), name
            assert found[name][f"found@{k}"][i] == (above < k), name
    assert 0.05 < np.mean(found["mixed 30%"]["found@1"]) < 0.95


def test_without_items_the_new_model_says_what_is_near(plain):
    queries, k = asked(30), 5
    stage = Stage.of(plain, Queries(queries.old, queries.new))
    found, larger = (stage.outcomes(plain, (), k, n_items) for n_items in (None, 4 * len(stage)))
    trial = plain.evidence.random
    assert len(stage) == len(trial.old)
    attained = {"old/old": [], "mapped": [], "new/new": []}
    for i in range(30):
        native = trial.new @ queries.new[i]
        searches = (trial.old @ queries.old[i], trial.mapped @ queries.new[i], native)
        for name, scores in zip(attained, searches, strict=True):
            best = sorted(range(len(native)), key=lambda j: -scores[j])[:k]
            attained[name].append(np.mean(native[best]) - native.mean())
    for name, values in attained.items():
        wanted = np.array(values) / np.mean(attained["new/new"])
        np.testing.assert_allclose(found[name][f"nearness@{k}"], wanted, atol=1e-4)
    assert found["new/new"][f"nearness@{k}"].mean() == pytest.approx(1)
    assert np.abs(larger["mapped"][f"nearness@{k}"] - found["mapped"][f"nearness@{k}"]).max() > 1e-3


def test_a_larger_gallery_is_searched_too(plain):
    queries, k = asked(40), 5
    gallery = np.concatenate([items(300, 9)[0], queries.wanted[0][:3], queries.wanted[0][:3]])
    found = Stage.of(plain, queries).among(plain, gallery, k)
    mapped, wanted = plain.map_gallery(gallery).vectors, plain.map_gallery(queries.wanted[0]).vectors
    for i in range(40):
        # Copies of the item itself are no rivals.
        others = [j for j in range(len(gallery)) if gallery[j] @ queries.wanted[0][i] < 0.99999]
        stay = rank(gallery[others] @ queries.old[i], queries.wanted[0][i] @ queries.old[i])
        crossed = rank(mapped[others] @ queries.new[i], wanted[i] @ queries.new[i])
        assert found["old/old"][f"found@{k}"][i] == (stay < k)
        assert found["mapped"][f"found@{k}"][i] == (crossed < k)


def test_an_item_that_was_fitted_on_is_no_rival_of_itself_held_out(plain):
    trial, k = plain.evidence.random, 1
    rows = slice(0, 60)
    queries = Queries.of(trial.old[rows], trial.new[rows], wanted_old=trial.old[rows], wanted_new=trial.new[rows])
    found = Stage.of(plain, queries).among(plain, trial.old[rows], k)
    mapped = plain.map_gallery(trial.old[rows]).vectors
    copies = 0
    for i in range(60):
        own = trial.mapped[i] @ trial.new[i]
        rivals = rank(np.delete(mapped, i, axis=0) @ trial.new[i], own)
        assert found["mapped"]["found@1"][i] == (rivals < k)
        copies += mapped[i] @ trial.new[i] > own + 1e-6
    assert copies > 30  # the map knows its own pairs better


def test_queries_that_lose_forbid_what_whole_items_permit(plain, report):
    alone = plain.report()
    assert alone.verdict.decision is Decision.SWITCH_IF_BETTER
    assert "whole items as queries" in alone.verdict.judged_by
    assert "pass queries=" in alone.notes[0]
    assert report.asked["old/old"].expected["found@10"].low > 95
    assert report.asked["mapped"].expected["found@10"].high < 80
    assert report.verdict.decision is Decision.STAY
    assert report.verdict.judged_by == "the 150 queries given; the items that they want stood for right"
    assert "found@" in report.verdict.reason
    assert not any("pass queries=" in note for note in report.notes)
    # Among 2,000 others it is harder than among 390.
    assert report.asked.n_among == 2000
    among = report.asked.among[1].expected["found@10"].estimate
    assert among < report.asked["mapped"].expected["found@10"].estimate


def test_queries_that_find_their_items_permit(by_queries):
    old, new = by_queries.evidence.queries.wanted
    same = by_queries.report(queries=Queries.of(old, new, wanted_old=old, wanted_new=new), shares=[0.5])
    assert same.asked["old/old"].expected["found@1"].estimate == 100
    assert same.verdict.decision in (Decision.SWITCH, Decision.BACKFILL, Decision.STAY)
    lost = same.asked["mapped"].gain["found@10"].low < -1 or same.asked["mapped"].gain["found@1"].low < -1
    assert (same.verdict.decision is Decision.SWITCH) == (not lost)


def test_what_queries_want_is_left_out_of_the_fit():
    old, new = items(400, 1)
    queries = Queries.of(old[::3], new[::3], wanted_old=old[::3], wanted_new=new[::3])
    upgrade = Upgrade.fit(old, new, kinds=["gallery"], queries=queries)
    assert upgrade.evidence.n_pairs == 400 - 134
    assert (upgrade.map.anchors @ old[::3].T).max() < 0.99999
    assert upgrade.report().asked.unfit == 0


def test_queries_given_later_are_judged_where_the_map_has_not_seen_their_item(large):
    old, new = items(2000, 1)
    held_out = (old @ large.evidence.random.old.T > 0.99999).any(axis=1)
    assert 0 < (~held_out).sum() < 500
    rows = np.concatenate([np.flatnonzero(~held_out)[:8], np.flatnonzero(held_out)[:5]])
    some = Queries.of(old[rows], new[rows], wanted_old=old[rows], wanted_new=new[rows])
    found = large.report(queries=some)
    assert (found.asked.unfit, found.asked.n, found.asked.n_items) == (8, 5, held_out.sum())
    assert any("8 queries were left out" in note for note in found.notes)
    with pytest.raises(InvalidVectorError, match="each of the 8 queries wants an item that the upgrade was fitted on"):
        large.report(queries=some.kept(np.arange(8)))


def test_one_item_wanted_twice_stands_on_the_stage_once(plain):
    queries = asked(5).kept(np.array([0, 0, 1, 1, 1, 2]))
    stage = Stage.of(plain, queries)
    assert len(stage) == len(plain.evidence.random.old) + 3
    np.testing.assert_allclose(stage.new[stage.wanted], queries.wanted[1])


def test_few_queries_forbid_and_do_not_permit(plain):
    few = plain.report(queries=asked(60))
    assert few.verdict.decision is Decision.STAY
    assert "60 queries given find less" in few.verdict.reason
    assert any("60 queries are too few" in note for note in few.notes)
    old, _, _ = World().items(1500, seed=1)
    noise = np.random.default_rng(0).standard_normal(old.shape).astype(np.float32)
    turned = Upgrade.fit(old, rotated(old + 0.01 * noise), kinds=["isometry"])
    q, _, _ = World().items(20, seed=2)
    harmless = turned.report(queries=Queries.of(q, rotated(q), wanted_old=q, wanted_new=rotated(q)))
    assert "whole items" in harmless.verdict.judged_by
    assert harmless.verdict.decision is Decision.SWITCH


def test_all_forms_show_what_queries_find(report):
    text, page = str(report), report._repr_html_()
    told = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    mapped = next(one for one in told["asked"]["searches"] if one["name"] == "mapped")["expected"]["found@10"]
    number = f"{mapped['estimate']:.1f} [{mapped['low']:.1f}, {mapped['high']:.1f}]"
    for shown in (number, "150 queries", "Among 2,000 stored vectors", report.verdict.judged_by):
        assert shown in text
        assert shown in page
    assert told["verdict"]["judged_by"] == report.verdict.judged_by
    assert max(map(len, text.split("\n")[4:15])) <= 120


def test_the_figure_shows_what_queries_find(report):
    pytest.importorskip("matplotlib")
    axes = report.figure().axes
    assert [one.get_ylabel() for one in axes] == [
        "150 queries: found@1, %",
        "150 queries: found@10, %",
        "whole items: nearness@1, %",
        "whole items: nearness@10, %",
    ]
    curve = next(line for line in axes[1].get_lines() if line.get_label() == "mixed search")
    wanted = [one.expected["found@10"].estimate for one in report.asked.searches if one.share is not None]
    np.testing.assert_allclose(curve.get_ydata(), wanted)


def test_a_saved_upgrade_keeps_its_queries(tmp_path, by_queries, report):
    by_queries.save(tmp_path / "u")
    again = Upgrade.load(tmp_path / "u").report(gallery_vectors=items(2000, 9)[0])
    assert again.to_dict() == report.to_dict()


def test_bad_queries_are_refused(plain):
    good = asked(3)
    with pytest.raises(InvalidVectorError, match="give wanted_new="):
        Queries.of(good.old, good.new, wanted_old=good.old)
    with pytest.raises(InvalidVectorError, match="equally many, not 3, 2"):
        Queries.of(good.old, good.new[:2])
    with pytest.raises(InvalidVectorError, match="the items wanted dim 5"):
        Queries.of(good.old, good.new, wanted_old=np.ones((3, 5)), wanted_new=good.new)
    with pytest.raises(ModelMismatchError, match="queries have dim 5, vectors of model 'v1' dim 34"):
        plain.report(queries=Queries.of(np.ones((3, 5)), good.new))
    with pytest.raises(InvalidVectorError, match="no queries"):
        plain.report(queries=Queries.of(np.empty((0, 34)), np.empty((0, 34))))
