"""An open gallery: its store, its models, their encoders."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from retrieval.device import checked_device
from retrieval.encoding import Encoder, check_encoder, no_encoder, restored
from retrieval.engine import checked_threads
from retrieval.errors import ModelMismatchError
from retrieval.rows import Model
from retrieval.searching import Searcher
from retrieval.snapshot import model_of
from retrieval.store import Store

Self = TypeVar("Self", bound="OpenGallery")


class OpenGallery:
    """The part of `retrieval.Gallery` that opens and closes it."""

    def __init__(self, store: Store, encoder: Encoder | None, device: str, threads: int | None) -> None:
        self._store = store
        self._searcher = Searcher(store, device, threads)
        self._encoders = {} if encoder is None else {encoder.name: encoder}
        self._fields: Mapping[str, Any] | None = None

    @classmethod
    def open(
        cls: type[Self],
        path: str | os.PathLike[str],
        *,
        dim: int | None = None,
        encoder: Encoder | None = None,
        fields: Mapping[str, Any] | None = None,
        device: str = "auto",
        threads: int | None = None,
        timeout: float = 30.0,
    ) -> Self:
        """Open an existing gallery.

        Parameters
        ----------
        path : path
        dim : int, optional
            The width you expect; another one is an error.
        encoder : Encoder, optional
            Needed for record queries where the gallery was made with an encoder that is no `vsa.JSONEncoder`.
        fields : mapping of str to callable or vsa.fields.TextModel, optional
            The text models of the gallery's own encoder, by path, as `vsa.JSONEncoder.load` takes them.
        device : {"auto", "cpu", "cuda", "cuda:1"}
            Where exact searches run; "auto" takes a GPU if there is one and the vectors fit, and `info` says why.
        threads : int, optional
            That FAISS may use; by default all cores, or what OMP_NUM_THREADS says. A single exact query is NumPy's
            work, which OPENBLAS_NUM_THREADS rules.
        timeout : float
            Seconds to wait for another writer.

        Raises
        ------
        GalleryNotFoundError, NotAGalleryError, NewerGalleryError, DamagedGalleryError
        ModelMismatchError
            If `dim` or `encoder` is not the gallery's.
        """
        checked_device(device)
        checked_threads(threads)
        store = Store.open(Path(path), float(timeout))
        gallery = cls._opened(store, encoder, device, threads)
        gallery._fields = fields
        if dim is not None and dim != (there := gallery.dim):
            gallery.close()
            raise ModelMismatchError(f"{path}: holds vectors of dim {there}, not of dim {dim}")
        return gallery

    @classmethod
    def _opened(cls: type[Self], store: Store, encoder: Encoder | None, device: str, threads: int | None) -> Self:
        try:
            with store.snapshot() as snapshot:
                if encoder is not None:
                    check_encoder(encoder, None, None)
                    known = snapshot.model_named(encoder.name) or snapshot.active
                    check_encoder(encoder, known.name, known.dim)
        except BaseException:
            store.close()
            raise
        return cls(store, encoder, device, threads)

    @property
    def path(self) -> Path:
        """The folder."""
        return self._store.folder

    @property
    def dim(self) -> int:
        """Width of the vectors that searches use."""
        return self._model().dim

    @property
    def model(self) -> str:
        """Name of the model that searches use."""
        return self._model().name

    def _model(self, name: str | None = None) -> Model:
        # Another process may have switched the gallery to another model.
        with self._store.snapshot() as snapshot:
            return model_of(snapshot, name)

    @property
    def encoder(self) -> Encoder | None:
        """What turns records into vectors that searches use, if the gallery has it; loaded when first asked for."""
        return self._encoder_of(self._model())

    def _encoder_of(self, model: Model) -> Encoder | None:
        known = self._encoders.get(model.name)
        if known is None:
            with self._store.snapshot() as snapshot:
                data = snapshot.encoder(model.model)
            if data is not None:
                encoder = restored(data, self._fields)
                known = self._encoders[model.name] = check_encoder(encoder, model.name, model.dim)
        return known

    def _required_encoder(self) -> Encoder:
        encoder = self.encoder
        if encoder is None:
            raise no_encoder(self._model().name, "give vectors")
        return encoder

    def close(self) -> None:
        """Close the files; every later call raises ClosedGalleryError."""
        self._store.close()

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
