"""Adding up on a device of torch: the CPU stands in for a GPU, by the same path."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
import torch

import vsa
from vsa import product
from vsa.device import Place, choose

DIM = 64
RECORDS: list[Any] = [
    {"title": f"word{i % 40} sea", "year": 1800 + i % 90, "tags": ["a", i, {"b": None}], "at": {"x": i / 7}}
    for i in range(700)
]


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every encoder adds up on a device of torch."""
    place = Place(torch.device("cpu"), "a stand-in")
    monkeypatch.setattr("vsa.batches.choose", lambda device, needed: place if device != "cpu" else choose("cpu", 0))


def pair(**options: Any) -> tuple[vsa.JSONEncoder, vsa.JSONEncoder]:
    return vsa.JSONEncoder(DIM, seed=5, **options), vsa.JSONEncoder(DIM, seed=5, device="cuda", **options)


@pytest.mark.usefixtures("stand_in")
@pytest.mark.parametrize("binding", ["permutation", "hadamard"])
@pytest.mark.parametrize("options", [{}, {"normalize": False}, {"weights": {"title": 3, "tags": 0.3}}])
def test_a_device_gives_what_the_cpu_gives(binding: str, options: dict[str, Any]) -> None:
    host, device = pair(binding=binding)
    for encoder in (host, device):
        encoder.fit(RECORDS[:100])
    for _ in range(2):
        expected, found = host.encode(RECORDS, **options), device.encode(RECORDS, **options)
        assert found.dtype == expected.dtype
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)
    if binding == "permutation" and "weights" not in options:
        sums = host.encode(RECORDS, normalize=False)
        np.testing.assert_array_equal(device.encode(RECORDS, normalize=False), sums)
    assert isinstance(device._ready()._product, product.DeviceProduct)
    assert not device._ready()._table.rows.any()


@pytest.mark.usefixtures("stand_in")
def test_evictions_and_records_longer_than_the_table_do_not_show() -> None:
    host, device = pair(cache_bytes=0)  # 4,096 rows
    records = [{"n": list(range(i, i + 1500))} for i in range(0, 9000, 700)] + [list(range(20_000))]
    np.testing.assert_array_equal(device.encode(records, normalize=False), host.encode(records, normalize=False))
    assert device._ready()._table.generation.any()


@pytest.mark.usefixtures("stand_in")
def test_tensors_stay_where_they_were_made(monkeypatch: pytest.MonkeyPatch) -> None:
    host, device = pair()
    made: list[torch.Tensor] = []
    rows = device._made

    def watched(*arguments: Any) -> Any:
        made.append(rows(*arguments))
        return made[-1]

    monkeypatch.setattr(device, "_made", watched)
    device.encode(RECORDS[:300])  # making rows is NumPy's work
    made.clear()
    monkeypatch.setattr(torch.Tensor, "cpu", None)
    monkeypatch.setattr(torch.Tensor, "numpy", None)
    tensor = device.encode(RECORDS[:5], as_torch=True)
    assert tensor.data_ptr() == made[0].data_ptr()
    assert tensor.dtype == torch.float32
    assert device.encode(RECORDS[:5], as_torch=True, normalize=False).dtype == torch.float64
    assert device.encode(RECORDS[:300], as_torch=True, device="meta").device.type == "meta"
    assert device.encode([], as_torch=True).shape == (0, DIM)
    monkeypatch.undo()
    np.testing.assert_allclose(tensor.numpy(), host.encode(RECORDS[:5]), atol=1e-6)


