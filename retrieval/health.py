"""Whether vectors and queries still look like what the upgrades of a gallery were fitted on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from retrieval.carrying import Upgrades
from retrieval.markup import html_facts, html_list
from retrieval.rows import Model
from retrieval.snapshot import Snapshot
from retrieval.upgrade import Fingerprint

_LEAST = 30
# A drift must be certain and large: with thousands of rows the smallest difference is certain.
_CERTAIN = 1e-6
_LARGE = 0.15
_LISTED = 100
# Of the model's own vectors, this share is so untypical at most; the other model must like the vector better as well.
_UNTYPICAL = 0.002
_FAR_SUPPORT = 0.01


@dataclass(frozen=True)
class Drift:
    """How vectors differ from those of a fingerprint.

    Attributes
    ----------
    n : int
        Vectors looked at.
    statistic : float
        Two-sample Kolmogorov-Smirnov over surprises: 0 for one distribution, 1 for two without overlap.
    p : float
        Chance of so much under no drift.
    """

    n: int
    statistic: float
    p: float

    @property
    def found(self) -> bool:
        """Whether it is both certain (p < 1e-6) and large (statistic > .15)."""
        return self.p < _CERTAIN and self.statistic > _LARGE


@dataclass(frozen=True)
class Health:
    """What `Gallery.health` found.

    Attributes
    ----------
    model : str
        The model that searches use.
    rows, queries : Drift or None
        Of vectors that the model made, and of queries, against the pairs that the upgrade was fitted on. None where
        fewer than 30 are known, or no upgrade has taken a fingerprint of the model. While a backfill has not come to
        its end, what it has encoded is left out: it begins with those least like the pairs.
    outside : float or None
        Share of the mapped vectors that lie outside the pairs' support.
    strangers : dict of str to str
        Item ids whose vector looks like another model's than the one it claims, and that other model; the first 100.
    n_strangers : int
    """

    model: str
    rows: Drift | None
    queries: Drift | None
    outside: float | None
    strangers: dict[str, str]
    n_strangers: int

    @property
    def problems(self) -> list[str]:
        """A sentence for each thing that is wrong, and what to do."""
        found = []
        if self.n_strangers:
            name, other = next(iter(self.strangers.items()))
            found.append(
                f"{self.n_strangers} vectors claim to be of {self.model!r} and look like another model's, the first "
                f"{name!r} like {other!r}: encode them again with the right model"
            )
        for what, drift in (("vectors", self.rows), ("queries", self.queries)):
            if drift is not None and drift.found:
                found.append(
                    f"the {what} differ from the pairs that the upgrade was fitted on (KS {drift.statistic:.2f}, "
                    f"n = {drift.n}): fit anew with pairs that look like them, or backfill"
                )
        if self.outside is not None and self.outside > 0.2:
            found.append(
                f"{self.outside:.0%} of the mapped vectors lie outside the support of the pairs: backfill them, or "
                "fit anew with pairs from there"
            )
        return found

    @property
    def sound(self) -> bool:
        """Whether nothing was found."""
        return not self.problems

    def __str__(self) -> str:
        return "\n".join(self.problems) or f"{self.model}: vectors and queries look as they should"

    def _repr_html_(self) -> str:
        outside = "no vector is mapped" if self.outside is None else f"{self.outside:.1%}"
        looked = {
            "model": self.model,
            "vectors, against the pairs": _told(self.rows),
            "queries, against the pairs": _told(self.queries),
            "mapped vectors outside the pairs' support": outside,
            "vectors that look like another model's": self.n_strangers,
        }
        return html_facts(looked) + html_list(str(self).splitlines())


def _told(drift: Drift | None) -> str:
    if drift is None:
        return "not enough known"
    return f"{'drifted' if drift.found else 'alike'} (KS {drift.statistic:.2f}, n = {drift.n:,})"


def examine(snapshot: Snapshot, upgrades: Upgrades, rows: int, seed: int, queries: NDArray[np.float32]) -> Health:
    """Compare up to `rows` vectors of the model in use, the newest half and a sample, and the queries, with the
    fingerprints that the gallery's upgrades hold."""
    model = snapshot.active
    prints = _fingerprints(snapshot, upgrades)
    own = prints.get(model.name)
    rivals = [one for one in prints.values() if one.model != model.name and one.dim == model.dim]
    items, X = _drawn(snapshot, model, rows, seed)
    strangers: dict[int, str] = {}
    drift = asked = None
    if own is not None:
        if rivals and len(X):
            strangers = _strangers(items, X, own, rivals)
        usual = ~(np.isin(items, list(strangers)) | _chosen(snapshot, model, items))
        drift = _drift(own, X[usual])
        asked = _drift(own, queries)
    names = snapshot.records(list(strangers)[:_LISTED])
    return Health(
        model.name,
        drift,
        asked,
        _outside(snapshot, model),
        {names[item].id: strangers[item] for item in list(strangers)[:_LISTED]},
        len(strangers),
    )


