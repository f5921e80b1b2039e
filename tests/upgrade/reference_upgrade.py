"""Slow, obvious versions of what reports are made of."""

from __future__ import annotations


def ranking(scores, i):
    """All items but i, best first."""
    return sorted((j for j in range(len(scores)) if j != i), key=lambda j: (-scores[i, j], j))


def recall(scores, native, i, k):
    return len(set(ranking(scores, i)[:k]) & set(ranking(native, i)[:k])) / k


def attained(scores, judge, i, k):
    """Similarity to i, by a judge, of i's first k, above that of items at random."""
    n = len(judge)
    random = sum(judge[a, b] for a in range(n) for b in range(n) if a != b) / (n * (n - 1))
    return sum(judge[i, j] for j in ranking(scores, i)[:k]) / k - random


def nearness(raw):
    """By search, of (first judge's, second judge's) similarities attained: to one scale, and new/new 1."""

    def mean(name, judge):
        return sum(pair[judge] for pair in raw[name]) / len(raw[name])

    first, second = (mean("old/old", judge) + mean("mapped", judge) for judge in (0, 1))
    other = first / second
    best = (mean("new/new", 0) + other * mean("new/new", 1)) / 2
    return {name: [(a / best, other * b / best) for a, b in pairs] for name, pairs in raw.items()}


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
