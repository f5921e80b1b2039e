from __future__ import annotations

import builtins

import numpy as np
import pytest

import vsa
from vsa.curves import capacity_in_theory, principal_plane, similarity_curve

matplotlib = pytest.importorskip("matplotlib", reason="the extra `plots` is not installed")
matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402

from vsa import plots  # noqa: E402


@pytest.fixture(autouse=True)
def closed():
    yield
    pyplot.close("all")


def test_curves_are_drawn_as_measured_with_their_names():
    distances = [1.0, 10.0, 100.0]
    ax = plots.soft_values(distances, {"near": [0.9, 0.5, 0.1], "far": [0.8, 0.4, 0.0]}, distance="distance in days")
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_xscale()) == ("distance in days", "cosine", "log")
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["near", "far"]
    near, far = ax.get_lines()
    np.testing.assert_array_equal(near.get_xdata(), distances)
    np.testing.assert_array_equal(far.get_ydata(), [0.8, 0.4, 0.0])
    assert near.get_color() != far.get_color()
    assert near.get_marker() != far.get_marker()


def test_a_matrix_shows_every_cell():
    values = np.array([[1.0, 0.25], [0.25, 1.0]])
    ax = plots.similarity_matrix(values, ["a", "b"])
    np.testing.assert_array_equal(ax.get_images()[0].get_array(), values)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a", "b"]
    assert sorted(text.get_text() for text in ax.texts) == ["0.25", "0.25", "1.00", "1.00"]
    assert "cosine" in [other.get_ylabel() for other in ax.figure.axes]
    with pytest.raises(ValueError, match=r"expected a \(3, 3\) matrix"):
        plots.similarity_matrix(values, ["a", "b", "c"])


def test_explanations_have_a_bar_each_and_add_up():
    encoder = vsa.JSONEncoder(256, seed=1)
    parts = encoder.explain({"title": "sunset"}, {"title": "sunset at sea", "year": 1845, "tags": ["sea", "sky"]})
    ax = plots.explain_bars(parts)
    widths = [bar.get_width() for bar in ax.patches]
    assert widths == [part for _, part in parts]
    assert [label.get_text() for label in ax.get_yticklabels()] == [name for name, _ in parts]
    assert ax.get_title() == f"cosine {sum(widths):.3f}"
    many = [(f"p{i}", (-1.0) ** i / (1 + i)) for i in range(40)]
    ax = plots.explain_bars(many, most=5)
    assert len(ax.patches) == 6
    assert ax.get_yticklabels()[-1].get_text() == "35 others"
    assert sum(bar.get_width() for bar in ax.patches) == pytest.approx(sum(part for _, part in many))
    assert ax.patches[0].get_facecolor() != ax.patches[4].get_facecolor()
    with pytest.raises(ValueError, match="no contributions"):
        plots.explain_bars([])


def test_capacity_is_drawn_beside_the_theory():
    n = np.array([5, 20, 80])
    ax = plots.capacity(n, {"measured": [1.0, 0.9, 0.3]}, dim=512, n_candidates=1000)
    theory, measured = ax.get_lines()
    assert (np.diff(theory.get_ydata()) <= 1e-12).all()
    np.testing.assert_allclose(theory.get_ydata()[[0, -1]], capacity_in_theory([5, 80], 512, 1000))
    np.testing.assert_array_equal(measured.get_ydata(), [1.0, 0.9, 0.3])
    assert "512 dimensions" in ax.get_title()
    assert ax.get_xlabel() == "fields in the record"


