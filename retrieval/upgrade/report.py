"""Report: what an upgrade is worth, before anything is switched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from retrieval.metrics import Interval
from retrieval.upgrade import rendering
from retrieval.upgrade.verdict import Verdict

if TYPE_CHECKING:
    from matplotlib.figure import Figure


Measured = dict[str, Interval]
_Searched = TypeVar("_Searched", "Search", "Found")


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
class Found:
    """What queries find by one search, in percent.

    Attributes
    ----------
    name, share : str, float or None
        As `Search`.
    expected : dict of Interval
        By measure.
    gain : dict of Interval
        `expected` less that of staying, in points.
    """

    name: str
    share: float | None
    expected: Measured
    gain: Measured


@dataclass(frozen=True)
class Asked:
    """What given queries find.

    Attributes
    ----------
    n : int
        Queries that were judged.
    known : bool
        The items that they want are known, and found@1 and found@k say how many of them were found; otherwise
        nearness@1 and nearness@k do, by the new model.
    unfit : int
        Queries left out, as the map was fitted on the items that they want.
    n_items : int
        Held-out pairs and items wanted, among which they were searched for.
    decisive : tuple of str
    searches : tuple of Found
    n_among : int
        Stored vectors among which staying and the mapped gallery were searched too; 0 where there were none.
    among : tuple of Found
        Both searches there; empty where there were none.
    """

    n: int
    known: bool
    unfit: int
    n_items: int
    decisive: tuple[str, ...]
    searches: tuple[Found, ...]
    n_among: int
    among: tuple[Found, ...]

    def __getitem__(self, name: str) -> Found:
        """Look a search among the held-out items up by its name."""
        return _named(self.searches, name)


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
        Measures are by classes; otherwise by the new model; see `retrieval.upgrade.judging`.
    held_out : str
        What was held out as a whole for `Search.unlike`: "classes" or "clusters".
    decisive : tuple of str
        Measures that the verdict looks at.
    verdict : Verdict
    searches : tuple of Search
    asked : Asked or None
        What given queries find; None where none were given.
    unmatched : Interval
        Share of the pairs that match no better than strangers, such as rows out of order.
    uncovered : Interval or None
        Share of the gallery of kinds that the pairs do not hold; None where no gallery vectors were given.
    cost : Cost
    n_foretold : int
        Items of the gallery that nearness is foretold for.
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
    asked: Asked | None
    unmatched: Interval
    uncovered: Interval | None
    cost: Cost
    n_foretold: int
    notes: tuple[str, ...]

    def __getitem__(self, name: str) -> Search:
        """Look a search up by its name."""
        return _named(self.searches, name)

    def __repr__(self) -> str:
        advice, _, _ = str(self.verdict).partition(": ")
        return f"Report({self.name!r}, {self.kind} map, {self.n_pairs:,} pairs: {advice})"

    def to_text(self) -> str:
        """Lay the report out for a terminal."""
        return rendering.text(self)

    __str__ = to_text

    def _repr_html_(self) -> str:
        return rendering.html(self)

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON can hold: numbers, text, lists and dicts alone."""
        fields: dict[str, Any] = _plain(asdict(self))
        fields["verdict"] = self.verdict.to_dict()
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


def _named(searches: Sequence[_Searched], name: str) -> _Searched:
    for search in searches:
        if search.name == name:
            return search
    raise KeyError(f"no search {name!r}; there are {', '.join(s.name for s in searches)}")


def _plain(value: Any) -> Any:
    """Lists for tuples, throughout, and None for what is not known: JSON has neither tuples nor NaN."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    return None if isinstance(value, float) and value != value else value
