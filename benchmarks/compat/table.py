"""Tables of CMC@1 and mAP over seeds, with intervals over queries."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from retrieval import metrics

Array = npt.NDArray[np.float32]
PerQuery = npt.NDArray[np.float64]


def unit(X: npt.NDArray[np.floating]) -> Array:
    """Scale rows to unit length."""
    return (X / np.linalg.norm(X, axis=1, keepdims=True)).astype(np.float32)


@dataclass
class Table:
    """Per-query CMC@1 and average precision of each method and seed, on one test set.

    The test set is query set and gallery at once, the item itself left out.
    """

    title: str
    same_queries: bool = True
    cmc: dict[str, list[PerQuery]] = field(default_factory=lambda: defaultdict(list))
    precision: dict[str, list[PerQuery]] = field(default_factory=lambda: defaultdict(list))

    def add(self, name: str, queries: Array, gallery: Array, classes: npt.NDArray[np.int64]) -> None:
        """Measure one method on one seed."""
        dim = min(queries.shape[1], gallery.shape[1])
        ranking = metrics.rank_by_class(queries[:, :dim], gallery[:, :dim], classes, classes, exclude_same_row=True)
        self.cmc[name].append(ranking.hits_at_k(1))
        self.precision[name].append(ranking.average_precision)

    def mean(self, name: str) -> tuple[float, float]:
        """CMC@1 and mAP in percent, over seeds."""
        return (
            100 * float(np.nanmean(np.concatenate(self.cmc[name]))),
            100 * float(np.nanmean(np.concatenate(self.precision[name]))),
        )

    def difference(self, name: str, other: str) -> tuple[metrics.Interval, metrics.Interval]:
        """Intervals of `name` − `other` in percent, over queries drawn with replacement.

        A query's value is its mean over seeds where all seeds have the same test set, for it is then one
        query and not several; where each seed has a test set of its own, all of them are drawn from.
        """
        join = (lambda runs: np.mean(runs, axis=0)) if self.same_queries else np.concatenate
        mine, theirs = ([100 * join(side[key]) for side in (self.cmc, self.precision)] for key in (name, other))
        return metrics.paired_bootstrap(mine[0], theirs[0]), metrics.paired_bootstrap(mine[1], theirs[1])

    def show(self, against: str) -> None:
        """Print the table in Markdown, each method with its difference to `against`."""
        seeds = max(len(v) for v in self.cmc.values())
        print(f"\n### {self.title} ({seeds} seeds)\n")
        print(f"| method | CMC@1 ± sd | mAP ± sd | CMC@1 − {against} [95 %] | mAP − {against} [95 %] |")
        print("|---|---|---|---|---|")
        for name in self.cmc:
            spreads = [100 * np.std([np.nanmean(v) for v in runs]) for runs in (self.cmc[name], self.precision[name])]
            c, p = self.mean(name)
            cells = ["", ""]
            if name != against:
                cells = [f"{d.estimate:+.1f} [{d.low:+.1f}, {d.high:+.1f}]" for d in self.difference(name, against)]
            print(f"| {name} | {c:.1f} ± {spreads[0]:.1f} | {p:.1f} ± {spreads[1]:.1f} | {cells[0]} | {cells[1]} |")
        print(flush=True)

    def compare(self, name: str, other: str) -> None:
        """Print one difference with its intervals."""
        c, p = self.difference(name, other)
        print(
            f"- {name} − {other}: CMC@1 {c.estimate:+.2f} [{c.low:+.2f}, {c.high:+.2f}], "
            f"mAP {p.estimate:+.2f} [{p.low:+.2f}, {p.high:+.2f}]",
            flush=True,
        )
