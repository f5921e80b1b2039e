"""Which models a gallery has gone through, and by which roads a query of one reaches the vectors of another."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import astuple, dataclass, fields
from enum import Enum
from pathlib import Path
from typing import NamedTuple

from retrieval.checksums import row_crc
from retrieval.schema import damaged, translated

REWRITES = frozenset({"isometry", "gallery", "identity"})
"""Kinds of upgrade that rewrite stored vectors; the others map queries and leave the stored vectors alone."""


class StepState(str, Enum):
    """How far an upgrade has come."""

    PREPARING = "preparing"
    APPLIED = "applied"
    ROLLED_BACK = "rolled back"


@dataclass(frozen=True)
class Step:
    """One upgrade of a gallery.

    Attributes
    ----------
    upgrade : int
        Its number.
    old, new : int
        Models.
    kind : str
        What carries the old vectors over; see `REWRITES`.
    digest : str
        SHA-256 of the saved upgrade.
    state : str
        A `StepState`.
    before : int
        The model that searches used before.
    turn : int
        Grows with each switch; the largest among the applied ones is rolled back first. 0 while preparing.
    """

    upgrade: int
    old: int
    new: int
    kind: str
    digest: str
    state: str
    before: int
    turn: int

    @property
    def applied(self) -> bool:
        return self.state == StepState.APPLIED.value


@dataclass(frozen=True)
class Mapping:
    """Rows of one model rewritten into the space of another; they are kept as a model of their own.

    Attributes
    ----------
    model : int
        Under which the mapped vectors are stored.
    origin, space : int
        The model that made the vectors, and the one whose vectors they stand for.
    via : tuple of int
        Numbers of the upgrades that they were mapped by, one after the other.
    """

    model: int
    origin: int
    space: int
    via: tuple[int, ...]


class Leg(NamedTuple):
    """Vectors that a query searches, and what it takes to compare with them.

    Attributes
    ----------
    model : int
        Whose table is searched.
    origin : int
        The model that the vectors came from.
    roads : tuple of (upgrade, bool)
        Maps that the query goes through, one after the other; True for the way from new to old.
    scales : tuple of int
        Upgrades by whose calibration the score goes, one after the other.
    """

    model: int
    origin: int
    roads: tuple[tuple[int, bool], ...] = ()
    scales: tuple[int, ...] = ()


@dataclass(frozen=True)
class Lineage:
    """The upgrades of a gallery and the mapped vectors that they left."""

    steps: tuple[Step, ...] = ()
    mappings: tuple[Mapping, ...] = ()

    @property
    def last(self) -> Step | None:
        """The upgrade that was applied last, if it was not rolled back."""
        return max((step for step in self.steps if step.applied), key=lambda step: step.turn, default=None)

    def step(self, upgrade: int) -> Step:
        """The upgrade of a number."""
        return next(step for step in self.steps if step.upgrade == upgrade)

    def mapping(self, origin: int, space: int) -> Mapping | None:
        """The mapped rows of one model in the space of another."""
        return next((one for one in self.mappings if (one.origin, one.space) == (origin, space)), None)

    def legs(self, space: int) -> list[Leg]:
        """What a query of model `space` searches. An item counts where it is found first.

        Native vectors come first, then rows mapped into the space, then what a query map leads back to; last
        come spaces that the query itself is mapped into, for rows that no older vector is kept of.
        """
        return self._legs(space, frozenset())

    def _legs(self, space: int, seen: frozenset[int]) -> list[Leg]:
        seen = seen | {space}
        applied = {step.upgrade for step in self.steps if step.applied}
        legs = [Leg(space, space)]
        legs += [
            Leg(one.model, one.origin, scales=one.via)
            for one in sorted(self.mappings, key=lambda one: -one.origin)
            if one.space == space and applied.issuperset(one.via)
        ]
        for step in sorted(self.steps, key=lambda step: -step.turn):
            if not step.applied:
                continue
            rewrites = step.kind in REWRITES
            if step.new == space and not rewrites and step.old not in seen:
                legs += [_beyond(leg, (step.upgrade, True)) for leg in self._legs(step.old, seen)]
            elif step.old == space and rewrites and step.new not in seen:
                legs += [_beyond(leg, (step.upgrade, False)) for leg in self._legs(step.new, seen)]
        first: dict[int, Leg] = {}
        for leg in legs:
            first.setdefault(leg.model, leg)
        return list(first.values())


def _beyond(leg: Leg, road: tuple[int, bool]) -> Leg:
    return Leg(leg.model, leg.origin, (road, *leg.roads), (*leg.scales, road[0]))


_STEP = ", ".join(field.name for field in fields(Step))


def read_lineage(folder: Path, connection: sqlite3.Connection) -> Lineage:
    """All upgrades and mappings, checked against their CRCs."""
    with translated(folder):
        steps = connection.execute(f"SELECT {_STEP}, crc FROM upgrades ORDER BY upgrade").fetchall()
        mappings = connection.execute("SELECT model, origin, space, via, crc FROM mappings ORDER BY model").fetchall()
    if any(row_crc(*row[:-1]) != row[-1] for row in (*steps, *mappings)):
        raise damaged(folder, "a row of the upgrades does not match its checksum")
    return Lineage(
        tuple(Step(*row[:-1]) for row in steps),
        tuple(Mapping(model, origin, space, tuple(json.loads(via))) for model, origin, space, via, _ in mappings),
    )


def write_step(connection: sqlite3.Connection, step: Step) -> None:
    """Insert or replace the row of an upgrade."""
    values = astuple(step)
    connection.execute(
        f"INSERT OR REPLACE INTO upgrades ({_STEP}, crc) VALUES ({', '.join('?' * (len(values) + 1))})",
        (*values, row_crc(*values)),
    )


def write_mapping(connection: sqlite3.Connection, mapping: Mapping) -> None:
    """Insert or replace the row of a mapping."""
    values = (mapping.model, mapping.origin, mapping.space, json.dumps(mapping.via))
    connection.execute("INSERT OR REPLACE INTO mappings VALUES (?, ?, ?, ?, ?)", (*values, row_crc(*values)))


def dropped_key(model: int) -> str:
    """Name of the setting that holds how many vectors of a model were dropped."""
    return f"dropped.{model}"
