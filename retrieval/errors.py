"""Errors of the `retrieval` package.

::

    RetrievalError
    ├── GalleryNotFoundError (FileNotFoundError)  no gallery in that folder
    ├── GalleryExistsError (FileExistsError)      the folder to create a gallery in is taken
    ├── GalleryPathError (OSError)                a place where no folder of a gallery can be
    ├── NotAGalleryError (ValueError)             the folder holds something else
    ├── NewerGalleryError                         written by a later format version
    ├── DamagedGalleryError                       altered or truncated; says what, and what can be saved
    ├── GalleryBusyError (TimeoutError)           another writer held the gallery too long
    ├── ReadOnlyGalleryError (PermissionError)    a write to a gallery that can only be read
    ├── ClosedGalleryError                        used after close()
    ├── ModelMismatchError (ValueError)           another model, dim or encoder than the gallery's
    ├── UpgradeError                              an upgrade that cannot be applied, or rolled back
    ├── DeviceError                               a GPU that is not there, or too small
    ├── NoEncoderError                            a record given to a gallery that holds vectors only
    ├── InvalidVectorError (ValueError)           wrong shape, not finite, or all zero
    ├── InvalidIdError (ValueError)               missing, empty or of a type that is no id
    │   └── DuplicateIdError                      the same id twice in one call
    ├── InvalidPayloadError (ValueError)          a payload that is not JSON
    ├── FilterError (ValueError)                  a filter that cannot be understood
    ├── UnknownIdError (KeyError)                 an id that the gallery does not hold
    └── MissingDependencyError (ImportError)      a part that is not installed; names the install line

Bad arguments raise plain ``ValueError`` or ``TypeError``.
"""

from __future__ import annotations


class RetrievalError(Exception):
    """Base of every error that `retrieval` raises on its own account."""


class GalleryNotFoundError(RetrievalError, FileNotFoundError):
    """There is no gallery in the folder."""


class GalleryExistsError(RetrievalError, FileExistsError):
    """The folder to create a gallery in holds something already."""


class GalleryPathError(RetrievalError, OSError):
    """No folder of a gallery can be in that place: below a file, say, or on a read-only disk."""


class NotAGalleryError(RetrievalError, ValueError):
    """The folder or file is something else than a gallery."""


class NewerGalleryError(RetrievalError):
    """The gallery was written in a later format version than this package knows."""


class DamagedGalleryError(RetrievalError):
    """A file of the gallery was altered or cut short."""


class GalleryBusyError(RetrievalError, TimeoutError):
    """Another process or thread kept the gallery's only write lock for longer than the timeout."""


class ReadOnlyGalleryError(RetrievalError, PermissionError):
    """A write to a gallery that can only be read."""


class ClosedGalleryError(RetrievalError):
    """The gallery was closed."""


class ModelMismatchError(RetrievalError, ValueError):
    """Vectors, an encoder or a dim of another model than the gallery's."""


class UpgradeError(RetrievalError):
    """An upgrade that does not fit the gallery, or that cannot be undone."""


class DeviceError(RetrievalError):
    """The device that was asked for is not there or cannot hold the vectors."""


class NoEncoderError(RetrievalError):
    """The gallery knows vectors only, and was given a record."""


class InvalidVectorError(RetrievalError, ValueError):
    """A vector of the wrong shape, with NaN or infinity, or of length zero."""


class InvalidIdError(RetrievalError, ValueError):
    """An id is missing, empty, or neither text nor an integer."""


class DuplicateIdError(InvalidIdError):
    """The same id came twice in one call."""


class InvalidPayloadError(RetrievalError, ValueError):
    """A payload is not a JSON value."""


class FilterError(RetrievalError, ValueError):
    """A filter names an unknown operator or compares with something that has no order."""


class UnknownIdError(RetrievalError, KeyError):
    """The gallery holds no such id."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class MissingDependencyError(RetrievalError, ImportError):
    """A part that this call needs is not installed."""
