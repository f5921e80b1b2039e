"""A gallery as one Parquet file: columns id, payload (JSON text) and vector, and the encoder among its metadata.

Needs pyarrow, which ``pip install 'vsa-retrieval[parquet]'`` brings.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from retrieval.encoding import Encoder, restored, saved
from retrieval.errors import MissingDependencyError, RetrievalError
from retrieval.gallery import Gallery

_ROWS = 1024
_GROUP = 16384
_MODEL, _ENCODER = b"vsa-retrieval.model", b"vsa-retrieval.encoder"


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingDependencyError("Parquet needs pyarrow: pip install 'vsa-retrieval[parquet]'") from error
    return pyarrow, pyarrow.parquet


def write(gallery: Gallery, path: str) -> int:
    """Write one state of a gallery; the number of rows.

    Raises
    ------
    MissingDependencyError
    OSError

    Notes
    -----
    Vectors are float32 bit for bit, in a column of fixed-size lists. Memory holds 16,384 rows beside the gallery's
    own vectors.
    """
    arrow, parquet = _pyarrow()
    metadata = {_MODEL: gallery.model.encode()}
    encoder = saved(gallery.encoder)
    if encoder is not None:
        metadata[_ENCODER] = encoder
    schema = arrow.schema(
        [
            arrow.field("id", arrow.string(), nullable=False),
            arrow.field("payload", arrow.string()),
            arrow.field("vector", arrow.list_(arrow.float32(), gallery.dim), nullable=False),
        ],
        metadata=metadata,
    )
    rows = 0
    with parquet.ParquetWriter(path, schema) as writer:
        for ids, payloads, X in gallery.batches(_GROUP):
            # Escapes keep halves of surrogate pairs, which are JSON but not UTF-8.
            texts = [None if payload is None else json.dumps(payload, separators=(",", ":")) for payload in payloads]
            values = arrow.array(np.ascontiguousarray(X).reshape(-1), type=arrow.float32())
            columns = [arrow.array(ids), arrow.array(texts, type=arrow.string())]
            columns.append(arrow.FixedSizeListArray.from_arrays(values, X.shape[1]))
            writer.write_table(arrow.Table.from_arrays(columns, schema=schema))
            rows += len(ids)
    return rows


class Source:
    """A Parquet file with the columns id, vector and, unless there are no payloads, payload.

    Attributes
    ----------
    dim : int
    encoder : Encoder or None
    model : str or None

    Raises
    ------
    MissingDependencyError
    RetrievalError
        If the file cannot be read as Parquet or its columns are others.
    """

    def __init__(self, path: str) -> None:
        self._arrow, parquet = _pyarrow()
        self._path = path
        try:
            self._file = parquet.ParquetFile(path)
        except self._arrow.ArrowException as error:
            raise RetrievalError(f"{path}: not a Parquet file that can be read: {error}") from error
        schema = self._file.schema_arrow
        missing = {"id", "vector"} - set(schema.names)
        if missing:
            raise RetrievalError(f"{path}: no column {sorted(missing)[0]!r}; there are: {', '.join(schema.names)}")
        self._columns = [name for name in ("id", "payload", "vector") if name in schema.names]
        self.dim = self._first_dim(schema.field("vector").type)
        metadata = schema.metadata or {}
        self.model = metadata[_MODEL].decode() if _MODEL in metadata else None
        self.encoder: Encoder | None = restored(metadata[_ENCODER]) if _ENCODER in metadata else None

    def _first_dim(self, kind: Any) -> int:
        types = self._arrow.types
        if types.is_fixed_size_list(kind):
            return int(kind.list_size)
        if types.is_list(kind) or types.is_large_list(kind):
            for batch in self._file.iter_batches(1, columns=["vector"]):
                first = batch.column(0)[0].as_py()
                if first:
                    return len(first)
        raise RetrievalError(f"{self._path}: the column 'vector' holds {kind}, not lists of numbers of one length")

    def batches(self) -> Iterator[tuple[list[Any], list[Any], Any]]:
        """(ids, payloads, vectors) of the rows; memory holds one row group."""
        done = 0
        try:
            for batch in self._file.iter_batches(_ROWS, columns=self._columns):
                yield self._batch(batch, done)
                done += len(batch)
        except self._arrow.ArrowException as error:
            raise RetrievalError(f"{self._path}: cannot be read after row {done}: {error}") from error

    def _batch(self, batch: Any, before: int) -> tuple[list[Any], list[Any], Any]:
        column = batch.column("vector")
        if column.null_count or len(column.flatten()) != len(column) * self.dim:
            rows = f"rows {before + 1} to {before + len(column)}"
            raise RetrievalError(f"{self._path}: a vector in {rows} is null or not of dim {self.dim}")
        X = column.flatten().to_numpy(zero_copy_only=False).reshape(-1, self.dim)
        texts = batch.column("payload").to_pylist() if "payload" in self._columns else [None] * len(column)
        return batch.column("id").to_pylist(), [self._payload(text, before) for text in texts], X

    def _payload(self, text: Any, before: int) -> Any:
        if text is None:
            return None
        try:
            # Integers beyond 64 bits would become floats in a faster parser.
            return json.loads(text)
        except (TypeError, ValueError, RecursionError) as error:
            raise RetrievalError(f"{self._path}: a payload after row {before} is not JSON text: {error}") from error
