"""Mapping a million stored vectors against encoding their texts anew.

    OMP_NUM_THREADS=1 python -m benchmarks.compat.speed [n_vectors]

Both sides use all cores: the encoder by torch's own threads, the map by one worker a core, for which
BLAS is to be left at one thread each.

The peer is a transformer of MiniLM-L6's shape (6 layers, 384 wide, 12 heads) with random weights, which
take as long as trained ones, on the lengths of CLINC150's test utterances, sorted, in batches of 128.
Tokenising and looking up embeddings are left out, and a word counts as one token: in the peer's favour.
"""

from __future__ import annotations

import os
import resource
import sys
import time

import numpy as np
import torch
from torch import nn

from benchmarks.compat.data import clinc
from benchmarks.compat.table import Array, unit
from retrieval import compat

N_PAIRS, DIM = 20_000, 384


def encoder_rate(texts: list[str]) -> float:
    """Texts a second through a transformer of MiniLM-L6's shape."""
    torch.manual_seed(0)
    torch.set_num_threads(os.cpu_count() or 1)
    layer = nn.TransformerEncoderLayer(DIM, 12, 4 * DIM, activation="gelu", batch_first=True)
    model = nn.TransformerEncoder(layer, 6, enable_nested_tensor=False).eval()
    lengths = sorted(len(text.split()) + 2 for text in texts)
    batches = [lengths[i : i + 128] for i in range(0, len(lengths), 128)]
    with torch.inference_mode():
        model(torch.randn(128, 10, DIM))
        start = time.perf_counter()
        for batch in batches:
            model(torch.randn(len(batch), batch[-1], DIM)).mean(dim=1)
        return len(texts) / (time.perf_counter() - start)


def around(rows: Array, n: int, rng: np.random.Generator) -> Array:
    """Draw unit vectors near real ones, cosine about .86 to their origin."""
    noise = rng.standard_normal((n, DIM), dtype=np.float32) * np.float32(0.6 / np.sqrt(DIM))
    return unit(rows[rng.integers(0, len(rows), n)] + noise)


def main() -> None:
    """Print the figures."""
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    data = clinc()
    rate = encoder_rate(data.test_texts)
    print(f"- encoder of MiniLM-L6's shape, {torch.get_num_threads()} threads: {rate:.0f} texts/s", flush=True)
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
    m.transform(sample[:100], neighbours="cells")
    for how, rows in (("exact", sample), ("cells", stored)):
        start = time.perf_counter()
        mapped = m.transform(rows, neighbours=how, workers=os.cpu_count() or 1)
        per_million = (time.perf_counter() - start) / len(rows) * 1e6
        cosine = float(np.mean(np.einsum("ij,ij->i", mapped[:20_000], truth)))
        print(
            f"- neighbours {how}: {len(rows)} vectors, {per_million:.1f} s a million, "
            f"{1e6 / rate / per_million:.0f} × the encoder; mean cosine with the truth {cosine:.4f}",
            flush=True,
        )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"- peak memory {peak:.1f} GB, {2 * n * DIM * 4 / 1e9:.1f} GB of it the vectors in and out")


if __name__ == "__main__":
    main()
