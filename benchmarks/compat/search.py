"""Settings for BCT and BT² on CLINC150 and Omniglot, chosen on validation data of seed 0 alone.

    OMP_NUM_THREADS=1 python -m benchmarks.compat.search clinc|omniglot [n_trials] [epochs,...] [width,...]

CLINC150 is judged on its validation part, 20 utterances an intent. Of Omniglot's small1, 26 characters are
held out ("unseen"), and of the others drawings 13 to 15 ("seen"); drawings 16 to 19 and small2 are the test
sets, and are not looked at.

The schedule and the width are those with which the independent new model is best. BCT and BT² then get the
same number of settings each, drawn at random after the published ones, and the same rule: of those whose
self-test is within a point of the independent model, in CMC@1 and in mAP, the best cross-test; where
there are none, the nearest to it. Tests are means over the validation sets.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np

from benchmarks.compat import omniglot, trained_nets
from benchmarks.compat.course import BCTSettings, BT2Settings, Codes, Course
from benchmarks.compat.data import clinc, lsa
from benchmarks.compat.data import omniglot as drawings_of
from benchmarks.compat.table import Array
from retrieval import compat, metrics

Settings = BCTSettings | BT2Settings
Held = list[tuple[Array, Codes]]
Figures = tuple[float, float]
SLACK = 1.0


def clinc_course(epochs: int, width: int) -> tuple[Course, Held]:
    """Train on the train part, and judge on the validation part."""
    data = clinc()
    vectors = lsa(data.train_texts, data.val_texts, trained_nets.FEATURES, 0)
    course = trained_nets.course(trained_nets.SCALE * vectors[0], data.train_classes, epochs, width, 0)
    return course, [(trained_nets.SCALE * vectors[1], data.val_classes)]


def omniglot_course(epochs: int, width: int) -> tuple[Course, Held]:
    """Train on 13 drawings of 110 characters; judge on 3 others of them, and on 26 other characters."""
    images, characters = drawings_of("small1")
    drawing = np.arange(len(images)) % 20
    unseen = np.isin(characters, np.random.default_rng(0).permutation(136)[:26])
    train = (drawing < 13) & ~unseen
    _, labels = np.unique(characters[train], return_inverse=True)
    held = [(drawing >= 13) & (drawing < 16) & ~unseen, (drawing < 16) & unseen]
    course = omniglot.course(images[train], labels, 36, epochs, width, 0)
    return course, [(images[part], characters[part]) for part in held]


def judge(queries: list[Array], galleries: list[Array], held: Held) -> Figures:
    """CMC@1 and mAP in percent, meaned over the held-out sets; the item itself left out."""
    figures = []
    for q, g, (_, classes) in zip(queries, galleries, held, strict=True):
        dim = min(q.shape[1], g.shape[1])
        ranking = metrics.rank_by_class(q[:, :dim], g[:, :dim], classes, classes, exclude_same_row=True)
        figures.append((100 * ranking.cmc_at_k(1), 100 * ranking.mean_average_precision))
    c, p = np.mean(figures, axis=0)
    return float(c), float(p)


def drawn(rng: np.random.Generator) -> tuple[BCTSettings, BT2Settings]:
    """Draw one setting for each method."""
    pick: Callable[..., float] = lambda *values: values[rng.integers(len(values))]  # noqa: E731
    bct = BCTSettings(influence=pick(0.3, 1.0, 2.0, 5.0, 10.0), sharpness=pick(3.0, 5.0, 10.0, 15.0, 20.0))
    bt2 = BT2Settings(
        follow=pick(1.0, 3.0, 10.0, 30.0),
        influence=pick(1.0, 3.0, 10.0, 20.0),
        regress=pick(0.0, 1.0, 5.0),
        sharpness=pick(3.0, 5.0, 10.0, 15.0, 20.0),
        extra=int(pick(0, 8, 32, 64)),
        scale=pick(1.0, 2.0, 3.0, 4.0),
    )
    return bct, bt2


def best(trials: list[tuple[Settings, Figures, Figures]], alone: Figures) -> tuple[Settings, Figures, Figures]:
    """Apply the rule of the module's docstring."""

    def short(own: Figures) -> float:
        return max(alone[0] - own[0], alone[1] - own[1])

    kept = [t for t in trials if short(t[2]) <= SLACK]
    return max(kept, key=lambda t: sum(t[1])) if kept else min(trials, key=lambda t: short(t[2]))


def main() -> None:
    """Search, and print every trial."""
    name = sys.argv[1]
    n_trials = int(sys.argv[2]) if len(sys.argv) > 2 else 30
    epochs, widths = (
        [int(x) for x in sys.argv[i].split(",")] if len(sys.argv) > i else [default] for i, default in ((3, 15), (4, 1))
    )
    make = {"clinc": clinc_course, "omniglot": omniglot_course}[name]
    sizes = {}
    for n in epochs:
        for width in widths:
            course, held = make(n, width)
            new = course.new()
            own = [new.encode(inputs) for inputs, _ in held]
            sizes[n, width] = judge(own, own, held)
            print(f"independent, {n} epochs, width {width}: {sizes[n, width]}", flush=True)
    n, width = max(sizes, key=lambda size: sum(sizes[size]))
    course, held = make(n, width)
    alone, old, new = sizes[n, width], course.old(), course.new()
    native = [old.encode(inputs) for inputs, _ in held]
    print(f"{n} epochs, width {width}; old/old {judge(native, native, held)}, new/new {alone}", flush=True)
    old_rows, new_rows = old.encode(course.inputs), new.encode(course.inputs)

    def tried(settings: Settings) -> tuple[Settings, Figures, Figures]:
        model: compat.TrainedModel = (
            course.bct(old_rows, settings)
            if isinstance(settings, BCTSettings)
            else course.bt2(old_rows, new_rows, settings)
        )
        crossing = [model.encode_for_old(inputs) for inputs, _ in held]
        full = [model.encode(inputs) for inputs, _ in held]
        cross, own = judge(crossing, native, held), judge(full, full, held)
        print(f"{settings}: cross {cross[0]:.2f} {cross[1]:.2f} self {own[0]:.2f} {own[1]:.2f}", flush=True)
        return settings, cross, own

    rng = np.random.default_rng(0)
    settings = [(BCTSettings(), BT2Settings())] + [drawn(rng) for _ in range(n_trials - 1)]
    trials = [(tried(bct), tried(bt2)) for bct, bt2 in settings]
    for side in zip(*trials, strict=True):
        chosen, cross, own = best(list(side), alone)
        print(f"best: {chosen}: cross {cross[0]:.2f} {cross[1]:.2f} self {own[0]:.2f} {own[1]:.2f}", flush=True)


if __name__ == "__main__":
    main()
