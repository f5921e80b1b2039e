"""Tensors of torch as vectors and as queries."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from reference_gallery import unit

from retrieval import Gallery, InvalidVectorError
from retrieval.encoding import queries, unit_rows
from retrieval.tensors import on_device

X = unit(np.random.default_rng(0).standard_normal((40, 8)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("grad", [False, True])
def test_a_tensor_finds_what_its_numbers_find(dtype: torch.dtype, grad: bool, tmp_path: Path) -> None:
    tensor = torch.from_numpy(X).to(dtype).requires_grad_(grad)
    numbers = tensor.detach().to(torch.float64).numpy()
    with Gallery.create(tmp_path / "g", dim=8) as gallery:
        gallery.add_vectors(range(40), tensor)
        assert np.array_equal(gallery.vector("7"), unit_rows(numbers, 8)[7])
        for asked, same in ((tensor[:5], numbers[:5]), (tensor[3], numbers[3])):
            assert list(gallery.search(asked, k=4)) == list(gallery.search(same, k=4))


def test_a_float32_tensor_on_the_cpu_is_not_copied() -> None:
    tensor = torch.from_numpy(X.copy())
    Q, single = queries(tensor, 8, None)
    assert not single
    assert np.shares_memory(Q, tensor.numpy())
    assert np.shares_memory(unit_rows(tensor, 8), tensor.numpy())


def test_a_tensor_of_another_kind_is_refused() -> None:
    with pytest.raises(InvalidVectorError, match="expected real numbers, got dtype complex64"):
        unit_rows(torch.zeros((2, 8), dtype=torch.complex64), 8)
    with pytest.raises(InvalidVectorError, match=r"expected vectors of shape \(n, 8\), got \(2, 9\)"):
        queries(torch.zeros((2, 9)), 8, None)


def test_vectors_are_taken_while_another_thread_imports_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    # What stands in sys.modules then has no names yet.
    monkeypatch.setitem(sys.modules, "torch", ModuleType("torch"))
    assert queries(np.eye(8, dtype=np.float32), 8, None)[0].shape == (8, 8)
    assert on_device(np.eye(8, dtype=np.float32)) is None
