"""How far a gallery is on its way to the model that searches use."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from retrieval.lineage import dropped_key
from retrieval.markup import html_facts
from retrieval.rows import Model
from retrieval.schema import translated
from retrieval.snapshot import Snapshot

# Squared distance of unit vectors that have nothing in common.
FARTHEST = 2.0


@dataclass(frozen=True)
class UpgradeStatus:
    """How far a gallery is on its way to the model that searches use.

    Attributes
    ----------
    model : str
        The model that searches use.
    upgrades : tuple of str
        "v1 → v2 (gallery, applied)", in the order of their making.
    encoded, waiting, failed : int
        Items with a vector that the model made; items without; items, among those, that failed too often.
    by_origin : dict of str to int
        Items that searches find, by the model that made the vector which stands for them.
    expected_cosine : float or None
        Mean over all items of the cosine between the vector that stands for an item and the one that the model would
        make: 1 for encoded ones, 1 − spread / 2 for mapped ones, by pairs that were left out of the fit. On CLINC150
        .01 to .03 too high for a gallery like the pairs, and .10 for one of intents that no pair is of. None where
        vectors are not rewritten.
    can_roll_back : bool
    """

    model: str
    upgrades: tuple[str, ...]
    encoded: int
    waiting: int
    failed: int
    by_origin: dict[str, int]
    expected_cosine: float | None
    can_roll_back: bool

    def _repr_html_(self) -> str:
        cosine = "not known" if self.expected_cosine is None else f"{self.expected_cosine:.3f}"
        facts = {
            **vars(self),
            "upgrades": "; ".join(self.upgrades) or "none",
            "expected_cosine": cosine,
            "can_roll_back": "yes" if self.can_roll_back else "no",
        }
        return html_facts(facts)


@dataclass(frozen=True)
class Quality:
    """How near the vectors that searches use are to those that the model would make.

    Attributes
    ----------
    items : int
    unknown : int
        Items of which nothing is known: those that only a query map reaches.
    spread : float
        Sum of the mapped vectors' spread, the expected squared distance from the model's own.
    """

    items: int
    unknown: int
    spread: float

    @classmethod
    def of(cls, snapshot: Snapshot) -> Quality:
        """Read from the store; O(mapped vectors)."""
        model = snapshot.active
        # Of other kinds of map the spread is a rank, not a distance.
        local = {step.upgrade for step in snapshot.lineage.steps if step.kind == "gallery"}
        marks = ", ".join(
            str(one.model)
            for one in snapshot.lineage.mappings
            if one.space == model.model and local.issuperset(one.via)
        )
        with translated(snapshot.folder):
            n, total = snapshot.connection.execute(
                f"SELECT count(*), coalesce(sum(min(spread, {FARTHEST})), 0) FROM uncertainty WHERE model IN ({marks})"
            ).fetchone()
        return cls(snapshot.state.items, snapshot.state.items - model.count - n, float(total))

    def after(self, encoded: int, gained: float) -> Quality:
        """Once more items were encoded, whose mapped vectors had `gained` of spread."""
        return Quality(self.items, max(0, self.unknown - encoded) if not gained else self.unknown, self.spread - gained)

    @property
    def expected_cosine(self) -> float | None:
        """See `UpgradeStatus.expected_cosine`."""
        if self.unknown > 0 or not self.items:
            return None
        # |a - b|² = 2 - 2 cos for unit vectors.
        return 1.0 - self.spread / (2 * self.items)


def status(snapshot: Snapshot) -> UpgradeStatus:
    """How far the gallery is on its way to the model in use."""
    lineage, models = snapshot.lineage, snapshot.models
    active = snapshot.active
    by_origin = {active.name: active.count}
    for one in lineage.mappings:
        if one.space == active.model and models[one.model].count:
            name = models[one.origin].name
            by_origin[name] = by_origin.get(name, 0) + models[one.model].count
    rest = snapshot.state.items - sum(by_origin.values())
    behind = [leg for leg in lineage.legs(active.model) if leg.roads and leg.roads[0][1]]
    if rest and behind:
        by_origin[models[behind[0].origin].name] = rest
    last = lineage.last
    return UpgradeStatus(
        model=active.name,
        upgrades=tuple(
            f"{models[step.old].name} → {models[step.new].name} ({step.kind}, {step.state})" for step in lineage.steps
        ),
        encoded=active.count,
        waiting=lacking(snapshot, active),
        failed=sum(1 for _ in failures(snapshot)),
        by_origin=by_origin,
        expected_cosine=Quality.of(snapshot).expected_cosine,
        can_roll_back=last is not None and snapshot.setting(dropped_key(last.before)) is None,
    )


def lacking(snapshot: Snapshot, model: Model) -> int:
    return snapshot.state.items - snapshot.models[model.model].count


def failures(snapshot: Snapshot) -> Iterator[tuple[str, str]]:
    """(id, error) of the items that failed in a backfill to the model in use and have no vector of it yet."""
    with translated(snapshot.folder):
        yield from snapshot.connection.execute(
            "SELECT r.id, f.error FROM failures AS f JOIN records AS r ON r.item = f.item WHERE f.model = ? AND NOT "
            "EXISTS (SELECT 1 FROM placements AS p WHERE p.model = f.model AND p.item = f.item) ORDER BY f.item",
            (snapshot.state.active,),
        )
