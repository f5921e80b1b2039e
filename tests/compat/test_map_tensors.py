"""Maps on tensors agree with maps on arrays, on the CPU and, where there is one, on a GPU."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from test_isometry import noisy_pairs
from test_local_linear import curved_pairs

from retrieval import compat
from retrieval.errors import InvalidVectorError, ModelMismatchError

# What maps promise between a CPU and a GPU.
TOLERANCE = 1e-5
GPU = pytest.param(
    "cuda",
    marks=[pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")],
)


@pytest.mark.parametrize("device", ["cpu", GPU])
@pytest.mark.parametrize("method", ["mean", "solve"])
def test_local_linear_maps_agree(device, method, monkeypatch):
    source, target = curved_pairs(400)
    queries, _ = curved_pairs(300, seed=2)
    far = -source[:50]
    m = compat.LocalLinearMap.fit(source=source, target=target, method=method)
    rows = 3 * np.concatenate([queries, far])
    # Several blocks, and a last one that is not full.
    monkeypatch.setattr("retrieval.compat.tensors._BLOCK_SCORES", 64 * 400)
    for dtype in (torch.float32, torch.float64):
        mapped = m.transform_tensor(torch.from_numpy(rows).to(device, dtype))
        assert (mapped.device.type, mapped.dtype) == (device, torch.float32)
        np.testing.assert_allclose(mapped.cpu().numpy(), m.transform(rows), atol=TOLERANCE)


@pytest.mark.parametrize("device", ["cpu", GPU])
@pytest.mark.parametrize(("d_source", "d_target"), [(24, 24), (32, 20), (20, 32)])
def test_isometries_agree(device, d_source, d_target):
    source, target = noisy_pairs(300, d_source, d_target)
    m = compat.Isometry.fit(source=source, target=target)
    mapped = m.transform_tensor(torch.from_numpy(source).to(device))
    assert mapped.device.type == device
    np.testing.assert_allclose(mapped.cpu().numpy(), m.transform(source), atol=TOLERANCE)
    doubled = m.transform_tensor(torch.from_numpy(source).double().to(device))
    np.testing.assert_allclose(doubled.cpu().numpy(), m.transform(source.astype(np.float64)), atol=1e-12)


def test_graphs_and_half_floats_are_taken():
    source, target = curved_pairs(200)
    m = compat.LocalLinearMap.fit(source=source, target=target, method="mean")
    X = torch.from_numpy(source).requires_grad_()
    assert not m.transform_tensor(X).requires_grad
    half = m.transform_tensor(torch.from_numpy(source).half())
    np.testing.assert_allclose(half.numpy(), m.transform(source.astype(np.float16)), atol=TOLERANCE)


def test_bad_tensors_are_refused_as_arrays_are():
    source, target = curved_pairs(200)
    m = compat.LocalLinearMap.fit(source=source, target=target, source_model="v1", target_model="v2", method="mean")
    rotation = compat.Isometry.fit(source=source, target=target, source_model="v1", target_model="v2")
    for one in (m, rotation):
        X = torch.from_numpy(source[:3]).clone()
        with pytest.raises(ModelMismatchError, match="dim 9, but vectors of model 'v1' have dim 6"):
            one.transform_tensor(torch.from_numpy(target))
        with pytest.raises(ModelMismatchError, match="these are of 'v2'"):
            one.transform_tensor(X, model="v2")
        X[1, 2] = float("nan")
        with pytest.raises(InvalidVectorError, match="NaN or infinity, first in row 1"):
            one.transform_tensor(X)
        X[1] = 0
        with pytest.raises(InvalidVectorError, match="1 all-zero rows, first row 1"):
            one.transform_tensor(X)
        with pytest.raises(InvalidVectorError, match="must be a 2-D array"):
            one.transform_tensor(X[0])
        with pytest.raises(TypeError, match="tensor of torch, not ndarray"):
            one.transform_tensor(source)
