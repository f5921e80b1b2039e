"""What a gallery asks of an encoder, and what counts as a query."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from retrieval.errors import InvalidVectorError, ModelMismatchError, NoEncoderError
from retrieval.pool import share

# Numbers that are squared at once, and so many that two threads are faster.
_AT_ONCE, _MANY = 1 << 18, 1 << 20


@runtime_checkable
class Encoder(Protocol):
    """Records to unit vectors, as `vsa.JSONEncoder` does.

    An encoder that also has ``to_bytes`` is saved in the gallery if it is a `vsa.JSONEncoder`; any other has
    to be given again to `Gallery.open`.
    """

    @property
    def dim(self) -> int: ...

    @property
    def name(self) -> str: ...

    def encode(self, records: Iterable[Any]) -> NDArray[np.float32]: ...

    def encode_one(self, record: Any) -> NDArray[np.float32]: ...

    def explain(self, query: Any, record: Any) -> list[tuple[str, float]]: ...


def saved(encoder: Any) -> bytes | None:
    """The encoder as bytes, if the gallery can make it again from them."""
    import vsa

    kind = getattr(vsa, "JSONEncoder", None)
    if kind is not None and isinstance(encoder, kind):
        data: bytes = encoder.to_bytes()
        return data
    return None


def restored(data: bytes, fields: Mapping[str, Any] | None = None) -> Encoder:
    """The encoder that `saved` wrote, with the text models that it has at some paths.

    Raises
    ------
    NoEncoderError
        If it has a text model that is not in `fields`.
    """
    import vsa

    kind: Any = vsa.JSONEncoder
    try:
        encoder: Encoder = kind.from_bytes(data, fields=fields)
    except vsa.MissingFieldError as error:
        raise NoEncoderError(f"{error}, as in Gallery.open(path, fields=...)") from error
    return encoder


def check_encoder(encoder: Any, name: str | None, dim: int | None) -> Encoder:
    """`encoder`, if it is the one that a gallery's vectors came from; None stands for any.

    Raises
    ------
    TypeError
        If it is no encoder.
    ModelMismatchError
        If its name or dim is another.
    """
    if not isinstance(encoder, Encoder):
        raise TypeError(f"expected an encoder such as vsa.JSONEncoder, got {type(encoder).__name__}")
    if dim is not None and encoder.dim != dim:
        raise ModelMismatchError(f"the gallery holds vectors of dim {dim}, the encoder makes dim {encoder.dim}")
    if name is not None and encoder.name != name:
        raise ModelMismatchError(
            f"the gallery holds vectors of model {name!r}, the encoder is {encoder.name!r}: "
            "another seed, configuration or fit"
        )
    return encoder


def _on_host(X: Any) -> Any:
    """A tensor of torch as one that NumPy takes, sharing memory where it is float32 on the CPU; all else as it is."""
    # While another thread imports torch, it is there without a class of tensors, so X is none.
    torch = sys.modules.get("torch")
    tensors = getattr(torch, "Tensor", None)
    if torch is None or tensors is None or not isinstance(X, tensors):
        return X
    X = X.detach().cpu()
    return X.float() if X.dtype is torch.bfloat16 else X


def unit_rows(X: Any, dim: int, what: str = "row", first: int = 1) -> NDArray[np.float32]:
    """Vectors as float32 rows of length one; rows that have it to 1e-6 are left as they are.

    Tensors of torch are taken from any device. Messages call the rows `what` and count them from `first`.

    Raises
    ------
    InvalidVectorError
        If X is not of shape (n, dim) with real, finite numbers, or a row is all zero.
    """
    try:
        X = np.asarray(_on_host(X))
    except (TypeError, ValueError) as error:
        raise InvalidVectorError(f"the vectors do not make an array: {error}") from error
    if X.ndim != 2 or X.shape[1] != dim:
        raise InvalidVectorError(f"expected vectors of shape (n, {dim}), got {X.shape}")
    if X.dtype.kind not in "fiu":
        raise InvalidVectorError(f"expected real numbers, got dtype {X.dtype}")
    lengths = _lengths(X)
    bad = np.flatnonzero(~np.isfinite(lengths))
    if len(bad):
        raise InvalidVectorError(f"{what} {bad[0] + first}: NaN, infinity or a length beyond float64")
    zero = np.flatnonzero(lengths < np.finfo(np.float32).tiny)
    if len(zero):
        raise InvalidVectorError(f"{what} {zero[0] + first}: all zero, so it has no direction")
    off = np.abs(lengths - 1.0) > 1e-6
    if not off.any():
        return np.ascontiguousarray(X, dtype=np.float32)
    rows = X.astype(np.float64)
    rows[off] /= lengths[off, None]
    return np.asarray(rows, dtype=np.float32)


def _lengths(X: NDArray[Any]) -> NDArray[np.float64]:
    """The length of each row, in float64; some rows at a time, which stay in the processor's cache."""
    squares = np.empty(len(X))
    step = max(1, _AT_ONCE // X.shape[1])

    def some(first: int, last: int) -> None:
        wide = np.empty((min(step, last - first), X.shape[1]))
        for start in range(first, last, step):
            rows = wide[: min(step, last - start)]
            rows[...] = X[start : start + len(rows)]
            np.einsum("nd,nd->n", rows, rows, out=squares[start : start + len(rows)])

    share(some, len(X), 2 if X.size > _MANY else 1)
    return np.sqrt(squares)


def queries(
    query: Any, dim: int, encoder: Encoder | None, model: str | None = None
) -> tuple[NDArray[np.float32], bool]:
    """(unit rows of the queries, whether there is only one).

    Parameters
    ----------
    query : dict, array or sequence
        A record, a vector (dim,), a batch (n, dim), or a sequence of records or of vectors.
    model : str, optional
        Whose vectors they are to be, for messages.

    Raises
    ------
    TypeError
        If it is none of these.
    NoEncoderError
        If it needs an encoder and there is none.
    InvalidVectorError
        As `unit_rows`.
    """
    if isinstance(query, dict):
        encoded = np.asarray(_needed(encoder, model).encode_one(query))
        return unit_rows(encoded[None, :], dim, "query"), True
    if isinstance(query, Sequence) and not isinstance(query, (str, bytes)):
        if len(query) == 0:
            return np.empty((0, dim), dtype=np.float32), False
        if all(isinstance(one, dict) for one in query):
            return unit_rows(_needed(encoder, model).encode(query), dim, "query"), False
    elif not hasattr(query, "__array__"):
        raise TypeError(
            f"a query is a record (dict), a vector or a batch of either, got {type(query).__name__}; "
            "for another JSON value search for encoder.encode_one(value)"
        )
    try:
        rows = np.asarray(_on_host(query))
    except (TypeError, ValueError) as error:
        raise TypeError(f"the query is neither records nor vectors: {error}") from error
    if rows.ndim == 1:
        return unit_rows(rows[None, :], dim, "query"), True
    return unit_rows(rows, dim, "query"), False


def no_encoder(model: str | None, instead: str) -> NoEncoderError:
    """The error for a record where the gallery knows nothing of the model but its vectors."""
    whose = "" if model is None else f" of {model!r}"
    return NoEncoderError(
        f"the gallery holds vectors{whose} and no encoder that makes such vectors of records; {instead}, or give "
        "encoder= to Gallery.open"
    )


def _needed(encoder: Encoder | None, model: str | None) -> Encoder:
    if encoder is None:
        raise no_encoder(model, "search for a vector")
    return encoder
