"""Verdict: switch, switch and backfill, or do not switch, and why."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from retrieval.metrics import Interval

# Fewer pairs leave held-out galleries of less than 40 items, which say nothing about thousands.
LEAST_PAIRS = 200
# Pairs that match less are shuffled; see `retrieval.compat.UnrelatedPairsWarning`.
LEAST_RELATEDNESS = 3.7
# Whoever must re-encode more than this before the switch pays had better re-encode first.
MOST_BACKFILL = 0.5
# Of a hundred queries without a loss, the true share of losses lies below 3 % (95 %); fewer may forbid, not permit.
LEAST_QUERIES = 100
# Up to so many times a held-out gallery what it shows is taken for the gallery's own; beyond, a loss must be ruled out.
MOST_LARGER = 8.0

Differences = Mapping[str, Interval]


class Decision(str, Enum):
    """What to do.

    Where nothing but the new model says what is right, that it is the better one cannot be known, and the switch is
    advised on that condition.
    """

    SWITCH = "switch"
    BACKFILL = "switch and backfill"
    SWITCH_IF_BETTER = "switch if the new model is better"
    BACKFILL_IF_BETTER = "switch and backfill if the new model is better"
    STAY = "do not switch"


@dataclass(frozen=True)
class Verdict:
    """What to do, and why.

    Attributes
    ----------
    decision : Decision
    at_least : float or None
        Share to backfill, where the decision is to backfill.
    reason : str
        One sentence.
    judged_by : str
        What stood for right, and what was asked.
    """

    decision: Decision
    at_least: float | None
    reason: str
    judged_by: str

    def __str__(self) -> str:
        advice = self.decision.value
        if self.at_least is not None:
            advice = advice.replace("backfill", f"backfill at least {self.at_least:.0%}")
        return f"{advice}: {self.reason}"

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON can hold."""
        return {**vars(self), "decision": self.decision.value}


@dataclass(frozen=True)
class Judged:
    """Searches judged one way; differences against staying in points, 1 point = .01.

    Attributes
    ----------
    by : str
        What was asked, and what stood for right.
    labelled : bool
        Something else than the new model stood for right: classes, or the items wanted.
    better : mapping
        The new model's own search, everything re-encoded.
    switched : sequence of mappings
        Search of the mapped gallery, in each gallery tried.
    backfilled : sequence of (share, mapping)
        The same at rising shares backfilled.
    n_queries : int
    larger : float
        How many times as large the gallery is as the held-out one that was searched.
    """

    by: str
    labelled: bool
    better: Differences
    switched: Sequence[Differences]
    backfilled: Sequence[tuple[float, Differences]]
    n_queries: int
    larger: float = 1.0


@dataclass(frozen=True)
class Findings:
    """What a verdict rests on.

    Attributes
    ----------
    n_pairs : int
    relatedness : float or None
        z of the check that held-out pairs match.
    identical : bool
        Both models give the same vectors.
    turned : bool
        The new vectors are the old ones, turned.
    items : Judged
        With whole held-out items as queries.
    asked : Judged or None
        With queries that were given; they decide if they are 100 or more.
    uncovered : Interval or None
        Share of the gallery that is of kinds that the pairs do not hold.
    """

    n_pairs: int
    relatedness: float | None
    identical: bool
    turned: bool
    items: Judged
    asked: Judged | None
    uncovered: Interval | None


def decide(found: Findings, margin: float = 1.0) -> Verdict:
    """Advise what is most likely right: switching must not lose more than `margin` points against staying.

    A switch is advised where the estimate of every decisive measure lies above −margin; where its interval does not,
    the reason says so. For a gallery of more than eight times a held-out one the whole interval must: few pairs hold
    out small galleries, in which a map loses less than among all, and an estimate above −margin is a loss too often.
    The advice is then to stay, and to bring so many pairs more as would make it sure. What is the old model turned
    may be switched however few pairs show it, if no queries lose by it. A backfill costs encoder calls
    and is to make sure: it is advised at the least share at which the whole 95 % interval of every measure lies above
    −margin. Where that takes more than half of the gallery, the advice is to stay.
    """
    enough = found.asked is not None and found.asked.n_queries >= LEAST_QUERIES
    judged = found.asked if found.asked is not None and enough else found.items

    def stay(reason: str) -> Verdict:
        return Verdict(Decision.STAY, None, reason, judged.by)

    if found.identical:
        reason = "both models give the same vectors, so that nothing changes"
        return Verdict(Decision.SWITCH, None, reason, "the vectors alone")
    lost_by_queries = "" if found.asked is None else _worst(found.asked.switched[-1], margin, at="estimate")
    if found.turned and not lost_by_queries:
        reason = "the new vectors are the old ones, turned: every held-out pair is met exactly, so that nothing changes"
        return Verdict(Decision.SWITCH, None, reason, "the vectors alone")
    if found.relatedness is not None and found.relatedness < LEAST_RELATEDNESS:
        return stay(
            f"held-out pairs match no better than strangers (z = {found.relatedness:.1f}): the two arrays are "
            "not in the same order, or the models see nothing in common"
        )
    if found.n_pairs < LEAST_PAIRS:
        return stay(f"{found.n_pairs} pairs are too few to tell what a switch would do; bring {LEAST_PAIRS} or more")
    if found.asked is not None and not enough:
        lost = _worst(found.asked.switched[-1], margin, at="high")
        if lost:
            return stay(f"the {found.asked.n_queries} queries given find less in the mapped gallery: at least {lost}")
    unknown = next((name for tried in judged.switched for name, d in tried.items() if math.isnan(d.estimate)), "")
    if unknown:
        return stay(
            f"nothing is known of {unknown}, as held-out pairs hold no two items of a class; bring more of each"
        )
    unsure = _too_few(judged, found.n_pairs if judged is found.items else None, margin)
    return stay(unsure) if unsure else _advised(judged, found.uncovered, margin)


