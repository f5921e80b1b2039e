"""Fuzz what `vsa` reads, encodes, saves and loads.

    python -m tests.fuzz --seconds 600
    python -m tests.fuzz --seconds 600 --engine atheris

The first engine bends real records (those of VSA_DATA, where it is set) and awkward tokens; `atheris`, from PyPI,
is guided by the coverage of the package's Python code. A breach ends the run with the bytes that show it and a
traceback.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import os
import random
import sys
import time
from pathlib import Path

import vsa

from . import oracle, properties
from .inputs import SEEDS, mutated

_STATES_EVERY = 200


def corpus() -> list[bytes]:
    """Inputs to start from."""
    texts = list(SEEDS)
    folder = Path(os.environ.get("VSA_DATA", ""))
    if "VSA_DATA" in os.environ:
        with gzip.open(folder / "tate" / "artworks.jsonl.gz") as file:
            texts += [line[:3000] for line in itertools.islice(file, 30)]
        for name in ("abt-buy/abt.jsonl", "recipes/recipes.jsonl", "amazon-google/google.jsonl"):
            with (folder / name).open("rb") as file:
                texts += [b"".join(itertools.islice(file, 2)) for _ in range(10)]
        texts.append((folder / "countries" / "countries.json").read_bytes()[:4000])
        texts.append((folder / "mutagenesis" / "mutagenesis.json").read_bytes()[:4000])
    return texts


def mutate(seconds: float, seed: int) -> int:
    """Bend inputs for so long; the number of inputs. A breach ends it with the bytes on standard error."""
    draw = random.Random(seed)
    texts = corpus()
    end = time.monotonic() + seconds
    done = 0
    while time.monotonic() < end:
        data = mutated(draw, texts)
        try:
            properties.check(data)
            if done % _STATES_EVERY == 0:
                good = [value for _, value in oracle.lines(mutated(draw, SEEDS), 10**6)[0]]
                if good and max(oracle.size(value)[0] for value in good) <= vsa.Limits().depth:
                    properties.check_states(good, draw)
        except Exception:
            print(f"after {done:,} inputs of seed {seed}: {data!r}", file=sys.stderr)
            raise
        done += 1
    return done


def guided(seconds: float, seed: int) -> None:
    """Let atheris look for inputs that reach new code."""
    import atheris

    atheris.instrument_all()
    places = Path(f".fuzz-{seed}")
    places.mkdir(exist_ok=True)
    for number, text in enumerate(corpus()):
        (places / str(number)).write_bytes(text)
    atheris.Setup(
        [sys.argv[0], f"-max_total_time={int(seconds)}", "-max_len=8192", f"-seed={seed + 1}", str(places)],
        properties.check,
    )
    atheris.Fuzz()


def main() -> None:
    """Run one engine."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--engine", choices=["mutate", "atheris"], default="mutate")
    arguments = parser.parse_args()
    if arguments.engine == "atheris":
        guided(arguments.seconds, arguments.seed)
        return
    done = mutate(arguments.seconds, arguments.seed)
    print(f"{done:,} inputs in {arguments.seconds:.0f} s, seed {arguments.seed}: no crash, no wrong acceptance")


if __name__ == "__main__":
    main()
