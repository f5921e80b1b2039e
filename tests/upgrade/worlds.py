"""Made worlds: one set of items seen by two models."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


def unit(X):
    return (X / np.linalg.norm(X, axis=1, keepdims=True)).astype(np.float32)


@dataclass(frozen=True, eq=False)
class World:
    """Items of 30 classes: the new model sees them well, the old one through a bent and noisy lens."""

    d_old: int = 12
    d_new: int = 16
    blur: float = 0.4
    bend: float = 2.0

    def items(self, n, seed, classes=range(30)):
        """Old rows, new rows, classes."""
        fixed = np.random.default_rng(99)
        centres, lens = fixed.standard_normal((30, self.d_new)), fixed.standard_normal((self.d_new, self.d_old))
        rng = np.random.default_rng(seed)
        labels = rng.choice(np.array(list(classes)), n)
        new = unit(centres[labels] + 0.7 * rng.standard_normal((n, self.d_new)))
        seen = new @ lens
        old = np.tanh(self.bend * seen)
        return unit(old + self.blur * rng.standard_normal((n, self.d_old))), new, labels


def rotated(X, seed=0, dim=None):
    """The same vectors under a random rotation, into more dims if asked for."""
    dim = dim or X.shape[1]
    Q = np.linalg.qr(np.random.default_rng(seed).standard_normal((dim, dim)))[0]
    return (X @ Q[: X.shape[1]]).astype(np.float32)
