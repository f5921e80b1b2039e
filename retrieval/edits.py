"""Changes to items that are there already: their payloads, their end, their room on disk."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from retrieval import pathindex
from retrieval.compaction import Compaction, compact
from retrieval.errors import UnknownIdError
from retrieval.ids import checked_ids
from retrieval.payload import dump_all
from retrieval.seen import refuse_duplicates
from retrieval.snapshot import Snapshot
from retrieval.surveys import GallerySurveys


class GalleryEdits(GallerySurveys):
    """The writes of `retrieval.Gallery` that need no vectors."""

    def set_payloads(self, ids: Iterable[Any], payloads: Iterable[Any]) -> int:
        """Replace the payloads of items; their vectors and places stay.

        Nothing is encoded: a payload that says something else than the record that the vector came from is found
        by filters at once, but by searches as before; `add` replaces both.

        Parameters
        ----------
        ids : iterable of str or int, length n
        payloads : iterable of JSON values, length n
            None leaves an item without a payload.

        Returns
        -------
        int
            Number of payloads replaced.

        Raises
        ------
        UnknownIdError
            If one of the items is not there; then nothing is replaced.
        InvalidIdError, DuplicateIdError, InvalidPayloadError
            With the row's number from 1; nothing of the call is kept.
        ValueError
            If the lengths differ.
        GalleryBusyError
        """
        names = checked_ids(ids)
        packed = dump_all(payloads, len(names))
        refuse_duplicates(names)
        with self._store.write() as writer:
            missing = writer.set_payloads(names, packed) if names else []
            if missing:
                raise _unknown(missing, "nothing was replaced")
        return len(names)

    def delete(self, ids: Iterable[Any]) -> int:
        """Delete items.

        Raises
        ------
        UnknownIdError
            If one of them is not there; then none is deleted.

        Notes
        -----
        Only writes down which items went. Their rows are removed by `compact`, and by the call after which more than
        16,384 wait for it, which takes longer.
        """
        names = list(dict.fromkeys(checked_ids(ids)))
        with self._store.write() as writer:
            gone = set(writer.delete(names))
            missing = [name for name in names if name not in gone]
            if missing:
                raise _unknown(missing, "nothing was deleted")
        return len(names)

    def index_paths(self, paths: Iterable[str]) -> None:
        """Keep the values at some payload paths apart, so that filters on them need not read every payload.

        Parameters
        ----------
        paths : iterable of str
            As filters write them, such as ``"dateRange.startYear"`` or ``"contributors[].role"``.

        Raises
        ------
        FilterError
            For a path that cannot be understood.
        TypeError
            For one path that is not in a list.
        GalleryBusyError

        Notes
        -----
        Reads every payload once. Used by filters that name such a path at the top; writes keep it in step.
        """
        if isinstance(paths, str):
            raise TypeError(f"paths must be a list of paths, got the text {paths!r}")
        with self._store.write() as writer:
            writer.set(pathindex.KEY, pathindex.add(Snapshot(writer.folder, writer.connection), [*paths]))

    def unindex_paths(self, paths: Iterable[str] | None = None) -> None:
        """Give up what `index_paths` keeps of some paths, or of all.

        Raises
        ------
        ValueError
            For a path that is not indexed.
        """
        with self._store.write() as writer:
            given = None if paths is None else [*paths]
            writer.set(pathindex.KEY, pathindex.drop(Snapshot(writer.folder, writer.connection), given))

    def compact(self, *, drop: str | None = None) -> Compaction:
        """Give the space of deleted and replaced items back.

        Parameters
        ----------
        drop : str, optional
            Drops the vectors of a model before an upgrade as well. There is no way back to it then.

        Raises
        ------
        ModelMismatchError
            If the gallery has no such model.
        UpgradeError
            If searches use the model, or find some items by its vectors only.
        GalleryBusyError

        Notes
        -----
        Needs free disk for a second copy while it runs; memory for one block and 24 bytes a vector. Other writers
        wait, readers go on.
        """
        return compact(self._store, drop)


def _unknown(missing: Sequence[str], so: str) -> UnknownIdError:
    more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
    return UnknownIdError(f"no item {missing[0]!r}{more}; {so}")
