"""Verdict: switch, switch and backfill, or do not switch, and why."""

from __future__ import annotations

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

Differences = Mapping[str, Interval]


class Decision(str, Enum):
    """What to do."""

    SWITCH = "switch"
    BACKFILL = "switch and backfill"
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
    """

    decision: Decision
    at_least: float | None
    reason: str

    def __str__(self) -> str:
        at_least = "" if self.at_least is None else f" at least {self.at_least:.0%}"
        return f"{self.decision.value}{at_least}: {self.reason}"

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON can hold."""
        return {"decision": self.decision.value, "at_least": self.at_least, "reason": self.reason}


@dataclass(frozen=True)
class Findings:
    """What a verdict rests on; differences in points, 1 point = .01.

    Attributes
    ----------
    n_pairs : int
    relatedness : float or None
        z of the check that held-out pairs match.
    identical : bool
        Both models give the same vectors.
    labelled : bool
    better : mapping or None
        The new model's self-test less the old one's, by measure; None without labels.
    switched : mapping
        Search of the mapped gallery less staying, by measure.
    backfilled : sequence of (share, mapping)
        The same at rising shares backfilled.
    uncovered : Interval or None
        Share of the gallery that is of kinds that the pairs do not hold.
    """

    n_pairs: int
    relatedness: float | None
    identical: bool
    labelled: bool
    better: Differences | None
    switched: Differences
    backfilled: Sequence[tuple[float, Differences]]
    uncovered: Interval | None


def decide(found: Findings, margin: float = 1.0) -> Verdict:
    """Test for non-inferiority: switching must not lose more than `margin` points against staying.

    A switch is advised where the whole 95 % interval of every decisive measure lies above −margin: what
    the pairs cannot show is not advised. Where that takes more than half of the gallery re-encoded, the
    advice is to stay.
    """
    if found.identical:
        return Verdict(Decision.SWITCH, None, "both models give the same vectors, so that nothing changes")
    if found.relatedness is not None and found.relatedness < LEAST_RELATEDNESS:
        return Verdict(
            Decision.STAY,
            None,
            f"held-out pairs match no better than strangers (z = {found.relatedness:.1f}): the two arrays are "
            "not in the same order, or the models see nothing in common",
        )
    if found.n_pairs < LEAST_PAIRS:
        return Verdict(
            Decision.STAY,
            None,
            f"{found.n_pairs} pairs are too few to tell what a switch would do; bring {LEAST_PAIRS} or more",
        )
    worse = _worst(found.better, margin, at="estimate") if found.better else None
    if worse:
        return Verdict(Decision.STAY, None, f"the new model is worse by itself: {worse} than the old one")
    unknown = "" if found.labelled else "; whether it is the better model, pairs without labels cannot tell"
    if not _worst(found.switched, margin, at="low"):
        return Verdict(
            Decision.SWITCH,
            None,
            f"searching the mapped gallery by the new model is no worse than staying: {_all(found.switched)}{unknown}",
        )
    lacking = _worst(found.switched, margin, at="low")
    for share, differences in found.backfilled:
        if 0 < share <= MOST_BACKFILL and not _worst(differences, margin, at="low"):
            return Verdict(
                Decision.BACKFILL,
                share,
                f"mapped alone may be {lacking} than staying, but at {share:.0%} backfilled the search is no "
                f"worse: {_all(differences)}{unknown}",
            )
    beyond = ""
    if found.uncovered is not None and found.uncovered.low > 0.1:
        beyond = f", as {found.uncovered.estimate:.0%} of the gallery is of kinds that the pairs do not hold"
    return Verdict(Decision.STAY, None, f"searching the mapped gallery may be {lacking} than staying{beyond}")


def _worst(differences: Differences, margin: float, *, at: str) -> str:
    """Say which difference falls furthest below −margin, and by how much; empty if none does."""
    name, found = min(differences.items(), key=lambda item: float(getattr(item[1], at)))
    if getattr(found, at) >= -margin:
        return ""
    return (
        f"{-found.low:.1f} points of {name} lower" if at == "low" else f"{-found.estimate:.1f} points of {name} lower"
    )


def _all(differences: Differences) -> str:
    return ", ".join(
        f"{name} {d.estimate:+.1f} [{d.low:+.1f}, {d.high:+.1f}] points" for name, d in differences.items()
    )
