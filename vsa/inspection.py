"""Looking into vectors: what matched, what is held at a path, and what a change does."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from vsa.bundler import Bundler
from vsa.errors import InvalidRecordError
from vsa.exchange import is_vector
from vsa.explaining import checked_query, explain
from vsa.paths import parse_path


class Inspection(ABC):
    """The part of `vsa.JSONEncoder` that reads vectors rather than making them."""

    _lock: threading.RLock

    @property
    @abstractmethod
    def dim(self) -> int:
        """Length of the vectors."""

    @abstractmethod
    def _sums(self, records: list[Any]) -> npt.NDArray[np.float64]: ...

    @abstractmethod
    def _ready(self) -> Bundler: ...

    def explain(self, query: Any, record: Any) -> list[tuple[str, float]]:
        """Why a record matches: what each of its paths adds to the cosine.

        Parameters
        ----------
        query : record or (dim,) array or tensor
            What was asked, or its vector.
        record : JSON value
            What was found.

        Returns
        -------
        list of (str, float)
            Paths of `record` with their contributions, largest first. They sum to the cosine of the two
            vectors, to 1e-6.

        Raises
        ------
        InvalidRecordError
            For a value that is not JSON.
        ValueError
            For a vector of another dim, or one that is zero or not finite.
        """
        with self._lock:
            vector = query if is_vector(query) else self._sums([query])[0]
            nodes, rows = self._ready().leaf_rows(record)
        return explain(vector, nodes, rows)

    def delta(self, *, removed: Any = None, added: Any = None) -> npt.NDArray[np.float64]:
        """What a change of some fields does to the unnormalised vector, exactly.

        Parameters
        ----------
        removed, added : JSON value, optional
            The fields taken out and put in, as records of their own: ``removed={"price": 10}, added={"price": 12}``.

        Returns
        -------
        (dim,) float64
            ``sum(after) − sum(before)``, to the bit with the default binding. Members of arrays keep their number
            only if nothing before them comes or goes.

        Examples
        --------
        >>> import vsa
        >>> encoder = vsa.JSONEncoder(dim=64)
        >>> before = encoder.encode([{"title": "sea", "price": 10}], normalize=False)[0]
        >>> after = encoder.encode([{"title": "sea", "price": 12}], normalize=False)[0]
        >>> bool((before + encoder.delta(removed={"price": 10}, added={"price": 12}) == after).all())
        True
        """
        change: npt.NDArray[np.float64] = np.zeros(self.dim)
        for part, sign in ((removed, -1.0), (added, 1.0)):
            if part is not None and part != {}:
                change += sign * self._sums([part])[0]
        return change

    def decode(self, x: npt.NDArray[Any], path: str, candidates: Iterable[Any], k: int = 3) -> list[tuple[Any, float]]:
        """Which of the candidate values a vector holds at a path, by unbinding and cleanup.

        Parameters
        ----------
        x : (dim,) array
            A vector of this encoder, of any length.
        path : str
            Where to look: ``studio.country``, ``tags[]`` for any member of an array, ``tags[2]`` for the third.
        candidates : iterable
            Scalars or empty containers.
        k : int
            Most answers.

        Returns
        -------
        list of (value, float)
            Best first. The score is the cosine of the unbound vector ``M_pathᵀ x`` and the value's atoms. A value
            that is not there scores 0 with a standard deviation of about 1/√dim: distrust scores below 4/√dim.

        Raises
        ------
        ValueError
            For a text that is no path, no candidates, or a vector of another dim, zero or not finite.
        InvalidRecordError
            For a candidate that is not a JSON scalar or empty container.

        Notes
        -----
        The error falls with dim and grows with the leaves of the record. One of 20 single-word fields among 1,000
        candidates decoded rightly in 97 % of 300 trials at dim 1024 and in all of them at dim 2048, or at dim 1024
        with ``Shares(anywhere=0)``: words that count anywhere are noise here.
        """
        values = list(candidates)
        if not values:
            raise ValueError("no candidates to decode among")
        vector = checked_query(x, self.dim)
        for value in values:
            if isinstance(value, (dict, list)) and value:
                raise InvalidRecordError(f"candidates are scalars or empty containers, got {type(value).__name__}")
        with self._lock:
            self._sums(values)  # checks them as leaves
            maker = self._ready().maker
            steps = parse_path(path)
            atoms = maker.unbound(steps, values)
            found = maker.unbind(steps, vector.astype(np.float32)[None])[0]
        scores = (atoms @ found) / np.linalg.norm(atoms, axis=1)
        best = np.argsort(-scores, kind="stable")[:k]
        return [(values[i], float(scores[i])) for i in best]
