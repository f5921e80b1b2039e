"""Making a report: held-out searches judged, weighed for what the gallery holds, and put to the verdict."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from retrieval.metrics import Interval, paired_bootstrap
from retrieval.upgrade.asking import Stage, known_item
from retrieval.upgrade.judging import CROSS, LABELLED, SELF, STAY, Outcomes, mixed, outcomes, unlabelled
from retrieval.upgrade.matching import unmatched
from retrieval.upgrade.queries import Queries
from retrieval.upgrade.report import Asked, Cost, Found, Report, Search
from retrieval.upgrade.verdict import LEAST_QUERIES, Findings, Judged, decide

if TYPE_CHECKING:
    from retrieval.upgrade.bridge import Bridge

SHARES = (0.0, 0.1, 0.3, 0.5, 1.0)
_RESAMPLES = 1000
# A map that knows little of some items makes a few right pairs look like strangers.
_MOST_STRANGERS = 0.02
_TWO_JUDGES = "there are no labels, and what is near to the models stood for right"


def make_report(
    upgrade: Bridge,
    *,
    gallery_vectors: npt.ArrayLike | None,
    n_items: int | None,
    encoder_rate: float | None,
    queries: Queries | None,
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
    searches = tuple(_search(name, share, sides, weight, seed) for name, share in _named(rising))
    strangers = _interval(unmatched(evidence.random), seed)
    given = evidence.queries if queries is None else queries
    asked = None if given is None else _asked(upgrade, given, gallery_vectors, rising, k, seed)
    findings = Findings(
        evidence.n_pairs,
        evidence.relatedness,
        upgrade.kind == "identity",
        _judged(_items_judged_by(labelled), labelled, decisive, searches, (), sum(evidence.random.sizes.tolist())),
        None if asked is None else _judged_by_queries(asked),
        uncovered,
    )
    verdict = decide(findings, margin)
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
        asked,
        strangers,
        uncovered,
        cost,
        _notes(upgrade, labelled, asked, strangers, uncovered, searches[1], decisive, margin),
    )


def _asked(
    upgrade: Bridge,
    queries: Queries,
    gallery_vectors: npt.ArrayLike | None,
    shares: Sequence[float],
    k: int,
    seed: int,
) -> Asked:
    stage = Stage.of(upgrade, queries)
    n_among, among = 0, tuple[Found, ...]()
    if queries.known and gallery_vectors is not None:
        n_among = len(np.asanyarray(gallery_vectors))
        among = _found(stage.among(upgrade, gallery_vectors, k), [(STAY, None), (CROSS, None)], seed)
    return Asked(
        len(stage.queries),
        queries.known,
        stage.unfit,
        len(stage),
        known_item(k) if queries.known else unlabelled(k),
        _found(stage.outcomes(upgrade, shares, k), _named(shares), seed),
        n_among,
        among,
    )


def _found(values: Outcomes, names: Sequence[tuple[str, float | None]], seed: int) -> tuple[Found, ...]:
    return tuple(
        Found(
            name,
            share,
            {measure: _interval(100 * of, seed) for measure, of in values[name].items()},
            {measure: _interval(100 * (of - values[STAY][measure]), seed) for measure, of in values[name].items()},
        )
        for name, share in names
    )


def _named(shares: Sequence[float]) -> list[tuple[str, float | None]]:
    """Names of all searches, and the share backfilled of those that are mixed."""
    return [(STAY, None), (CROSS, None), (SELF, None), *((mixed(share), share) for share in shares)]


def _judged(
    by: str,
    labelled: bool,
    decisive: Sequence[str],
    searches: Sequence[Search | Found],
    among: Sequence[Found],
    n_queries: int,
) -> Judged:
    def gains(search: Search | Found) -> dict[str, Interval]:
        return {measure: search.gain[measure] for measure in decisive}

    by_name = {search.name: gains(search) for search in searches}
    shares = [(search.share, by_name[search.name]) for search in searches if search.share is not None]
    crossed = [by_name[CROSS], *(gains(search) for search in among if search.name == CROSS)]
    return Judged(by, labelled, by_name[SELF], crossed, shares, n_queries)


def _items_judged_by(labelled: bool) -> str:
    right = "classes stood for right" if labelled else _TWO_JUDGES
    return f"whole items as queries; {right}"


def _judged_by_queries(asked: Asked) -> Judged:
    right = "the items that they want stood for right" if asked.known else _TWO_JUDGES
    by = f"the {asked.n:,} queries given; {right}"
    return _judged(by, asked.known, asked.decisive, asked.searches, asked.among, asked.n)


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
    """Of two judges' values, (n, 2), their mean, and an interval that spans those of both."""
    if np.isnan(values).all():
        # Held-out folds in which every class has but one item have no CMC; nothing is known of it.
        return Interval(float("nan"), float("nan"), float("nan"), 0.95)
    if values.ndim == 1:
        return paired_bootstrap(values, n_resamples=_RESAMPLES, seed=seed)
    both = [_interval(of, seed) for of in values.T]
    estimate = float(np.mean([one.estimate for one in both]))
    return Interval(estimate, min(one.low for one in both), max(one.high for one in both), both[0].confidence)


def _weighed(values: Sequence[npt.NDArray[np.float64]], weight: float) -> npt.NDArray[np.float64]:
    """Queries of both kinds in one heap, scaled such that its mean is (1 − w) · mean + w · mean."""
    if weight == 0:
        return values[0]
    kept = [v[~np.isnan(v).reshape(len(v), -1).any(axis=1)] for v in values]
    n = sum(len(v) for v in kept)
    return np.concatenate([v * (w * n / max(len(v), 1)) for v, w in zip(kept, (1 - weight, weight), strict=True)])


def _notes(
    upgrade: Bridge,
    labelled: bool,
    asked: Asked | None,
    strangers: Interval,
    uncovered: Interval | None,
    crossed: Search,
    decisive: Sequence[str],
    margin: float,
) -> tuple[str, ...]:
    evidence = upgrade.evidence
    notes = []
    if strangers.low > _MOST_STRANGERS:
        notes.append(
            f"About {strangers.estimate:.0%} [{strangers.low:.0%}, {strangers.high:.0%}] of the pairs match no better "
            "than strangers: are these rows in the same order, and did these items stay what they were?"
        )
    if asked is None:
        notes.append(
            "Whole items stood for queries. Queries unlike them, such as a few words or records with few fields, may "
            "find much less in a mapped gallery; pass queries=, with the items that they want if these are known."
        )
    elif asked.n < LEAST_QUERIES:
        notes.append(
            f"{asked.n} queries are too few to decide by; bring {LEAST_QUERIES} or more. The verdict rests on whole "
            "items as queries, and would only heed a certain loss of these."
        )
    if asked is not None and asked.unfit:
        notes.append(
            f"{asked.unfit} queries were left out, as the map was fitted on the items that they want; given to "
            "Upgrade.fit or from_gallery, queries keep what they want out of the fit."
        )
    if not labelled and not (asked is not None and asked.known):
        notes.append(
            "There are no labels: what is alike to the models counts as right. Whether the new one is the better "
            "model, and whether one particular item comes back, cannot be known from pairs; give classes, or queries "
            "with the items that they want."
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
