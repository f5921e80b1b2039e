"""One suite of laws over every family of operators."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from typing import Any

import numpy as np
import pytest

from vsa.binding import Binding, PermutationBinding, binding

KINDS = ["permutation", "hadamard", "haar"]
# Largest error seen over seeds 0-4 at depth 64 was 6e-6 (Haar, float32).
TOLERANCE = 3e-5


@pytest.fixture(params=[(kind, dim) for kind in KINDS for dim in (1, 2, 3, 64, 100, 257)], ids=str)
def family(request: pytest.FixtureRequest) -> Binding[Any]:
    kind, dim = request.param
    return binding(kind, dim, seed=3)


def rows(dim: int, n: int = 5, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32)


def matrix(family: Binding[Any], op: Any) -> np.ndarray:
    return family.bind(op, np.eye(family.dim, dtype=np.float32)).T


def test_operators_are_orthogonal(family):
    M = matrix(family, family.operator(b"key"))
    np.testing.assert_allclose(M @ M.T, np.eye(family.dim), atol=TOLERANCE)


def test_unbind_is_the_inverse_and_the_transpose(family):
    op = family.operator(b"key")
    X = rows(family.dim)
    np.testing.assert_allclose(family.unbind(op, family.bind(op, X)), X, atol=TOLERANCE)
    np.testing.assert_allclose(family.bind(op, family.unbind(op, X)), X, atol=TOLERANCE)
    np.testing.assert_allclose(family.unbind(op, X), X @ matrix(family, op), atol=TOLERANCE * family.dim)


def test_bind_multiplies_by_the_matrix_and_leaves_its_argument_alone(family):
    op = family.operator(b"key")
    X = rows(family.dim)
    before = X.copy()
    np.testing.assert_allclose(family.bind(op, X), X @ matrix(family, op).T, atol=TOLERANCE * family.dim)
    np.testing.assert_array_equal(X, before)


def test_identity_changes_nothing(family):
    X = rows(family.dim)
    np.testing.assert_array_equal(family.bind(family.identity(), X), X)
    op = family.operator(b"key")
    for composed in (family.compose(op, family.identity()), family.compose(family.identity(), op)):
        np.testing.assert_allclose(family.bind(composed, X), family.bind(op, X), atol=TOLERANCE)


def test_paths_compose_and_associate(family):
    a, b, c = (family.operator(key) for key in (b"a", b"b", b"c"))
    X = rows(family.dim)
    stepwise = family.bind(a, family.bind(b, family.bind(c, X)))
    for op in (family.compose(family.compose(a, b), c), family.compose(a, family.compose(b, c))):
        np.testing.assert_allclose(family.bind(op, X), stepwise, atol=TOLERANCE)


def test_bind_is_linear(family):
    op = family.operator(b"key")
    X, Y = rows(family.dim), rows(family.dim, seed=1)
    np.testing.assert_allclose(family.bind(op, X + Y), family.bind(op, X) + family.bind(op, Y), atol=TOLERANCE)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dim", [256, 300])
def test_order_of_keys_matters(kind, dim):
    family = binding(kind, dim, seed=3)
    a, b = family.operator(b"a"), family.operator(b"b")
    x = rows(dim, n=1)[0]
    ab = family.bind(family.compose(a, b), x[None])[0]
    ba = family.bind(family.compose(b, a), x[None])[0]
    # Independent directions: cosine of variance 1/dim, six standard deviations.
    assert abs(ab @ ba) / (x @ x) < 6 / np.sqrt(dim)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dim", [256, 300])
def test_norm_and_cosine_are_kept_at_depth_64(kind, dim):
    family = binding(kind, dim, seed=3)
    op = family.identity()
    for depth in range(64):
        op = family.compose(op, family.operator(b"key%d" % depth))
    X = rows(dim, n=4)
    Y = family.bind(op, X)
    np.testing.assert_allclose(Y @ Y.T, X @ X.T, rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dim", [256, 300])
def test_operators_of_different_keys_are_independent(kind, dim):
    family = binding(kind, dim, seed=3)
    x = rows(dim, n=1)
    bound = np.concatenate([family.bind(family.operator(b"%d" % i), x) for i in range(40)])
    cosines = bound @ bound.T / (x @ x.T)
    off = cosines[~np.eye(40, dtype=bool)]
    # 780 cosines of variance 1/dim: the mean square within 6 of its standard errors, sqrt(2/780).
    assert abs(np.mean(off**2) * dim - 1.0) < 6 * np.sqrt(2 / 780)


@pytest.mark.parametrize("kind", KINDS)
def test_columns_point_nowhere_in_particular(kind):
    """A unit vector drawn evenly from the sphere has a sum of its entries with mean 0 and mean square 1."""
    family = binding(kind, 64, seed=3)
    sums = np.concatenate([matrix(family, family.operator(b"%d" % i)).sum(axis=0) for i in range(20)])
    # 1,280 sums, near normal or ±1: the mean strays by 1/√1,280, the mean square by √(2/1,280) at most; six of them.
    assert abs(np.mean(sums)) < 6 / np.sqrt(1280)
    assert abs(np.mean(sums**2) - 1.0) < 6 * np.sqrt(2 / 1280)


# First and last rows; the last bits of the two that multiply floats are the machine's.
STAYS = [
    ("permutation", 6, [0, 0, 0, 0, 1, 0], [0, 0, 0, -1, 0, 0]),
    ("hadamard", 6, [-0.375, -0.5, -0.375, 0.25, 0.125, -0.625], [-0.5, 0.5, -0.5, -0.5, 0, 0]),
    (
        "hadamard",
        8,
        [0.176777, 0.176777, 0.883883, -0.176777, 0.176777, -0.176777, 0.176777, -0.176777],
        [-0.176777, 0.53033, -0.176777, 0.176777, 0.53033, 0.176777, -0.176777, -0.53033],
    ),
    ("haar", 4, [0.728074, -0.409317, 0.495832, 0.237738], [0.03432, 0.757514, 0.29659, 0.580542]),
]


@pytest.mark.parametrize(("kind", "dim", "first", "last"), STAYS)
def test_operators_stay_what_they_were(kind, dim, first, last):
    family = binding(kind, dim, seed=3)
    M = matrix(family, family.operator(b"key"))
    np.testing.assert_allclose(M[[0, -1]], [first, last], atol=2e-6)


@pytest.mark.parametrize("kind", ["hadamard", "haar"])
@pytest.mark.parametrize("dim", [64, 65, 100, 129])
def test_a_spike_is_spread_over_all_coordinates(kind, dim):
    """Entries of an even unit vector are nearly normal: dim · Σ x⁴ is 3 (1 - 2 / (dim + 2)); for a spike it is dim."""
    family = binding(kind, dim, seed=3)
    fourth = [dim * np.mean(np.sum(matrix(family, family.operator(b"%d" % i)) ** 4, axis=0)) for i in range(3)]
    # Measured 2.58 to 3.03; 7 and 12 at dim 65 and 129 without signs between the two transforms of a round.
    assert 2.4 < np.mean(fourth) < 3.3


@pytest.mark.parametrize(("dim", "shuffled"), [(256, False), (1024, False), (300, True), (1025, True)])
def test_hadamard_shuffles_only_where_dim_is_no_power_of_two(dim, shuffled):
    [(_, orders)] = binding("hadamard", dim, seed=3).operator(b"key").keys
    assert (orders is not None) is shuffled


def test_a_family_must_say_all_five():
    assert sorted(Binding.__abstractmethods__) == ["bind", "compose", "identity", "operator", "unbind"]


def test_operators_cannot_be_changed():
    for kind in ("permutation", "hadamard"):
        op = binding(kind, 8, seed=3).operator(b"key")
        with pytest.raises(FrozenInstanceError):
            setattr(op, next(iter(vars(op))), None)


@pytest.mark.parametrize("kind", KINDS)
def test_operators_depend_on_seed_and_key_alone(kind):
    one, two, other = binding(kind, 48, 1), binding(kind, 48, 1), binding(kind, 48, 2)
    one.operator(b"first")
    np.testing.assert_array_equal(matrix(one, one.operator(b"k")), matrix(two, two.operator(b"k")))
    assert (matrix(one, one.operator(b"k")) != matrix(other, other.operator(b"k"))).any()


def test_permutations_are_exact_on_whole_numbers():
    family = PermutationBinding(1000, 5)
    op = family.identity()
    for depth in range(64):
        op = family.compose(op, family.operator(b"%d" % depth))
    X = np.random.default_rng(0).integers(-(2**23), 2**23, (3, 1000)).astype(np.float32)
    np.testing.assert_array_equal(family.unbind(op, family.bind(op, X)), X)
    np.testing.assert_array_equal(np.sort(np.abs(family.bind(op, X))), np.sort(np.abs(X)))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("circular", 8, 0), '"permutation", "hadamard", "haar"'),
        (("haar", 0, 0), "dim must be a positive integer"),
        (("haar", 8.0, 0), "dim must be a positive integer"),
        (("haar", 8, -1), "seed must be an integer"),
        (("haar", 8, True), "seed must be an integer"),
    ],
)
def test_bad_arguments_are_named(arguments, words):
    with pytest.raises(ValueError, match=words):
        binding(*arguments)
