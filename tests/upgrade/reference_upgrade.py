"""Slow, obvious versions of what reports are made of."""

from __future__ import annotations


def ranking(scores, i):
    """All items but i, best first."""
    return sorted((j for j in range(len(scores)) if j != i), key=lambda j: (-scores[i, j], j))


def recall(scores, native, i, k):
    return len(set(ranking(scores, i)[:k]) & set(ranking(native, i)[:k])) / k


def nearness(scores, native, i, k):
    """Similarity attained by i's first k, before it is divided by the mean of the best possible."""
    n = len(native)
    random = sum(native[a, b] for a in range(n) for b in range(n) if a != b) / (n * (n - 1))

    def mean(of, row):
        return sum(native[row, j] for j in ranking(of, row)[:k]) / k - random

    return mean(scores, i) / (sum(mean(native, row) for row in range(n)) / n)


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
