"""Records into batches of ids, payloads and vectors, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval.encoding import Encoder, unit_rows
from retrieval.errors import InvalidIdError, InvalidPayloadError, InvalidVectorError
from retrieval.payload import Payload, dump
from vsa.errors import InvalidRecordError

_BATCH_ROWS = 1024
_BATCH_BYTES = 16 << 20

OnBad = Callable[[Exception], object]


@dataclass
class Batch:
    """Records on their way into the store, with their places in the input."""

    numbers: list[int] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    payloads: list[Payload] = field(default_factory=list)
    records: list[Any] = field(default_factory=list)
    bytes: int = 0

    def drop(self, row: int) -> None:
        for column in (self.numbers, self.ids, self.payloads, self.records):
            del column[row]


def batches(
    numbered: Iterable[tuple[int, Any]], read_id: Callable[[Any, str], str], unit: str, on_bad: OnBad | None
) -> Iterator[Batch]:
    """Cut (number, record) pairs into batches of at most 1,024 records and about 16 MB of payload.

    Parameters
    ----------
    numbered : iterable of (number, record)
    read_id : callable
        From `retrieval.ids.id_reader`.
    unit : str
        What the numbers count: "record", "line".
    on_bad : callable, optional
        Gets the error of a record that has no usable id or payload, which is then left out.

    Raises
    ------
    InvalidIdError, InvalidPayloadError
        Where there is no `on_bad`.
    """
    batch = Batch()
    for number, record in numbered:
        place = f"{unit} {number}: "
        try:
            name = read_id(record, place)
            payload = dump(record, place, checked=True)
        except (InvalidIdError, InvalidPayloadError) as error:
            if on_bad is None:
                raise
            on_bad(error)
            continue
        batch.numbers.append(number)
        batch.ids.append(name)
        batch.payloads.append(payload)
        batch.records.append(record)
        batch.bytes += len(payload[1] or b"")
        if len(batch.ids) >= _BATCH_ROWS or batch.bytes >= _BATCH_BYTES:
            yield batch
            batch = Batch()
    if batch.ids:
        yield batch


def encode(batch: Batch, encoder: Encoder, unit: str, on_bad: OnBad | None) -> NDArray[np.float32]:
    """Unit vectors of a batch, shape (n, dim); with `on_bad`, records that do not encode leave the batch.

    Raises
    ------
    vsa.InvalidRecordError
        With the record's place in the input.
    InvalidVectorError
        If the encoder gave something else than unit rows.
    """
    while batch.records:
        try:
            return _rows(encoder, batch.records)
        except InvalidRecordError as error:
            row = error.record
            if row is None:
                raise
            placed = type(error)(error.reason, line=batch.numbers[row], unit=unit)
            if on_bad is None:
                raise placed from error
            on_bad(placed)
            batch.drop(row)
    return np.empty((0, encoder.dim), dtype=np.float32)


def _rows(encoder: Encoder, records: list[Any]) -> NDArray[np.float32]:
    X = unit_rows(encoder.encode(records), encoder.dim)
    if len(X) != len(records):
        raise InvalidVectorError(f"the encoder made {len(X)} vectors of {len(records)} records")
    return X
