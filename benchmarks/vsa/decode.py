"""Reading values back: one of n bound fields among 1,000 candidates, and real records with a learned memory.

    python -m benchmarks.vsa.decode

Writes the section *Decoding* of RESULTS.md. Made records hold words of four syllables, each drawn from the same 1,000
for every field, so that words recur in other fields. "one look" reads a field by itself, "explained away" reads all
fields of the record in four rounds. Artworks are read with a memory learned from other artworks.
"""

from __future__ import annotations

import random
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import vsa
from benchmarks.gallery import results
from benchmarks.vsa.data import records
from vsa.candidates import Candidates, candidates
from vsa.curves import capacity_in_theory
from vsa.decoding import Reading, alone
from vsa.leaves import Arrays

DIMS = (512, 1024, 2048)
FIELDS = (5, 10, 20, 50, 100, 200)
CANDIDATES = 1000
TRUSTED = 0.95
AT_ONCE = 250


@dataclass(frozen=True)
class Capacity:
    """Shares decoded rightly at one dim, by number of fields; arrays of the length of `fields`."""

    dim: int
    fields: np.ndarray
    one_look: np.ndarray
    explained: np.ndarray
    theory: np.ndarray
    trusted: np.ndarray
    right_of_trusted: np.ndarray


def words(count: int, seed: int = 0) -> list[str]:
    """Distinct words of four syllables."""
    rng = random.Random(seed)
    found: dict[str, None] = {}
    while len(found) < count:
        found["".join(rng.choice("bcdfghklmnprstvz") + rng.choice("aeiou") for _ in range(4))] = None
    return list(found)


def trials(dim: int, n_fields: int, count: int, *, explained: int, seed: int = 3) -> tuple[float, float, float, float]:
    """Share right in one look at `count` records; of the first `explained`: right, trusted, and right of those."""
    encoder = vsa.JSONEncoder(dim, seed=seed)
    maker, shares = encoder._ready().maker, encoder.config.shares
    rng = random.Random(n_fields)
    items = words(CANDIDATES)
    asked: list[Candidates] = []
    for i in range(n_fields):
        field = candidates(maker, shares, Arrays.BOTH, (f"f{i}",), items, present=1 - 1e-6)
        # The same words in every field: one copy of their atoms does.
        field.atoms, field.words = (asked or [field])[0].atoms, (asked or [field])[0].words
        asked.append(field)
    first, right, trust = [], [], []
    for start in range(0, count, AT_ONCE):
        drawn = [[rng.randrange(CANDIDATES) for _ in range(n_fields)] for _ in range(min(AT_ONCE, count - start))]
        X = encoder.encode([{f"f{i}": items[v] for i, v in enumerate(row)} for row in drawn]).astype(np.float64)
        truth = np.array(drawn)
        first.append(alone(maker, X, asked[0]).P[0].argmax(axis=1) == truth[:, 0])
        if start < explained:
            every = Reading(maker, X[: explained - start], asked).sweep()
            best = np.array([P.argmax(axis=1) for P in every.P]).T
            right.append(best == truth[: explained - start])
            trust.append(np.array([P.max(axis=1) for P in every.P]).T >= TRUSTED)
    trusted, sound = np.concatenate(trust), np.concatenate(right)
    return (
        float(np.concatenate(first).mean()),
        float(sound.mean()),
        float(trusted.mean()),
        float(sound[trusted].mean()) if trusted.any() else 1.0,
    )


def capacity(dim: int, fields: tuple[int, ...] = FIELDS, values: int = 1000) -> Capacity:
    """The curve at one dim; about so many values are read at each point, and 20 records at least, 200 in one look."""
    rows = [trials(dim, n, 200, explained=max(20, values // n)) for n in fields]
    one, explained, trusted, right = (np.array(column) for column in zip(*rows, strict=True))
    theory = np.asarray(capacity_in_theory(np.array(fields), dim, CANDIDATES))
    return Capacity(dim, np.array(fields), one, explained, theory, trusted, right)


def artworks(dim: int, count: int = 100) -> list[tuple[str, int, float, float, float]]:
    """(field, records, share right, share trusted, share right of those) of artworks that the memory has not seen."""
    works = records("tate/artworks.jsonl.gz")[::10]
    random.Random(0).shuffle(works)
    held, known = works[:count], works[count:]
    encoder = vsa.JSONEncoder(dim, seed=7, memory=vsa.ItemMemory()).fit(known[:3000])
    if encoder.memory is not None:
        encoder.memory.learn(known)
    found = [encoder.decode_record(encoder.encode_one(record)) for record in held]
    table = []
    names = ("classification", "all_artists", "acquisitionYear", "creditLine", "medium", "dateText", "units", "title")
    for name in (*names, "all top-level fields"):
        paths = [p for p in found[0] if "." not in p and "[" not in p] if name not in names else [name]
        cases = [(f[p][0], r[p]) for f, r in zip(found, held, strict=True) for p in paths if f[p] and p in r]
        right = np.array([a.value == truth and type(a.value) is type(truth) for a, truth in cases])
        trusted = np.array([a.trust >= TRUSTED for a, _ in cases])
        asked = sum(p in r for r in held for p in paths)
        table.append((name, asked, right.sum() / asked, trusted.sum() / asked, right[trusted].mean()))
    return table


def main() -> None:
    """Measure, and write the section."""
    one, every, _, _ = trials(1024, 20, 2000, explained=500)
    parts = [
        f"One of 20 bound fields among 1,000 candidates, dim 1024: {one:.4f} right in one look at 2,000 records, "
        f"{every:.4f} with all fields explained away (10,000 values). The curve, and the theory of one look:"
    ]
    head = ("dim", "fields", "one look", "explained away", "trust ≥ .95", "right of those", "theory of one look")
    rows = []
    for dim in DIMS:
        c = capacity(dim)
        for n, *figures in zip(c.fields, c.one_look, c.explained, c.trusted, c.right_of_trusted, c.theory, strict=True):
            rows.append([str(dim), str(n), *(f"{value:.3f}" for value in figures)])
            print(*rows[-1], file=sys.stderr, flush=True)
    parts.append(results.table(head, rows))
    for dim, count in ((1024, 100), (4096, 25)):
        parts.append(f"{count} artworks that the memory (of the other 6,800 or so) has not seen, dim {dim}:")
        found = [[name, str(n), *(f"{value:.3f}" for value in figures)] for name, n, *figures in artworks(dim, count)]
        parts.append(results.table(("field", "values", "right", "trust ≥ .95", "right of those"), found))
    file = Path(__file__).with_name("RESULTS.md")
    results.write(file, "Decoding", "python -m benchmarks.vsa.decode", "\n\n".join(parts))


if __name__ == "__main__":
    main()
