"""BT² and its peers on Omniglot with a small CNN: 45 → 136 characters, tested on seen and unseen ones.

python -m benchmarks.compat.omniglot [n_seeds] [epochs]
"""

from __future__ import annotations

import sys
import time

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.compat.data import omniglot
from benchmarks.compat.table import Table
from retrieval import compat

DIM = 64
SHARPNESS = 10.0  # as searched in trained_nets.py


def backbone(n_out: int, seed: int) -> nn.Module:
    """Three strided convolutions and one linear layer; 21 × 21 pixels in."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers: list[nn.Module] = []
        for n_in, n_next, size in ((1, 24, 5), (24, 48, 3), (48, 96, 3)):
            convolution = nn.Conv2d(n_in, n_next, size, stride=2, padding=size // 2)
            layers += [convolution, nn.BatchNorm2d(n_next), nn.ReLU()]
        return nn.Sequential(*layers, nn.Flatten(), nn.Dropout(0.2), nn.Linear(96 * 9, n_out))


def shift(inputs: Tensor, generator: torch.Generator) -> Tensor:
    """Move a batch by up to one pixel either way; the borders are blank."""
    down, right = torch.randint(-1, 2, (2,), generator=generator).tolist()
    return torch.roll(inputs, (down, right), (2, 3))


def one_seed(seed: int, epochs: int, tables: dict[str, Table]) -> None:
    """Train all models on one schedule and fill both tables."""
    images, characters = omniglot("small1")
    unseen, unseen_characters = omniglot("small2")
    drawing = np.arange(len(images)) % 20
    train, test = drawing < 16, drawing >= 16
    X, y = images[train], characters[train]
    tests = {"seen": (images[test], characters[test]), "unseen": (unseen, unseen_characters)}
    rng = np.random.default_rng(seed)
    known = np.isin(y, rng.permutation(136)[:45])
    _, relabelled = np.unique(y[known], return_inverse=True)
    schedule = compat.Schedule(epochs=epochs, warmup=2, batch_size=64, rate=3e-3, seed=seed)
    settings = {"schedule": schedule, "augment": shift}
    old_model = compat.train_independent(backbone(DIM, 100 * seed), DIM, X[known], relabelled, **settings)
    new_model = compat.train_independent(backbone(DIM, 100 * seed + 1), DIM, X, y, **settings)
    old, new = old_model.encode(X), new_model.encode(X)
    start = 100 * seed + 2
    models = {"BCT": compat.train_bct(backbone(DIM, start), DIM, X, y, old, **settings)}
    head = compat.BT2Head(DIM, DIM, extra=32, seed=seed)
    models["BT²"] = compat.train_bt2(backbone(2 * DIM, start), head, X, y, old, new, **settings)
    models["BCT searched"] = compat.train_bct(backbone(DIM, start), DIM, X, y, old, sharpness=SHARPNESS, **settings)
    head = compat.BT2Head(DIM, DIM, extra=32, seed=seed)
    models["BT² searched"] = compat.train_bt2(
        backbone(2 * DIM, start), head, X, y, old, new, sharpness=SHARPNESS, **settings
    )
    models["cosine regression"] = compat.train_regression(backbone(DIM, start), DIM, X, y, old, weight=5.0, **settings)
    query_map = compat.LocalLinearMap.fit(source=new, target=old)
    gallery_map = compat.LocalLinearMap.fit(source=old, target=new)
    for name, (inputs, classes) in tests.items():
        table = tables[name]
        gallery, native = old_model.encode(inputs), new_model.encode(inputs)
        table.add("old/old", gallery, gallery, classes)
        table.add("independent new/new", native, native, classes)
        for method, model in models.items():
            full = model.encode(inputs)
            table.add(f"{method} cross", model.encode_for_old(inputs), gallery, classes)
            table.add(f"{method} self", full, full, classes)
        table.add("local-linear, query map", query_map.transform(native), gallery, classes)
        table.add("local-linear, gallery map", native, gallery_map.transform(gallery), classes)


def main() -> None:
    """Run all seeds and print the tables."""
    n_seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    epochs = int(sys.argv[2]) if len(sys.argv) > 2 else 15
    tables = {
        "seen": Table(f"Omniglot small1, seen characters, 45 → 136, {epochs} epochs"),
        "unseen": Table(f"Omniglot small2, 156 unseen characters, {epochs} epochs"),
    }
    for seed in range(n_seeds):
        start = time.perf_counter()
        one_seed(seed, epochs, tables)
        print(f"seed {seed}: {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)
        for table in tables.values():
            table.show("old/old")
            table.compare("BT² cross", "BCT cross")
            table.compare("BT² self", "independent new/new")
            table.compare("BT² searched cross", "BCT searched cross")
            table.compare("BT² searched self", "independent new/new")


if __name__ == "__main__":
    main()
