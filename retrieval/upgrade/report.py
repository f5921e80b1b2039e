"""Report: what an upgrade is worth, before anything is switched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from retrieval.metrics import Interval, paired_bootstrap
from retrieval.upgrade import rendering
from retrieval.upgrade.coverage import Coverage
from retrieval.upgrade.judging import CROSS, LABELLED, SELF, STAY, Outcomes, mixed, outcomes, unlabelled
from retrieval.upgrade.verdict import Findings, Verdict, decide

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from retrieval.upgrade.plan import Upgrade

SHARES = (0.0, 0.1, 0.3, 0.5, 1.0)
_RESAMPLES = 1000
Measured = dict[str, Interval]


@dataclass(frozen=True)
class Search:
    """One search and its measures, in percent.

    Attributes
    ----------
    name : str
        "old/old", "new/new", "mapped" or "mixed 30%".
    share : float or None
        Share backfilled, of mixed searches.
    alike, unlike : dict of Interval
        By measure, for items of the kinds that the pairs hold, and of kinds held out as a whole.
    expected : dict of Interval
        For this gallery: both, weighed by the share that the pairs do not cover.
    gain : dict of Interval
        `expected` less that of staying, in points.
    """

    name: str
    share: float | None
    alike: Measured
    unlike: Measured
    expected: Measured
    gain: Measured


@dataclass(frozen=True)
class Cost:
    """What a switch takes, and what re-encoding everything would take.

    Attributes
    ----------
    n_items : int
    encoder_calls_saved : int
        Items that need not be encoded to switch.
    seconds : float
        To map all items on this machine, extrapolated from the held-out ones.
    bytes : int
        Of mapped vectors, beside those stored already.
    encoder_seconds : float or None
        To encode all items, if the encoder's rate is known.
    """

    n_items: int
    encoder_calls_saved: int
    seconds: float
    bytes: int
    encoder_seconds: float | None


@dataclass(frozen=True)
class Report:
    """What an upgrade is worth; `str(report)` is the whole of it as text.

    Attributes
    ----------
    name, kind : str
        Of the upgrade.
    n_pairs : int
    labelled : bool
        Measures are by classes; otherwise by the new model's own neighbours.
    held_out : str
        What was held out as a whole for `Search.unlike`: "classes" or "clusters".
    decisive : tuple of str
        Measures that the verdict looks at.
    verdict : Verdict
    searches : tuple of Search
    uncovered : Interval or None
        Share of the gallery of kinds that the pairs do not hold; None where no gallery vectors were given.
    cost : Cost
    notes : tuple of str
        What else should be known.
    """

    name: str
    kind: str
    n_pairs: int
    labelled: bool
    held_out: str
    decisive: tuple[str, ...]
    verdict: Verdict
    searches: tuple[Search, ...]
    uncovered: Interval | None
    cost: Cost
    notes: tuple[str, ...]

    def __getitem__(self, name: str) -> Search:
        """Look a search up by its name."""
        for search in self.searches:
            if search.name == name:
                return search
        raise KeyError(f"no search {name!r}; there are {', '.join(s.name for s in self.searches)}")

    def to_text(self) -> str:
        """Lay the report out for a terminal."""
        return rendering.text(self)

    __str__ = to_text

    def _repr_html_(self) -> str:
        return rendering.html(self)

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON can hold: numbers, text, lists and dicts alone."""
        fields = asdict(self)
        fields["verdict"] = self.verdict.to_dict()
        fields["searches"] = list(fields["searches"])
        fields["notes"], fields["decisive"] = list(self.notes), list(self.decisive)
        return fields

    def figure(self) -> Figure:
        """Draw the searches and the backfill curve.

        Raises
        ------
        MissingDependencyError
            If matplotlib is not installed.
        """
        from retrieval import plots

        return plots.upgrade_report(self)


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


__all__ = ["SHARES", "Cost", "Coverage", "Report", "Search", "make_report"]
