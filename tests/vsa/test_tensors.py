from __future__ import annotations

from http import HTTPStatus
from typing import Any

import numpy as np
import pytest
import torch

import vsa
from vsa.exchange import plain

DIM = 64


@pytest.mark.parametrize(
    ("odd", "value"),
    [
        (np.float32(19.99), 19.99), (np.float16(0.1), 0.1), (np.float64(1.5), 1.5), (np.int8(-3), -3),
        (np.uint64(2**64 - 1), 2**64 - 1), (np.bool_(False), False), (np.array(7), 7), (np.array(0.1, np.float32), 0.1),
        (np.str_("x"), "x"), (HTTPStatus.OK, 200), (torch.tensor(0.1), 0.1), (torch.tensor(2.5).double(), 2.5),
        (torch.tensor(1.5, dtype=torch.bfloat16), 1.5), (torch.tensor(3), 3), (torch.tensor(True), True),
        (torch.tensor(4.0, requires_grad=True), 4.0),
    ],
)  # fmt: skip
def test_scalars_of_numpy_and_torch_are_those_of_python(odd, value):
    encoder = vsa.JSONEncoder(DIM, seed=5)
    assert plain(odd) == value
    assert type(plain(odd)) is type(value)
    assert (
        encoder.encode([{"a": odd}, [odd], odd]).tobytes() == encoder.encode([{"a": value}, [value], value]).tobytes()
    )


@pytest.mark.parametrize(
    "odd", [np.zeros(1), torch.zeros(2), torch.tensor(float("nan")), np.float16("inf"), np.datetime64("2020"), 1j, b"x"]
)
def test_other_arrays_and_scalars_are_still_not_json(odd):
    with pytest.raises(vsa.InvalidRecordError, match="is not JSON, at a"):
        vsa.JSONEncoder(DIM).encode([{"a": odd}])


@pytest.mark.parametrize("n", [0, 3, 2500])
@pytest.mark.parametrize("options", [{}, {"normalize": False}, {"weights": {"b": 2}}])
def test_tensors_hold_what_arrays_hold(n: int, options: dict[str, Any]):
    encoder = vsa.JSONEncoder(DIM, seed=5)
    records = [{"a": i, "b": "word"} for i in range(n)]
    tensor, array = encoder.encode(records, as_torch=True, **options), encoder.encode(records, **options)
    assert isinstance(tensor, torch.Tensor)
    assert tensor.shape == (n, DIM)
    assert tensor.numpy().dtype == array.dtype
    np.testing.assert_array_equal(tensor.numpy(), array)
    assert encoder.encode(records, as_torch=True, device=torch.device("meta"), **options).device.type == "meta"


def test_a_tensor_on_the_cpu_is_the_array_itself(monkeypatch):
    encoder = vsa.JSONEncoder(DIM, seed=5)
    made: list[np.ndarray] = []
    batches = encoder._batches

    def watched(*arguments: Any) -> Any:
        for part in batches(*arguments):
            made.append(part)
            yield part

    monkeypatch.setattr(encoder, "_batches", watched)
    tensor = encoder.encode([{"a": 1}], as_torch=True)
    assert tensor.data_ptr() == made[0].ctypes.data


@pytest.mark.gpu
def test_a_tensor_goes_to_the_gpu():
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    encoder = vsa.JSONEncoder(DIM, seed=5)
    tensor = encoder.encode([{"a": i} for i in range(2500)], as_torch=True, device="cuda")
    assert tensor.is_cuda
    np.testing.assert_array_equal(tensor.cpu().numpy(), encoder.encode([{"a": i} for i in range(2500)]))


def test_a_device_without_a_tensor_is_refused():
    with pytest.raises(ValueError, match="give as_torch=True"):
        vsa.JSONEncoder(DIM).encode([{}], device="cpu")


def test_tensors_are_queries_as_arrays_are():
    encoder = vsa.JSONEncoder(DIM, seed=5)
    record = {"a": "red sea", "b": 3}
    tensor = encoder.encode([record], as_torch=True)[0]
    assert encoder.explain(tensor, record) == encoder.explain(tensor.numpy(), record)
    assert encoder.decode(tensor, "b", [3, 300])[0][0] == 3
