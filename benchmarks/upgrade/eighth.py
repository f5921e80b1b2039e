"""The verdict on four hundred upgrades drawn by lot, which no rule of the report was made on.

    OMP_NUM_THREADS=1 python -m benchmarks.upgrade.eighth [seed]

Drawn as the seventh set is, ten of each of its forty, from another seed; a gallery of one class, of which no search can
miss, is drawn again. Forty upgrades do not tell 85 % from 95 %. Four hundred do, to three points.

Right is a verdict as in `benchmarks.upgrade.verdicts`, its condition heeded. A truth is *decided* where the margin lies
outside its 95 % interval, by the spread over the gallery's items: of galleries of some hundred items CMC@1 is known to
a point or two, and where that holds both sides of the margin, the labels do not tell which verdict is right.
"""

from __future__ import annotations

import sys
import warnings
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import count
from multiprocessing import get_context

import numpy as np

from benchmarks.compat.table import Array
from benchmarks.gallery.results import table
from benchmarks.upgrade.scenarios import Scenario
from benchmarks.upgrade.seventh import KINDS, drawn, listed
from benchmarks.upgrade.verdicts import MARGIN, right, truth_by_item
from retrieval import Upgrade
from retrieval.compat import PairsWarning

SEED, TIMES, PROCESSES = 307, 10, 2


@dataclass(frozen=True)
class Told:
    """A verdict and its truth.

    Attributes
    ----------
    sure : float
        Standard errors that the truth of the switch lies above the margin, by the measure that loses most; below 0 it
        does not pay.
    """

    kind: str
    name: str
    labelled: bool
    decision: str
    right: bool
    strictly: bool
    sure: float
    gains: tuple[float, float]

    @property
    def decided(self) -> bool:
        """Whether the 95 % interval of the truth lies on one side of the margin."""
        return abs(self.sure) > 1.96


def scenario(kind: str, seed: int, number: int) -> Scenario:
    """Draw until the gallery holds two classes, and pairs that a fit takes."""
    turns = (drawn(kind, seed, number + 10_000 * turn, 1_000 * seed + number) for turn in count())
    return next(made for made in turns if len(np.unique(made.gallery_classes)) > 1 and len(made.old) >= 20)


def told(kind: str, seed: int, number: int) -> Told:
    """Fit, report and look at the truth."""
    s = scenario(kind, seed, number)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PairsWarning)
        upgrade = Upgrade.fit(s.old, s.new, classes=s.classes, queries=s.queries)
    report = upgrade.report(gallery_vectors=s.old_gallery, n_items=len(s.old_gallery))
    found = truth_by_item(s, upgrade, report.verdict.at_least or 0.0)
    measured = [(float(one[0].mean()), float(one[1].mean())) for one in found]
    gain: Array = found[1] - found[0]
    above = gain.mean(axis=1) + MARGIN
    error = np.maximum(gain.std(axis=1) / np.sqrt(gain.shape[1]), 1e-9)
    heeded, strictly = (right(report, measured, heeded=one) for one in (True, False))
    return Told(
        kind,
        s.name,
        s.classes is not None,
        report.verdict.decision.value,
        heeded,
        strictly,
        float((above / error).min()),
        (float(gain[0].mean()), float(gain[1].mean())),
    )


def summary(some: list[Told]) -> str:
    """Shares of right verdicts, by kind, and of the decided ones."""
    kinds = {kind: [one for one in some if one.kind == kind] for kind in KINDS}
    groups = kinds | {
        "**with classes**": [one for one in some if one.labelled],
        "**without**": [one for one in some if not one.labelled],
        "**all**": some,
    }
    rows = []
    for name, group in groups.items():
        shares = [one.right for one in group], [one.strictly for one in group], [o.right for o in group if o.decided]
        rows.append([name, *map(_share, shares)])
    misses = [
        [one.name, f"{one.gains[0]:+.1f} / {one.gains[1]:+.1f}", f"{one.sure:+.1f}", one.decision]
        for one in sorted(some, key=lambda one: one.sure)
        if one.decided and not one.right
    ]
    return (
        table(["upgrades", "right", "without the condition", "right where the truth is decided"], rows)
        + "\n\nWrong where the truth is decided:\n\n"
        + table(["upgrade", "true gain, CMC@1 / mAP", "standard errors above the margin", "verdict"], misses)
    )


def _share(rights: list[bool]) -> str:
    return f"{sum(rights)} of {len(rights)}, {np.mean(rights):.1%}" if rights else ""


def main() -> None:
    """Print the tables."""
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else SEED
    kinds = listed({kind: TIMES * n for kind, n in KINDS.items()})
    order = np.random.default_rng(seed).permutation(len(kinds)).tolist()
    with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn")) as processes:
        waiting = [processes.submit(told, kinds[number], seed, number) for number in order]
        some = []
        for one in waiting:
            some.append(one.result())
            print(len(some), some[-1], file=sys.stderr, flush=True)
    print(summary(some))


if __name__ == "__main__":
    main()
