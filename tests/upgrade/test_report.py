"""Reports: what they foretell is what happens, the verdict on made worlds, and how they are shown."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from dataclasses import replace

import numpy as np
import pytest
from worlds import World, rotated

from retrieval import metrics
from retrieval.upgrade import Decision, Queries, Upgrade
from retrieval.upgrade.coverage import Coverage
from retrieval.upgrade.judging import mean_of, outcomes
from retrieval.upgrade.reporting import _judged
from retrieval.upgrade.trial import group_folds, random_folds
from retrieval.upgrade.verdict import decide

CLEAR = World(blur=0.3, bend=1.0)


@pytest.fixture(scope="module")
def fitted():
    old, new, classes = CLEAR.items(1500, seed=1)
    return Upgrade.fit(old, new, classes=classes, old_model="v1", new_model="v2", kinds=["gallery"])


@pytest.fixture(scope="module")
def report(fitted):
    return fitted.report(encoder_rate=50.0, n_items=10_000, gallery_vectors=CLEAR.items(600, seed=7)[0])


def test_what_it_foretells_is_what_happens(fitted):
    """On 300 fresh items, as many as a fold holds out: CMC and mAP agree within their own noise."""
    found = fitted.report()
    old, new, classes = CLEAR.items(300, seed=5)
    for name, queries, gallery in (
        ("old/old", old, old),
        ("new/new", new, new),
        ("mapped", fitted.map_query(new), fitted.map_gallery(old).vectors),
    ):
        truth = metrics.rank_by_class(queries, gallery, classes, classes, exclude_same_row=True)
        for measure, values in (("CMC@1", truth.hits_at_k(1)), ("mAP", truth.average_precision)):
            fresh = metrics.paired_bootstrap(100 * values)
            told = found[name].expected[measure]
            noise = 2 * ((fresh.high - fresh.low) / 2 + (told.high - told.low) / 2)
            assert abs(told.estimate - fresh.estimate) < noise, (name, measure)
            assert told.low < told.estimate < told.high


def test_backfilled_in_full_it_is_the_new_model(report):
    assert report["mixed 100%"].expected == report["new/new"].expected
    assert report["mixed 0%"].expected["mAP"].estimate == pytest.approx(report["mapped"].expected["mAP"].estimate)


def test_staying_gains_nothing_over_staying(report):
    assert all(gain.estimate == gain.low == gain.high == 0 for gain in report["old/old"].gain.values())


def test_without_labels_the_new_model_is_the_measure(fitted):
    old, new, _ = CLEAR.items(1500, seed=1)
    found = Upgrade.fit(old, new, kinds=["gallery"]).report()
    assert found.decisive == ("nearness@1", "nearness@10")
    assert found["new/new"].expected["nearness@10"].estimate == pytest.approx(100)
    assert "Whole items stood for queries" in found.notes[0]
    assert "cannot be known from pairs" in found.notes[1]
    assert "cannot tell" in found.verdict.reason
    assert found.verdict.decision is Decision.SWITCH_IF_BETTER
    assert str(found.verdict).startswith("switch if the new model is better: ")


def test_without_labels_what_is_told_is_foretold_for_the_gallery_that_there_is():
    old, new, classes = CLEAR.items(600, seed=1)
    upgrade, stored = Upgrade.fit(old, new, kinds=["gallery"]), CLEAR.items(700, seed=2)[0]
    told = {
        600: upgrade.report(shares=[]),
        3000: upgrade.report(shares=[], n_items=3000),
        32 * 300: upgrade.report(shares=[], n_items=10**7),
    }
    for size, found in told.items():
        assert found.n_foretold == size
        assert f"foretold for a gallery of {size:,} items" in str(found)
        assert ("what 10,000,000 add to that is not known" in str(found)) == (size == 32 * 300)
        gains = []
        for trial in (upgrade.evidence.random, upgrade.evidence.halves):
            values = outcomes(trial, upgrade.calibration, (), 10, size)
            gains.append(100 * (values["mapped"]["nearness@10"] - values["old/old"]["nearness@10"]).mean())
        assert found["mapped"].gain["nearness@10"].estimate == pytest.approx(np.mean(gains))
    assert upgrade.report(shares=[], gallery_vectors=stored).n_foretold == 700
    assert upgrade.report(shares=[], gallery_vectors=stored, n_items=900).n_foretold == 900
    labelled = Upgrade.fit(old, new, kinds=["gallery"], classes=classes).report(shares=[])
    assert "foretold" not in str(labelled)


def test_without_labels_a_backfill_is_credited_with_fewer_mapped_rows_alone():
    old, new, classes = CLEAR.items(700, seed=1)
    for given in (None, classes):
        report = Upgrade.fit(old, new, kinds=["isometry"], classes=given).report()
        judged = _judged("a test", given is not None, report.decisive, report.searches, (), 700, 1.0)
        assert [share for share, _ in judged.backfilled] == [0.1, 0.3, 0.5, 1.0]
        for share, told in judged.backfilled:
            for measure, of in told.items():
                mapped, shown = (report[name].gain[measure] for name in ("mapped", f"mixed {share:.0%}"))
                left = [(1 - share) * one for one in (mapped.estimate, mapped.low, mapped.high)]
                wanted = left if given is None else [shown.estimate, shown.low, shown.high]
                assert [of.estimate, of.low, of.high] == pytest.approx(wanted)


def test_few_pairs_show_that_a_model_was_turned_where_they_span_what_the_gallery_holds():
    new, _, classes = CLEAR.items(80, seed=1)
    stored = CLEAR.items(3000, seed=2)[0]
    dim = new.shape[1]

    def verdict(old, new, gallery=None, **more):
        return Upgrade.fit(old, new, kinds=["isometry"], **more).report(gallery_vectors=gallery, n_items=3000).verdict

    for told in (verdict(new, rotated(new)), verdict(new, rotated(new, dim=dim + 5), stored, classes=classes)):
        assert told.decision is Decision.SWITCH
        assert "the old ones, turned" in told.reason
        assert told.judged_by == "the vectors alone"
    noise = np.random.default_rng(0).standard_normal(new.shape).astype(np.float32)
    assert verdict(new, rotated(new + 0.01 * noise)).decision is Decision.STAY
    # Of pairs in half of the dims nothing is known of the others.
    flat, inside, beside = new.copy(), stored.copy(), stored.copy()
    flat[:, dim // 2 :] = inside[:, dim // 2 :] = 0
    beside[:-1] = inside[:-1]
    assert verdict(flat, rotated(flat)).decision is Decision.STAY
    for within in (inside, inside.astype(np.float16), inside.tolist()):
        assert verdict(flat, rotated(flat), within).decision is Decision.SWITCH
    assert verdict(flat, rotated(flat), beside[-50:]).decision is Decision.STAY


def test_verdicts_on_made_worlds():
    old, new, classes = CLEAR.items(900, seed=1)

    def verdict(old, new, **more):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return Upgrade.fit(old, new, kinds=["isometry", "gallery"], **more).report(shares=[0.5]).verdict

    noise = np.random.default_rng(0).standard_normal(new.shape).astype(np.float32)
    assert verdict(new, new).decision is Decision.SWITCH
    assert verdict(new, rotated(new)).decision is Decision.SWITCH
    assert verdict(old, new, classes=classes).decision is Decision.SWITCH
    worse = verdict(new, old, classes=classes)
    assert worse.decision is Decision.STAY
    assert "worse by itself" in worse.reason
    assert "strangers" in verdict(old, new[::-1]).reason
    assert "strangers" in verdict(old, noise).reason
    assert "too few" in verdict(old[:60], new[:60]).reason


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5])
def test_rows_that_are_no_pairs_are_counted_and_told(share):
    old, new, _ = CLEAR.items(1200, seed=1)
    wrong = np.random.default_rng(2).permutation(1200)[: round(share * 1200)]
    new[wrong] = np.roll(new[wrong], 1, axis=0)
    for kind in ("gallery", "query"):
        found = Upgrade.fit(old, new, kinds=[kind]).report(shares=[])
        # Two standard errors of the estimate, and what one row in thirty, of a stranger's own class, takes away.
        assert found.unmatched.estimate == pytest.approx(share, abs=0.02 + 0.04 * share + 4 * (share / 1200) ** 0.5)
        told = [note for note in found.notes if "no better than strangers" in note]
        assert bool(told) == (share > 0)
    if share:
        assert f"{found.unmatched.estimate:.0%}" in told[0]


def test_a_gallery_of_other_kinds_is_noticed():
    seen, unseen = range(20), range(20, 30)
    old, new, _ = CLEAR.items(2000, seed=1, classes=seen)
    upgrade = Upgrade.fit(old, new, kinds=["gallery"])
    alike = upgrade.report(gallery_vectors=CLEAR.items(500, seed=2, classes=seen)[0])
    other = upgrade.report(gallery_vectors=CLEAR.items(500, seed=2, classes=unseen)[0])
    assert alike.uncovered.high < 0.3 < other.uncovered.low
    assert other["mapped"].expected["nearness@1"].estimate < alike["mapped"].expected["nearness@1"].estimate - 3
    assert alike["mapped"].unlike == other["mapped"].unlike
    half = CLEAR.items(1000, seed=3, classes=seen)[0][:250], CLEAR.items(1000, seed=4, classes=unseen)[0][:250]
    between = upgrade.report(gallery_vectors=np.concatenate(half)).uncovered.estimate
    assert alike.uncovered.estimate + 0.1 < between < other.uncovered.estimate - 0.1


def test_items_that_are_pairs_count_as_covered_and_for_no_more():
    old, new, _ = CLEAR.items(2000, seed=1, classes=range(20))
    coverage = Upgrade.fit(old, new, kinds=["gallery"]).evidence.coverage
    other = CLEAR.items(500, seed=2, classes=range(20, 30))[0]
    alone = coverage.uncovered(other).estimate
    assert alone > 0.5
    assert coverage.uncovered(np.concatenate([other, old[:500]])).estimate == pytest.approx(alone / 2, abs=0.08)
    assert coverage.uncovered(old[:500]).estimate < 0.05


def test_the_uncovered_share_is_nought_and_one_at_the_ends():
    old, _, classes = CLEAR.items(1500, seed=1)
    random, groups = random_folds(classes, 0), group_folds(classes, 0)
    coverage = Coverage.of(old, random, groups, 0)
    assert coverage.uncovered(CLEAR.items(800, seed=9)[0]).estimate < 0.1
    seen = np.isin(classes, np.unique(classes[groups[0].fit]))
    rest, codes = old[seen], classes[seen]
    partly = Coverage.of(rest, random_folds(codes, 0), group_folds(codes, 0), 0)
    assert partly.uncovered(old[~seen]).estimate > 0.7


def test_the_verdict_is_told_how_much_larger_the_gallery_is(fitted, monkeypatch):
    told = []
    monkeypatch.setattr("retrieval.upgrade.reporting.decide", lambda *given: told.append(given[0]) or decide(*given))
    old, new, _ = CLEAR.items(150, seed=3)
    queries = Queries.of(old, new, wanted_old=old, wanted_new=new)
    plain = fitted.report(shares=[], n_items=10_000, queries=queries)
    assert told[-1].items.larger == pytest.approx(10_000 / 300)
    assert told[-1].asked.larger == pytest.approx(10_000 / plain.asked.n_items)
    fitted.report(shares=[], gallery_vectors=CLEAR.items(600, seed=7)[0], n_items=10_000, queries=queries)
    assert told[-1].asked.larger == 1


def test_of_few_pairs_halves_are_held_out_too_and_both_are_averaged_item_by_item(tmp_path):
    old, new, classes = CLEAR.items(999, seed=4)
    upgrade = Upgrade.fit(old, new, kinds=["gallery"])
    evidence = upgrade.evidence
    assert evidence.halves.sizes.tolist() == [500, 499]
    np.testing.assert_array_equal(evidence.halves.old[evidence.twins], evidence.random.old)
    sides = [outcomes(trial, upgrade.calibration, (), 10, 4000) for trial in (evidence.random, evidence.halves)]
    both = mean_of(*sides, evidence.twins)
    for measure in ("nearness@1", "recall@10"):
        first, second = (side["mapped"][measure] for side in sides)
        row = int(np.flatnonzero((evidence.halves.old == evidence.random.old[7]).all(axis=1))[0])
        assert both["mapped"][measure][7] == pytest.approx((first[7] + second[row]) / 2)
    found = upgrade.report(shares=[], n_items=4000)
    gain = 100 * (both["mapped"]["nearness@1"] - both["old/old"]["nearness@1"])
    wanted, told = metrics.paired_bootstrap(gain, n_resamples=1000, seed=0), found["mapped"].gain["nearness@1"]
    assert [told.estimate, told.low, told.high] == pytest.approx([wanted.estimate, wanted.low, wanted.high])
    upgrade.save(tmp_path / "few")
    assert Upgrade.load(tmp_path / "few").report(shares=[], n_items=4000).to_dict() == found.to_dict()
    labelled = Upgrade.fit(old, new, kinds=["isometry"], classes=classes).evidence
    assert labelled.halves.sizes.tolist() == [500, 499]
    np.testing.assert_array_equal(labelled.halves.codes[labelled.twins], labelled.random.codes)
    old, new, classes = CLEAR.items(1000, seed=4)
    for given in (None, classes):
        assert Upgrade.fit(old, new, kinds=["isometry"], classes=given).evidence.halves is None


def test_classes_of_two_are_judged_in_halves_or_not_at_all():
    old, new, _ = CLEAR.items(1200, seed=4)
    # Neighbours by the new model are of one class.
    order = np.argsort(new[:, 0])
    pairs = np.arange(1200) // 2
    upgrade = Upgrade.fit(old[order], new[order], kinds=["gallery"], classes=pairs)
    evidence, gallery = upgrade.evidence, World(bend=9.0).items(600, seed=9)[0]
    first, both = (
        outcomes(trial, upgrade.calibration, (), 10)["mapped"]["CMC@1"] for trial in (evidence.random, evidence.halves)
    )
    assert np.isnan(first).all()
    assert 0.3 < np.isfinite(both).mean() < 0.7
    found = upgrade.report(shares=[])
    assert np.isfinite(found["mapped"].gain["CMC@1"].estimate)
    blind = replace(upgrade, evidence=replace(evidence, halves=None, twins=None))
    for vectors in (None, gallery):
        unknown = blind.report(shares=[], gallery_vectors=vectors)
        assert np.isnan(unknown["mapped"].gain["CMC@1"].estimate)
        assert unknown.verdict.decision is Decision.STAY
        assert "nothing is known of CMC@1" in unknown.verdict.reason


def test_the_cost_is_counted(fitted, report):
    assert report.cost.encoder_calls_saved == 10_000
    assert report.cost.encoder_seconds == 200
    assert report.cost.bytes == 10_000 * 16 * 4
    assert report.cost.seconds == pytest.approx(fitted.evidence.random.seconds * 10_000)
    old, new, _ = CLEAR.items(300, seed=1)
    by_query = Upgrade.fit(old, new, kinds=["query"]).report()
    assert (by_query.cost.bytes, by_query.cost.n_items) == (0, 1_000_000)


def test_a_saved_upgrade_gives_the_same_report(tmp_path, fitted, report):
    fitted.save(tmp_path / "u")
    again = Upgrade.load(tmp_path / "u").report(
        encoder_rate=50.0, n_items=10_000, gallery_vectors=CLEAR.items(600, seed=7)[0]
    )
    assert again.to_dict() == report.to_dict()


def test_text_html_and_json_tell_the_same(report):
    text, page = str(report), report._repr_html_()
    told = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert told["verdict"]["decision"] == report.verdict.decision.value
    mapped = next(s for s in told["searches"] if s["name"] == "mapped")["expected"]["mAP"]
    number = f"{mapped['estimate']:.1f} [{mapped['low']:.1f}, {mapped['high']:.1f}]"
    assert number in text
    assert number in page
    assert max(map(len, text.split("\n")[6:15])) <= 120
    assert "verdict: switch" in text
    assert repr(report) == "Report('v1 → v2', gallery map, 1,500 pairs: switch)"
    assert "3.3 min of encoding" in text
    with pytest.raises(KeyError, match="mixed 0%"):
        report["mixed 7%"]


def test_html_escapes_names():
    old, new, _ = CLEAR.items(250, seed=1)
    page = Upgrade.fit(old, new, kinds=["isometry"], old_model="<v1>").report()._repr_html_()
    assert "<v1>" not in page
    assert "&lt;v1&gt;" in page


def test_the_figure_shows_the_curve(report):
    pytest.importorskip("matplotlib")
    figure = report.figure()
    assert len(figure.axes) == len(report.decisive)
    curve = next(line for line in figure.axes[1].get_lines() if line.get_label() == "mixed search")
    wanted = [report[f"mixed {share:.0%}"].expected["mAP"].estimate for share in (0, 0.1, 0.3, 0.5, 1)]
    np.testing.assert_allclose(curve.get_ydata(), wanted)
    assert figure._repr_png_().startswith(b"\x89PNG")  # what a notebook shows


def test_reports_need_no_matplotlib_until_they_are_drawn():
    code = (
        "import sys; sys.modules['matplotlib'] = sys.modules['matplotlib.figure'] = None\n"
        "import types, retrieval, retrieval.upgrade, retrieval.plots\n"
        "try: retrieval.plots.upgrade_report(types.SimpleNamespace(decisive=['mAP'], asked=None))\n"
        "except retrieval.MissingDependencyError as error: print(error)\n"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'vsa-retrieval[plots]'" in out.stdout


def test_bad_requests_are_refused(fitted):
    with pytest.raises(ValueError, match=r"shares must lie in \[0, 1\]"):
        fitted.report(shares=[0.1, 1.5])
    with pytest.raises(ValueError, match="dim 9"):
        fitted.report(gallery_vectors=np.ones((50, 9)))
