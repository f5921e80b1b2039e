"""The report's verdict against the truth, on upgrades whose outcome is known.

OMP_NUM_THREADS=1 python -m benchmarks.upgrade.verdicts [--fresh | --third | ... | --seventh] [part of a name]

Truth, by the labels of the whole gallery, which no fit sees: query set = gallery, the item itself left out.
A switch *pays* where CMC@1 and mAP of new queries on the mapped gallery are at least those of old queries on
the old gallery less 1 point. The verdict is right where

- it says *switch*, and the switch pays;
- it says *switch and backfill at least x %*, the switch alone does not pay, and it does with x % of the
  gallery re-encoded, least sure items first;
- it says *do not switch*, and the switch does not pay.

*If the new model is better* is a condition: where everything re-encoded is worse than staying, by more than the point,
it does not hold, and such advice costs nobody anything. Both counts are given, with the condition heeded and without.

With `--fresh`, `--third` and so on to `--seventh` the scenarios are those of the modules of these names in
`benchmarks.upgrade`, which no rule of the report was made on when they were run first.

Every scenario is reported on with the same arguments: the pairs, classes or queries where its name says so, and the
gallery's old vectors and its size, without labels.
"""

from __future__ import annotations

import sys
import time
import warnings

import numpy as np

from benchmarks.compat.table import Array
from benchmarks.upgrade.backfill import precisions
from benchmarks.upgrade.fifth import fifth
from benchmarks.upgrade.fourth import fourth
from benchmarks.upgrade.fresh import fresh
from benchmarks.upgrade.scenarios import Codes, Scenario, scenarios
from benchmarks.upgrade.seventh import seventh
from benchmarks.upgrade.sixth import sixth
from benchmarks.upgrade.third import third
from retrieval import Upgrade
from retrieval.compat import PairsWarning
from retrieval.upgrade import Decision, Report

MARGIN = 1.0
SETS = {
    "--fresh": fresh,
    "--third": third,
    "--fourth": fourth,
    "--fifth": fifth,
    "--sixth": sixth,
    "--seventh": seventh,
}


def by_item(scores: Array, classes: Codes) -> Array:
    """CMC@1 and mAP in percent of each row of a square matrix of scores, the item itself left out: (2, n).

    Items with no other of their class have neither, and are not among the n.
    """
    shared = np.bincount(classes)[classes] > 1
    others = scores.copy()
    np.fill_diagonal(others, -np.inf)
    first = classes[np.argmax(others, axis=1)] == classes
    return 100 * np.stack([first[shared], precisions(scores, classes)[shared]])


def truth(s: Scenario, upgrade: Upgrade, share: float) -> list[tuple[float, float]]:
    """CMC@1 and mAP of staying, of switching, of re-encoding all, and with a share re-encoded."""
    means = [found.mean(axis=1) for found in truth_by_item(s, upgrade, share)]
    return [(float(cmc), float(precision)) for cmc, precision in means]


def truth_by_item(s: Scenario, upgrade: Upgrade, share: float) -> list[Array]:
    """The same, item by item."""
    mapped = upgrade.map_gallery(s.old_gallery, model="old")
    native = s.new_gallery @ s.new_gallery.T
    crossed = upgrade.map_query(s.new_gallery, model="new") @ mapped.vectors.T
    encoded = np.zeros(len(native), dtype=np.bool_)
    encoded[np.argsort(-mapped.spread, kind="stable")[: round(share * len(native))]] = True
    T = upgrade.map_query(s.new_gallery, model="new")
    mixed = np.where(encoded, native, upgrade.comparable(crossed, s.new_gallery, T))
    return [by_item(m, s.gallery_classes) for m in (s.old_gallery @ s.old_gallery.T, crossed, native, mixed)]


def pays(found: tuple[float, float], stay: tuple[float, float]) -> bool:
    """No measure is more than a point below staying."""
    return all(f >= s - MARGIN for f, s in zip(found, stay, strict=True))


def right(report: Report, measured: list[tuple[float, float]], *, heeded: bool) -> bool:
    """Whether the verdict agrees with the truth; with `heeded`, a condition that does not hold makes it right."""
    stay, switched, native, mixed = measured
    decision = report.verdict.decision
    conditional = decision in (Decision.SWITCH_IF_BETTER, Decision.BACKFILL_IF_BETTER)
    if conditional and heeded and not pays(native, stay):
        return True
    if decision in (Decision.SWITCH, Decision.SWITCH_IF_BETTER):
        return pays(switched, stay)
    if report.verdict.at_least is not None:
        return not pays(switched, stay) and pays(mixed, stay)
    return not pays(switched, stay)


def main() -> None:
    """Print the table."""
    arguments = sys.argv[1:]
    made = next((SETS[one] for one in arguments if one in SETS), scenarios)
    wanted = next((one for one in arguments if not one.startswith("--")), "")
    columns = [
        "scenario",
        "map",
        "staying",
        "mapped",
        "all re-encoded",
        "verdict",
        "right",
        "predicted gain",
        "uncovered",
        "no pairs",
    ]
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    reasons, n_heeded, n_right, n = [], 0, 0, 0
    for s in made():
        if wanted not in s.name:
            continue
        start = time.perf_counter()
        with warnings.catch_warnings():
            # Bad pairs are what some scenarios are about.
            warnings.simplefilter("ignore", PairsWarning)
            upgrade = Upgrade.fit(s.old, s.new, classes=s.classes, queries=s.queries)
        fitted = time.perf_counter()
        report = upgrade.report(gallery_vectors=s.old_gallery, n_items=len(s.old_gallery))
        reported = time.perf_counter()
        measured = truth(s, upgrade, report.verdict.at_least or 0.0)
        agrees, strictly = (right(report, measured, heeded=heeded) for heeded in (True, False))
        n, n_heeded, n_right = n + 1, n_heeded + agrees, n_right + strictly
        told = "yes" if strictly else "if heeded" if agrees else "**no**"
        decision, _, reason = str(report.verdict).partition(": ")
        asked = report if report.asked is None else report.asked
        gains = [asked["mapped"].gain[m] for m in asked.decisive]
        predicted = ", ".join(f"{g.estimate:+.1f} [{g.low:+.1f}, {g.high:+.1f}]" for g in gains)
        shown = " | ".join(f"{c:.1f} / {p:.1f}" for c, p in measured[:3])
        print(
            f"| {s.name} | {report.kind} | {shown} | {decision} | {told} | {predicted} "
            f"| {report.uncovered.estimate if report.uncovered else 0:.0%} | {report.unmatched.estimate:.0%} |",
            flush=True,
        )
        reasons.append(f"- {s.name}: {reason}")
        print(f"{s.name}: fit {fitted - start:.1f} s, report {reported - fitted:.1f} s", file=sys.stderr, flush=True)
    print(
        f"\nThe verdict is right in {n_heeded} of {n}, its condition heeded; in {n_right} without.\n\nReasons given:\n"
    )
    print("\n".join(reasons))


if __name__ == "__main__":
    main()
