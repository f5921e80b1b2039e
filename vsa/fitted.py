"""What an encoder learns of a corpus."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeVar

from vsa.limits import Limits
from vsa.statistics import Statistics

if TYPE_CHECKING:
    from vsa.bundler import Bundler

L = TypeVar("L", bound="Fitted")


class Fitted:
    """The part of `vsa.JSONEncoder` that is fitted."""

    limits: Limits
    _statistics: Statistics | None
    _lock: threading.RLock
    _bundler: Bundler | None
    _name: str | None

    @property
    def statistics(self) -> Statistics | None:
        """What `fit` learned, or None."""
        return self._statistics

    def fit(self: L, records: Iterable[Any]) -> L:
        """Learn how rare words and values are and how numbers spread, forgetting what was learned before.

        Parameters
        ----------
        records : iterable
            JSON values; a sample of a few thousand does.

        Returns
        -------
        JSONEncoder
            This encoder, whose vectors and `name` are other ones from now on.

        Raises
        ------
        InvalidRecordError
            For a value that is not JSON; nothing is learned then.
        ValueError
            If there are no records.
        """
        return self._learn(self._count(records))

    def partial_fit(self: L, records: Iterable[Any]) -> L:
        """Learn from more records beside those learned from before; parameters and errors as `fit`."""
        more = self._count(records)
        return self._learn(self._statistics.merge(more) if self._statistics else more)

    def _count(self, records: Iterable[Any]) -> Statistics:
        from vsa.fitting import count  # brings SciPy

        return count(records, self.limits)

    def _learn(self: L, statistics: Statistics) -> L:
        if not statistics.records:
            raise ValueError("no records to learn from")
        with self._lock:
            self._statistics = statistics
            self._bundler = self._name = None
        return self
