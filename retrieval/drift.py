"""How good an index still is, measured again as the gallery grows beyond what it was chosen on."""

from __future__ import annotations

import json
import zlib
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from retrieval import asking
from retrieval.liveindex import LiveIndex
from retrieval.plan import Plan
from retrieval.vectors import VectorTable

GROWN = 1.25
"""Times the number of vectors at the last measurement."""

_QUERIES = 100


def recall_key(model: int) -> str:
    """Where the store keeps the last measurement of a model's index."""
    return f"recall:{model}"


@dataclass(frozen=True)
class Measured:
    """Recall of the index in use, on vectors that were kept out of it meanwhile.

    Attributes
    ----------
    of : int
        CRC-32 of the plan.
    rows : int
        Vectors at the time.
    recall, error : float
        Mean recall@k, at the k of the plan, and its standard error.
    """

    of: int
    rows: int
    recall: float
    error: float

    def to_text(self) -> str:
        """As JSON, which `last` reads."""
        return json.dumps(asdict(self))

    def short_of(self, plan: Plan) -> bool:
        """Whether the recall is below what was wanted, by more than two standard errors."""
        return self.recall + 2 * self.error < plan.target


def last(text: str | None, plan: Plan) -> Measured | None:
    """The measurement that the store keeps, if it is of this plan.

    Raises
    ------
    ValueError
        If the text is something else.
    """
    if text is None:
        return None
    try:
        found = Measured(**json.loads(text))
    except TypeError as error:
        raise ValueError(f"not a measurement of an index: {error}") from error
    return found if found.of == _of(plan) else None


def due(plan: Plan, before: Measured | None, n: int) -> bool:
    """Whether n vectors are so many more than at the last measurement that another is due."""
    return n >= GROWN * (plan.rows if before is None else before.rows)


def taken_up(live: LiveIndex, table: VectorTable, fresh: NDArray[np.int64]) -> Measured:
    """Take up new rows, and measure the recall on some of them that wait until it is done.

    Parameters
    ----------
    fresh : (m,) int64
        Rows of the table that was followed last; at least one.

    Notes
    -----
    100 queries are compared with all vectors.
    """
    held = fresh[asking.drawn(len(fresh), min(_QUERIES, max(1, len(fresh) // 2)))]
    live.take(table, np.setdiff1d(fresh, held))
    measured = _measured(live, table, held)
    live.take(table, held)
    return measured


def rebuilt(plan: Plan, table: VectorTable) -> tuple[LiveIndex, Measured]:
    """An index made anew, and its recall, on some rows that wait until it is done."""
    held = asking.drawn(len(table), min(_QUERIES, max(1, len(table) // 10)))
    live = LiveIndex.built(plan, table, held)
    measured = _measured(live, table, held)
    live.follow(table)
    return live, measured


def _measured(live: LiveIndex, table: VectorTable, held: NDArray[np.int64]) -> Measured:
    asked = asking.asked_with(table, live.plan.k, held)
    rows, _ = live.search(table, asked.Q, asked.k)
    shares = asking.recalls(asked, table, rows)
    return Measured(_of(live.plan), len(table), float(shares.mean()), asking.standard_error(shares))


def _of(plan: Plan) -> int:
    return zlib.crc32(plan.to_text().encode())
