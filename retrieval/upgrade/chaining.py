"""One upgrade of several: maps one after the other, and scores through all of them on the scale of native ones."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from retrieval.compat.calibration import Calibration
from retrieval.compat.pairs import Float32
from retrieval.errors import ModelMismatchError
from retrieval.upgrade.trial import Kind, Trial

if TYPE_CHECKING:
    from retrieval.compat.isometry import Isometry
    from retrieval.compat.local_linear import LocalLinearMap
    from retrieval.upgrade.plan import Upgrade
    from retrieval.upgrade.truncation import Truncation

_SAME = 1.0 - 1e-6


def chained(
    upgrades: Sequence[Upgrade],
) -> tuple[Kind, tuple[Isometry | LocalLinearMap | Truncation, ...], Calibration]:
    """Put fitted upgrades in a row; see `Upgrade.chain`."""
    if len(upgrades) < 2:
        raise ValueError(f"a chain needs two upgrades or more, not {len(upgrades)}")
    for before, after in pairwise(upgrades):
        if (before.new_model, before.new_dim) != (after.old_model, after.old_dim):
            raise ModelMismatchError(
                f"{before.name!r} ends at {before.new_model!r} with dim {before.new_dim}, but {after.name!r} "
                f"starts from {after.old_model!r} with dim {after.old_dim}"
            )
    moving = [upgrade for upgrade in upgrades if upgrade.steps]
    if len({upgrade.kind == "query" for upgrade in moving}) > 1:
        raise ValueError(
            f"{' and '.join(f'{u.name!r} ({u.kind})' for u in moving)} meet in no common space; fit all with "
            "kinds=['isometry', 'gallery'] or all with kinds=['query']"
        )
    first, last = upgrades[0].evidence, upgrades[-1].evidence
    if first is None or last is None:
        raise ValueError("one of the upgrades is chained itself; give the fitted ones, all in one call")
    kinds = {upgrade.kind for upgrade in moving}
    kind: Kind = "gallery" if len(kinds) > 1 else next(iter(kinds), "identity")
    if kind == "query":
        mapped, in_order = last.random.queries, upgrades[::-1]
        for upgrade in in_order[1:]:
            mapped = upgrade.map_query(mapped)
    else:
        mapped, in_order = first.random.stored, upgrades
        for upgrade in in_order[1:]:
            mapped = upgrade.map_gallery(mapped).vectors
    calibration = chained_calibration(first.random, last.random, mapped, same_middle=len(upgrades) == 2)
    return kind, tuple(step for upgrade in in_order for step in upgrade.steps), calibration


def chained_calibration(first: Trial, last: Trial, mapped: Float32, *, same_middle: bool) -> Calibration:
    """Match the quantiles of scores through the whole chain to those of native new vectors.

    The outer models need no items in common: quantiles are matched over items drawn alike.

    Parameters
    ----------
    first, last : Trial
        Held-out pairs of the first and the last upgrade of the chain.
    mapped : (m, d) float32
        Stored rows of `first` in the newest model's space, or under query maps queries of `last` in the
        oldest's.
    same_middle : bool
        `first.new` and `last.old` are of one model, so that items in both can be told: their scores with
        themselves are left out.
    """
    by_query = last.kind == "query" or first.kind == "query"
    queries, stored = (mapped, first.old) if by_query else (last.new, mapped)
    scores = queries @ stored.T
    if same_middle:
        same = last.old @ first.new.T > _SAME
        # A middling score moves none of the tails that a ranking is decided in.
        scores = np.where(same, np.median(scores, axis=1, keepdims=True), scores)
    n = len(last.new)
    native = (last.new @ last.new.T)[~np.eye(n, dtype=np.bool_)].reshape(n, n - 1)
    columns = min(scores.shape[1], native.shape[1])
    return Calibration.fit(scores=scores[:, :columns], reference=native[:, :columns], by_query=not by_query)
