"""Report: what an upgrade is worth, before anything is switched."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from retrieval.metrics import Interval
from retrieval.upgrade import rendering
from retrieval.upgrade.verdict import Verdict

if TYPE_CHECKING:
    from matplotlib.figure import Figure


Measured = dict[str, Interval]


@dataclass(frozen=True)
class Search:
    """One search and its measures, in percent.

    Attributes
    ----------
    name : str
        "old/old", "new/new", "mapped" or "mixed 30%".
    share : float or None
        Share backfilled, of mixed searches.
    alike, unlike : dict of Interval
        By measure, for items of the kinds that the pairs hold, and of kinds held out as a whole.
    expected : dict of Interval
        For this gallery: both, weighed by the share that the pairs do not cover.
    gain : dict of Interval
        `expected` less that of staying, in points.
    """

    name: str
    share: float | None
    alike: Measured
    unlike: Measured
    expected: Measured
    gain: Measured


@dataclass(frozen=True)
class Cost:
    """What a switch takes, and what re-encoding everything would take.

    Attributes
    ----------
    n_items : int
    encoder_calls_saved : int
        Items that need not be encoded to switch.
    seconds : float
        To map all items on this machine, extrapolated from the held-out ones.
    bytes : int
        Of mapped vectors, beside those stored already.
    encoder_seconds : float or None
        To encode all items, if the encoder's rate is known.
    """

    n_items: int
    encoder_calls_saved: int
    seconds: float
    bytes: int
    encoder_seconds: float | None


@dataclass(frozen=True)
class Report:
    """What an upgrade is worth; `str(report)` is the whole of it as text.

    Attributes
    ----------
    name, kind : str
        Of the upgrade.
    n_pairs : int
    labelled : bool
        Measures are by classes; otherwise by the new model's own neighbours.
    held_out : str
        What was held out as a whole for `Search.unlike`: "classes" or "clusters".
    decisive : tuple of str
        Measures that the verdict looks at.
    verdict : Verdict
    searches : tuple of Search
    uncovered : Interval or None
        Share of the gallery of kinds that the pairs do not hold; None where no gallery vectors were given.
    cost : Cost
    notes : tuple of str
        What else should be known.
    """

    name: str
    kind: str
    n_pairs: int
    labelled: bool
    held_out: str
    decisive: tuple[str, ...]
    verdict: Verdict
    searches: tuple[Search, ...]
    uncovered: Interval | None
    cost: Cost
    notes: tuple[str, ...]

    def __getitem__(self, name: str) -> Search:
        """Look a search up by its name."""
        for search in self.searches:
            if search.name == name:
                return search
        raise KeyError(f"no search {name!r}; there are {', '.join(s.name for s in self.searches)}")

    def to_text(self) -> str:
        """Lay the report out for a terminal."""
        return rendering.text(self)

    __str__ = to_text

    def _repr_html_(self) -> str:
        return rendering.html(self)

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON can hold: numbers, text, lists and dicts alone."""
        fields = asdict(self)
        fields["verdict"] = self.verdict.to_dict()
        fields["searches"] = list(fields["searches"])
        fields["notes"], fields["decisive"] = list(self.notes), list(self.decisive)
        return fields

    def figure(self) -> Figure:
        """Draw the searches and the backfill curve.

        Raises
        ------
        MissingDependencyError
            If matplotlib is not installed.
        """
        from retrieval import plots

        return plots.upgrade_report(self)
