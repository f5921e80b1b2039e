"""Encoders to bytes and files and back, and the name of what their vectors are."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from vsa import state
from vsa.config import EncoderConfig
from vsa.errors import EncoderStateError, FieldError
from vsa.fields.base import Field
from vsa.fields.saved import check_signatures, description, restore, signatures
from vsa.hashing import FORMAT
from vsa.shares import Shares
from vsa.statistics import Statistics

E = TypeVar("E", bound="Saving")


class Saving(ABC):
    """The part of `vsa.JSONEncoder` that is saved, restored and named by what decides its vectors."""

    config: EncoderConfig
    _statistics: Statistics | None
    _fields: dict[str, Field]
    _name: str | None

    @abstractmethod
    def __init__(self, **options: Any) -> None: ...

    @abstractmethod
    def _learn(self: E, statistics: Statistics) -> E: ...

    @property
    def name(self) -> str:
        """A name of the vectors' model, such as ``mbat-1024-7-1f0c3a9e``: configuration and statistics decide it."""
        if self._name is None:
            digest = state.checksum({"format": FORMAT, **self._body()})
            self._name = f"mbat-{self.config.dim}-{self.config.seed}-{digest[:8]}"
        return self._name

    def to_bytes(self) -> bytes:
        """Configuration and statistics as one versioned JSON document; `from_bytes` reads it.

        Text models are saved as their parameters and the vectors of two texts, by which another model is noticed.
        """
        signed = signatures(self._fields)
        return state.dump({**self._body(), **({"signatures": signed} if signed else {})})

    def _body(self) -> dict[str, Any]:
        statistics = self._statistics.to_state() if self._statistics else None
        body = {"config": asdict(self.config), "statistics": statistics}
        return {**body, "fields": description(self._fields)} if self._fields else body

    @classmethod
    def from_bytes(cls: type[E], data: bytes, *, fields: Mapping[str, Any] | None = None, **options: Any) -> E:
        """An encoder from `to_bytes`, whose vectors are the same to the bit.

        Parameters
        ----------
        data : bytes
            The document.
        fields : mapping, optional
            The text models, by path: the callables alone, or whole `TextModel`s. Fields of your own kind too.
        options
            What is not saved, as the encoder itself takes it: `limits`, `cache_bytes`, `memory`, `device`.

        Raises
        ------
        EncoderStateError
            If the document is cut, altered or something else; `NewerFormatError` if it is of a later version,
            `MissingFieldError` if a text model of it is not in `fields`.
        FieldError
            If a field is given that is not the one that was saved.
        """
        body = state.parse(data)
        try:
            config = dict(body["config"])
            config["shares"] = Shares(**config["shares"])
            EncoderConfig(**config)
            statistics = None if body["statistics"] is None else Statistics.from_state(body["statistics"])
            if statistics is not None and not statistics.records:
                raise ValueError("it was fitted on no records")
            restored = restore(body.get("fields", {}), fields)
        except (EncoderStateError, FieldError):
            raise
        except (KeyError, TypeError, ValueError) as error:
            raise EncoderStateError(f"the saved encoder does not make sense: {error}") from error
        check_signatures(restored, body.get("signatures", {}))
        encoder = cls(**config, fields=restored, **options)
        if statistics is not None:
            encoder._learn(statistics)
        return encoder

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the encoder to one JSON file, whole or not at all."""
        state.write_file(path, self.to_bytes())

    @classmethod
    def load(cls: type[E], path: str | os.PathLike[str], **options: Any) -> E:
        """Read an encoder that `save` wrote; options and errors as `from_bytes`, and OSError."""
        return cls.from_bytes(Path(path).read_bytes(), **options)
