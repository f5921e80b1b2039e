"""JSON bytes to vectors, beside the parser alone and other ways to such vectors.

    python -m benchmarks.vsa.rate [vectors] [workers] [linking]

`vectors`: records a second in one process, all in one run; the settings of every peer are tried and the fastest is
kept; five rounds that take turns, medians. `workers`: the same in two processes, their vectors compared byte by byte.
`linking`: recall@10 of MiniLM on the serialised record beside the encoder's. Without names all three. What is not
installed says so.
"""

from __future__ import annotations

import gc
import gzip
import itertools
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any
from unittest import mock

import orjson

import vsa
from benchmarks.gallery.measuring import ROUNDS, take_turns
from benchmarks.gallery.results import table
from benchmarks.vsa import peers
from benchmarks.vsa.data import catalogues, find
from benchmarks.vsa.machine import described
from benchmarks.vsa.quality import CATALOGUES, recall_at_10
from vsa.sums import available, kernel

DIM = 1024
LINES = 5_000
CACHE = 1 << 30
PARTS = ("vectors", "workers", "linking")
PACKAGES = ("numpy", "torch", "orjson", "numba", "scikit-learn", "torch-hd", "sentence-transformers")

ORJSON = "`orjson.loads`, results dropped"
WARM = "vsa, compiled, warm"

# A peer's name, what makes its settings, how many lines it encodes in a round, and the bar on our rate over its own.
PEERS: tuple[tuple[str, Callable[[list[bytes]], peers.Way], int, float], ...] = (
    ("FeatureHasher(1024), dense", partial(peers.feature_hasher, dim=DIM), 1000, 3),
    ("MBAT, dense products", partial(peers.dense_mbat, dim=DIM, distinct=False), 2000, 10),
    ("the same, equal values of a batch once", partial(peers.dense_mbat, dim=DIM, distinct=True), 2000, 10),
    ("torchhd, a HashTable of paths", partial(peers.torchhd_flat, dim=DIM), 500, 50),
    ("torchhd, HashTables in each other", partial(peers.torchhd_nested, dim=DIM), 500, 50),
    ("MiniLM-L6 on the line", lambda lines: peers.MiniLM().way(lines), 32, 200),
)


def dropped(lines: list[bytes]) -> None:
    """Parse and forget."""
    for line in lines:
        orjson.loads(line)


def encoder_of(*, compiled: bool) -> vsa.JSONEncoder:
    """An empty encoder, with the scan of bytes or without."""
    encoder = vsa.JSONEncoder(DIM, seed=7, cache_bytes=CACHE)
    encoder._ready().reads_bytes = compiled
    return encoder


def encode(encoder: vsa.JSONEncoder, data: bytes, *, compiled: bool) -> None:
    """Encode as where numba is installed, or as where it is not."""
    if compiled:
        encoder.encode_jsonl(data)
        return
    with mock.patch.multiple(kernel, _module=None, _missing=True):
        encoder.encode_jsonl(data)


def cold(data: bytes, *, compiled: bool) -> None:
    """Encode with an encoder that has met nothing."""
    encode(encoder_of(compiled=compiled), data, compiled=compiled)


def ours(every: list[bytes]) -> dict[str, tuple[Callable[[], Any], int]]:
    """The encoder's rows: what is run, and how many lines that is."""
    data = b"".join(every[:LINES])
    runs: dict[str, tuple[Callable[[], Any], int]] = {}
    for compiled in (True, False) if available() else (False,):
        name = WARM if compiled else "vsa, not compiled, warm"
        encoder = encoder_of(compiled=compiled)
        for _ in range(3):  # seen, known, summed
            encode(encoder, data, compiled=compiled)
        runs[name] = (partial(encode, encoder, data, compiled=compiled), LINES)
        runs[name.replace("warm", "cold")] = (partial(cold, data, compiled=compiled), LINES)
    new = encoder_of(compiled=available())
    new.encode_jsonl(b"".join(every[: 4 * LINES]))
    pieces = itertools.count(4 * LINES, 1000)

    def unseen() -> None:
        at = next(pieces)
        new.encode_jsonl(b"".join(every[at : at + 1000]))

    runs[f"vsa, lines not met before, after {4 * LINES:,} others"] = (unseen, 1000)
    return runs


def seconds(run: Callable[[], Any]) -> tuple[float, float]:
    """How long it takes by the clock, and of the processor, all threads together."""
    started, worked = time.perf_counter(), time.process_time()
    run()
    return time.perf_counter() - started, time.process_time() - worked


def best(way: peers.Way) -> tuple[str, Callable[[], Any]]:
    """The setting that is fastest by the clock."""
    next(iter(way.values()))()  # brings in and remembers what it can
    times = {setting: seconds(run)[0] for setting, run in way.items()}
    setting = min(times, key=times.__getitem__)
    return setting, way[setting]


