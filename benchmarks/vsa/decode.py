"""Reading values back: one of n bound fields among 1,000 candidates, and real records with a learned memory.

    python -m benchmarks.vsa.decode

Prints the section *Decoding* of RESULTS.md. Made records hold words of four syllables, each drawn from the same 1,000
for every field, so that words recur in other fields. "one look" reads a field by itself, "explained away" reads all
fields of the record in four rounds. Artworks are read with a memory learned from other artworks.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np

import vsa
from benchmarks.vsa.data import records
from vsa.candidates import Candidates, candidates
from vsa.curves import capacity_in_theory
from vsa.decoding import Reading, alone
from vsa.leaves import Arrays

DIMS = (512, 1024, 2048)
FIELDS = (5, 10, 20, 50, 100, 200)
CANDIDATES = 1000
TRUSTED = 0.95


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


def trials(dim: int, n_fields: int, count: int, *, seed: int = 3) -> tuple[float, float, float, float]:
    """Share right in one look and explained away, share trusted, share right of those."""
    encoder = vsa.JSONEncoder(dim, seed=seed)
    maker, shares = encoder._ready().maker, encoder.config.shares
    rng = random.Random(n_fields)
    items = words(CANDIDATES)
    drawn = [[rng.randrange(CANDIDATES) for _ in range(n_fields)] for _ in range(count)]
    X = encoder.encode([{f"f{i}": items[v] for i, v in enumerate(row)} for row in drawn]).astype(np.float64)
    truth = np.array(drawn)
    asked: list[Candidates] = []
    for i in range(n_fields):
        field = candidates(maker, shares, Arrays.BOTH, (f"f{i}",), items, present=1 - 1e-6)
        # The same words in every field: one copy of their atoms does.
        field.atoms, field.words = (asked or [field])[0].atoms, (asked or [field])[0].words
        asked.append(field)
    first = alone(maker, X, asked[0]).P[0].argmax(axis=1) == truth[:, 0]
    every = Reading(maker, X, asked).sweep()
    best = np.array([P.argmax(axis=1) for P in every.P]).T
    trust = np.array([P.max(axis=1) for P in every.P]).T >= TRUSTED
    right = best == truth
    return (
        float(first.mean()),
        float(right.mean()),
        float(trust.mean()),
        float(right[trust].mean()) if trust.any() else 1.0,
    )


def capacity(dim: int, fields: tuple[int, ...] = FIELDS, values: int = 2000) -> Capacity:
    """The curve at one dim; about so many values are read at each point, and at least 20 records."""
    rows = [trials(dim, n, max(20, values // n)) for n in fields]
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
    """Print the section."""
    one, every, _, _ = trials(1024, 20, 2000)
    print("## Decoding\n\n`python -m benchmarks.vsa.decode`\n")
    print(f"One of 20 bound fields among 1,000 candidates, dim 1024, 2,000 records: {one:.4f} in one look,")
    print(f"{every:.4f} with all fields explained away (40,000 values).\n")
    print("| dim | fields | one look | explained away | trust ≥ .95 | right of those | theory of one look |")
    print("|---|---|---|---|---|---|---|")
    for dim in DIMS:
        c = capacity(dim)
        for row in zip(c.fields, c.one_look, c.explained, c.trusted, c.right_of_trusted, c.theory, strict=True):
            print(f"| {dim} | {row[0]} | " + " | ".join(f"{value:.3f}" for value in row[1:]) + " |", flush=True)
    for dim in (1024, 4096):
        print(f"\n100 artworks that the memory (6,800 others) has not seen, dim {dim}:\n")
        print("| field | values | right | trust ≥ .95 | right of those |\n|---|---|---|---|---|")
        for name, asked, *figures in artworks(dim):
            print(f"| {name} | {asked} | " + " | ".join(f"{value:.3f}" for value in figures) + " |", flush=True)


if __name__ == "__main__":
    main()
