"""Encoded batches set aside until the write lock is taken, so that nobody waits for an encoder."""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from retrieval.errors import RetrievalError
from retrieval.payload import Payload

_IN_MEMORY = 32 << 20

Part = tuple[list[str], list[Payload], NDArray[np.float32]]


class Spool:
    """Batches in memory up to 32 MB, beyond that in an unnamed file, which goes with the process.

    The file is in the gallery's own folder: the usual place for temporary files may lie in memory.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY, dir=str(folder))  # noqa: SIM115 - closed in __exit__
        self._parts = 0

    def put(self, ids: Sequence[str], payloads: Sequence[Payload], X: NDArray[np.float32]) -> None:
        """Set one batch aside.

        Raises
        ------
        RetrievalError
            If the disk is full or the folder cannot be written.
        """
        try:
            pickle.dump((list(ids), list(payloads), X), self._file, protocol=5)
        except OSError as error:
            raise RetrievalError(
                f"{self._folder}: encoded records could not be set aside ({error.strerror}); nothing was written"
            ) from error
        self._parts += 1

    def __iter__(self) -> Iterator[Part]:
        """The batches, in order; memory holds one at a time."""
        self._file.seek(0)
        for _ in range(self._parts):
            part: Part = pickle.load(self._file)
            yield part

    def __enter__(self) -> Spool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
