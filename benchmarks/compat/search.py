"""Settings for BCT and BT² on CLINC150 and Omniglot, chosen on validation data.

    OMP_NUM_THREADS=1 python -m benchmarks.compat.search clinc|omniglot [epochs,...] [width,...]

**Splits.** Five of Omniglot and three of CLINC150, where a training takes twice as long; each with nets, classes of
the old model and held-out data of its own; the seeds of nets begin at 100, and those of the tests at 0. Of Omniglot's
small1, 26 characters are held out ("unseen"), and of the others 3 of their first 16 drawings ("seen"); drawings 16 to
19 and small2 are the test sets, and are not looked at. Of CLINC150, 20 utterances an intent are held out of the train
and the validation parts together; the test part is not looked at.

**Schedule and width.** Those with which the independent new model is best, CMC@1 + mAP, over the first splits: two of
Omniglot, one of CLINC150.

**Settings.** BCT and BT² get the same number of settings and of trainings, 88 each on Omniglot, 48 each on CLINC150:

1. the published setting, and 19 from a Latin hypercube over `SPACE`, on the first splits;
2. 12 more, on the same: three near each of the best four so far;
3. the best eight of these 32, on the other splits.

**The rule**, the same for both methods and fixed before any test: a setting's figures are CMC@1 and mAP meaned over
its splits and their held-out sets. *Bound*: of the settings whose self-test is within a point of the independent
model's in both figures, the highest CMC@1 + mAP of the cross-test; where there are none, the nearest to it. *Free*: the
highest of the cross-test, whatever the self-test. Steps 2 and 3 take half of their best by each rule, and the
choice is made among the eight on all splits: "searched" is the bound choice, "free" the free one.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import qmc

from benchmarks.compat import omniglot, trained_nets
from benchmarks.compat.course import BCTSettings, BT2Settings, Codes, Course, Settings
from benchmarks.compat.data import clinc, lsa
from benchmarks.compat.data import omniglot as drawings_of
from benchmarks.compat.table import Array
from retrieval import metrics

Held = list[tuple[Array, Codes]]
Figures = npt.NDArray[np.float64]
Point = npt.NDArray[np.float64]
Make = Callable[[int, int, int], tuple[Course, Held]]
Places = tuple[int, ...]

SLACK = 1.0
N_SPREAD, N_PARENTS, N_CHILDREN, N_FINALISTS = 20, 4, 3, 8
STEP = 0.12
# Lowest and highest; all but the extra dims are drawn evenly in their logarithm.
SPACE: dict[type[Settings], dict[str, tuple[float, float]]] = {
    BCTSettings: {"influence": (0.1, 30.0), "sharpness": (1.0, 20.0)},
    BT2Settings: {
        "follow": (1.0, 30.0),
        "influence": (0.3, 30.0),
        "regress": (0.3, 30.0),
        "sharpness": (1.0, 20.0),
        "extra": (0.0, 64.0),
        "scale": (1.0, 4.0),
    },
}


def clinc_split(split: int, epochs: int, width: int) -> tuple[Course, Held]:
    """Hold out 20 utterances an intent of the train and validation parts."""
    data = clinc()
    texts = data.train_texts + data.val_texts
    classes = np.concatenate([data.train_classes, data.val_classes])
    shuffled = np.random.default_rng([split, 0]).permutation(len(classes))
    by_class = shuffled[np.argsort(classes[shuffled], kind="stable")].reshape(150, -1)
    rest, held = np.sort(by_class[:, 20:].ravel()), np.sort(by_class[:, :20].ravel())
    vectors = lsa([texts[i] for i in rest], [texts[i] for i in held], trained_nets.FEATURES, split)
    rows, held_rows = (trained_nets.SCALE * part for part in vectors)
    return trained_nets.course(rows, classes[rest], epochs, width, 100 + split), [(held_rows, classes[held])]


def omniglot_split(split: int, epochs: int, width: int) -> tuple[Course, Held]:
    """Train on 13 drawings of 110 characters; judge on 3 others of them, and on 26 other characters."""
    images, characters = drawings_of("small1")
    drawing = np.arange(len(images)) % 20
    rng = np.random.default_rng([split, 0])
    unseen = np.isin(characters, rng.permutation(136)[:26])
    out = np.isin(drawing, rng.permutation(16)[:3])
    usable = drawing < 16
    train = usable & ~out & ~unseen
    _, labels = np.unique(characters[train], return_inverse=True)
    course = omniglot.course(images[train], labels, 36, epochs, width, 100 + split)
    return course, [(images[part], characters[part]) for part in (usable & out & ~unseen, usable & unseen)]


def judge(queries: list[Array], galleries: list[Array], held: Held) -> Figures:
    """CMC@1 and mAP in percent, meaned over the held-out sets; the item itself left out."""
    figures = []
    for q, g, (_, classes) in zip(queries, galleries, held, strict=True):
        dim = min(q.shape[1], g.shape[1])
        ranking = metrics.rank_by_class(q[:, :dim], g[:, :dim], classes, classes, exclude_same_row=True)
        figures.append((100 * ranking.cmc_at_k(1), 100 * ranking.mean_average_precision))
    return np.asarray(np.mean(figures, axis=0))


@dataclass(frozen=True, eq=False)
class Split:
    """A course, what is held out of it, and what its old and its independent new model make of both."""

    course: Course
    held: Held

    @cached_property
    def old(self) -> tuple[Array, list[Array], Figures]:
        """The old model's rows of the inputs, its held-out galleries, and its figures."""
        model = self.course.old()
        galleries = [model.encode(inputs) for inputs, _ in self.held]
        return model.encode(self.course.inputs), galleries, judge(galleries, galleries, self.held)

    @cached_property
    def new(self) -> tuple[Array, Figures]:
        """The independent new model's rows of the inputs, and its figures."""
        model = self.course.new()
        galleries = [model.encode(inputs) for inputs, _ in self.held]
        return model.encode(self.course.inputs), judge(galleries, galleries, self.held)

    def judged(self, settings: Settings) -> tuple[Figures, Figures]:
        """Train, and return the cross-test's figures and how far the self-test falls short."""
        rows, galleries, _ = self.old
        model = self.course.by_settings({"": settings}, rows, self.new[0])[""]
        crossing = [model.encode_for_old(inputs) for inputs, _ in self.held]
        full = [model.encode(inputs) for inputs, _ in self.held]
        return judge(crossing, galleries, self.held), self.new[1] - judge(full, full, self.held)


