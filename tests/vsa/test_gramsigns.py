"""N-grams of words by compiled code, against those of Python."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import vsa
from vsa.gramsigns import GramSigns, Pieces, is_plain
from vsa.hashing import prefix, signs, unpack_signs
from vsa.sums import kernel
from vsa.tokens import grams

pytest.importorskip("numba")

HEAD, DIM = prefix("atom", 7), 72
WORDS = st.lists(st.text("ab1z", min_size=1, max_size=23), min_size=1, max_size=9)


def cache(most: int) -> GramSigns:
    return GramSigns(HEAD, DIM, rarities=lambda names: [len(name) / 8 for name in names], most=most)


def each(found: Pieces) -> list[dict[bytes, tuple[float, float]]]:
    """Of each word the signs of its n-grams, with the root of how often each is there and how rare it is."""
    rows = np.split(found.columns, np.cumsum(found.distinct)[:-1])
    roots = np.split(found.roots, np.cumsum(found.distinct)[:-1])
    return [
        {found.packed[row].tobytes(): (root, found.rarity[row]) for row, root in zip(*pair, strict=True)}
        for pair in zip(rows, roots, strict=True)
    ]


@given(st.lists(WORDS, max_size=4), st.sampled_from([1, 30, 1 << 16]))
def test_words_are_spelled_alike_by_compiled_code(calls, most):
    compiled, python = cache(most), cache(1 << 16)
    for words in calls:
        found, expected = compiled.plain_pieces(words), python.pieces(words)
        assert each(found) == each(expected)
        assert found.totals.tolist() == expected.totals.tolist() == [len(grams(word)) for word in words]
        # Words of any kind share the rows.
        assert each(compiled.pieces(words)) == each(expected)
        assert compiled._held <= max(most, found.distinct.sum())


def test_words_are_spelled_alike_when_the_table_has_grown():
    words = [f"{number:x}" for number in range(9000)]
    compiled, python = cache(1 << 16), cache(1 << 16)
    expected = each(python.pieces(words))
    for some in (slice(4000), slice(9000), slice(9000)):
        assert each(compiled.plain_pieces(words[some])) == expected[some]
    assert compiled._held == len({gram for word in words for gram in grams(word)})
    columns, packed, _ = compiled.of(["abc"])
    np.testing.assert_array_equal(unpack_signs(packed[columns], DIM), signs(HEAD, [b"gabc"], DIM))


def test_what_is_not_plain():
    plain = ["a", "x" * 23, "lx350h"]
    assert all(map(is_plain, plain))
    assert not any(map(is_plain, ["x" * 24, "é", "東", "#12", "d41d8cd98f00b204e9800998ecf8427e"]))


def test_ngrams_whose_rows_were_not_drawn_are_forgotten(monkeypatch: pytest.MonkeyPatch):
    interrupted, whole = cache(1 << 16), cache(1 << 16)
    interrupted.plain_pieces(["red"])

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("vsa.signcache.drawn_signs", interrupt)
        with pytest.raises(KeyboardInterrupt):
            interrupted.plain_pieces(["sea"])
    interrupted.pieces(["blue"])
    for words in (["sea", "red"], ["blue"]):
        assert each(interrupted.plain_pieces(words)) == each(whole.plain_pieces(words))


TEXTS = [
    "", "a", "Red Sea at dusk", "naïve Élan", "東京都 tower", "हिन्दी cafe\u0301", "wave 🌊",
    "a\x00b\tc\x1fd",
    "KX-TG9321", "12.50", "2020-01-02", "x" * 23, "x" * 24, "y" * 70, "d41d8cd98f00b204e9800998ecf8427e",
    "http://www.tate.org.uk/art/a-b_7", "aaaaaaaaaaaa", "123e4567-e89b-12d3-a456-426614174000", "ﬁn ß ǅ ٣",
]  # fmt: skip


def test_vectors_are_those_of_python_for_texts_of_every_kind(monkeypatch: pytest.MonkeyPatch):
    records = [{"t": text, "n": [number, text]} for number, text in enumerate(TEXTS)]
    assert kernel.worth(1 << 16) is not None
    with_numba = vsa.JSONEncoder(96, seed=3).encode(records, normalize=False)
    monkeypatch.setattr(kernel, "_missing", True)
    monkeypatch.setattr(kernel, "_module", None)
    np.testing.assert_array_equal(vsa.JSONEncoder(96, seed=3).encode(records, normalize=False), with_numba)
