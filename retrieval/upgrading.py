"""The part of a gallery that takes it from one model to the next."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from retrieval.edits import GalleryEdits
from retrieval.encoding import Encoder, check_encoder, saved
from retrieval.encoding import queries as unit_queries
from retrieval.errors import ModelMismatchError
from retrieval.progress import Progress, reporter

if TYPE_CHECKING:
    from retrieval.backfilling import Backfill, BackfillProgress, Encode
    from retrieval.health import Health
    from retrieval.upgrade import Upgrade
    from retrieval.upgrade_status import UpgradeStatus


class GalleryUpgrades(GalleryEdits):
    """The upgrades of `retrieval.Gallery`."""

    def apply(
        self,
        upgrade: Upgrade,
        *,
        model: str | None = None,
        encoder: Encoder | None = None,
        direct: Sequence[Upgrade] = (),
        progress: Progress | bool | None = None,
    ) -> UpgradeStatus:
        """Switch searches to another model, without encoding anything again.

        Stored vectors are mapped into the new model's space and kept beside the ones they came from, or queries will
        be mapped into the old one's, as the upgrade says. From then on queries are the new model's, unless they name
        another; vectors added are the new model's too; `backfill` replaces mapped vectors by encoded ones, and
        `rollback` goes back.

        Parameters
        ----------
        upgrade : Upgrade
            Fitted with the name of this gallery's model as `old_model`.
        model : str, optional
            Name of the new model; by default that of the encoder or the upgrade.
        encoder : Encoder, optional
            The new model, for queries and `add` with records. A `vsa.JSONEncoder` is saved with the gallery.
        direct : sequence of Upgrade
            From models before the present one straight to the new one, for a gallery that holds vectors of several.
            Without them such vectors are mapped once more, by way of the present model.
        progress : callable, bool or None
            Called with the number of vectors mapped so far.

        Returns
        -------
        UpgradeStatus

        Raises
        ------
        ModelMismatchError
            If the upgrade starts from another model or dim than the gallery's, or the encoder is not the new model.
        UpgradeError
            If some vectors cannot be brought over.
        GalleryBusyError

        Notes
        -----
        Mapped vectors are written batch by batch; searches and writes go on and see the state before, until one
        transaction switches. A call that was killed goes on where it was when made again. Needs disk for one more
        vector an item; memory for a batch of 32,768.
        """
        from retrieval import applying

        new = model or (encoder.name if encoder is not None else upgrade.new_model)
        if encoder is not None:
            check_encoder(encoder, None, upgrade.new_dim)
            if encoder.name != new:
                raise ModelMismatchError(f"the encoder is {encoder.name!r}, and the new model is to be {new!r}")
        data = None if encoder is None else saved(encoder)
        with reporter(progress, unit="vector", total=self.count()) as report:
            applying.apply(self._store, upgrade, new=new, encoder=data, direct=direct, report=report)
        if encoder is not None:
            self._encoders[encoder.name] = encoder
        return self.upgrade_status()

    def backfill(
        self,
        encode: Encode | Encoder | None = None,
        *,
        budget: int | None = None,
        order: str = "uncertain",
        batch_size: int = 256,
        rate: float | None = None,
        attempts: int = 3,
        retry_failed: bool = False,
        seed: int = 0,
        by_id: bool = False,
        on_batch: Callable[[BackfillProgress], object] | None = None,
        progress: Progress | bool | None = None,
    ) -> Backfill:
        """Encode items that have no vector of the model in use, those that matter most first.

        Parameters
        ----------
        encode : callable or Encoder, optional
            A list of payloads to vectors (n, dim) of the model in use; by default the gallery's encoder.
        budget : int, optional
            Most items to encode; by default all.
        order : {"uncertain", "random", "insertion"}
            "uncertain" begins with the items whose mapped vectors are least sure (`Mapped.spread`); no labels needed.
        batch_size : int
            Items encoded and committed at a time.
        rate : float, optional
            Most items a second.
        attempts : int
            Calls of `encode` for an item before it counts as failed; failed items are listed, keep their mapped
            vector, and are left out of later calls unless `retry_failed`.
        seed : int
            Draws a random order.
        by_id : bool
            Gives `encode` a list of ids instead of payloads.
        on_batch : callable, optional
            Called with a `BackfillProgress` after each batch; returning False pauses: the call ends there.
        progress : callable, bool or None
            Called with the number of items encoded so far.

        Returns
        -------
        Backfill

        Raises
        ------
        NoEncoderError
            If neither `encode` is given nor the gallery has an encoder.
        UpgradeError
            If another process switched the gallery to another model meanwhile.
        ValueError
            For a budget, size, rate or order that makes no sense.

        Notes
        -----
        Each batch is one transaction, and encoding happens outside of it: searches and writes go on, a killed call
        loses the batch under way, and the next call goes on from there.
        """
        from retrieval import backfilling
        from retrieval.turns import Order

        for name, value in (("batch_size", batch_size), ("attempts", attempts)):
            if type(value) is not int or value < 1:
                raise ValueError(f"{name} must be a positive integer, got {value!r}")
        if budget is not None and (type(budget) is not int or budget < 0):
            raise ValueError(f"budget must be an integer from 0, got {budget!r}")
        if rate is not None and not rate > 0:
            raise ValueError(f"rate must be positive, got {rate!r}")
        if encode is None:
            encode = self._required_encoder()
        if isinstance(encode, Encoder):
            check_encoder(encode, self.model, self.dim)
            encode = encode.encode
            by_id = False
        with reporter(progress, unit="item") as report:

            def told(so_far: BackfillProgress) -> object:
                report(so_far.encoded)
                return None if on_batch is None else on_batch(so_far)

            return backfilling.backfill(
                self._store,
                encode,
                budget=budget,
                order=Order(order),
                batch_size=batch_size,
                rate=rate,
                attempts=attempts,
                retry_failed=retry_failed,
                seed=seed,
                by_id=by_id,
                on_batch=told,
            )

    def rollback(self) -> UpgradeStatus:
        """Undo the upgrade applied last: searches give what they gave before, to the bit.

        Vectors encoded since are kept aside, and used again if the upgrade is applied again. Items added since with
        the new model's vectors only stay in the gallery; searches find them again after a `backfill` with the old
        model, and `upgrade_status` counts them as waiting.

        Raises
        ------
        UpgradeError
            If no upgrade is applied, or `compact(drop=...)` took the vectors before.
        GalleryBusyError
        """
        from retrieval import applying

        applying.rollback(self._store)
        return self.upgrade_status()

    def upgrade_status(self) -> UpgradeStatus:
        """How far the gallery is on its way to the model that searches use."""
        from retrieval import upgrade_status

        with self._store.snapshot() as snapshot:
            return upgrade_status.status(snapshot)

    def health(self, queries: Any = None, *, rows: int = 20_000, seed: int = 0) -> Health:
        """Whether vectors and queries still look like what the last upgrade was fitted on.

        Notices rows and queries that have drifted, mapped rows outside the pairs' support, and vectors that claim
        one model and look like another of the same dim.

        Parameters
        ----------
        queries : vectors or records, optional
            Queries to look at; by default the last 2,000 that this handle searched for.
        rows : int
            Most vectors to look at: the newest half, and a sample of the others.
        seed : int
            Draws the sample.

        Notes
        -----
        O(rows * dim * 64) time, and one pass over the store's vectors of the model in use.
        """
        from retrieval import health

        asked = self._model()
        if queries is None:
            Q = self._searcher.asked.last(asked.name, asked.dim)
        else:
            Q = unit_queries(queries, asked.dim, self._encoder_for(queries, asked), asked.name)[0]
        with self._store.snapshot() as snapshot:
            return health.examine(snapshot, self._searcher.upgrades, rows, seed, Q)

    def failures(self) -> dict[str, str]:
        """Error by id, of items that a backfill to the model in use could not encode."""
        from retrieval import upgrade_status

        with self._store.snapshot() as snapshot:
            return dict(upgrade_status.failures(snapshot))
