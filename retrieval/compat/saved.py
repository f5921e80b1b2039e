"""What can be saved to one map file and loaded from it."""

from __future__ import annotations

import os
from typing import Any, ClassVar, TypeVar

from retrieval.compat import mapfile

T = TypeVar("T", bound="Saved")


class Saved:
    """Saving and loading for what says which parts a file holds of it, and is built of them again."""

    _KIND: ClassVar[str]

    def parts(self) -> mapfile.Parts:
        """Return what a file holds of it: fields for its header, and arrays."""
        raise NotImplementedError

    @classmethod
    def of_parts(cls: type[T], fields: dict[str, Any], arrays: dict[str, Any]) -> T:
        """Build again what `parts` took apart."""
        raise NotImplementedError

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write to one file, atomically, with a SHA-256; see `retrieval.compat.mapfile`."""
        mapfile.write(path, self._KIND, *self.parts())

    @classmethod
    def load(cls: type[T], path: str | os.PathLike[str]) -> T:
        """Read what `save` wrote; raises as `retrieval.compat.mapfile.read`."""
        return cls.of_parts(*mapfile.read(path, cls._KIND))
