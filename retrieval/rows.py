"""The two small rows that every transaction reads: the gallery's state and its models."""

from __future__ import annotations

import sqlite3
from dataclasses import astuple, dataclass, fields, replace
from enum import Enum
from pathlib import Path

from retrieval.checksums import row_crc
from retrieval.schema import damaged, translated


class Storage(str, Enum):
    """How vectors lie on disk. In memory they are float32."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"


@dataclass(frozen=True)
class State:
    """Counters of the whole gallery.

    Attributes
    ----------
    format : int
        Format version of the file.
    generation : int
        Grows by one with every committed write.
    epoch : int
        Grows when slots are renumbered, which invalidates whatever was derived from them.
    items, digest : int
        How many ids there are, and the sum of their hashes (`retrieval.checksums`).
    next_item, next_slot : int
        Never given out before; item numbers rise with insertion order.
    active : int
        The model that searches use.
    """

    format: int
    generation: int
    epoch: int
    items: int
    digest: int
    next_item: int
    next_slot: int
    active: int


@dataclass(frozen=True)
class Model:
    """One model version: whose vectors, how wide, how many."""

    model: int
    name: str
    dim: int
    dtype: Storage
    count: int
    digest: int

    @property
    def row_bytes(self) -> int:
        return self.dim * (4 if self.dtype is Storage.FLOAT32 else 2)


_STATE = ", ".join(field.name for field in fields(State))
_MODEL = ", ".join(field.name for field in fields(Model))


def read_state(folder: Path, connection: sqlite3.Connection) -> State:
    """The state row, checked against its CRC."""
    with translated(folder):
        row = connection.execute(f"SELECT {_STATE}, crc FROM state").fetchone()
    if row is None or row_crc(*row[:-1]) != row[-1]:
        raise damaged(folder, "the state row does not match its checksum")
    return State(*row[:-1])


def write_state(connection: sqlite3.Connection, state: State) -> None:
    """Replace the state row."""
    values = astuple(state)
    marks = ", ".join("?" * (len(values) + 2))
    connection.execute(
        f"INSERT OR REPLACE INTO state (one, {_STATE}, crc) VALUES ({marks})", (1, *values, row_crc(*values))
    )


def read_models(folder: Path, connection: sqlite3.Connection) -> dict[int, Model]:
    """All model rows by number, checked against their CRCs."""
    models = {}
    with translated(folder):
        rows = connection.execute(f"SELECT {_MODEL}, crc FROM models ORDER BY model").fetchall()
    for row in rows:
        if row_crc(*row[:-1]) != row[-1]:
            raise damaged(folder, "a row of the models table does not match its checksum")
        model = Model(*row[:-1])
        models[model.model] = replace(model, dtype=Storage(model.dtype))
    return models


def write_model(connection: sqlite3.Connection, model: Model) -> None:
    """Insert or update a model row; its encoder stays as it is."""
    values = (*astuple(model)[:3], model.dtype.value, model.count, model.digest)
    marks = ", ".join("?" * (len(values) + 1))
    connection.execute(
        f"INSERT INTO models ({_MODEL}, crc) VALUES ({marks}) ON CONFLICT (model) DO UPDATE SET "
        "name = excluded.name, dim = excluded.dim, dtype = excluded.dtype, count = excluded.count, "
        "digest = excluded.digest, crc = excluded.crc",
        (*values, row_crc(*values)),
    )
