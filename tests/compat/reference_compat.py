"""Slow, obvious oracles for the maps between models and for the metrics."""

from __future__ import annotations

import math

import numpy as np


def ranking(query, gallery, excluded=None):
    """Gallery rows by falling score, ties by row number: a plain sort of (−score, row)."""
    scored = []
    for row, vector in enumerate(gallery):
        if row != excluded:
            scored.append((-float(np.dot(query, vector)), row))
    return [row for _, row in sorted(scored)]


def cmc(queries, gallery, query_classes, gallery_classes, k, exclude_same_row):
    hits = []
    for i, query in enumerate(queries):
        order = ranking(query, gallery, i if exclude_same_row else None)
        if query_classes[i] in [gallery_classes[row] for row in order]:
            hits.append(query_classes[i] in [gallery_classes[row] for row in order[:k]])
    return sum(hits) / len(hits)


def mean_average_precision(queries, gallery, query_classes, gallery_classes, exclude_same_row):
    averages = []
    for i, query in enumerate(queries):
        found, precisions = 0, []
        for rank, row in enumerate(ranking(query, gallery, i if exclude_same_row else None), start=1):
            if gallery_classes[row] == query_classes[i]:
                found += 1
                precisions.append(found / rank)
        if precisions:
            averages.append(sum(precisions) / len(precisions))
    return sum(averages) / len(averages)


def recall(retrieved, truth):
    shares = []
    for mine, theirs in zip(retrieved, truth, strict=True):
        wanted = {row for row in theirs if row >= 0}
        if wanted:
            shares.append(len(wanted & set(mine)) / len(wanted))
    return sum(shares) / len(shares)


def ridge(source, target, penalty):
    """Centred ridge by the normal equations, solved with `numpy.linalg.solve`."""
    mean_source, mean_target = source.mean(axis=0), target.mean(axis=0)
    X, Y = source - mean_source, target - mean_target
    W = np.linalg.solve(X.T @ X + penalty * np.eye(X.shape[1]), X.T @ Y)
    return mean_source, mean_target, W


def local_linear(x, source, target, penalty, temperature, k, floor):
    """One vector through the map, neighbour by neighbour; not normalised."""
    mean_source, mean_target, W = ridge(source, target, penalty)
    similar = [(float(x @ row), -i) for i, row in enumerate(source)]
    nearest = [-i for _, i in sorted(similar, reverse=True)[:k]]
    weights = {i: math.exp((float(x @ source[i]) - 1.0) / temperature) for i in nearest}
    mass = sum(weights.values())
    null = 0.0 if floor is None else math.exp((floor - 1.0) / temperature)
    mapped = mean_target + (x - mean_source) @ W
    for i, weight in weights.items():
        residual = target[i] - mean_target - (source[i] - mean_source) @ W
        mapped = mapped + weight / (mass + null) * residual
    return mapped


def kernel_ridge(x, source, target, penalty, width):
    """One vector through a kernel ridge: its affine part, and the kernel's; by `numpy.linalg.solve`."""

    def k(a, b):
        return 1 + float(a @ b) + math.exp((float(a @ b) - 1) / width)

    gram = np.array([[k(a, b) for b in source] for a in source])
    alpha = np.linalg.solve(gram + penalty * np.eye(len(source)), target)
    affine = sum((1 + float(x @ row)) * a for row, a in zip(source, alpha, strict=True))
    bent = sum(math.exp((float(x @ row) - 1) / width) * a for row, a in zip(source, alpha, strict=True))
    return affine, bent
