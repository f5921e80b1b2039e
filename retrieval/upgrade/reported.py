"""What a fitted upgrade tells of itself, and its file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy.typing as npt

from retrieval.compat.isometry import Isometry  # noqa: F401 - named by an annotation that is inherited
from retrieval.compat.local_linear import LocalLinearMap  # noqa: F401 - likewise
from retrieval.upgrade import upgradefile
from retrieval.upgrade.bridge import Bridge
from retrieval.upgrade.queries import Queries
from retrieval.upgrade.report import Report
from retrieval.upgrade.reporting import SHARES, make_report

T = TypeVar("T", bound="Reported")


@dataclass(frozen=True, eq=False)
class Reported(Bridge):
    """A bridge that says what it is worth, and that one file holds; see `Upgrade`, which is fitted."""

    def report(
        self,
        *,
        gallery_vectors: npt.ArrayLike | None = None,
        n_items: int | None = None,
        encoder_rate: float | None = None,
        queries: Queries | None = None,
        k: int = 10,
        shares: Sequence[float] = SHARES,
        margin: float = 1.0,
        seed: int = 0,
    ) -> Report:
        """Say what the upgrade is worth, from the held-out pairs: searches, intervals, cost and a verdict.

        Parameters
        ----------
        gallery_vectors : (n, d_old), optional
            Stored old vectors outside the pairs, a fair sample of a thousand or more. They show how much
            of the gallery is of kinds that the pairs do not hold. Without them the pairs are taken for
            a fair sample of the gallery.
        n_items : int, optional
            Items in the gallery, for the cost, which by default is that of a million, and for what is foretold without
            labels, by default for the pairs or the gallery vectors, whichever are more.
        encoder_rate : float, optional
            Items a second that the new model encodes.
        queries : Queries, optional
            What users ask, under both models; by default those given to the fit. A hundred or more decide the verdict,
            instead of whole items as queries: by whether they find the items that they want, or where these are not
            known by how near what they find is, to the new model.
        k : int
            Neighbours of recall@k, nearness@k and found@k.
        shares : sequence of float
            Shares backfilled, at which the mixed search is judged.
        margin : float
            Points that a switch may lose against staying.
        seed : int
            Draws the bootstrap.

        Raises
        ------
        ValueError
            If the upgrade is chained: it has no held-out pairs.
        ModelMismatchError
            If the queries' dims are not the models'.
        InvalidVectorError
            If there are no queries, or each wants an item that the map was fitted on.

        Notes
        -----
        A few seconds: O(m² log m) for m ≤ 2,000 held-out pairs a fold, and each share.
        """
        return make_report(
            self,
            gallery_vectors=gallery_vectors,
            n_items=n_items,
            encoder_rate=encoder_rate,
            queries=queries,
            k=k,
            shares=shares,
            margin=margin,
            seed=seed,
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the upgrade to one file, atomically, with a SHA-256; see `retrieval.compat.mapfile`."""
        upgradefile.write(self, path)

    @classmethod
    def load(cls: type[T], path: str | os.PathLike[str]) -> T:
        """Read what `save` wrote; raises as `retrieval.compat.mapfile.read`."""
        return upgradefile.read(cls, path)
