"""Soft levels of many leaves at once, against each leaf's own."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vsa.atoms import analyse
from vsa.histogram import Scale
from vsa.soft import level_name, soft_levels

VALUES = st.one_of(
    st.integers(-(2**63), 2**63),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([0.25, -0.5, 0, 1, -1, 16, 1e308, -1e308, 5e-324, "2020-02-29", "1821-01", "0001-01-01T23:59:59Z"]),
    st.sampled_from(["red sea", "12.5", "007", "", None, True, {}, []]),
)
SCALES = st.sampled_from([None, Scale(3.0, 0.1, 0.7), Scale(-1e300, 1e-300, 0.0)])


@given(st.lists(st.tuples(VALUES, SCALES), max_size=12))
def test_levels_of_many_are_those_of_each_to_the_bit(pairs):
    leaves = [analyse(value, scale, 0.4) for value, scale in pairs]
    found = soft_levels(leaves)
    each: list[dict[bytes, float]] = [{} for _ in leaves]
    for owner, which, share in zip(found.owners.tolist(), found.which.tolist(), found.shares.tolist(), strict=True):
        name = level_name(found.names[which])
        assert name not in each[owner]
        each[owner][name] = share
    assert each == [leaf.levels for leaf in leaves]
    assert sorted(found.owners.tolist()) == found.owners.tolist()


def test_there_may_be_no_leaf_and_no_level():
    assert soft_levels([]).names == []
    assert len(soft_levels([analyse("sea")]).shares) == 0
