"""What a constant field and a unique id cost: recall@10 of abt-buy with either or both in every record.

    python -m benchmarks.vsa.drowning

The encoder is fitted on the gallery side. Seeds 0, 1 and 2, beside the exact sparse cosine over the same features.
"""

from __future__ import annotations

import random
import uuid
from typing import Any

import numpy as np

import vsa
from benchmarks.vsa.data import catalogues
from benchmarks.vsa.quality import recall_at_10
from tests.sparse_oracle import SparseOracle

SEEDS = range(3)
CONSTANT = "catalogue of consumer electronics"
ADDED: dict[str, tuple[str, ...]] = {
    "nothing": (),
    "a constant": ("source",),
    "a UUID": ("uid",),
    "both": ("source", "uid"),
}


def noisy(side: list[Any], added: tuple[str, ...], draw: random.Random) -> list[Any]:
    """The records with a constant field and a UUID of their own, as far as they are among `added`."""
    found = []
    for record in side:
        extra = {"source": CONSTANT, "uid": str(uuid.UUID(int=draw.getrandbits(128), version=4))}
        found.append({**record, **{key: extra[key] for key in added}})
    return found


def main() -> None:
    """Print the table."""
    queries, gallery, pairs = catalogues("abt-buy", "abt", "buy")
    print("| added | weight of the UUID | exact sparse | recall@10, seeds 0 to 2 | mean |\n|---|---|---|---|---|")
    for name, added in ADDED.items():
        draw = random.Random(0)
        asked, held = (noisy(side, added, draw) for side in (queries, gallery))
        S = SparseOracle(vsa.JSONEncoder().fit(held).statistics).rows([*asked, *held])
        exact = f"{recall_at_10(S[: len(asked)], S[len(asked) :], pairs):.4f}"
        for weight in (1.0, 0.5, 0.25, 0.0) if name == "both" else (1.0,):
            found = []
            for seed in SEEDS:
                encoder = vsa.JSONEncoder(1024, seed=seed).fit(held)
                Q, X = (encoder.encode(side, weights={"uid": weight}) for side in (asked, held))
                found.append(recall_at_10(Q, X, pairs))
            each = " ".join(f"{value:.4f}" for value in found)
            sparse = exact if weight == 1.0 else ""
            print(f"| {name} | {weight:g} | {sparse} | {each} | {np.mean(found):.4f} |", flush=True)


if __name__ == "__main__":
    main()
