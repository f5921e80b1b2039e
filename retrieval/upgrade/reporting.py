"""Making a report: held-out searches judged, weighed for what the gallery holds, and put to the verdict."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from retrieval.metrics import Interval, paired_bootstrap
from retrieval.upgrade.judging import CROSS, LABELLED, SELF, STAY, Outcomes, mixed, outcomes, unlabelled
from retrieval.upgrade.report import Cost, Report, Search
from retrieval.upgrade.verdict import Findings, decide

if TYPE_CHECKING:
    from retrieval.upgrade.plan import Upgrade

SHARES = (0.0, 0.1, 0.3, 0.5, 1.0)
_RESAMPLES = 1000


def make_report(
    upgrade: Upgrade,
    *,
    gallery_vectors: npt.ArrayLike | None,
    n_items: int | None,
    encoder_rate: float | None,
    k: int,
    shares: Sequence[float],
    margin: float,
    seed: int,
) -> Report:
    """Judge the held-out pairs; see `Upgrade.report`."""
    evidence = upgrade.evidence
    if evidence is None:
        raise ValueError(
            f"{upgrade.name!r} is chained or needs no map, and no pairs were held out for it: report on each of the "
            "upgrades that it was chained from, or on one that `fit` makes"
        )
    for name, share in (("shares", s) for s in shares):
        if not 0 <= share <= 1:
            raise ValueError(f"{name} must lie in [0, 1], not {share}")
    rising = sorted({float(share) for share in shares})
    labelled = bool(evidence.random.codes[0] >= 0)
    decisive = LABELLED if labelled else unlabelled(k)
    sides = [outcomes(trial, upgrade.calibration, rising, k) for trial in (evidence.random, evidence.groups)]
    uncovered = None if gallery_vectors is None else evidence.coverage.uncovered(gallery_vectors, seed=seed)
    weight = 0.0 if uncovered is None else uncovered.estimate
    searches = tuple(
        _search(name, share, sides, weight, seed)
        for name, share in [(STAY, None), (CROSS, None), (SELF, None), *((mixed(s), s) for s in rising)]
    )
    by_name = {search.name: {m: search.gain[m] for m in decisive} for search in searches}
    verdict = decide(
        Findings(
            evidence.n_pairs,
            evidence.relatedness,
            upgrade.kind == "identity",
            labelled,
            by_name[SELF] if labelled else None,
            by_name[CROSS],
            [(share, by_name[mixed(share)]) for share in rising],
            uncovered,
        ),
        margin,
    )
    n = 1_000_000 if n_items is None else n_items
    rewritten = upgrade.kind in ("isometry", "gallery")
    cost = Cost(
        n,
        n,
        evidence.random.seconds * n if rewritten else 0.0,
        n * upgrade.search_dim * 4 if rewritten else 0,
        None if encoder_rate is None else n / encoder_rate,
    )
    return Report(
        upgrade.name,
        upgrade.kind,
        evidence.n_pairs,
        labelled,
        evidence.held_out,
        decisive,
        verdict,
        searches,
        uncovered,
        cost,
        _notes(upgrade, labelled, uncovered, searches[1], decisive, margin),
    )


def _search(name: str, share: float | None, sides: Sequence[Outcomes], weight: float, seed: int) -> Search:
    alike, unlike, expected, gain = {}, {}, {}, {}
    for measure in sides[0][name]:
        values = [100 * side[name][measure] for side in sides]
        stay = [100 * side[STAY][measure] for side in sides]
        alike[measure], unlike[measure] = (_interval(v, seed) for v in values)
        expected[measure] = _interval(_weighed(values, weight), seed)
        gain[measure] = _interval(_weighed([v - s for v, s in zip(values, stay, strict=True)], weight), seed)
    return Search(name, share, alike, unlike, expected, gain)


def _interval(values: npt.NDArray[np.float64], seed: int) -> Interval:
    if np.isnan(values).all():
        # Held-out folds in which every class has but one item have no CMC; nothing is known of it.
        return Interval(float("nan"), float("nan"), float("nan"), 0.95)
    return paired_bootstrap(values, n_resamples=_RESAMPLES, seed=seed)


def _weighed(values: Sequence[npt.NDArray[np.float64]], weight: float) -> npt.NDArray[np.float64]:
    """Queries of both kinds in one heap, scaled such that its mean is (1 − w) · mean + w · mean."""
    if weight == 0:
        return values[0]
    kept = [v[~np.isnan(v)] for v in values]
    n = sum(len(v) for v in kept)
    return np.concatenate([v * (w * n / max(len(v), 1)) for v, w in zip(kept, (1 - weight, weight), strict=True)])


def _notes(
    upgrade: Upgrade,
    labelled: bool,
    uncovered: Interval | None,
    crossed: Search,
    decisive: Sequence[str],
    margin: float,
) -> tuple[str, ...]:
    evidence = upgrade.evidence
    notes = []
    if not labelled:
        notes.append(
            "There are no labels: all measures take the new model's own neighbours for right. Whether it is the "
            "better model cannot be known from pairs; give classes, or judge its answers yourself."
        )
    if evidence is not None and evidence.n_pairs < max(upgrade.old_dim, upgrade.new_dim):
        notes.append(
            f"{evidence.n_pairs} pairs are fewer than {max(upgrade.old_dim, upgrade.new_dim)} dims, which leaves "
            "some directions unmapped; more pairs would help."
        )
    if uncovered is None:
        falls = [
            f"{m} {crossed.unlike[m].estimate:.1f} instead of {crossed.alike[m].estimate:.1f}"
            for m in decisive
            if crossed.unlike[m].estimate < crossed.alike[m].estimate - margin
        ]
        if falls and evidence is not None:
            notes.append(
                "The pairs are taken for a fair sample of the gallery. On kinds of items that they do not hold "
                f"({evidence.held_out} held out as a whole) the mapped search reaches {', '.join(falls)}; pass "
                "gallery_vectors to learn how much of the gallery is of such kinds."
            )
    return tuple(notes)