@pytest.mark.usefixtures("stand_in")
def test_everything_else_works_on_a_device() -> None:
    host, device = pair()
    lines = b'{"a": "red sea", "n": 3}\n{"a": \n{"a": "sea"}\n'
    told: list[str] = []
    for _ in range(3):
        X = device.encode_jsonl(lines, on_error=lambda error: told.append(str(error)))
        np.testing.assert_allclose(X, host.encode_jsonl(lines, on_error="skip"), atol=1e-6)
    assert [message.split(":")[0] for message in told] == ["line 2"] * 3
    assert device._known_lines([b'{"a": "sea"}']) is None  # the scan of bytes adds up rows that are not there
    query, record = {"a": "red"}, {"a": "red sea", "n": 3}
    assert dict(device.explain(query, record)) == pytest.approx(dict(host.explain(query, record)))
    x = device.encode_one(record)
    assert device.decode(x, "n", [3, 300])[0][0] == 3
    np.testing.assert_array_equal(
        device.delta(removed={"n": 3}, added={"n": 4}), host.delta(removed={"n": 3}, added={"n": 4})
    )
    with pytest.raises(ValueError, match="record 1 has no leaf of a weight above 0"):
        device.encode([{"a": 1}, {"b": 1}], weights={"b": 0})
    assert device.device == "cpu; a stand-in"
    assert device.name == host.name
    again = pickle.loads(pickle.dumps(device))
    assert again._place is None
    np.testing.assert_array_equal(again.encode(RECORDS[:3]), device.encode(RECORDS[:3]))


def test_the_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda gpu: (4_000_000_000, 8_000_000_000))
    assert str(choose("auto", 1000)) == "cuda:0; a GPU is there and the table fits"
    assert str(choose("cuda:1", 1000)) == "cuda:1; as asked"
    assert str(choose("cpu", 1000)) == "cpu; as asked"
    why = "the table needs 4.1 GB of the GPU, 4.0 GB are free; take a smaller cache_bytes"
    assert str(choose("auto", 3_000_000_000)) == "cpu; " + why
    with pytest.raises(vsa.DeviceError) as raised:
        choose("cuda", 3_000_000_000)
    assert str(raised.value) == f'device="cuda": {why}. device="auto" would take the CPU'
    with pytest.raises(vsa.DeviceError, match="PyTorch finds 2 GPUs, numbered from 0"):
        choose("cuda:2", 0)


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for version, missing in ((None, "is built without CUDA; install a build with it"), ("13.0", "finds no GPU")):
        monkeypatch.setattr(torch.version, "cuda", version)
        encoder = vsa.JSONEncoder(DIM, device="cuda")
        for work in (lambda e=encoder: e.encode([{"a": 1}]), lambda e=encoder: e.encode([], as_torch=True)):
            with pytest.raises(vsa.DeviceError, match=missing):
                work()
        auto = vsa.JSONEncoder(DIM, device="auto")
        assert auto.encode([{"a": 1}]).shape == (1, DIM)
        assert auto.device.startswith("cpu; PyTorch ")
    for wrong in ("gpu", "cuda:", "CPU", 0, None):
        with pytest.raises(ValueError, match='device must be "auto", "cpu", "cuda" or "cuda:1"'):
            vsa.JSONEncoder(DIM, device=wrong)  # type: ignore[arg-type]


def test_no_room_is_named(monkeypatch: pytest.MonkeyPatch, stand_in: None) -> None:
    def full(*size: Any, **options: Any) -> Any:
        raise torch.OutOfMemoryError

    monkeypatch.setattr(torch, "zeros", full)
    with pytest.raises(vsa.DeviceError, match=r"has no room for [\d,]+ rows of 64 numbers; take a smaller cache_bytes"):
        vsa.JSONEncoder(DIM, device="cuda").encode([{"a": 1}])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch finds no GPU")
@pytest.mark.parametrize("options", [{}, {"weights": {"title": 3}}])
def test_a_gpu_gives_what_the_cpu_gives(options: dict[str, Any]) -> None:
    host, device = pair()
    expected = host.encode(RECORDS, **options)
    np.testing.assert_allclose(device.encode(RECORDS, **options), expected, atol=1e-5)
    tensor = device.encode(RECORDS, as_torch=True, **options)
    assert tensor.is_cuda
    np.testing.assert_allclose(tensor.cpu().numpy(), expected, atol=1e-5)