@dataclass(eq=False)
class Trial:
    """A setting, where it lies in the unit cube over its space, and its figures on each split."""

    point: Point
    settings: Settings
    crosses: list[Figures] = field(default_factory=list)
    shorts: list[Figures] = field(default_factory=list)

    @property
    def cross(self) -> float:
        """CMC@1 + mAP of the cross-test."""
        return float(np.sum(np.mean(self.crosses, axis=0)))

    @property
    def short(self) -> float:
        """Points by which the self-test is behind the independent model, in the worse figure."""
        return float(np.max(np.mean(self.shorts, axis=0)))

    def __str__(self) -> str:
        cross, short = np.mean(self.crosses, axis=0), -np.mean(self.shorts, axis=0)
        return (
            f"{self.settings}: cross {cross[0]:.2f} {cross[1]:.2f}, self {short[0]:+.2f} {short[1]:+.2f} "
            f"against the independent model, {len(self.crosses)} splits"
        )


def at(kind: type[Settings], point: Point) -> Trial:
    """Make a trial of a point of the unit cube; values have two digits."""
    values: dict[str, Any] = {}
    for (name, (low, high)), x in zip(SPACE[kind].items(), point, strict=True):
        values[name] = round(low + x * (high - low)) if low == 0 else float(f"{low * (high / low) ** x:.2g}")
    return Trial(point, kind(**values))


def published(kind: type[Settings]) -> Trial:
    """Make a trial of the published setting."""
    settings, point = kind(), []
    for name, (low, high) in SPACE[kind].items():
        value = getattr(settings, name)
        point.append((value - low) / (high - low) if low == 0 else np.log(value / low) / np.log(high / low))
    return Trial(np.array(point), settings)


def bound_order(trials: Iterable[Trial]) -> list[Trial]:
    """Sort, best first, by the bound rule."""
    return sorted(trials, key=lambda t: (0.0, -t.cross) if t.short <= SLACK else (1.0, t.short))


def free_order(trials: Iterable[Trial]) -> list[Trial]:
    """Sort, best first, by the free rule."""
    return sorted(trials, key=lambda t: -t.cross)


def best(trials: list[Trial], count: int) -> list[Trial]:
    """Take `count`, by the bound and the free rule in turn."""
    taken: list[Trial] = []
    orders = [bound_order(trials), free_order(trials)]
    while len(taken) < count:
        taken.append(next(t for t in orders[len(taken) % 2] if t not in taken))
    return taken


def search(kind: type[Settings], splits: list[Split], first: Places, last: Places) -> list[Trial]:
    """Run the three steps for one method; return the finalists, judged on all splits."""
    rng = np.random.default_rng(0)

    def run(trials: list[Trial], where: Places) -> list[Trial]:
        for trial in trials:
            for i in where:
                cross, short = splits[i].judged(trial.settings)
                trial.crosses.append(cross)
                trial.shorts.append(short)
            print(trial, flush=True)
        return trials

    spread = qmc.LatinHypercube(len(SPACE[kind]), rng=0).random(N_SPREAD - 1)
    trials = run([published(kind), *(at(kind, point) for point in spread)], first)
    parents = best(trials, N_PARENTS)
    near = [np.clip(p.point + rng.normal(0, STEP, len(p.point)), 0, 1) for p in parents for _ in range(N_CHILDREN)]
    trials += run([at(kind, point) for point in near], first)
    return run(best(trials, N_FINALISTS), last)


# How splits are made, and those of the first and of the last step.
DATA: dict[str, tuple[Make, Places, Places]] = {
    "clinc": (clinc_split, (0,), (1, 2)),
    "omniglot": (omniglot_split, (0, 1), (2, 3, 4)),
}


def main() -> None:
    """Search, and print every trial."""
    make, first, last = DATA[sys.argv[1]]
    epochs, widths = (
        [int(x) for x in sys.argv[i].split(",")] if len(sys.argv) > i else default
        for i, default in ((2, [15, 30]), (3, [1]))
    )
    sizes = {}
    for size in ((n, width) for n in epochs for width in widths):
        sizes[size] = [Split(*make(i, *size)) for i in first]
        print(f"independent, {size[0]} epochs, width {size[1]}: {of_new(sizes[size])}", flush=True)
    size = max(sizes, key=lambda size: float(np.sum(of_new(sizes[size]))))
    splits = sizes[size] + [Split(*make(i, *size)) for i in last]
    native = np.mean([split.old[2] for split in splits], axis=0)
    print(f"{size[0]} epochs, width {size[1]}; old/old {native}, new/new {of_new(splits)}", flush=True)
    for kind in (BCTSettings, BT2Settings):
        finalists = search(kind, splits, first, last)
        print(f"bound: {bound_order(finalists)[0]}\nfree: {free_order(finalists)[0]}", flush=True)


def of_new(splits: list[Split]) -> Figures:
    """Mean figures of the independent new models."""
    return np.asarray(np.mean([split.new[1] for split in splits], axis=0))


if __name__ == "__main__":
    main()
