"""Errors of the `vsa` package.

::

    VSAError
    ├── InvalidRecordError (ValueError)   a value that is not JSON, or a line that does not parse
    │   └── LimitError                    a value beyond the limits: depth, string length, leaves, line length
    ├── FieldError (ValueError)           a field of `vsa.fields` that gives something else than it must
    ├── DeviceError (RuntimeError)        a GPU was asked for that is not there or has no room
    ├── WorkerError (RuntimeError)        a worker process died
    └── EncoderStateError (ValueError)    a saved encoder that is damaged or altered
        ├── MissingFieldError             a saved encoder with a text model, which has to be given again
        └── NewerFormatError              a saved encoder of a later format version

Bad arguments raise plain ``ValueError`` or ``TypeError``.
"""

from __future__ import annotations


class VSAError(Exception):
    """Base of every error that `vsa` raises on its own account."""


class InvalidRecordError(VSAError, ValueError):
    """A value is not JSON, or a line of input does not parse.

    Attributes
    ----------
    reason : str
        What is wrong, without the place.
    line : int or None
        Line number in the input, from 1 (in a JSON array: the element's number), where there is one.
    record : int or None
        Row in the batch that was being encoded, from 0, where there is one.
    """

    def __init__(self, reason: str, *, line: int | None = None, record: int | None = None, unit: str = "line") -> None:
        self.reason = reason
        self.line = line
        self.record = record
        place = ""
        if line is not None:
            place = f"{unit} {line}: "
        elif record is not None:
            place = f"record {record}: "
        super().__init__(place + reason)


class LimitError(InvalidRecordError):
    """A value goes beyond `vsa.Limits`."""


class FieldError(VSAError, ValueError):
    """A typed encoder of a field, or the text model in it, gives something else than it must."""


class DeviceError(VSAError, RuntimeError):
    """A GPU was asked for that PyTorch does not find, or that has no room."""


class WorkerError(VSAError, RuntimeError):
    """A worker process died, so that its records were not encoded."""


class EncoderStateError(VSAError, ValueError):
    """A saved encoder is damaged, altered or not an encoder at all."""


class MissingFieldError(EncoderStateError):
    """A saved encoder has a field that no file can hold, such as a text model, and it was not given again."""


class NewerFormatError(EncoderStateError):
    """A saved encoder was written by a later version of the package."""
