"""Any text-embedding model, bound at a path."""

from __future__ import annotations

import hashlib
import pickle
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from vsa.binding import HadamardBinding
from vsa.errors import FieldError
from vsa.fields.base import Rows, Space, share

Embed = Callable[[list[str]], Any]
Doubles = npt.NDArray[np.float64]

PROBE = ("Sunrise over the sea, oil on canvas, 1845", "wireless noise-cancelling headphones")
"""Texts whose vectors tell one model from another."""

SAME_MODEL = 0.99
"""Least cosine of a probe's vectors, saved and made again; half precision and quantised weights keep to it."""


class TextModel:
    """Your text-embedding model for the strings at a path.

    Parameters
    ----------
    embed : callable
        ``embed(texts: list of str) -> (len(texts), dim)`` array of NumPy, torch or lists: sentence-transformers'
        ``model.encode``, a client of an API, anything. The vector of a text must depend on that text alone.
    dim : int
        Width of the model's vectors.
    name : str, optional
        Of the model; the encoder's name depends on it. Give it, so that galleries tell models apart.
    weight : float
        Of the model's vector beside other leaves, up to 16; 1 is the size of one word as rare as can be. What is
        said in few words bears 1 and more; long descriptions that some records lack want .5 or less.
    ordinary : float
        Weight of the text's words and exact value beside it, from 0 to 16. Model numbers and names are what
        embeddings blur.
    anywhere : bool
        Whether the vector also counts at other paths with a model of the same `name` and `dim`.
    cache_bytes : int
        Memory for vectors of texts met before, by content.

    Notes
    -----
    Only texts not met before reach `embed`: each once, many in one call. Anything but a text that is not empty,
    and a text whose vector is zero, is an ordinary leaf.

    A vector is brought to unit length, padded with zeros to the encoder's dim and turned by a seeded orthonormal
    map, (HD)³ of `vsa.binding`; so the cosine of two texts is that of the model, to 2e-5 at dim 1024 (3e-6 root mean
    square). Its entries are then rounded to whole numbers (their root mean square is 6,144 × weight), so sums stay
    exact and equal outputs of `embed` give equal bits, on every machine. Where the model is wider than the encoder, the
    turned vector is cut to the encoder's dim and cosines stray by about 1/√dim.

    Examples
    --------
    >>> import vsa
    >>> def embed(texts):
    ...     return [[1.0, text.count("sea"), text.count("city")] for text in texts]
    >>> model = TextModel(embed, dim=3, name="counts", weight=2.0)
    >>> encoder = vsa.JSONEncoder(seed=7, fields={"about": model})
    >>> a, b, c = encoder.encode([{"about": "sea sea sea"}, {"about": "oversea"}, {"about": "city"}])
    >>> bool(a @ b > a @ c)
    True
    """

    kind = "text-model"

    def __init__(
        self,
        embed: Embed,
        dim: int,
        *,
        name: str | None = None,
        weight: float = 0.7,
        ordinary: float = 1.0,
        anywhere: bool = False,
        cache_bytes: int = 64 << 20,
    ) -> None:
        if not callable(embed):
            raise TypeError(f"embed must be callable as embed(list of str), got {type(embed).__name__}")
        if type(dim) is not int or not 1 <= dim <= 1 << 20:
            raise ValueError(f"dim must be an integer from 1 to 1,048,576, got {dim!r}")
        if name is not None and not isinstance(name, str):
            raise TypeError(f"name must be str or None, got {type(name).__name__}")
        if not isinstance(anywhere, bool):
            raise TypeError(f"anywhere must be True or False, got {anywhere!r}")
        if type(cache_bytes) is not int or cache_bytes < 0:
            raise ValueError(f"cache_bytes must be an integer from 0, got {cache_bytes!r}")
        self.dim, self.name, self.anywhere = dim, name, anywhere
        self.weight, self.ordinary = share(weight, "weight"), share(ordinary, "ordinary")
        if not self.weight:
            raise ValueError("weight must be above 0: without it the field says nothing")
        self._embed = embed
        self._most = cache_bytes // (4 * dim)
        self._known: OrderedDict[bytes, npt.NDArray[np.float32]] = OrderedDict()
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        """For worker processes: all but the cache and its lock."""
        try:
            pickle.dumps(self._embed)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise FieldError(
                f"{self} cannot go to other processes, since its embed cannot be pickled ({error}); "
                "make it a function of a module, or take workers=1"
            ) from error
        return {name: value for name, value in vars(self).items() if name not in ("_known", "_lock")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._known, self._lock = OrderedDict(), threading.Lock()

    def __repr__(self) -> str:
        return f"TextModel(dim={self.dim}, name={self.name!r}, weight={self.weight}, ordinary={self.ordinary})"

    def read(self, value: Any) -> str | None:
        """The text, or None."""
        return value if isinstance(value, str) and value else None

    def config(self) -> dict[str, Any]:
        """What decides the rows, but for `embed` itself."""
        return {name: getattr(self, name) for name in ("dim", "name", "weight", "ordinary", "anywhere")}

    def rows(self, contents: Sequence[str], space: Space) -> Rows:
        """The texts' vectors, turned and rounded; (n, dim)."""
        units = _unit(self.vectors(contents).astype(np.float64))
        width = max(self.dim, space.dim)
        padded = np.zeros((len(units), width), np.float32)
        padded[:, : self.dim] = units
        turn = HadamardBinding(width, space.seed)
        turned = turn.bind(turn.operator(f"text {self.dim} {self.name or ''}".encode()), padded)
        size = self.weight * space.unit * float(np.sqrt(width))
        rows: Rows = np.rint(turned[:, : space.dim] * size).astype(np.float32)
        return rows

    def vectors(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """(n, dim) float32 vectors as `embed` gives them, from the cache where it has them.

        Raises
        ------
        FieldError
            If `embed` gives another number of vectors, another width, or NaN or infinity.
        """
        keys = [hashlib.blake2b(text.encode(), digest_size=16).digest() for text in texts]
        with self._lock:
            found = {key: self._known[key] for key in keys if key in self._known}
            missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in found}
            if missing:
                made = self._asked(list(missing.values()))
                # Copies, lest one row in the cache keep its whole batch alive.
                found.update((key, row.copy()) for key, row in zip(missing, made, strict=True))
            for key in dict.fromkeys(keys):
                self._known[key] = found[key]
                self._known.move_to_end(key)
            while len(self._known) > self._most:
                self._known.popitem(last=False)
        return np.stack([found[key] for key in keys])

    def _asked(self, texts: list[str]) -> npt.NDArray[np.float32]:
        given = self._embed(texts)
        if hasattr(given, "detach"):
            given = given.detach().cpu().float().numpy()
        who = f"the text model {self.name!r}" if self.name else "the text model"
        try:
            with np.errstate(over="ignore"):
                made = np.array(given, np.float32)
        except (TypeError, ValueError) as error:
            raise FieldError(f"{who} gave no array of numbers: {error}") from error
        if made.shape != (len(texts), self.dim):
            raise FieldError(
                f"{who} gave an array of shape {made.shape} for {len(texts)} texts; expected ({len(texts)}, {self.dim})"
            )
        bad = np.flatnonzero(~np.isfinite(made).all(axis=1))
        if len(bad):
            raise FieldError(f"{who} gave NaN or infinity for {texts[bad[0]][:80]!r}")
        return made

    def signature(self) -> list[list[float]]:
        """Unit vectors of the probe texts, to four digits: what this model is known by when loaded again."""
        digits: list[list[float]] = np.round(_unit(self.vectors(PROBE).astype(np.float64)), 4).tolist()
        return digits

    def check(self, signature: Sequence[Sequence[float]]) -> None:
        """Compare with the signature of the model that a saved encoder was made with.

        Raises
        ------
        FieldError
            If this is another model.
        """
        now, then = np.array(self.signature()), np.array(signature, np.float64)
        if now.shape == then.shape:
            cosines = (_unit(now) * _unit(then)).sum(axis=1)
            # A text whose vector is zero has no cosine, but must be zero again.
            cosines[~now.any(axis=1) & ~then.any(axis=1)] = 1.0
            if (cosines >= SAME_MODEL).all():
                return
            what = f"its vector of {PROBE[int(np.argmin(cosines))]!r} has cosine {cosines.min():.3f} with the old one"
        else:
            what = f"its signature has shape {now.shape}, the saved one {then.shape}"
        raise FieldError(f"this text model is not the one that the encoder was saved with: {what}")


def _unit(X: Doubles) -> Doubles:
    """Rows of length one, zero rows left as they are; every addition in a fixed order, so alike on every machine."""
    size = np.abs(X).max(axis=1, keepdims=True)
    scaled = X / np.where(size > 0.0, size, 1.0)
    squares = np.zeros((len(X), 1 << (X.shape[1] - 1).bit_length()))
    squares[:, : X.shape[1]] = scaled * scaled
    while squares.shape[1] > 1:
        half = squares.shape[1] // 2
        squares = squares[:, :half] + squares[:, half:]
    return scaled / np.where(squares > 0.0, np.sqrt(squares), 1.0)
