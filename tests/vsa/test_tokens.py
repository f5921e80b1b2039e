from __future__ import annotations

import hashlib

import numpy as np
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
        ("{123E4567-E89B-12D3-A456-426614174000}", ["123e4567e89b12d3a456426614174000"]),
        ("urn:uuid:123e4567-e89b-12d3-a456-426614174000", ["urn", "uuid", "123e4567e89b12d3a456426614174000"]),
        (
            "https://a.org/x-7/123e4567-e89b-12d3-a456-426614174000?v=2",
            ["a", "org", "x", "7", "v", "2", "123e4567e89b12d3a456426614174000"],
        ),
        ("https://www.tate.org.uk/art/a-b", ["tate", "org", "uk", "art", "a", "b"]),
        ("me@example.org", ["me", "example", "org"]),
    ],
)
def test_words(text, expected):
    assert words(text) == expected


PIECES = st.sampled_from(
    [*"aB19_-./ ,:", "\0", "\t", "\x1c", "\x7f", "c.1830", "AB-12", "x" * 61, "x-7", "http://www.", "é", "ß", "²"]
)


@given(st.lists(PIECES, max_size=30).map("".join))
def test_what_follows_a_text_changes_nothing_of_its_words_but_the_way_they_are_found(text):
    # Text that folds to ASCII is cut by tables of bytes, other text by searches.
    assert [word for word in words(text + " ω") if word != "ω"] == words(text)


@pytest.mark.parametrize("mark", ["", " ω"])
def test_a_code_longer_than_is_spelled_is_not_joined(mark):
    long = "x" * 61
    assert f"{long}-7y".replace("-", "") in words(f"{long}-7y{mark}")
    assert f"{long}-7yz".replace("-", "") not in words(f"{long}-7yz{mark}")


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


def cosines(*values: str) -> np.ndarray:
    X = vsa.JSONEncoder(8192, seed=7).encode([{"a": value} for value in values])
    return X @ X.T


def test_identifiers_are_alike_only_where_they_are_the_same():
    uuid, next_to_it = "550e8400-e29b-41d4-a716-446655440000", "550e8400-e29b-41d4-a716-446655440001"
    notations = [uuid, uuid.upper(), "{" + uuid + "}", uuid.replace("-", ""), "urn:uuid:" + uuid]
    others = [next_to_it, "f47ac10b-58cc-4372-a567-0e02b2c3d479", "d3b07384d113edec49eaa6238ad5ff00"]
    C = cosines(*notations, *others)
    same = len(notations)
    assert C[:same, :same].min() > 0.4
    np.fill_diagonal(C, 0)
    assert np.abs(C[same:]).max() < 6 / np.sqrt(8192)


def test_urls_are_alike_by_site_and_by_path_and_an_identifier_in_them_does_not_drown_the_site():
    uuid, other = "550e8400-e29b-41d4-a716-446655440000", "f47ac10b-58cc-4372-a567-0e02b2c3d479"
    _, same, site, path, alien, *items = cosines(
        "https://www.example.org/shop/red-shoes?id=7",
        "http://example.org/shop/red-shoes/",
        "https://example.org/about",
        "https://other.com/shop/red-shoes",
        "https://another.net/contact",
        f"https://example.org/items/{uuid}",
        f"https://example.org/items/{other}",
        f"https://unlike.com/x/{uuid}",
    )
    assert same[0] > 0.7 > path[0] > site[0] > 0.3 > alien[0] + 0.2
    assert items[0][6] > 0.5  # one site, other items
    assert 0.12 < items[0][7] < 0.5  # one item at another site


def test_addresses_are_alike_by_person_and_by_host():
    _, shouted, named, moved, colleague, stranger = cosines(
        "jane.doe@example.org",
        "Jane.Doe@EXAMPLE.org",
        "Jane Doe <jane.doe@example.org>",
        "jane.doe@gmail.com",
        "john.smith@example.org",
        "info@another.net",
    )
    assert min(shouted[0], named[0]) > 0.8
    assert 0.7 > min(moved[0], colleague[0]) > 0.35
    assert abs(stranger[0]) < 6 / np.sqrt(8192)


def test_long_text_does_not_drown_the_rest():
    encoder = vsa.JSONEncoder(2048, seed=1)
    text = " ".join(hashlib.md5(b"%d" % i).hexdigest()[:7] for i in range(2000))
    parts = encoder.encode([{"a": "short title"}, {"b": text}], normalize=False)
    sizes = (parts**2).sum(axis=1) ** 0.5
    assert sizes[1] < 4 * sizes[0]
