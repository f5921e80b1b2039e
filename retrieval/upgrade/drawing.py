"""Pairs and queries of a gallery under its own model and the new one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from retrieval.encoding import Encoder, unit_rows
from retrieval.encoding import queries as unit_queries
from retrieval.errors import InvalidVectorError
from retrieval.progress import Progress
from retrieval.upgrade.queries import Queries

if TYPE_CHECKING:
    from retrieval.gallery import Gallery
    from retrieval.surveys import Sample


class Encoding:
    """Vectors of the new model beside those of the gallery's; see `Upgrade.from_gallery`."""

    def __init__(
        self, gallery: Gallery, encode_new: Callable[[list[Any]], Any] | Encoder, batch_size: int, report: Progress
    ) -> None:
        self._gallery = gallery
        self._encode = encode_new.encode if isinstance(encode_new, Encoder) else encode_new
        self._batch = batch_size
        self._report = report
        self._done = 0

    def sample(self, n: int, seed: int) -> tuple[Sample, NDArray[np.float32]]:
        """Draw items: with the vectors that the gallery has, and (n, dim) of the new model.

        Raises
        ------
        ValueError
            If the gallery is empty.
        """
        drawn = self._gallery.sample(n, seed=seed)
        if not drawn.ids:
            raise ValueError(f"{self._gallery.path}: the gallery is empty; there is nothing to fit an upgrade on")
        return drawn, self._encoded(drawn.payloads)

    def queries(self, given: Sequence[Any]) -> Queries:
        """Encode records, or (record, id of the item wanted), by both models.

        Raises
        ------
        ValueError
            If there are none, or only some tell what they want.
        NoEncoderError, UnknownIdError
        """
        if not given:
            raise ValueError("queries is empty; leave it out, or give a hundred or more")
        told = [isinstance(one, tuple) and len(one) == 2 for one in given]
        if any(told) and not all(told):
            raise ValueError(
                f"query {told.index(False)} is a record alone, others are (record, id) pairs; give all of a kind"
            )
        records = [one[0] for one in given] if all(told) else list(given)
        old, _ = unit_queries(records, self._gallery.dim, self._gallery.encoder)
        new = self._encoded(records)
        if not all(told):
            return Queries.of(old, new)
        # Many queries may want one item, which is encoded once.
        ids, which = np.unique([str(one[1]) for one in given], return_inverse=True)
        items = self._encoded([self._gallery.get(name) for name in ids.tolist()])
        stored = np.stack([self._gallery.vector(name) for name in ids.tolist()])
        return Queries.of(old, new, wanted_old=stored[which], wanted_new=items[which])

    def _encoded(self, records: list[Any]) -> NDArray[np.float32]:
        parts: list[NDArray[np.float32]] = []
        for start in range(0, len(records), self._batch):
            part = records[start : start + self._batch]
            X = np.asarray(self._encode(part))
            rows = unit_rows(X, X.shape[-1] if X.ndim == 2 else 0)
            if len(rows) != len(part) or (parts and rows.shape[1] != parts[0].shape[1]):
                raise InvalidVectorError(f"the encoder made an array of shape {X.shape} of {len(part)} records")
            parts.append(rows)
            self._done += len(part)
            self._report(self._done)
        return np.concatenate(parts)
