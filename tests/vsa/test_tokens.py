from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

import vsa
from vsa.tokens import fold, grams, is_opaque, words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ÉLAN Straße ﬁn", "elan strasse fin"),
        ("Ελλάς", "ελλασ"),
        ("パーティー", "パーティー"),
        ("한국어", "한국어"),
        ("हिन्दी", "हिन्दी"),
        ("ІЇ йод", "іі иод"),
    ],
)
def test_folding_drops_accents_but_no_letters(text, expected):
    assert fold(text) == expected


@given(st.text())
def test_folding_twice_changes_nothing_more_for_ascii_and_never_fails(text):
    assert isinstance(fold(text), str)
    if text.isascii():
        assert fold(fold(text)) == fold(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("!!! …", []),
        ("snake_case kebab-case", ["snake", "case", "kebab", "case"]),
        ("AM53BK", ["am53bk"]),
        ("KX-TG9321", ["kx", "tg9321", "kxtg9321"]),
        ("A 東京 B", ["a", "東", "京", "東京", "b"]),
        ("123e4567-e89b-12d3-a456-426614174000", ["123e4567e89b12d3a456426614174000"]),
        ("https://www.tate.org.uk/art/a-b", ["tate", "org", "uk", "art", "a", "b"]),
        ("me@example.org", ["me", "example", "org"]),
    ],
)
def test_words(text, expected):
    assert words(text) == expected


def test_hashes_have_no_spelling_and_long_words_a_bounded_one():
    assert grams("d41d8cd98f00b204e9800998ecf8427e") == []
    assert is_opaque("d41d8cd98f00b204e9800998ecf8427e")
    assert not is_opaque("pneumonoultramicroscopicsilico")
    assert len(grams("x" * 10_000)) < 300
    assert grams("a") == ["<a>"]


@pytest.mark.parametrize(
    ("one", "near", "far"),
    [
        ("Norham Castle, Sunrise", "norham castle at sunrise", "Portrait of a Lady"),
        ("colour television", "color televisions", "garden chair"),
        ("ELPLP12", "Epson ELPLP-12 lamp", "AM53BK"),
        ("東京都庁", "東京の都庁", "大阪城"),
        ("Dvořák", "Dvorak", "Dvina"),
        ("2020-01-31", "2020-02-01", "1850-07-14"),
        ("https://a.org/picture-book/12", "http://www.a.org/picture-book/13", "https://b.net/else"),
    ],
)
def test_like_strings_get_like_vectors(one, near, far):
    X = vsa.JSONEncoder(2048, seed=1).encode([{"v": value} for value in (one, near, far)])
    assert X[0] @ X[1] > X[0] @ X[2] + 0.2


def test_long_text_does_not_drown_the_rest():
    encoder = vsa.JSONEncoder(2048, seed=1)
    text = " ".join(hashlib.md5(b"%d" % i).hexdigest()[:7] for i in range(2000))
    parts = encoder.encode([{"a": "short title"}, {"b": text}], normalize=False)
    sizes = (parts**2).sum(axis=1) ** 0.5
    assert sizes[1] < 4 * sizes[0]
