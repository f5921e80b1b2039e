"""What a constant field and a unique id cost: recall@10 of abt-buy with and without them in every record.

python -m benchmarks.vsa.drowning
"""

from __future__ import annotations

import random
import uuid
from typing import Any

import vsa
from benchmarks.vsa.data import catalogues
from benchmarks.vsa.quality import recall_at_10


def noisy(side: list[Any], draw: random.Random) -> list[Any]:
    """The records with a constant field and a UUID of their own."""
    constant = "catalogue of consumer electronics"
    return [{**r, "source": constant, "uid": str(uuid.UUID(int=draw.getrandbits(128), version=4))} for r in side]


def main() -> None:
    """Print the table, seed 0."""
    queries, gallery, pairs = catalogues("abt-buy", "abt", "buy")
    draw = random.Random(0)
    both = {"as they are": (queries, gallery), "with both": (noisy(queries, draw), noisy(gallery, draw))}
    print("| records | fitted | recall@10 |\n|---|---|---|")
    for name, (asked, held) in both.items():
        for fitted in (True, False):
            encoder = vsa.JSONEncoder(1024, seed=0)
            if fitted:
                encoder.fit(held)
            found = recall_at_10(encoder.encode(asked), encoder.encode(held), pairs)
            print(f"| {name} | {'yes' if fitted else 'no'} | {found:.4f} |", flush=True)


if __name__ == "__main__":
    main()
