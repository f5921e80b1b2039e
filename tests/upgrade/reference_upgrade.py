"""Slow, obvious versions of what reports are made of."""

from __future__ import annotations

from math import comb, log2


def ranking(scores, i):
    """All items but i, best first."""
    return sorted((j for j in range(len(scores)) if j != i), key=lambda j: (-scores[i, j], j))


def recall(scores, native, i, k):
    return len(set(ranking(scores, i)[:k]) & set(ranking(native, i)[:k])) / k


def attained(scores, judge, i, k):
    """Similarity to i, by a judge, of i's first k, above that of items at random."""
    return sum(judge[i, j] for j in ranking(scores, i)[:k]) / k - at_random(judge)


def at_random(judge):
    n = len(judge)
    return sum(judge[a, b] for a in range(n) for b in range(n) if a != b) / (n * (n - 1))


def in_halves(scores, judge, i, k):
    """The same as `attained`, in the mean over all halves of the other items."""
    ranked, n = ranking(scores, i), len(scores) - 1
    half = n // 2
    k = min(k, half)
    total = 0.0
    for rank, j in enumerate(ranked):
        # Of all halves that hold j, those in which fewer than k of the items before it are.
        first = sum(comb(rank, c) * comb(n - rank - 1, half - 1 - c) for c in range(k) if c < half)
        total += judge[i, j] * (first / comb(n, half)) / k
    return total - at_random(judge)


def foretold(scores, judge, i, k, n_items):
    """Similarity in a gallery of n_items: what the last doubling changed, each further one changes."""
    doublings = min(max(log2(n_items / (len(scores) - 1)), 0), 5)
    whole = attained(scores, judge, i, k)
    return whole + doublings * (whole - in_halves(scores, judge, i, k))


def levelled(calibrated, native, i):
    """Item i's scores, moved and stretched to the mean and deviation that its native scores with others have."""
    others = [j for j in range(len(native)) if j != i]
    known, aim = calibrated[others], native[others]
    return aim.mean() + (calibrated - known.mean()) * aim.std() / known.std()


def average_precision(scores, classes, i):
    found, precisions = 0, []
    for rank, j in enumerate(ranking(scores, i), 1):
        if classes[j] == classes[i]:
            found += 1
            precisions.append(found / rank)
    return sum(precisions) / found if found else float("nan")