def _too_few(judged: Judged, n_pairs: int | None, margin: float) -> str:
    """Say that too little was held out to tell, and how much would do; empty where it is enough, or a loss is likely.

    Intervals shrink with the root of what was held out. Pairs that hold out an eighth of the gallery are enough.
    """
    if judged.larger <= MOST_LARGER or any(_worst(tried, margin, at="estimate") for tried in judged.switched):
        return ""
    tried = next((one for one in judged.switched if _worst(one, margin, at="low")), None)
    if tried is None:
        return ""
    shrunk = max((d.estimate - d.low) / max(d.estimate + margin, 1e-9) for d in tried.values()) ** 2
    n, what = (judged.n_queries, "queries") if n_pairs is None else (n_pairs, "pairs")
    more = n * (min(shrunk, judged.larger / MOST_LARGER) - 1)
    return (
        f"{n:,} {what} are too few to tell for a gallery {judged.larger:,.0f} times as large as the held-out one: "
        f"{_all(tried)}; bring about {_round(more):,} more"
    )


def _advised(judged: Judged, uncovered: Interval | None, margin: float) -> Verdict:
    """Advise by what is lost against staying, at the smallest share backfilled that will do."""
    # The old model's search is as good as the new one's by the new one's own measure: it matters not which is better.
    same = not judged.labelled and all(d.high <= margin for d in judged.better.values())
    unsure = not judged.labelled and not same
    unknown = "; whether it is the better model, pairs without labels cannot tell" if unsure else ""
    worse = _worst(judged.better, margin, at="estimate") if judged.labelled else ""
    lacking = next((lost for tried in judged.switched if (lost := _worst(tried, margin, at="estimate"))), "")
    if not lacking:
        possible = next((lost for tried in judged.switched if (lost := _worst(tried, margin, at="low"))), "")
        doubt = f"; as much as {possible} is not ruled out" if possible else ""
        # Its queries may find more among mapped rows, which are smoothed, than among its own.
        doubt += f"; encoding everything anew would leave {worse} than staying" if worse else ""
        return Verdict(
            Decision.SWITCH_IF_BETTER if unsure else Decision.SWITCH,
            None,
            "searching the mapped gallery by the new model is no worse than staying: "
            f"{_all(judged.switched[-1])}{doubt}{unknown}",
            judged.by,
        )
    for share, differences in judged.backfilled:
        if 0 < share <= MOST_BACKFILL and not _worst(differences, margin, at="low"):
            return Verdict(
                Decision.BACKFILL_IF_BETTER if unsure else Decision.BACKFILL,
                share,
                f"mapped alone is {lacking} than staying, but at {share:.0%} backfilled the search is no "
                f"worse: {_all(differences)}{unknown}",
                judged.by,
            )
    beyond = ""
    if uncovered is not None and uncovered.low > 0.1:
        beyond = f", as {uncovered.estimate:.0%} of the gallery is of kinds that the pairs do not hold"
    reason = f"searching the mapped gallery is {lacking} than staying{beyond}"
    if worse:
        reason += f"; the new model is worse by itself, {worse} than the old one"
    return Verdict(Decision.STAY, None, reason, judged.by)


def _worst(differences: Differences, margin: float, *, at: str) -> str:
    """Say which difference falls furthest below −margin, and by how much; empty if none does."""
    name, found = min(differences.items(), key=lambda item: float(getattr(item[1], at)))
    lost = -float(getattr(found, at))
    return f"{lost:.1f} points of {name} lower" if lost > margin else ""


def _all(differences: Differences) -> str:
    return ", ".join(
        f"{name} {d.estimate:+.1f} [{d.low:+.1f}, {d.high:+.1f}] points" for name, d in differences.items()
    )


def _round(n: float) -> int:
    """Round up to two digits, 10 at least."""
    step = int(10 ** max(int(math.log10(max(n, 1))) - 1, 1))
    return max(math.ceil(n / step), 1) * step
