"""Verdicts: what is advised on what was found."""

from __future__ import annotations

import pytest

from retrieval import metrics
from retrieval.upgrade import Decision
from retrieval.upgrade.verdict import Findings, Judged, decide


def interval(estimate, low=None, high=None):
    return metrics.Interval(estimate, estimate if low is None else low, estimate if high is None else high, 0.95)


def findings(items, asked=None, uncovered=None):
    return Findings(1000, 50.0, False, False, items, asked, uncovered)


def judged(switched, *, labelled=True, better=8.0, backfilled=(), n=500, larger=1.0):
    tried = [{"mAP": one} for one in switched]
    return Judged("a test", labelled, {"mAP": interval(better)}, tried, backfilled, n, larger)


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


@pytest.mark.parametrize(
    ("switched", "larger", "more"),
    [
        ((5.0, -0.9, 9.0), 50.0, None),
        ((5.0, -4.0, 9.0), 8.0, None),
        # (9 / 6)² of the pairs leave an interval that ends at the margin; or an eighth of the gallery is held out.
        ((5.0, -4.0, 9.0), 50.0, "1,300"),
        ((5.0, -4.0, 9.0), 9.0, "130"),
        ((-1.0, -4.0, 9.0), 50.0, "5,300"),
    ],
)
def test_far_beyond_a_held_out_gallery_a_loss_must_be_ruled_out(switched, larger, more):
    verdict = decide(findings(judged([interval(*switched)], larger=larger)))
    if more is None:
        assert verdict.decision is Decision.SWITCH
        return
    assert verdict.decision is Decision.STAY
    assert f"1,000 pairs are too few to tell for a gallery {larger:.0f} times as large" in verdict.reason
    assert "[-4.0, +9.0] points" in verdict.reason
    assert verdict.reason.endswith(f"; bring about {more} more")


def test_what_is_not_known_permits_nothing():
    unknown = judged([interval(5.0), interval(float("nan"))], backfilled=[(0.3, {"mAP": interval(9.0)})])
    verdict = decide(findings(unknown))
    assert verdict.decision is Decision.STAY
    assert verdict.reason.startswith("nothing is known of mAP")


def test_what_loses_by_its_estimate_is_no_matter_of_too_few_pairs():
    switched, won = [interval(-5.0, -9.0, 2.0)], {"mAP": interval(4.0)}
    lost = decide(findings(judged(switched, larger=50.0)))
    assert lost.decision is Decision.STAY
    assert "5.0 points of mAP lower than staying" in lost.reason
    saved = decide(findings(judged(switched, larger=50.0, backfilled=[(0.3, won)])))
    assert saved.decision is Decision.BACKFILL


def test_queries_too_few_to_rule_a_loss_out_are_counted_themselves():
    asked = judged([interval(5.0, -4.0, 9.0)], n=150, larger=50.0)
    few = decide(findings(judged([interval(9.0)]), asked))
    assert few.decision is Decision.STAY
    assert "150 queries are too few" in few.reason
    assert few.reason.endswith("bring about 190 more")


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


def test_vectors_that_were_turned_are_switched_unless_queries_lose():
    lost, won = judged([interval(-5.0)]), judged([interval(0.0)], n=30)
    for asked, decision in ((None, Decision.SWITCH), (won, Decision.SWITCH), (lost, Decision.STAY)):
        found = Findings(40, None, False, True, judged([interval(-9.0)]), asked, None)
        assert decide(found).decision is decision


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
