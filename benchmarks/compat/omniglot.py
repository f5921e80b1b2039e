"""BT² and its peers on Omniglot with a small CNN: 45 → 136 characters, tested on seen and unseen ones.

python -m benchmarks.compat.omniglot [n_seeds] [epochs]
"""

from __future__ import annotations

import sys
import time
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.compat.course import BCTSettings, BT2Settings, Codes, Course, Settings
from benchmarks.compat.data import omniglot
from benchmarks.compat.table import Array, Table
from retrieval import compat

EPOCHS, WIDTH = 30, 1
# The published settings, and those that search.py chose on validation data: its bound choice, and its free one.
SETTINGS: dict[str, Settings] = {
    "BCT": BCTSettings(),
    "BT²": BT2Settings(),
    "BCT searched": BCTSettings(influence=21.0, sharpness=7.2),
    "BT² searched": BT2Settings(follow=13.0, influence=1.9, regress=2.6, sharpness=7.7, extra=48, scale=3.2),
    "BCT free": BCTSettings(influence=21.0, sharpness=7.2),
    "BT² free": BT2Settings(follow=5.0, influence=26.0, regress=0.88, sharpness=10.0, extra=44, scale=1.5),
}


def backbone(n_out: int, seed: int, width: int = 1) -> nn.Module:
    """Three strided convolutions, 24 × width and up, and one linear layer; 21 × 21 pixels in."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers: list[nn.Module] = []
        n_in = 1
        for n_next, size in ((24 * width, 5), (48 * width, 3), (96 * width, 3)):
            convolution = nn.Conv2d(n_in, n_next, size, stride=2, padding=size // 2)
            layers += [convolution, nn.BatchNorm2d(n_next), nn.ReLU()]
            n_in = n_next
        return nn.Sequential(*layers, nn.Flatten(), nn.Dropout(0.2), nn.Linear(n_in * 9, n_out))


def course(inputs: Array, labels: Codes, n_old: int, epochs: int, width: int, seed: int) -> Course:
    """Train on drawings, moved by a pixel at most; the old model sees `n_old` of the characters."""
    schedule = compat.Schedule(epochs=epochs, warmup=2, batch_size=64, rate=3e-3, seed=seed)
    return Course(inputs, labels, n_old, partial(backbone, width=width), schedule, seed, shift)


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
    plan = course(X, y, 45, epochs, WIDTH, seed)
    old_model, new_model = plan.old(), plan.new()
    old, new = old_model.encode(X), new_model.encode(X)
    models = plan.by_settings(SETTINGS, old, new) | {"cosine regression": plan.regression(old)}
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
    epochs = int(sys.argv[2]) if len(sys.argv) > 2 else EPOCHS
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
            table.compare("BT² free cross", "BCT free cross")
            table.compare("BT² free self", "independent new/new")


if __name__ == "__main__":
    main()
