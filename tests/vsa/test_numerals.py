"""Numbers that are equal are one number, whichever spelling a record held first."""

from __future__ import annotations

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

import vsa
from vsa.atoms import numeral

EQUALS = [(1, 1.0), (0, -0.0), (2**53, 2.0**53), (10**16, 1e16), (-(10**17), -1e17), (2**63, 2.0**63), (2**64, 2.0**64)]


@pytest.mark.parametrize(("whole", "real"), EQUALS)
@pytest.mark.parametrize("fitted", [False, True])
def test_vectors_do_not_depend_on_the_spelling_that_came_first(whole, real, fitted):
    records = [{"a": whole, "b": "x"}, {"a": real, "b": "x"}]
    sample = [*records, {"a": 3}, {"b": "y"}]
    found = []
    for order in (1, -1):
        encoder = vsa.JSONEncoder(64, seed=1)
        if fitted:
            encoder.fit(sample[::order])
        found += [encoder.encode(records[::order]), encoder.encode(records[::-order])]
        alone = vsa.JSONEncoder(64, seed=1).fit(sample) if fitted else vsa.JSONEncoder(64, seed=1)
        found.append(np.stack([alone.encode_one(records[0])] * 2))
        # Twice, so that the second reading is of bytes met before, where lines are read as bytes.
        lines = b"\n".join(orjson.dumps(r) if whole < 2**64 else b'{"a":%d,"b":"x"}' % whole for r in records[::order])
        found += [encoder.encode_jsonl(lines) for _ in range(2)]
    for X in found:
        np.testing.assert_array_equal(X, found[0])
    assert (found[0][0] == found[0][1]).all()


@pytest.mark.parametrize(("whole", "real"), EQUALS)
def test_the_memory_gives_one_value_for_both_spellings(whole, real):
    records = [{"a": whole}, {"a": real}]
    one, other = (vsa.ItemMemory().learn(records[::order]) for order in (1, -1))
    assert one == other
    assert one.items("a") == [(whole, 2)]


@given(st.floats(allow_nan=False, allow_infinity=False).filter(float.is_integer))
def test_a_float_has_the_name_of_the_integer_that_equals_it(real):
    if abs(real) < 2**64:  # larger integers reach the encoder as floats
        assert numeral(real) == numeral(int(real)) == str(int(real))
    else:
        assert float(numeral(real)) == real


@given(st.integers(-(2**64) + 1, 2**64 - 1), st.integers(1, 4096))
def test_integers_that_no_float_tells_apart_keep_names_of_their_own(number, step):
    assert numeral(number) != numeral(number + step)