def _fingerprints(snapshot: Snapshot, upgrades: Upgrades) -> dict[str, Fingerprint]:
    """Fingerprint of each model, from the upgrade made last."""
    found = {}
    for step in snapshot.lineage.steps:
        prints = upgrades.get(snapshot, step.upgrade).fingerprints
        for number, one in ((step.old, prints.old), (step.new, prints.new)):
            name = snapshot.models[number].name
            found[name] = one if one.model == name else Fingerprint(**{**vars(one), "model": name})
    return found


def _drawn(snapshot: Snapshot, model: Model, n: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """(items, vectors) of the newest n / 2 of a model, and of a sample of the others."""
    items, slots = snapshot.placements(model.model)
    chosen = np.arange(len(items))
    if len(items) > n:
        older = np.random.default_rng(seed).permutation(len(items) - n // 2)[: n - n // 2]
        chosen = np.sort(np.concatenate([older, chosen[len(items) - n // 2 :]]))
    items, slots = items[chosen], slots[chosen]
    X = np.empty((len(items), model.dim), dtype=np.float32)
    done = 0
    for start, rows in snapshot.blocks(model):
        stop = int(np.searchsorted(slots, start + len(rows)))
        X[done:stop] = rows[slots[done:stop] - start]
        done = stop
    return items, X


def _chosen(snapshot: Snapshot, model: Model, items: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which of the items stand there because a backfill, which still has others before it, chose them."""
    if model.count == snapshot.state.items:
        return np.zeros(len(items), dtype=bool)
    origins = {leg.origin for leg in snapshot.lineage.legs(model.model)} - {model.model}
    return np.isin(items, np.concatenate([snapshot.placements(origin)[0] for origin in origins]))


def _strangers(
    items: NDArray[np.int64], X: NDArray[np.float32], own: Fingerprint, rivals: list[Fingerprint]
) -> dict[int, str]:
    """Items whose vector is untypical of its own model and typical of a rival, which also makes it likelier."""
    untypical = np.flatnonzero(own.typicality(X) <= _UNTYPICAL)
    if not len(untypical):
        return {}
    mine = own.surprise(X[untypical])
    theirs = np.stack([rival.surprise(X[untypical]) for rival in rivals])
    typical = np.stack([rival.typicality(X[untypical]) for rival in rivals]) > _UNTYPICAL
    theirs[~typical] = np.inf
    best = theirs.argmin(axis=0)
    wrong = theirs.min(axis=0) < mine
    return {int(item): rivals[rival].model for item, rival in zip(items[untypical[wrong]], best[wrong], strict=True)}


def _drift(own: Fingerprint, X: NDArray[np.float32]) -> Drift | None:
    if len(X) < _LEAST:
        return None
    test = stats.ks_2samp(own.surprise(X), own.levels)
    return Drift(len(X), float(test.statistic), float(test.pvalue))


def _outside(snapshot: Snapshot, model: Model) -> float | None:
    marks = ", ".join(str(one.model) for one in snapshot.lineage.mappings if one.space == model.model)
    n, far = snapshot.connection.execute(
        f"SELECT count(*), coalesce(sum(support < {_FAR_SUPPORT}), 0) FROM uncertainty WHERE model IN ({marks})"
    ).fetchone()
    return float(far) / n if n else None
