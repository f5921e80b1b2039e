"""Errors and warnings of the maps between models.

::

    RetrievalError
    ├── InvalidPairsError (ValueError)   paired rows that no map can be fitted on
    └── MapFileError (ValueError)        a file that is no map, or not the kind asked for
        ├── DamagedMapError              altered or cut short
        └── NewerMapError                written by a later format version

    UserWarning
    └── PairsWarning                     a map can be fitted, but look at the pairs first
        ├── FewPairsWarning              fewer pairs than dims: the map is not determined
        └── UnrelatedPairsWarning        held-out pairs match no better than strangers: shuffled rows?

`retrieval.errors.ModelMismatchError` says that vectors are of another model or dim, and
`retrieval.errors.InvalidVectorError` that they are not finite, all zero, or of a wrong shape.
"""

from __future__ import annotations

from retrieval.errors import RetrievalError


class InvalidPairsError(RetrievalError, ValueError):
    """Source and target rows are not paired, or are too few to fit anything on."""


class MapFileError(RetrievalError, ValueError):
    """The file is not a saved map, or is a map of another kind."""


class DamagedMapError(MapFileError):
    """The saved map was altered or cut short."""


class NewerMapError(MapFileError):
    """The saved map was written in a later format version than this package knows."""


class PairsWarning(UserWarning):
    """The pairs let a map be fitted, but it may not be worth much."""


class FewPairsWarning(PairsWarning):
    """There are fewer pairs than dims, so that the pairs do not determine the map."""


class UnrelatedPairsWarning(PairsWarning):
    """Held-out pairs match no better than strangers."""
