from __future__ import annotations

import numpy as np
import pytest

from vsa.hashing import packed_signs, prefix, signs, unpack_signs
from vsa.signcache import SignCache

HEAD = prefix("atom", 7)


@pytest.mark.parametrize("dim", [1, 7, 8, 64, 100])
def test_packed_rows_unpack_to_the_bits_of_the_stream(dim):
    packed = packed_signs(HEAD, [b"a", b"b"], dim)
    bits = np.unpackbits(packed, axis=1, count=dim)
    np.testing.assert_array_equal(unpack_signs(packed, dim), np.where(bits == 1, -1.0, 1.0))
    assert unpack_signs(packed, dim).dtype == np.float32


def test_rows_do_not_depend_on_what_was_asked_before_nor_on_forgetting():
    asked: list[bytes] = []

    def rarities(names: list[bytes]) -> list[float]:
        asked.extend(names)
        return [len(name) / 8 for name in names]

    cache = SignCache(HEAD, 100, atom=lambda name: b"g" + name.encode(), rarities=rarities, most=5)
    for names in (["a", "bb", "a"], ["ccc", "a"], ["d", "e", "f", "bb"], ["a", "bb"], [], [str(i) for i in range(9)]):
        columns, packed, rarity = cache.of(names)
        expected = signs(HEAD, [b"g" + name.encode() for name in names], 100)
        np.testing.assert_array_equal(unpack_signs(packed, 100)[columns], expected)
        np.testing.assert_array_equal(rarity[columns], [(1 + len(name)) / 8 for name in names])
    assert asked.count(b"ga") == 2  # forgotten once, when the fourth name came
