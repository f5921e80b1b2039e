"""Vectors for JSON: any record to a vector of fixed length, by MBAT binding with seeded orthogonal operators."""

from vsa import fields
from vsa.config import EncoderConfig
from vsa.decoding import Answer
from vsa.encoder import JSONEncoder
from vsa.errors import (
    DeviceError,
    EncoderStateError,
    FieldError,
    InvalidRecordError,
    LimitError,
    MissingFieldError,
    NewerFormatError,
    VSAError,
    WorkerError,
)
from vsa.limits import Limits
from vsa.memory import ItemMemory
from vsa.reading import iter_json
from vsa.sampling import sample
from vsa.shares import Shares

__all__ = [
    "Answer",
    "DeviceError",
    "EncoderConfig",
    "EncoderStateError",
    "FieldError",
    "InvalidRecordError",
    "ItemMemory",
    "JSONEncoder",
    "LimitError",
    "Limits",
    "MissingFieldError",
    "NewerFormatError",
    "Shares",
    "VSAError",
    "WorkerError",
    "fields",
    "iter_json",
    "sample",
]
