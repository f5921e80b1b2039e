"""Fields in a saved encoder: those that are all parameters come back by themselves, others are asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from vsa.errors import FieldError, MissingFieldError
from vsa.fields.base import Field
from vsa.fields.lat_long import LatLong
from vsa.fields.moments import Timestamp, Year
from vsa.fields.text_model import TextModel

_WHOLE: dict[str, Callable[..., Field]] = {
    "lat-long": LatLong,
    "timestamp": Timestamp,
    "year": Year,
}


def description(fields: Mapping[str, Field]) -> dict[str, Any]:
    """What decides the fields' rows, by path; ready for JSON."""
    return {path: {"kind": field.kind, **field.config()} for path, field in fields.items()}


def signatures(fields: Mapping[str, Field]) -> dict[str, Any]:
    """Signatures of the text models, by path."""
    return {path: field.signature() for path, field in fields.items() if isinstance(field, TextModel)}


def check_signatures(fields: Mapping[str, Field], signed: Mapping[str, Any]) -> None:
    """Compare text models with those that an encoder was saved with.

    Raises
    ------
    FieldError
        If one is another model.
    """
    for path, signature in signed.items():
        field = fields.get(path)
        if isinstance(field, TextModel):
            try:
                field.check(signature)
            except FieldError as error:
                raise FieldError(f"fields[{path!r}]: {error}") from error


def restore(saved: Mapping[str, Any], given: Mapping[str, Any] | None) -> dict[str, Field]:
    """The fields of a saved encoder.

    Parameters
    ----------
    saved : mapping
        From `description`.
    given : mapping, optional
        What the caller gives again: a field, or the bare callable of a text model, by path.

    Raises
    ------
    MissingFieldError
        If a field is missing that cannot be made from what was saved.
    FieldError
        If one is given that the encoder does not have, or another than it was saved with.
    """
    left = dict(given or {})
    fields = {path: _restored(path, dict(config), left.pop(path, None)) for path, config in saved.items()}
    if left:
        raise FieldError(f"the saved encoder has no field at {', '.join(map(repr, left))}; it has {list(saved)}")
    return fields


def _restored(path: str, config: dict[str, Any], given: Any) -> Field:
    kind = config.pop("kind")
    if given is None:
        if kind in _WHOLE:
            return _WHOLE[kind](**config)
        what = f"a text model (name {config['name']!r}, dim {config['dim']})" if kind == "text-model" else repr(kind)
        again = "your_callable" if kind == "text-model" else "..."
        raise MissingFieldError(
            f"the encoder has {what} at {path!r}, which a file cannot hold; give it again: fields={{{path!r}: {again}}}"
        )
    field: Any = given
    if kind == "text-model" and not isinstance(given, Field) and callable(given):
        width = config["dim"]
        field = TextModel(given, width, **{name: value for name, value in config.items() if name != "dim"})
    if not isinstance(field, Field):
        raise FieldError(f"fields[{path!r}] is no field nor the callable of a text model: {type(given).__name__}")
    if field.kind != kind or field.config() != config:
        raise FieldError(
            f"fields[{path!r}] is not as the encoder was saved: expected {kind} {config}, "
            f"got {field.kind} {field.config()}"
        )
    return field
