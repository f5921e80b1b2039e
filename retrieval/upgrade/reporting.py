"""Making a report: held-out searches judged, weighed for what the gallery holds, and put to the verdict."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from retrieval.metrics import Interval, paired_bootstrap
from retrieval.upgrade.asking import Stage, known_item
from retrieval.upgrade.judging import CROSS, LABELLED, SELF, STAY, Outcomes, mean_of, mixed, outcomes, reach, unlabelled
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
_BY_NEW_MODEL = "there are no labels, and what is near to the new model stood for right"


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
    size = _size(n_items, gallery_vectors, evidence.n_pairs)
    sides = [outcomes(trial, upgrade.calibration, rising, k, size) for trial in (evidence.random, evidence.groups)]
    if evidence.halves is not None and evidence.twins is not None:
        sides[0] = mean_of(sides[0], outcomes(evidence.halves, upgrade.calibration, rising, k, size), evidence.twins)
    uncovered = None if gallery_vectors is None else evidence.coverage.uncovered(gallery_vectors, seed=seed)
    weight = 0.0 if uncovered is None else uncovered.estimate
    searches = tuple(_search(name, share, sides, weight, seed) for name, share in _named(rising))
    strangers = _interval(unmatched(evidence.random), seed)
    given = evidence.queries if queries is None else queries
    asked = None if given is None else _asked(upgrade, given, gallery_vectors, size, rising, k, seed)
    findings = Findings(
        evidence.n_pairs,
        evidence.relatedness,
        upgrade.kind == "identity",
        evidence.turned(gallery_vectors),
        _judged(
            _items_judged_by(labelled),
            labelled,
            decisive,
            searches,
            (),
            sum(evidence.random.sizes.tolist()),
            size / int(evidence.random.sizes.min()),
        ),
        None if asked is None else _judged_by_queries(asked, size),
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
        reach(evidence.widest, size),
        _notes(upgrade, labelled, asked, strangers, uncovered, searches[1], decisive, margin, size),
    )


def _asked(
    upgrade: Bridge,
    queries: Queries,
    gallery_vectors: npt.ArrayLike | None,
    size: int,
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
        _found(stage.outcomes(upgrade, shares, k, size), _named(shares), seed),
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
    larger: float,
) -> Judged:
    def gains(search: Search | Found) -> dict[str, Interval]:
        return {measure: search.gain[measure] for measure in decisive}

    by_name = {search.name: gains(search) for search in searches}
    shares = [search for search in searches if search.share is not None]
    crossed = [by_name[CROSS], *(gains(search) for search in among if search.name == CROSS)]
    backfilled = [(s.share, gains(s) if labelled else _diluted(crossed[0], s.share)) for s in shares if s.share]
    return Judged(by, labelled, by_name[SELF], crossed, backfilled, n_queries, larger)


def _diluted(crossed: dict[str, Interval], share: float) -> dict[str, Interval]:
    """Say what mapping costs once a share is encoded anew, where the new model itself is no worse than the old one.

    Rows encoded anew are scored by the judge's own vectors, which it cannot but find right; all that is counted on
    is that fewer rows are mapped.
    """
    left = 1 - share
    return {m: Interval(left * d.estimate, left * d.low, left * d.high, d.confidence) for m, d in crossed.items()}


def _items_judged_by(labelled: bool) -> str:
    right = "classes stood for right" if labelled else _BY_NEW_MODEL
    return f"whole items as queries; {right}"


def _judged_by_queries(asked: Asked, size: int) -> Judged:
    right = "the items that they want stood for right" if asked.known else _BY_NEW_MODEL
    by = f"the {asked.n:,} queries given; {right}"
    # Among all stored vectors nothing need be foretold.
    larger = 1.0 if asked.among else size / asked.n_items
    return _judged(by, asked.known, asked.decisive, asked.searches, asked.among, asked.n, larger)


def _search(name: str, share: float | None, sides: Sequence[Outcomes], weight: float, seed: int) -> Search:
    alike, unlike, expected, gain = {}, {}, {}, {}
    for measure in sides[0][name]:
        values = [100 * side[name][measure] for side in sides]
        stay = [100 * side[STAY][measure] for side in sides]
        alike[measure], unlike[measure] = (_interval(v, seed) for v in values)
        expected[measure] = _interval(_weighed(values, weight), seed)
        gain[measure] = _interval(_weighed([v - s for v, s in zip(values, stay, strict=True)], weight), seed)
    return Search(name, share, alike, unlike, expected, gain)


def _size(n_items: int | None, gallery_vectors: npt.ArrayLike | None, n_pairs: int) -> int:
    """Items in the gallery; where nobody tells, there are at least those that were shown."""
    shown = 0 if gallery_vectors is None else len(np.asanyarray(gallery_vectors))
    return max(shown, n_pairs) if n_items is None else n_items


def _interval(values: npt.NDArray[np.float64], seed: int) -> Interval:
    if np.isnan(values).all():
        # Held-out folds in which every class has but one item have no CMC; nothing is known of it.
        return Interval(float("nan"), float("nan"), float("nan"), 0.95)
    return paired_bootstrap(values, n_resamples=_RESAMPLES, seed=seed)


def _weighed(values: Sequence[npt.NDArray[np.float64]], weight: float) -> npt.NDArray[np.float64]:
    """Queries of both kinds in one heap, scaled such that its mean is (1 − w) · mean + w · mean.

    NaN where nothing is known of a kind that counts.
    """
    if weight == 0:
        return values[0]
    kept = [v[~np.isnan(v)] for v in values]
    if any(w > 0 and not len(v) for v, w in zip(kept, (1 - weight, weight), strict=True)):
        return np.full(1, np.nan)
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
    size: int,
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
            "There are no labels: what is alike to the new model counts as right. Whether the new one is the better "
            "model, and whether one particular item comes back, cannot be known from pairs; give classes, or queries "
            "with the items that they want."
        )
    if not labelled and evidence is not None and size > reach(evidence.widest, size):
        notes.append(
            f"Nearness is foretold for {reach(evidence.widest, size):,} items, 32 times a held-out gallery; what "
            f"{size:,} add to that is not known. More pairs hold out larger galleries."
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
