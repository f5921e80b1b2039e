"""Upgrade: everything that a switch from one embedding model to the next needs, fitted on paired vectors."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from retrieval.compat.calibration import Calibration
from retrieval.compat.errors import InvalidPairsError
from retrieval.compat.isometry import Isometry  # noqa: F401 - named by an annotation that is inherited
from retrieval.compat.local_linear import LocalLinearMap  # noqa: F401 - likewise
from retrieval.compat.pairs import drawn_rows, unit_pairs
from retrieval.encoding import Encoder
from retrieval.progress import Progress, reporter
from retrieval.upgrade.chaining import chained
from retrieval.upgrade.drawing import Encoding
from retrieval.upgrade.evidence import Evidence, check_pairs
from retrieval.upgrade.fingerprint import Fingerprint, Fingerprints
from retrieval.upgrade.queries import Queries, check_dims
from retrieval.upgrade.reported import Reported
from retrieval.upgrade.trial import Kind, fit_map, same_vectors
from retrieval.upgrade.truncation import Truncation

if TYPE_CHECKING:
    from retrieval.gallery import Gallery

# Pairs that two thousand squared scores are taken of, to calibrate by.
_CALIBRATED = 2000
KINDS: tuple[Kind, ...] = ("isometry", "gallery", "query")


@dataclass(frozen=True, eq=False)
class Upgrade(Reported):
    """A fitted way from an old model's stored vectors to a new model's queries.

    Searches happen in one space, `search_model`'s: that of the new model, into which stored rows are
    mapped, or under a query map that of the old model, into which new queries are mapped.

    Attributes
    ----------
    kind : {"identity", "isometry", "gallery", "query"}
        "identity" where both models give the same vectors.
    steps : tuple of Isometry, LocalLinearMap or Truncation
        Applied one after the other: to stored rows, or under a query map to new queries. None for an
        identity, one for a fitted upgrade, several for a chained one.
    calibration : Calibration
        Brings scores of new queries with mapped items to the scale of new queries with native items.
    old_model, new_model : str
    old_dim, new_dim : int
    fingerprints : Fingerprints
        By which drift, and vectors of another model, are noticed.
    evidence : Evidence or None
        Held-out pairs, of which reports are made; None where the upgrade is chained or needs no map.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> old = rng.standard_normal((300, 8)).astype(np.float32)
    >>> upgrade = Upgrade.fit(old, old[:, ::-1], old_model="v1", new_model="v2")
    >>> upgrade.kind, upgrade.name
    ('isometry', 'v1 → v2')
    """

    @classmethod
    def fit(
        cls,
        old: npt.ArrayLike,
        new: npt.ArrayLike,
        *,
        ids: Sequence[str] | None = None,
        classes: npt.NDArray[Any] | Sequence[Hashable] | None = None,
        old_model: str = "old",
        new_model: str = "new",
        kinds: Sequence[Kind] = KINDS,
        queries: Queries | None = None,
        seed: int = 0,
    ) -> Upgrade:
        """Fit on the same items under both models; the kind of map is chosen on held-out pairs.

        Parameters
        ----------
        old, new : (n, d_old) and (n, d_new) float
            Paired rows, 20 or more.
        ids : (n,) of str, optional
            The items' ids, which must differ.
        classes : (n,), optional
            Ground truth, if there is any, of any one sortable type. With it reports are made by CMC@1 and mAP,
            and without it by how near what is found is, to the new model.
        old_model, new_model : str
            The models' names, which must differ.
        kinds : sequence of {"isometry", "gallery", "query"}
            What to choose among; the first that is as good as the best on held-out pairs, to within half
            a percent of nearness, is taken. A gallery map from 4,096 pairs or fewer may be a kernel ridge; see
            `retrieval.compat.LocalLinearMap.fit`.
        queries : Queries, optional
            That `report` judges by. Pairs that they want are left out of the fit, as is what no pair stands for.
        seed : int
            Draws the held-out pairs.

        Raises
        ------
        InvalidPairsError
            If the rows cannot be pairs, are fewer than 20 or all alike, or ids or classes do not fit.
        InvalidVectorError
            If a row holds NaN or infinity, or is all zero.

        Warns
        -----
        FewPairsWarning, UnrelatedPairsWarning
            As in `retrieval.compat.Isometry.fit`.

        Notes
        -----
        Fits each kind one to five times on a part of the pairs, and the best once more on all of them.
        """
        if not kinds or not set(kinds) <= set(KINDS):
            raise ValueError(f"kinds must be some of {', '.join(KINDS)}, not {kinds!r}")
        X, Y, relatedness = unit_pairs(old, new)
        check_pairs(X, Y, ids, classes)
        if queries is not None:
            check_dims(queries, (X.shape[1], old_model), (Y.shape[1], new_model))
            others = ~queries.want(X, Y)
            X, Y = X[others], Y[others]
            classes = None if classes is None else np.asarray(classes)[others]
            check_pairs(X, Y, None, classes)
        fingerprints = Fingerprints(Fingerprint.of(X, old_model, seed=seed), Fingerprint.of(Y, new_model, seed=seed))
        tried = ("identity",) if same_vectors(X, Y) else tuple(kinds)
        evidence = Evidence.gather(X, Y, relatedness, classes, tried, seed, queries)
        kind = evidence.random.kind
        m = fit_map(kind, X, Y, (old_model, new_model), seed, method=evidence.random.method)
        return cls(
            kind,
            () if m is None else (m,),
            evidence.calibration(),
            old_model,
            new_model,
            X.shape[1],
            Y.shape[1],
            fingerprints,
            evidence,
        )

    @classmethod
    def from_gallery(
        cls,
        gallery: Gallery,
        encode_new: Callable[[list[Any]], Any] | Encoder,
        *,
        sample: int = 20_000,
        new_model: str | None = None,
        kinds: Sequence[Kind] = KINDS,
        queries: Sequence[Any] | Queries | None = None,
        batch_size: int = 256,
        seed: int = 0,
        progress: Progress | bool | None = None,
    ) -> Upgrade:
        """Draw items from a gallery, encode them with the new model, and fit on the pairs.

        Parameters
        ----------
        gallery : Gallery
            Whose payloads are what the new model encodes.
        encode_new : callable or Encoder
            A list of payloads to vectors (n, d_new).
        sample : int
            Items drawn, by `Gallery.sample`: evenly from everywhere.
        new_model : str, optional
            Name of the new model; by default the encoder's.
        kinds : sequence of {"isometry", "gallery", "query"}
            As in `fit`.
        queries : sequence of records or of (record, id), or Queries, optional
            What users ask, a hundred or more, with the id of the item that each wants if that is known: what `report`
            judges by. Records are encoded by both models. Items that are wanted are not fitted on.
        batch_size : int
            Items encoded at a time.
        seed : int
            Draws the sample and the held-out pairs.
        progress : callable, bool or None
            Called with the number of items encoded so far.

        Raises
        ------
        ValueError
            If the gallery is empty, or neither `new_model` nor the encoder names the new model, or only some queries
            tell the item that they want.
        NoEncoderError
            If queries are records and the gallery has no encoder.
        UnknownIdError
            If the gallery does not hold an item that a query wants.
        InvalidPairsError, InvalidVectorError
            As `fit`.
        """
        name = new_model or getattr(encode_new, "name", None)
        if not isinstance(name, str):
            raise ValueError("give new_model=: a function does not tell the name of its model")
        with reporter(progress, unit="item") as report:
            made = Encoding(gallery, encode_new, batch_size, report)
            asked = queries if queries is None or isinstance(queries, Queries) else made.queries(queries)
            drawn, new = made.sample(sample + (0 if asked is None else asked.n_wanted), seed)
        return cls.fit(
            drawn.X,
            new,
            ids=drawn.ids,
            old_model=gallery.model,
            new_model=name,
            kinds=kinds,
            queries=asked,
            seed=seed,
        )

    @classmethod
    def compatible(
        cls, old: npt.ArrayLike, new: npt.ArrayLike, *, old_model: str = "old", new_model: str = "new", seed: int = 0
    ) -> Upgrade:
        """Make an upgrade to a model that was trained to be compatible, as `compat.train_bt2` trains it: no map.

        New queries search old rows by their first d_old dims and new rows by all. The pairs only bring the two
        kinds of score to one scale, and take the fingerprints.

        Parameters
        ----------
        old, new : (n, d_old) and (n, d_new) float
            Paired rows, 10 or more, d_new ≥ d_old.
        old_model, new_model : str
        seed : int

        Raises
        ------
        InvalidPairsError, InvalidVectorError
            As `fit`; also if the new model has fewer dims.
        """
        X, Y, _ = unit_pairs(old, new)
        check_pairs(X, Y, None, None)
        if Y.shape[1] < X.shape[1]:
            raise InvalidPairsError(
                f"a compatible model of dim {Y.shape[1]} cannot hold the {X.shape[1]} dims of the old one; use fit"
            )
        step = Truncation(Y.shape[1], X.shape[1])
        rows = drawn_rows(len(X), _CALIBRATED, seed)
        others = ~np.eye(len(rows), dtype=np.bool_)
        calibration = Calibration.fit(
            scores=(step.transform(Y[rows]) @ X[rows].T)[others], reference=(Y[rows] @ Y[rows].T)[others]
        )
        fingerprints = Fingerprints(Fingerprint.of(X, old_model, seed=seed), Fingerprint.of(Y, new_model, seed=seed))
        return cls("query", (step,), calibration, old_model, new_model, X.shape[1], Y.shape[1], fingerprints, None)

    @classmethod
    def chain(cls, *upgrades: Upgrade) -> Upgrade:
        """Go from the first upgrade's old model to the last one's new model: no new pairs needed.

        The search is in the newest model's space, or under query maps in the oldest's. A direct fit on
        pairs of the outer models is better where such pairs can be had.

        Parameters
        ----------
        *upgrades : Upgrade
            Two or more fitted ones, each from the model that the one before goes to.

        Raises
        ------
        ModelMismatchError
            If an upgrade does not start where the one before ends.
        ValueError
            If there are fewer than two, one is chained itself, or some map stored rows and others queries:
            they meet in no common space.
        """
        kind, steps, calibration = chained(upgrades)
        first, last = upgrades[0], upgrades[-1]
        fingerprints = Fingerprints(first.fingerprints.old, last.fingerprints.new)
        return cls(
            kind,
            steps,
            calibration,
            first.old_model,
            last.new_model,
            first.old_dim,
            last.new_dim,
            fingerprints,
            None,
        )