def vectors(every: list[bytes]) -> None:
    """Records a second."""
    lines = every[:LINES]
    runs: dict[str, tuple[Callable[[], Any], int]] = {
        ORJSON: (partial(dropped, lines), LINES),
        "`orjson.loads`, results kept": (lambda: [orjson.loads(line) for line in lines], LINES),
        **ours(every),
    }
    bars: dict[str, float] = {}
    settings: dict[str, str] = {}
    for name, make, count, bar in PEERS:
        # Spread over the lines, so that their mean length is that of all.
        drawn = lines[:: LINES // count]
        try:
            settings[name], run = best(make(drawn))
        except ImportError as error:
            print(f"{name}: not installed ({error})\n")
            continue
        runs[name], bars[name] = (run, len(drawn)), bar
    gc.collect()
    gc.freeze()  # what one way remembers is no burden on the others
    names = list(runs)
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
    for number in range(-1, ROUNDS):  # the first does not count, and every round starts with another
        shift = number % len(names)
        for name in names[shift:] + names[:shift]:
            found = seconds(runs[name][0])
            if number >= 0:
                taken[name].append(found)

    def rates(name: str, clock: int) -> list[float]:
        return [runs[name][1] / found[clock] for found in taken[name]]

    def against(name: str, other: str, clock: int) -> float:
        return statistics.median(a / b for a, b in zip(rates(name, clock), rates(other, clock), strict=True))

    first = WARM if WARM in runs else "vsa, not compiled, warm"
    rows = []
    for name in names:
        row = [name, settings.get(name, "")]
        for clock in (0, 1):
            found = rates(name, clock)
            row.append(f"{statistics.median(found):,.0f} [{min(found):,.0f}, {max(found):,.0f}]")
        row.append(f"{against(name, ORJSON, 1):.4f}")
        row += [f"{against(first, name, clock):,.1f} ×" if name in bars else "" for clock in (0, 1)]
        rows.append([*row, f"{bars[name]:g} ×" if name in bars else ""])
    mean = sum(map(len, lines)) / LINES
    print(
        f"{LINES:,} Tate lines of {mean:,.0f} bytes, dim {DIM}; medians of {ROUNDS} rounds, and range. The clock is to"
    )
    print("be believed on a quiet machine; beside other work the processor's time is, which counts all threads of a")
    print(f"peer. Ratios are those of {first} to the peer.\n")
    head = ["what", "best setting", "records/s by the clock", "records a second of processor time"]
    print(table([*head, "of orjson.loads", "ratio by the clock", "by processor time", "bar"], rows) + "\n")


def workers(every: list[bytes]) -> None:
    """One process and two."""
    data = b"".join(every[: 4 * LINES])
    made: dict[int, list[bytes]] = {1: [], 2: []}

    def run(count: int) -> None:
        encoder = vsa.JSONEncoder(DIM, seed=7)
        made[count] = [encoder.encode_jsonl(data, workers=count).tobytes()]

    names = {count: f"workers={count}" for count in made}
    times = take_turns({name: partial(run, count) for count, name in names.items()})
    if made[1] != made[2]:
        sys.exit("two workers gave other vectors than one process")
    rows = [
        [name, f"{4 * LINES / statistics.median(times[name]):,.0f}", f"{statistics.median(times[name]):.1f}"]
        for name in names.values()
    ]
    print(f"{4 * LINES:,} Tate lines with new encoders, the start of processes included; medians of {ROUNDS} rounds.")
    print("The vectors are equal byte by byte.\n")
    print(table(["", "records/s", "s"], rows) + "\n")


def linking() -> None:
    """Recall@10 of the model and of the encoder."""
    try:
        model = peers.MiniLM()
    except ImportError as error:
        print(f"MiniLM: not installed ({error})\n")
        return
    rows = []
    for names in CATALOGUES:
        queries, gallery, pairs = catalogues(*names)
        for fitted in (True, False):
            encoder = vsa.JSONEncoder(DIM, seed=0)
            if fitted:
                encoder.fit(gallery)
            found = recall_at_10(encoder.encode(queries), encoder.encode(gallery), pairs)
            rows.append([names[0], f"vsa, dim {DIM}, seed 0, {'fitted' if fitted else 'not fitted'}", f"{found:.4f}"])
        for name, write in (("the record as JSON", _as_json), ("its values, in order", _as_values)):
            Q, X = (model.embed([write(record) for record in side], 32) for side in (queries, gallery))
            rows.append([names[0], f"MiniLM-L6 on {name}", f"{recall_at_10(Q, X, pairs):.4f}"])
    print(table(["data", "vectors", "recall@10"], rows) + "\n")


def _as_json(record: Any) -> str:
    return json.dumps(record, ensure_ascii=False)


def _as_values(record: Any) -> str:
    return " ".join(str(value) for _, value in peers.leaves(record))


def main() -> None:
    """Print the tables."""
    parts = sys.argv[1:] or list(PARTS)
    if unknown := set(parts) - set(PARTS):
        sys.exit(f"parts are {', '.join(PARTS)}; not {', '.join(sorted(unknown))}")
    with gzip.open(find("tate/artworks.jsonl.gz")) as file:
        every = list(itertools.islice(file, 8 * LINES))
    print(described(PACKAGES) + "\n", flush=True)
    if "vectors" in parts:
        vectors(every)
    if "workers" in parts:
        workers(every)
    if "linking" in parts:
        linking()
    print(f"At the end: load {os.getloadavg()[0]:.1f}.")


if __name__ == "__main__":
    main()
