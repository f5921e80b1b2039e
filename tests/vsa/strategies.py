"""Hypothesis strategies for JSON."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

texts = st.text(st.characters(codec="utf-8"), max_size=20)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    texts,
    st.sampled_from(["2020-01-31", "394", "東京都", "KX-TG9321", "Élan", "https://a.org/x-y", "0", "null", "true"]),
)


def values(scalar: Any = scalars) -> st.SearchStrategy[Any]:
    return st.recursive(
        scalar,
        lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=4)),
        max_leaves=12,
    )


json_values = values()
objects = st.dictionaries(texts, json_values, max_size=5)
