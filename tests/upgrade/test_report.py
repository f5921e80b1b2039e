"""Reports: what they foretell is what happens, the verdict on made worlds, and how they are shown."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings

import numpy as np
import pytest
from worlds import World, rotated

from retrieval import metrics
from retrieval.upgrade import Decision, Upgrade
from retrieval.upgrade.coverage import Coverage
from retrieval.upgrade.judging import outcomes
from retrieval.upgrade.reporting import _judged
from retrieval.upgrade.trial import group_folds, random_folds
from retrieval.upgrade.verdict import Findings, Judged, decide

CLEAR = World(blur=0.3, bend=1.0)


@pytest.fixture(scope="module")
def fitted():
    old, new, classes = CLEAR.items(1500, seed=1)
    return Upgrade.fit(old, new, classes=classes, old_model="v1", new_model="v2", kinds=["gallery"])


@pytest.fixture(scope="module")
def report(fitted):
    return fitted.report(encoder_rate=50.0, n_items=10_000, gallery_vectors=CLEAR.items(600, seed=7)[0])


def interval(estimate, low=None, high=None):
    return metrics.Interval(estimate, estimate if low is None else low, estimate if high is None else high, 0.95)


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
        32 * 120: upgrade.report(shares=[], n_items=10**7),
    }
    for size, found in told.items():
        assert found.n_foretold == size
        assert f"foretold for a gallery of {size:,} items" in str(found)
        assert ("what 10,000,000 add to that is not known" in str(found)) == (size == 32 * 120)
        values = outcomes(upgrade.evidence.random, upgrade.calibration, (), 10, size)
        gains = 100 * (values["mapped"]["nearness@10"] - values["old/old"]["nearness@10"])
        assert found["mapped"].gain["nearness@10"].estimate == pytest.approx(gains.mean())
    assert upgrade.report(shares=[], gallery_vectors=stored).n_foretold == 700
    assert upgrade.report(shares=[], gallery_vectors=stored, n_items=900).n_foretold == 900
    labelled = Upgrade.fit(old, new, kinds=["gallery"], classes=classes).report(shares=[])
    assert "foretold" not in str(labelled)


def test_without_labels_a_backfill_is_credited_with_fewer_mapped_rows_alone():
    old, new, classes = CLEAR.items(700, seed=1)
    for given in (None, classes):
        report = Upgrade.fit(old, new, kinds=["isometry"], classes=given).report()
        judged = _judged("a test", given is not None, report.decisive, report.searches, (), 700)
        assert [share for share, _ in judged.backfilled] == [0.1, 0.3, 0.5, 1.0]
        for share, told in judged.backfilled:
            for measure, of in told.items():
                mapped, shown = (report[name].gain[measure] for name in ("mapped", f"mixed {share:.0%}"))
                left = [(1 - share) * one for one in (mapped.estimate, mapped.low, mapped.high)]
                wanted = left if given is None else [shown.estimate, shown.low, shown.high]
                assert [of.estimate, of.low, of.high] == pytest.approx(wanted)


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


def findings(items, asked=None, uncovered=None):
    return Findings(1000, 50.0, False, items, asked, uncovered)


def judged(switched, *, labelled=True, better=8.0, backfilled=(), n=500):
    return Judged("a test", labelled, {"mAP": interval(better)}, [{"mAP": one} for one in switched], backfilled, n)


@pytest.mark.parametrize(
    ("switched", "backfilled", "decision", "at_least"),
    [
        ((5.0, 3.0, 7.0), (9.0, 8.0, 9.5), Decision.SWITCH, None),
        ((-0.2, -0.9, 0.5), (9.0, 8.0, 9.5), Decision.SWITCH, None),
        ((-0.9, -3.1, 0.7), (2.0, 1.0, 3.0), Decision.SWITCH, None),
        ((-1.1, -3.1, 0.7), (2.0, -0.9, 3.0), Decision.BACKFILL, 0.3),
        ((-1.1, -3.1, 0.7), (2.0, -1.1, 3.0), Decision.STAY, None),
        ((-5.0, -6.0, -4.0), (-2.0, -3.0, -1.0), Decision.STAY, None),
    ],
)
def test_a_switch_must_not_lose_more_than_a_point(switched, backfilled, decision, at_least):
    judged = Judged(
        by="classes",
        labelled=True,
        better={"mAP": interval(8.0)},
        switched=[{"CMC@1": interval(9.0), "mAP": interval(*switched)}],
        backfilled=[
            (0.0, {"mAP": interval(*switched)}),
            (0.3, {"mAP": interval(*backfilled)}),
            (1.0, {"mAP": interval(8.0)}),
        ],
        n_queries=500,
    )
    verdict = decide(findings(judged))
    assert (verdict.decision, verdict.at_least) == (decision, at_least)
    assert verdict.reason.count(". ") == 0
    assert str(verdict).startswith(f"{decision.value}{' at least 30%' if at_least else ''}: ")
    told = "3.1 points of mAP lower is not ruled out" in verdict.reason
    assert told == (decision is Decision.SWITCH and switched[1] < -1)


def test_the_margin_decides():
    base = findings(judged([interval(-2.0)]))
    assert decide(base, 1.0).decision is Decision.STAY
    assert decide(base, 2.5).decision is Decision.SWITCH


def test_a_model_that_is_worse_by_itself_is_refused_for_what_its_queries_find():
    gained, lost = (decide(findings(judged([interval(by)], better=-4.0))) for by in (0.5, -3.0))
    assert gained.decision is Decision.SWITCH
    assert "encoding everything anew would leave 4.0 points of mAP lower" in gained.reason
    assert lost.decision is Decision.STAY
    assert "the new model is worse by itself, 4.0 points of mAP lower" in lost.reason
    unlabelled = decide(findings(judged([interval(0.5)], better=-4.0, labelled=False)))
    assert "anew" not in unlabelled.reason


def test_what_only_the_new_model_judges_is_advised_on_a_condition():
    lost, won = interval(-5.0), interval(4.0)
    assert decide(findings(judged([won], labelled=False))).decision is Decision.SWITCH_IF_BETTER
    backfilled = decide(findings(judged([lost], labelled=False, backfilled=[(0.3, {"mAP": won})])))
    assert backfilled.decision is Decision.BACKFILL_IF_BETTER
    assert str(backfilled).startswith("switch and backfill at least 30% if the new model is better: ")
    # Where both models find the same, it matters not which is the better one.
    assert decide(findings(judged([interval(0.0)], labelled=False, better=0.5))).decision is Decision.SWITCH


def test_queries_decide_where_they_are_enough_and_every_gallery_counts():
    lost, won = judged([interval(-5.0)]), judged([interval(4.0)])
    assert decide(findings(won, lost)).decision is Decision.STAY
    assert decide(findings(lost, won)).decision is Decision.SWITCH
    assert decide(findings(won, judged([interval(4.0), interval(-5.0)]))).decision is Decision.STAY
    assert decide(findings(lost, judged([interval(4.0)], n=99))).decision is Decision.STAY
    assert decide(findings(won, judged([interval(-5.0)], n=99))).decision is Decision.STAY
    assert decide(findings(won, judged([interval(-5.0, -20.0, 0.5)], n=99))).decision is Decision.SWITCH


def test_more_than_half_to_backfill_is_no_switch():
    lost, won = {"mAP": interval(-9.0)}, {"mAP": interval(3.0)}
    tried = Judged("a test", True, won, [lost], [(0.5, lost), (0.7, won), (1.0, won)], 500)
    verdict = decide(findings(tried, uncovered=interval(0.8)))
    assert verdict.decision is Decision.STAY
    assert "80% of the gallery is of kinds" in verdict.reason


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
