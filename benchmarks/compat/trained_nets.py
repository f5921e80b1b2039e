"""BT² and its peers on CLINC150, 75 → 150 intents: trained maps, closed-form maps, open classes.

python -m benchmarks.compat.trained_nets [n_seeds] [epochs]
"""

from __future__ import annotations

import sys
import time
from functools import partial

import numpy as np
import torch
from torch import nn

from benchmarks.compat.course import BCTSettings, BT2Settings, Codes, Course, Settings
from benchmarks.compat.data import clinc, lsa
from benchmarks.compat.table import Array, Table, unit
from retrieval import compat

FEATURES, HIDDEN, SCALE = 256, 512, 16.0
EPOCHS, WIDTH = 30, 1
# The published settings, and those that search.py chose on validation data: its bound choice, and its free one.
SETTINGS: dict[str, Settings] = {
    "BCT": BCTSettings(),
    "BT²": BT2Settings(),
    "BCT searched": BCTSettings(influence=1.1, sharpness=10.0),
    "BT² searched": BT2Settings(follow=8.6, influence=4.4, regress=2.0, sharpness=11.0, extra=21, scale=1.4),
    "BCT free": BCTSettings(influence=1.1, sharpness=10.0),
    "BT² free": BT2Settings(follow=5.0, influence=26.0, regress=0.88, sharpness=10.0, extra=44, scale=1.5),
}


def backbone(n_out: int, seed: int, width: int = 1) -> nn.Module:
    """One hidden layer of 512 × width over LSA features."""
    hidden = HIDDEN * width
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Linear(FEATURES, hidden),
            nn.BatchNorm1d(hidden),
            nn.ReLU(),
            nn.Dropout(0.3),
            nn.Linear(hidden, n_out),
        )


def course(inputs: Array, labels: Codes, epochs: int, width: int, seed: int) -> Course:
    """Train on LSA features; the old model sees 75 intents."""
    schedule = compat.Schedule(epochs=epochs, warmup=2, batch_size=256, rate=2e-3, seed=seed)
    return Course(inputs, labels, 75, partial(backbone, width=width), schedule, seed)


def closed_form(table: Table, old: tuple[Array, Array], new: tuple[Array, Array], classes: Array) -> float:
    """Fit all maps on train pairs, and add their rows; return seconds to fit and apply the query map."""
    (old_train, old_test), (new_train, new_test) = old, new
    rotation = compat.Isometry.fit(source=new_train, target=old_train)
    table.add("Procrustes, query map", rotation.transform(new_test), old_test, classes)
    back = compat.Isometry.fit(source=old_train, target=new_train)
    table.add("Procrustes, gallery map", new_test, back.transform(old_test), classes)
    start = time.perf_counter()
    query_map = compat.LocalLinearMap.fit(source=new_train, target=old_train)
    mapped = query_map.transform(new_test)
    seconds = time.perf_counter() - start
    ridge = unit(query_map.target_mean + (new_test - query_map.source_mean) @ query_map.weights)
    table.add("ridge, query map", ridge, old_test, classes)
    table.add("local-linear, query map", mapped, old_test, classes)
    gallery_map = compat.LocalLinearMap.fit(source=old_train, target=new_train)
    ridge = unit(gallery_map.target_mean + (old_test - gallery_map.source_mean) @ gallery_map.weights)
    table.add("ridge, gallery map", new_test, ridge, classes)
    table.add("local-linear, gallery map", new_test, gallery_map.transform(old_test), classes)
    return seconds


def one_seed(seed: int, epochs: int, trained: Table, opened: Table) -> float:
    """Train old, new, BCT, regression and BT² on one schedule; fit the maps; fill the tables."""
    data = clinc()
    F, Ft = (SCALE * part for part in lsa(data.train_texts, data.test_texts, FEATURES, seed))
    y, yt = data.train_classes, data.test_classes
    plan = course(F, y, epochs, WIDTH, seed)
    old_model, new_model = plan.old(), plan.new()
    old_train, old_test, new_train, new_test = (m.encode(part) for m in (old_model, new_model) for part in (F, Ft))
    trained.add("old/old", old_test, old_test, yt)
    trained.add("independent new/new", new_test, new_test, yt)
    models = plan.by_settings(SETTINGS, old_train, new_train) | {"cosine regression": plan.regression(old_train)}
    for name, model in models.items():
        full = model.encode(Ft)
        trained.add(f"{name} cross", model.encode_for_old(Ft), old_test, yt)
        trained.add(f"{name} self", full, full, yt)
    seconds = closed_form(trained, (old_train, old_test), (new_train, new_test), yt)
    # Open classes: pairs, and both models' training where the new one is concerned, know 100 intents.
    paired = np.random.default_rng([seed, 1]).permutation(150)[:100]
    train, test = np.isin(y, paired), ~np.isin(yt, paired)
    opened.add("old/old", old_test[test], old_test[test], yt[test])
    opened.add("independent new/new", new_test[test], new_test[test], yt[test])
    closed_form(opened, (old_train[train], old_test[test]), (new_train[train], new_test[test]), yt[test])
    return seconds


def main() -> None:
    """Run all seeds and print the tables."""
    n_seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    epochs = int(sys.argv[2]) if len(sys.argv) > 2 else EPOCHS
    trained = Table(f"CLINC150, 64-d nets, 75 → 150 intents, {epochs} epochs")
    opened = Table("Open classes: pairs from 100 intents, test on the other 50", same_queries=False)
    seconds = []
    for seed in range(n_seeds):
        start = time.perf_counter()
        seconds.append(one_seed(seed, epochs, trained, opened))
        print(f"seed {seed}: {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)
        trained.show("old/old")
        opened.show("old/old")
    pairs = [
        ("BT² cross", "BCT cross"),
        ("BT² self", "independent new/new"),
        ("BT² searched cross", "BCT searched cross"),
        ("BT² searched self", "independent new/new"),
        ("BT² free cross", "BCT free cross"),
        ("BT² free self", "independent new/new"),
        ("local-linear, query map", "BT² cross"),
        ("local-linear, query map", "BT² searched cross"),
    ]
    for name, other in pairs:
        trained.compare(name, other)
    old, new = trained.mean("old/old")[1], trained.mean("independent new/new")[1]
    closed = (trained.mean("local-linear, gallery map")[1] - old) / (new - old)
    print(f"gallery map closes {100 * closed:.1f} % of the old → new mAP gap")
    print(f"query map fitted and applied in {np.mean(seconds):.1f} s")


if __name__ == "__main__":
    main()