def test_maps_colour_the_frequent_values_and_leave_none_out():
    X = vsa.JSONEncoder(64, seed=1).encode([{"x": i % 4, "y": i} for i in range(60)])
    labels = [None if i % 4 == 3 else ("c" if i == 0 else "ab"[i % 2]) for i in range(60)]
    ax = plots.vector_map(X, labels, most=2)
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert names == ["other (16)", "a (29)", "b (15)"]
    # Faint dots make a crowd legible, and a key of one dot invisible.
    assert [key.get_alpha() for key in ax.get_legend().legend_handles] == [1.0, 1.0, 1.0]
    assert min(points.get_alpha() for points in ax.collections) < 1
    drawn = np.concatenate([points.get_offsets() for points in ax.collections])
    assert len(drawn) == 60
    assert ax.get_xlabel().startswith("first component (")
    with pytest.raises(ValueError, match="expected 60 labels"):
        plots.vector_map(X, labels[1:])


def test_pictures_are_transparent_and_their_letters_neither_black_nor_white():
    ax = plots.soft_values([1, 2], {"a": [1, 0]}, distance="d")
    assert ax.figure.patch.get_alpha() == 0
    assert ax.patch.get_alpha() == 0
    assert ax.xaxis.label.get_color() == plots.INK
    given = pyplot.figure().add_subplot()
    assert plots.soft_values([1, 2], {"a": [1, 0]}, distance="d", ax=given) is given


def test_without_matplotlib_the_extra_is_named(monkeypatch):
    real = builtins.__import__

    def without(name, *rest):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"pip install 'vsa-retrieval\[plots\]'"):
        plots.explain_bars([("a", 1.0)])


def test_capacity_in_theory_is_what_random_vectors_do():
    rng = np.random.default_rng(0)
    dim, n, m, trials = 256, 20, 100, 400
    hits = 0
    for _ in range(trials):
        atoms = rng.choice([-1.0, 1.0], (n + m, dim))
        # The first of the candidates is in the sum; binding makes the other parts independent of all candidates.
        total = atoms[: n - 1].sum(axis=0) + atoms[n]
        hits += int((atoms[n:] @ total).argmax() == 0)
    p = float(capacity_in_theory(n, dim, m)[0])
    # Four standard deviations of a binomial share, and .02 for the normal approximation.
    assert 0.5 < p < 0.99
    assert abs(hits / trials - p) < 4 * (p * (1 - p) / trials) ** 0.5 + 0.02


def test_the_plane_holds_what_is_widest():
    rng = np.random.default_rng(0)
    flat = rng.standard_normal((200, 2)) * [9.0, 4.0]
    basis = np.linalg.qr(rng.standard_normal((20, 20)))[0][:2]
    points, shares = principal_plane(flat @ basis + 3.0)
    assert shares.sum() == pytest.approx(1)
    centred = flat - flat.mean(axis=0)
    np.testing.assert_allclose(points @ points.T, centred @ centred.T, atol=1e-9)
    with pytest.raises(ValueError, match="at least two rows"):
        principal_plane(np.ones((1, 5)))


def test_numbers_that_make_no_sense_are_named():
    for n_bound, dim, m in ((0, 64, 5), ([3, 0], 64, 5), (3, 0, 5), (3, 64, 0)):
        with pytest.raises(ValueError, match="must be at least 1"):
            capacity_in_theory(n_bound, dim=dim, n_candidates=m)
    for most in (-1, len(plots.COLOURS) + 1):
        with pytest.raises(ValueError, match="most must be from 0 to"):
            plots.vector_map(np.eye(3), ["a", "b", "c"], most=most)


def test_curves_are_means_over_encoders():
    encoders = [vsa.JSONEncoder(128, seed=seed) for seed in (1, 2)]
    mean, deviation = similarity_curve(encoders, {"x": 1}, [{"x": 1}, {"x": 2}])
    each = [float(encoder.encode_one({"x": 1}) @ encoder.encode_one({"x": 2})) for encoder in encoders]
    assert mean[1] == pytest.approx(np.mean(each))
    assert deviation[1] == pytest.approx(abs(each[0] - each[1]) / 2)
    with pytest.raises(ValueError, match="at least one encoder"):
        similarity_curve([], 1, [2])
