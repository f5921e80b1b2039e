"""Sums of rows by NumPy, by torch and compiled: the same bits."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import vsa
from vsa import sums
from vsa.hashing import packed_signs, prefix, signs

HEAD = prefix("atom", 7)
WAYS = [pytest.param(True, id="compiled"), pytest.param(False, id="not compiled")]


@pytest.fixture(params=WAYS)
def way(request, monkeypatch):
    """Sums by compiled code, even where they are small, or without it."""
    chosen = sums._Kernel()
    monkeypatch.setattr(sums.kernel, "_missing", not request.param)
    monkeypatch.setattr(sums.kernel, "_module", None)
    if request.param:
        pytest.importorskip("numba")
        monkeypatch.setattr(sums.kernel, "_module", chosen.worth(sums.FEW + 1))
        assert sums.kernel.worth(1) is not None
    return request.param


@pytest.mark.parametrize("dim", [1, 8, 100, 1024, 1344, 1345, 4000])
def test_signs_are_drawn_one_by_one_or_many_at_once(way, dim):
    # Of SHAKE-128's blocks of 168 bytes a name has the room that its head and its length leave, and a byte for the end.
    full = 168 - 1 - len(HEAD) - 8
    lengths = [*range(40), full - 1, full, 0, full + 1, 3, 1000, full, 1]
    names = [bytes((7 * i + k) % 256 for k in range(length)) for i, length in enumerate(lengths)]
    np.testing.assert_array_equal(sums.drawn_signs(HEAD, names, dim), packed_signs(HEAD, names, dim))
    for few in ([], [b""] * 40, [bytes(300)] * 40, names[:5]):
        np.testing.assert_array_equal(sums.drawn_signs(HEAD, few, dim), packed_signs(HEAD, few, dim))


@pytest.mark.parametrize("n", [1, 3, 300])
@pytest.mark.parametrize("dim", [1, 7, 8, 15, 16, 17, 100, 256])
def test_weighted_signs_are_summed(way, dim, n):
    rng = np.random.default_rng(dim)
    lengths = rng.integers(0, 9, n)
    lengths[0] = 0
    names = [b"g%d" % i for i in range(40)]
    columns = rng.integers(0, 40, lengths.sum())
    heads = [b"w%d" % i for i in range(n)]
    head_weights, weights = rng.random(n), rng.random(len(columns))
    found = sums.headed_sums(
        HEAD, dim, heads, head_weights, lengths.tolist(), columns, packed_signs(HEAD, names, dim), weights, 6144
    )
    expected = np.rint(head_weights * 6144)[:, None] * signs(HEAD, heads, dim)
    every = signs(HEAD, names, dim)
    for i, end in enumerate(np.cumsum(lengths)):
        for k in range(end - lengths[i], end):
            expected[i] += np.rint(weights[k] * 6144) * every[columns[k]]
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("n", [1, 5, 600])
@pytest.mark.parametrize("dim", [1, 15, 16, 100])
def test_rows_of_a_table_are_summed_in_bags(way, dim, n, weighted):
    rng = np.random.default_rng(n)
    table = rng.integers(-99, 99, (50, dim)).astype(np.float32)
    lengths = rng.integers(1, 6, n)
    rows = rng.integers(0, 50, lengths.sum())
    starts = np.cumsum(lengths) - lengths
    weights = rng.integers(0, 9, len(rows)).astype(np.float32) if weighted else None
    found = sums.bag(table, rows, starts, weights)
    factors = np.ones(len(rows)) if weights is None else weights
    for i, start in enumerate(starts):
        part = slice(start, start + lengths[i])
        np.testing.assert_array_equal(found[i], factors[part] @ table[rows[part]])


RECORDS = [
    {"a": f"word{i % 7} and more", "n": i / 3, "at": f"20{i % 90 + 10}-05-01", "tags": [{"t": i}, {"t": "x"}, None, []]}
    for i in range(60)
]
FORMS = [
    {},
    {"arrays": "bag"},
    {"arrays": "sequence", "shares": vsa.Shares(bound=0, position=2, anywhere=0)},
    {"shares": vsa.Shares(bound=1, position=0, anywhere=1), "dim": 77},
    {"binding": "hadamard", "dim": 96},
]


@pytest.mark.parametrize("form", FORMS, ids=str)
@pytest.mark.parametrize("fitted", [False, True])
def test_compiled_rows_are_those_of_numpy_to_the_bit(form, fitted, monkeypatch):
    pytest.importorskip("numba")
    made = []
    for compiled in (True, False):
        if not compiled:
            monkeypatch.setattr(sums.kernel, "_missing", True)
            monkeypatch.setattr(sums.kernel, "_module", None)
        else:
            assert sums.kernel.worth(sums.FEW + 1) is not None
        encoder = vsa.JSONEncoder(**{"dim": 256, "seed": 3, **form})
        if fitted:
            # Ids that nothing repeats are cut, so that rows are rounded anew.
            encoder.fit([{**record, "id": f"{i:08x}-aaaa-4bbb-8ccc-{i:012x}"} for i, record in enumerate(RECORDS)])
        made.append(encoder.encode(RECORDS, normalize=False))
    np.testing.assert_array_equal(*made)


def test_weights_beyond_what_float32_holds_are_refused_by_either_way(way):
    class Loud(vsa.fields.Year):
        def rows(self, contents, space):
            return np.full((len(contents), space.dim), 2.0**19, np.float32)

    encoder = vsa.JSONEncoder(64, fields={"born": Loud()}, shares=vsa.Shares(16, 16, 16))
    with pytest.raises(vsa.FieldError, match=r"2\*\*24"):
        encoder.encode([{"born": 1900}])


def test_a_numba_that_does_not_load_is_done_without(monkeypatch):
    monkeypatch.setitem(sys.modules, "vsa.rowkernel", None)
    monkeypatch.delattr(vsa, "rowkernel", raising=False)
    fresh = sums._Kernel()
    assert fresh.worth(10**6) is None
    assert fresh.worth(10**6) is None


def test_a_few_records_import_neither_numba_nor_torch():
    code = (
        "import sys, vsa\n"
        "vsa.JSONEncoder(64).encode([{'a': 'red sea', 'n': 3.5}] * 9)\n"
        "assert not {'numba', 'torch'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
