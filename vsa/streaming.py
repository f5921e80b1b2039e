"""Encoding files: lines to batches, batches to vectors, errors to whoever asked for them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

from vsa.errors import InvalidRecordError
from vsa.gathering import Gathered
from vsa.limits import Limits
from vsa.lines import parse_line
from vsa.reading import OnError, Source, handler, iter_items
from vsa.workers import checked_workers, each

BATCH = 128
"""Records encoded together. More of them alive at once cost the garbage collector more than they save."""

TYPED_BATCH = 1024
"""The same where there are fields: a text model wants many texts in a call."""

Vectors = npt.NDArray[np.float32]
Item = tuple[int, Any]


class Streaming(ABC):
    """The part of `vsa.JSONEncoder` that encodes files."""

    limits: Limits
    _batch: int

    @property
    @abstractmethod
    def dim(self) -> int:
        """Length of the vectors."""

    @abstractmethod
    def encode(self, records: Any) -> npt.NDArray[Any]:
        """Encode records; see `vsa.JSONEncoder.encode`."""

    @abstractmethod
    def _known_lines(
        self, lines: list[bytes], out: Vectors | None = None
    ) -> tuple[Vectors, npt.NDArray[np.bool_]] | None:
        """Vectors of the lines that need no parser, and which those are; None where lines are not read as bytes."""

    @abstractmethod
    def _without_memory(self, workers: int) -> None:
        """ValueError if several workers would have to share a memory."""

    def encode_jsonl(
        self,
        source: Source,
        *,
        format: str = "auto",
        on_error: OnError = "raise",
        progress: bool = False,
        workers: int = 1,
    ) -> Vectors:
        """Encode the records of a JSON Lines file, or of a file that is one JSON array.

        Parameters
        ----------
        source : path, bytes or binary file object
            ``"-"`` is standard input; gzip is recognised.
        format, on_error
            As `vsa.iter_json` takes them. Records beyond the limits count as errors too.
        progress : bool
            Show a count and rate on standard error, where that is a terminal.
        workers : int
            Processes to encode in, with the same vectors; see `encode`. This one reads and cuts lines.

        Returns
        -------
        (n, dim) float32
            Unit rows, in the order of the input.

        Raises
        ------
        InvalidRecordError, LimitError
            With `line` set, unless `on_error` lets it go.
        WorkerError
            If a worker process died.
        """
        handle = handler(on_error)
        gathered = Gathered(self.dim, source.count(b"\n") + 1 if isinstance(source, bytes) else 0)
        batches = _batches(iter_items(source, format=format, on_error=on_error, limits=self.limits), self._batch)
        if checked_workers(workers) > 1:
            self._without_memory(workers)
            results = each(self, "_settled", ((batch,) for batch in batches), workers)
        else:
            results = (self._settled(batch, gathered.ahead(len(batch))) for batch in batches)
        if progress:
            results = _shown(results)
        for rows, errors in results:
            for error in errors:
                handle(error)
            gathered.take(rows)
        return gathered.all()

    def _settled(self, batch: list[Item], out: Vectors | None = None) -> tuple[Vectors, list[InvalidRecordError]]:
        """Vectors of the good ones of a batch of (number, line or value), and what is wrong with the others.

        The vectors may lie in `out`, which has a row for each of the batch.
        """
        if not batch or type(batch[0][1]) is not bytes:
            rows, errors, _ = self._parsed(batch)
            return rows, errors
        quick = self._known_lines([line for _, line in batch], out)
        if quick is None:
            rows, errors, _ = self._parsed(batch)
            return rows, errors
        rows, known = quick
        if known.all():
            return rows, []
        left = np.flatnonzero(~known)
        parsed, errors, taken = self._parsed([batch[i] for i in left])
        rows[left[taken]] = parsed
        known[left[taken]] = True
        return rows[known], errors

    def _parsed(self, batch: list[Item]) -> tuple[Vectors, list[InvalidRecordError], list[int]]:
        """As `_settled`, by the parser and the walker, and which of the batch were good."""
        errors: list[InvalidRecordError] = []
        good: list[tuple[int, int, Any]] = []
        for place, (number, item) in enumerate(batch):
            try:
                good.append((place, number, parse_line(item, number) if type(item) is bytes else item))
            except InvalidRecordError as error:
                errors.append(error)
        while True:
            try:
                rows = self.encode([value for _, _, value in good])
                break
            except InvalidRecordError as error:
                if error.record is None:
                    raise
                _, number, _ = good.pop(error.record)
                errors.append(type(error)(error.reason, line=number))
        return rows, sorted(errors, key=lambda error: error.line or 0), [place for place, _, _ in good]


def _batches(items: Iterator[Item], size: int) -> Iterator[list[Item]]:
    """Lists of items; where the reader stops at something bad, those before it come first."""
    while True:
        batch: list[Item] = []
        try:
            batch.extend(islice(items, size))
        except InvalidRecordError:
            if batch:
                yield batch
            raise
        if not batch:
            return
        yield batch


def _shown(results: Iterator[tuple[Vectors, Any]]) -> Iterator[tuple[Vectors, Any]]:
    """The results, with their rows counted on standard error."""
    from tqdm import tqdm

    with tqdm(unit=" records", disable=None) as bar:
        for rows, errors in results:
            bar.update(len(rows))
            yield rows, errors
