"""The dense peer of the rate benchmark computes what it is said to compute."""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson
import pytest
import torch

from benchmarks.vsa.dense_mbat import DenseMBAT

LINES = [
    b'{"a": {"b": "red sea", "c": [1, 2, {"a": "sea"}]}, "d": [[1], [], {}], "b": null}',
    b'{"b": "red sea"}',
    b'{"d": [{"d": "deep", "b": 1}, {"d": "deep", "b": 2}], "e": true}',
    b'["bare", {"a": 1}]',
    b"7",
]


def by_definition(encoder: DenseMBAT, value: Any, operator: torch.Tensor) -> Any:
    """Σ (product of the matrices from the root) · leaf, one leaf at a time."""
    if isinstance(value, dict) and value:
        return sum(by_definition(encoder, v, encoder._matrices[k].double() @ operator) for k, v in value.items())
    if isinstance(value, list) and value:
        return sum(by_definition(encoder, member, operator) for member in value)
    return encoder._leaves[encoder._number(value)].double() @ operator


@pytest.mark.parametrize("distinct", [False, True])
def test_products_of_a_batch_are_those_of_the_definition(distinct: bool) -> None:
    encoder = DenseMBAT(24, seed=3, distinct=distinct)
    for lines in (LINES[:2], LINES, LINES):
        X = encoder.encode(orjson.loads, lines)
        for line, row in zip(lines, X, strict=True):
            expected = by_definition(encoder, orjson.loads(line), torch.eye(24, dtype=torch.float64))
            np.testing.assert_allclose(row.numpy(), (expected / expected.norm()).numpy(), atol=1e-6)
    for matrix in encoder._matrices.values():
        np.testing.assert_allclose((matrix @ matrix.T).numpy(), np.eye(24), atol=1e-5)
    # Order of keys from the root matters: {"a": {"b": x}} is not {"b": {"a": x}}.
    one, other = encoder.encode(orjson.loads, [b'{"a": {"b": "x"}}', b'{"b": {"a": "x"}}'])
    assert abs(float(one @ other)) < 0.9
