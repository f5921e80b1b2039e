"""Evidence: all that a fit has seen on held-out pairs, from which reports are made."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from retrieval.compat.calibration import Calibration
from retrieval.compat.errors import InvalidPairsError
from retrieval.compat.fitting import SOLVED_UP_TO
from retrieval.compat.mapfile import Parts
from retrieval.compat.pairs import Float32, Int64, unit_rows
from retrieval.upgrade.choosing import best_of
from retrieval.upgrade.coverage import Coverage
from retrieval.upgrade.queries import Queries
from retrieval.upgrade.trial import PARTS, QUERIES, Fold, Kind, Trial, clusters, group_folds, half_folds, random_folds

_LEAST_GROUPS = 3
_LEAST_PAIRS = 20
# Of fewer pairs a fifth is a gallery of less than 200 items.
_HALVED_BELOW = 1000
# An isometry meets a pair exactly where their cosine is less than 1 by this, at most; float32 rounds to a tenth of it.
_EXACT = 1e-5
# Directions in which vectors lie less, against the main one, are not spanned; so much of a vector may lie in them.
_FLAT = 1e-3
_LOOKED_AT = 2000
# Of more pairs the second half would not be held out.
_HALVED_AT_MOST = 2 * (QUERIES - 1)


def no_calibration() -> Calibration:
    """Leave scores as they are."""
    return Calibration(np.array([-1.0, 1.0]), np.array([-1.0, 1.0]), 0)


@dataclass(frozen=True, eq=False)
class Evidence:
    """Held-out pairs under the chosen kind of map.

    Attributes
    ----------
    n_pairs : int
    relatedness : float or None
        See `retrieval.compat.PairInfo`.
    held_out : str
        What `groups` held out: "classes" or "clusters".
    random, groups : Trial
        Pairs held out at random, and in whole groups.
    coverage : Coverage
    queries : Queries or None
        That were given to the fit, which has seen none of the items that they want.
    halves : Trial or None
        Of fewer than 1,000 pairs, one half held out and then the other: larger galleries than `random`'s, which
        flatter a map by less, searched by maps from fewer pairs. The truth lies between. So too of up to 2,998 pairs
        with classes so small that a fifth holds no two items of most.
    twins : (m,) int64 or None
        Where the items of `random` are among those of `halves`.
    """

    n_pairs: int
    relatedness: float | None
    held_out: str
    random: Trial
    groups: Trial
    coverage: Coverage
    queries: Queries | None = None
    halves: Trial | None = None
    twins: Int64 | None = None

    @classmethod
    def gather(
        cls,
        old: Float32,
        new: Float32,
        relatedness: float | None,
        classes: npt.NDArray[Any] | Sequence[Hashable] | None,
        kinds: Sequence[Kind],
        seed: int,
        queries: Queries | None = None,
    ) -> Evidence:
        """Try the kinds of maps on pairs held out at random, and the best of them on whole groups too.

        Pairs are unit rows, (n, d_old) and (n, d_new). A gallery map is tried by both of its methods, where they are
        few enough to solve for. Which is the best, `retrieval.upgrade.choosing` says.
        """
        codes = np.full(len(old), -1, dtype=np.int64) if classes is None else _numbered(classes)
        grouped = classes is not None and int(codes.max()) + 1 >= _LEAST_GROUPS
        random = random_folds(codes, seed)
        tried: list[Trial] = []
        for kind in kinds:
            tried.append(Trial.of(kind, old, new, codes, random, seed))
            if kind == "gallery" and len(old) <= SOLVED_UP_TO:
                settings = tried[-1].settings
                tried.append(Trial.of(kind, old, new, codes, random, seed, settings, "solve"))
        best = best_of(tried)
        halves = half_folds(len(old), seed) if _halved(codes) else None
        groups = group_folds(codes if grouped else clusters(old, new, seed), seed)
        return cls(
            len(old),
            relatedness,
            "classes" if grouped else "clusters",
            best,
            Trial.of(best.kind, old, new, codes, groups, seed, best.settings, best.method),
            Coverage.of(old, random, groups, seed),
            queries,
            None if halves is None else Trial.of(best.kind, old, new, codes, halves, seed, best.settings, best.method),
            None if halves is None else np.argsort(_rows(halves))[_rows(random)],
        )

    @property
    def widest(self) -> Trial:
        """Pairs held out at random in the largest galleries."""
        return self.random if self.halves is None else self.halves

    def turned(self, gallery_vectors: npt.ArrayLike | None) -> bool:
        """Whether the new vectors are the old ones, turned: an isometry meets every pair that it has not seen exactly.

        A few pairs show that, where they span all dims; where they do not, those that `gallery_vectors` lie in.
        """
        trial = self.random
        if trial.kind != "isometry" or np.einsum("ij,ij->i", trial.queries, trial.stored).min() < 1 - _EXACT:
            return False
        _, lengths, axes = np.linalg.svd(trial.old, full_matrices=False)
        axes = axes[lengths > _FLAT * lengths[0]]
        if len(axes) == trial.old.shape[1]:
            return True
        if gallery_vectors is None:
            return False
        stored = np.asanyarray(gallery_vectors)
        X = unit_rows(stored[:: max(len(stored) // _LOOKED_AT, 1)].astype(np.float64))
        return bool((1 - np.square(X @ axes.T).sum(axis=1)).max() <= _FLAT)

    def calibration(self) -> Calibration:
        """Fit a calibration on the pairs held out at random: scores of mapped items against native ones."""
        if self.random.kind == "identity":
            return no_calibration()
        trial, scores, reference = self.random, [], []
        size = int(trial.sizes.min())
        for rows in trial.folds():
            # Folds differ by a row at most, and quantiles want rows of one length.
            fold = slice(rows.start, rows.start + size)
            others = ~np.eye(size, dtype=np.bool_)
            scores.append((trial.queries[fold] @ trial.stored[fold].T)[others].reshape(size, size - 1))
            reference.append((trial.new[fold] @ trial.new[fold].T)[others].reshape(size, size - 1))
        # As in `Calibration.of`: mapped rows are smoothed more for some queries than for others, and a
        # mapped query stands in all scores of its own ranking.
        return Calibration.fit(
            scores=np.concatenate(scores),
            reference=np.concatenate(reference),
            by_query=trial.kind != "query",
        )

    def parts(self) -> Parts:
        """Return what a file holds of it."""
        fields: dict[str, Any] = {name: getattr(self, name) for name in ("n_pairs", "relatedness", "held_out")}
        arrays: dict[str, npt.NDArray[Any]] = {}
        for name in ("random", "groups", "coverage", "queries", "halves"):
            member = getattr(self, name)
            if member is None:
                continue
            fields[name], own = member.parts()
            arrays |= {f"{name}.{key}": array for key, array in own.items()}
        if self.twins is not None:
            arrays["twins"] = self.twins
        return fields, arrays

    @classmethod
    def of_parts(cls, fields: dict[str, Any], arrays: dict[str, Any]) -> Evidence:
        """Build what `parts` took apart."""
        members: dict[str, Any] = {
            "random": Trial,
            "groups": Trial,
            "coverage": Coverage,
            "queries": Queries,
            "halves": Trial,
        }
        built = {
            name: of.of_parts(fields[name], arrays_of(name, arrays)) for name, of in members.items() if name in fields
        }
        return cls(fields["n_pairs"], fields["relatedness"], fields["held_out"], twins=arrays.get("twins"), **built)


def arrays_of(name: str, arrays: dict[str, Any]) -> dict[str, Any]:
    """Pick the arrays that are stored under `name`."""
    return {key.partition(".")[2]: array for key, array in arrays.items() if key.partition(".")[0] == name}


def _halved(codes: Int64) -> bool:
    """Whether fifths are too small, for a gallery or to hold two items of a class."""
    if len(codes) < _HALVED_BELOW:
        return True
    alike = np.bincount(codes)[codes] if codes[0] >= 0 else np.full(1, len(codes))
    return len(codes) <= _HALVED_AT_MOST and bool(np.median(alike) < 2 * PARTS)


def _rows(folds: Sequence[Fold]) -> Int64:
    return np.concatenate([fold.held_out for fold in folds])


def _numbered(classes: npt.NDArray[Any] | Sequence[Hashable]) -> Int64:
    _, codes = np.unique(np.asarray(classes), return_inverse=True)
    return codes.astype(np.int64)


def check_pairs(
    old: Float32,
    new: Float32,
    ids: Sequence[str] | None,
    classes: npt.NDArray[Any] | Sequence[Hashable] | None,
) -> None:
    """Refuse pairs that nothing can be learnt from."""
    n = len(old)
    if n < _LEAST_PAIRS:
        raise InvalidPairsError(f"{n} pairs are too few to fit and to test an upgrade on; bring {_LEAST_PAIRS} or more")
    for rows, name in ((old, "old"), (new, "new")):
        if np.abs(rows - rows[0]).max() <= 1e-6:
            raise InvalidPairsError(f"all {name} vectors are alike; there is nothing to map by")
    for given, name in ((ids, "ids"), (classes, "classes")):
        if given is not None and len(given) != n:
            raise InvalidPairsError(f"{len(given)} {name} for {n} pairs; give one for each, in the same order")
    if ids is not None and len(set(ids)) < n:
        seen: set[str] = set()
        twice = next(i for i in ids if i in seen or seen.add(i))  # type: ignore[func-returns-value]
        raise InvalidPairsError(f"id {twice!r} stands for more than one pair; give each item once")
