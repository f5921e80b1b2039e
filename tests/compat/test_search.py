"""The rules by which the benchmarks choose settings: the same for every method, and as they are written."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.compat.course import BCTSettings, BT2Settings
from benchmarks.compat.search import SPACE, Trial, at, best, bound_order, free_order, published

KINDS = [BCTSettings, BT2Settings]


def trial(cross, short):
    """A trial on two splits whose means are the given ones."""
    settled = Trial(np.zeros(2), BCTSettings())
    settled.crosses = [np.array([cross / 2 - 1, cross / 2]), np.array([cross / 2 + 1, cross / 2])]
    settled.shorts = [np.array([short - 3, short - 1]), np.array([short - 3, short + 1])]
    return settled


def test_bound_is_the_best_cross_of_those_within_a_point_and_free_the_best_of_all():
    far, near, inside, ahead = trial(150, 3), trial(148, 1.5), trial(146, 1.0), trial(140, -2)
    trials = [near, ahead, far, inside]
    assert bound_order(trials) == [inside, ahead, near, far]
    assert free_order(trials) == [far, near, inside, ahead]
    assert bound_order([far, near])[0] is near, "where none is within a point, the nearest"
    assert best(trials, 2) == [inside, far]
    assert best(trials, 4) == [inside, far, ahead, near]


def test_the_worse_figure_decides_how_far_a_self_test_is_behind():
    behind = trial(100, 0)
    behind.shorts = [np.array([-4.0, 2.5])]
    assert behind.short == 2.5


@pytest.mark.parametrize("kind", KINDS)
def test_the_published_setting_lies_where_its_point_says_and_the_corners_are_the_borders(kind):
    assert at(kind, published(kind).point).settings == published(kind).settings == kind()
    names = list(SPACE[kind])
    for corner in (0, 1):
        settings = at(kind, np.full(len(names), float(corner))).settings
        assert [getattr(settings, name) for name in names] == [SPACE[kind][name][corner] for name in names]
