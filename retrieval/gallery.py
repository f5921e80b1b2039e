"""A folder of ids, payloads and vectors that can be searched."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from retrieval import ingest
from retrieval.carrying import carry_new
from retrieval.device import checked_device
from retrieval.encoding import Encoder, check_encoder, saved, unit_rows
from retrieval.engine import checked_threads
from retrieval.ids import IdOf, checked_ids, id_reader
from retrieval.indexing import GalleryIndexing
from retrieval.payload import dump_all
from retrieval.progress import Progress, reporter
from retrieval.rows import Storage
from retrieval.seen import Seen, refuse_duplicates
from retrieval.spool import Spool
from retrieval.store import Store


class Gallery(GalleryIndexing):
    """Items with an id, a payload and a vector; made by `create` and `open`.

    The folder holds ``gallery.sqlite``, the only truth, and the files of vectors that it names. A call that
    writes is one transaction: it becomes visible as a whole when it returns, and survives kill -9 and power loss
    from then on; if it fails or is interrupted the gallery is as it was. There is one writer at a time; another
    one waits for `timeout` seconds. Any number of threads and processes read, each search on one committed state.

    Examples
    --------
    >>> import tempfile, numpy as np
    >>> folder = tempfile.TemporaryDirectory()
    >>> with Gallery.create(folder.name, dim=2) as gallery:
    ...     gallery.add_vectors(["east", "north"], [[1, 0], [0, 2]])
    ...     [hit.id for hit in gallery.search(np.array([0.6, 0.8]), k=2)]
    2
    ['north', 'east']
    >>> folder.cleanup()
    """

    @classmethod
    def create(
        cls,
        path: str | os.PathLike[str],
        *,
        encoder: Encoder | None = None,
        dim: int | None = None,
        model: str | None = None,
        storage: str = "float32",
        device: str = "auto",
        threads: int | None = None,
        timeout: float = 30.0,
    ) -> Gallery:
        """Make an empty gallery in a new or empty folder.

        Parameters
        ----------
        path : path
        encoder : Encoder, optional
            Turns records into vectors. A `vsa.JSONEncoder` is saved with the gallery.
        dim, model : int, str, optional
            Width and name of the vectors you bring yourself; needed without an encoder (the name is then
            ``"vectors"`` unless given).
        storage : {"float32", "float16"}
            How vectors lie on disk. Float16 halves the file; scores move by up to about 1e-3.
        device : {"auto", "cpu", "cuda", "cuda:1"}
            Where exact searches run, as for `open`.
        threads : int, optional
            As for `open`.
        timeout : float
            Seconds to wait for another writer.

        Raises
        ------
        GalleryExistsError
            If the folder exists and is not empty.
        GalleryPathError, ReadOnlyGalleryError
            If it cannot be made, or not be written.
        ValueError, TypeError
            For arguments that do not fit together.
        """
        if encoder is not None:
            check_encoder(encoder, model, dim)
            dim, model = encoder.dim, encoder.name
        if isinstance(dim, bool) or not isinstance(dim, int) or dim < 1:
            raise ValueError(f"give an encoder, or the dim of your vectors as a positive integer, got dim={dim!r}")
        if model is not None and (not isinstance(model, str) or not model):
            raise ValueError(f"model must be a name, got {model!r}")
        checked_device(device)
        checked_threads(threads)
        if storage not in tuple(Storage):
            raise ValueError(f'storage must be "float32" or "float16", got {storage!r}')
        folder = Path(path)
        data = saved(encoder) if encoder is not None else None
        store = Store.create(
            folder,
            name=model or "vectors",
            dim=dim,
            dtype=Storage(storage),
            encoder=data,
            timeout=float(timeout),
        )
        return cls._opened(store, encoder, device, threads)

    def add(
        self,
        records: Iterable[Any],
        id: IdOf = "id",
        *,
        progress: Progress | bool | None = None,
    ) -> int:
        """Encode records and insert them; an id that is there already is replaced and keeps its place.

        Parameters
        ----------
        records : iterable of JSON values
            Taken in batches of at most 1,024, so that a generator of any length runs in bounded memory.
        id : str or callable
            The field that holds the id (a dotted path for a nested one), or a function of the record.
        progress : callable, bool or None
            Called with the number of records so far; None shows a bar on a terminal only.

        Returns
        -------
        int
            Number of records taken.

        Raises
        ------
        InvalidIdError, DuplicateIdError, vsa.InvalidRecordError
            With the record's number from 1; nothing of the call is kept.
        TypeError
            For one record, or the name of a file, in the place of several records.
        GalleryBusyError

        Notes
        -----
        Other writers wait only while what was encoded is written down, not while it is being encoded; beyond 32 MB
        it lies in an unnamed file in the gallery's folder until then.
        """
        if isinstance(records, (Mapping, str, bytes)):
            raise TypeError(f"records must be an iterable of records, got one {type(records).__name__}; give [record]")
        return self.add_numbered(enumerate(records, start=1), id=id, progress=progress)

    def add_numbered(
        self,
        numbered: Iterable[tuple[int, Any]],
        id: IdOf = "id",
        *,
        unit: str = "record",
        on_bad: ingest.OnBad | None = None,
        progress: Progress | bool | None = None,
    ) -> int:
        """As `add`, for (number, record) pairs such as `vsa.iter_json` yields; `unit` is what they count.

        `on_bad` gets the error of every record that has no usable id or does not encode, which is then left
        out; duplicate ids stop the call all the same.
        """
        encoder = self._required_encoder()
        read_id = id_reader(id)
        taken = 0
        with reporter(progress) as report, Seen() as seen, Spool(self.path) as spool:
            for batch in ingest.batches(numbered, read_id, unit, on_bad):
                seen.refuse_duplicates(batch.ids, batch.numbers, unit)
                X = ingest.encode(batch, encoder, unit, on_bad)
                spool.put(batch.ids, batch.payloads, X)
                taken += len(batch.ids)
                report(taken)
            with self._store.write() as writer:
                model = writer.active
                check_encoder(encoder, model.name, model.dim)
                for ids, payloads, X in spool:
                    writer.put(model, ids, payloads, X)
        return taken

    def add_batches(
        self, batches: Iterable[tuple[Iterable[Any], Iterable[Any], Any]], *, progress: Progress | bool | None = None
    ) -> int:
        """As `add_vectors` for more than memory holds: (ids, payloads, vectors) batch by batch, in one transaction.

        Parameters
        ----------
        batches : iterable of (ids, payloads, X)
            As `batches` of another gallery yields them. Ids must be unique over all of them.
        progress : callable, bool or None

        Returns
        -------
        int
            Number of rows taken.

        Raises
        ------
        InvalidIdError, DuplicateIdError, InvalidVectorError, InvalidPayloadError, ValueError
            With the row's number from 1; nothing of the call is kept.
        """
        taken = 0
        with reporter(progress, unit="row") as report, Seen() as seen, Spool(self.path) as spool:
            for ids, payloads, X in batches:
                names = checked_ids(ids, taken)
                rows = unit_rows(X, self.dim, first=taken + 1)
                if len(rows) != len(names):
                    raise ValueError(f"{len(names)} ids for {len(rows)} vectors, after row {taken}")
                seen.refuse_duplicates(names, range(taken + 1, taken + 1 + len(names)), "row")
                spool.put(names, dump_all(payloads, len(names), taken + 1), rows)
                taken += len(names)
                report(taken)
            with self._store.write() as writer:
                for names, packed, rows in spool:
                    writer.put(writer.active, names, packed, rows)
        return taken

    def add_vectors(
        self,
        ids: Iterable[Any],
        X: Any,
        payloads: Iterable[Any] | None = None,
        *,
        model: str | None = None,
    ) -> int:
        """Insert vectors; an id that is there already is replaced and keeps its place.

        Parameters
        ----------
        ids : iterable of str or int, length n
        X : array, shape (n, dim)
            Any real dtype; rows are brought to length one.
        payloads : iterable of JSON values, length n, optional
            Without it known ids keep their payloads.
        model : str, optional
            Whose vectors they are; by default the model's that searches use. After an upgrade vectors of the
            model before are taken too, and mapped on their way in.

        Returns
        -------
        int
            Number of rows taken.

        Raises
        ------
        InvalidIdError, DuplicateIdError, InvalidVectorError, InvalidPayloadError, ModelMismatchError
            With the row's number from 1; nothing of the call is kept.
        ValueError
            If the lengths differ.
        """
        made_by = self._model(model)
        names = checked_ids(ids)
        rows = unit_rows(X, made_by.dim)
        if len(rows) != len(names):
            raise ValueError(f"{len(names)} ids for {len(rows)} vectors")
        packed = None if payloads is None else dump_all(payloads, len(names))
        refuse_duplicates(names)
        with self._store.write() as writer:
            if names:
                items = writer.put(made_by, names, packed, rows)
                if made_by.model != writer.state.active:
                    carry_new(writer, made_by, items, names, rows)
        return len(names)
