"""Pictures of what vectors hold; they need matplotlib, which the extra `plots` brings.

Every function takes arrays, draws on `ax` (or on a figure of its own) and returns the axes. Backgrounds are
transparent and letters grey, so that pictures are legible on light and dark pages; colours are those of Okabe & Ito
2008, which colour-blind readers can tell apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from vsa.curves import capacity_in_theory, principal_plane

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9")
"""Okabe & Ito's colours but for black and yellow, which vanish on one of the two backgrounds."""

INK = "#767676"
_MARKS = "osD^vP"


def soft_values(
    distances: npt.ArrayLike,
    similarities: Mapping[str, npt.ArrayLike],
    *,
    distance: str,
    log: bool = True,
    ax: Any = None,
) -> Any:
    """How the cosine falls with the distance of two values.

    Parameters
    ----------
    distances : (k,) array
        Where the curves were measured.
    similarities : mapping of str to (k,) array
        One curve a name; see `vsa.curves.similarity_curve`.
    distance : str
        Name and unit of the distance, for the axis.
    log : bool
        Distances on a logarithmic scale.
    ax : matplotlib Axes, optional
        Where to draw.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ImportError
        Without matplotlib.
    """
    ax = _axes(ax)
    for number, (name, values) in enumerate(similarities.items()):
        look = {"color": COLOURS[number % len(COLOURS)], "marker": _MARKS[number % len(_MARKS)], "markersize": 4}
        ax.plot(np.asarray(distances), np.asarray(values), label=name, **look)
    if log:
        ax.set_xscale("log")
    ax.set_xlabel(distance)
    ax.set_ylabel("cosine")
    ax.set_ylim(top=1.03)
    _legend(ax, len(similarities))
    return ax


def similarity_matrix(matrix: npt.ArrayLike, names: Sequence[str], *, ax: Any = None) -> Any:
    """Cosines of every pair, as a chequered square; parameters and errors as `soft_values`.

    Parameters
    ----------
    matrix : (n, n) array
        Cosines.
    names : sequence of str
        Names of the rows.
    ax : matplotlib Axes, optional
        Where to draw.

    Raises
    ------
    ValueError
        If there are not as many names as rows and columns.
    """
    values = np.asarray(matrix, np.float64)
    if values.shape != (len(names), len(names)):
        raise ValueError(f"expected a ({len(names)}, {len(names)}) matrix for as many names, got {values.shape}")
    ax = _axes(ax)
    image = ax.imshow(values, cmap="cividis", vmin=min(0.0, float(values.min())), vmax=1.0)
    ax.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor")
    ax.set_yticks(range(len(names)), names)
    ax.tick_params(length=0)
    if len(names) <= 12:
        for (i, j), value in np.ndenumerate(values):
            shade = "black" if value > 0.5 else "white"
            ax.text(j, i, f"{value:.2f}".replace("-0.00", "0.00"), ha="center", va="center", color=shade, fontsize=8)
    bar = ax.figure.colorbar(image, ax=ax, label="cosine")
    _grey(bar.ax)
    return ax


def explain_bars(contributions: Sequence[tuple[str, float]], *, most: int = 12, ax: Any = None) -> Any:
    """What each path adds to a cosine, the largest on top.

    Parameters
    ----------
    contributions : sequence of (str, float)
        As `vsa.JSONEncoder.explain` gives them.
    most : int
        Bars at most; the rest are put together in one more.
    ax : matplotlib Axes, optional
        Where to draw.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        If there is nothing to show.
    """
    if not contributions or most < 1:
        raise ValueError("no contributions to show")
    ranked = sorted(contributions, key=lambda item: -abs(item[1]))
    shown = sorted(ranked[:most], key=lambda item: -item[1])
    if len(ranked) > most:
        shown.append((f"{len(ranked) - most} others", sum(part for _, part in ranked[most:])))
    names = [name or "(the record)" for name, _ in shown]
    parts = [part for _, part in shown]
    ax = _axes(ax)
    colours = [COLOURS[0] if part >= 0 else COLOURS[3] for part in parts]
    bars = ax.barh(range(len(parts)), parts, color=colours)
    ax.set_yticks(range(len(parts)), names)
    ax.invert_yaxis()
    ax.axvline(0, color=INK, linewidth=0.8)
    ax.bar_label(bars, [f"{part:+.3f}" for part in parts], padding=3, color=INK, fontsize=8)
    ax.margins(x=0.15)
    ax.set_xlabel("contribution to the cosine")
    ax.set_title(f"cosine {sum(part for _, part in contributions):.3f}", color=INK, fontsize=10)
    return ax


def capacity(
    n_bound: npt.ArrayLike, found: Mapping[str, npt.ArrayLike], *, dim: int, n_candidates: int, ax: Any = None
) -> Any:
    """How often values are decoded rightly as records grow, beside the theory.

    Parameters
    ----------
    n_bound : (k,) array
        Fields in a record.
    found : mapping of str to (k,) array
        Shares decoded rightly, one curve a name.
    dim, n_candidates : int
        Of the theory; see `vsa.curves.capacity_in_theory`.
    ax : matplotlib Axes, optional
        Where to draw.

    Returns
    -------
    matplotlib Axes
    """
    n = np.asarray(n_bound, np.float64)
    ax = _axes(ax)
    fine = np.linspace(n.min(), n.max(), 200)
    theory = capacity_in_theory(fine, dim, n_candidates)
    ax.plot(fine, theory, color=INK, linestyle="--", label="theory, equal weights")
    for number, (name, shares) in enumerate(found.items()):
        look = {"color": COLOURS[number % len(COLOURS)], "marker": _MARKS[number % len(_MARKS)], "markersize": 4}
        ax.plot(n, np.asarray(shares), label=name, **look)
    ax.set_xlabel("fields in the record")
    ax.set_ylabel("share decoded rightly")
    ax.set_ylim(-0.03, 1.03)
    ax.set_title(f"{dim} dimensions, {n_candidates:,} candidates", color=INK, fontsize=10)
    _legend(ax, 2)
    return ax


def vector_map(X: npt.ArrayLike, labels: Sequence[Any], *, most: int = 5, ax: Any = None) -> Any:
    """Vectors in the plane of their two widest directions (PCA), coloured by a field.

    Parameters
    ----------
    X : (n, dim) array
        Vectors.
    labels : sequence
        The field's value for each; None where it is missing.
    most : int
        Values with a colour of their own, 6 at most: the most frequent ones. The rest are grey.
    ax : matplotlib Axes, optional
        Where to draw.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        If there are not as many labels as vectors, or fewer than two vectors.
    """
    points, shares = principal_plane(X)
    if len(labels) != len(points):
        raise ValueError(f"expected {len(points)} labels, one a vector, got {len(labels)}")
    if not 0 <= most <= len(COLOURS):
        raise ValueError(f"most must be from 0 to {len(COLOURS)}, got {most}")
    texts = ["" if label is None else str(label) for label in labels]
    counts: dict[str, int] = {}
    for text in texts:
        counts[text] = counts.get(text, 0) + (text != "")
    top = [text for text in sorted(counts, key=lambda text: (-counts[text], text)) if text][:most]
    ax = _axes(ax)
    rest = np.array([text not in top for text in texts])
    if rest.any():
        ax.scatter(*points[rest].T, s=8, color=INK, alpha=0.3, linewidths=0, label=f"other ({rest.sum():,})")
    for number, name in enumerate(top):
        chosen = np.array([text == name for text in texts])
        look = {"color": COLOURS[number], "marker": _MARKS[number]}
        ax.scatter(*points[chosen].T, s=14, alpha=0.8, linewidths=0, label=f"{name} ({chosen.sum():,})", **look)
    ax.set_xlabel(f"first component ({100 * shares[0]:.0f} % of the variance)")
    ax.set_ylabel(f"second component ({100 * shares[1]:.0f} %)")
    _legend(ax, 2, outside=True)
    # Dots are faint so that a crowd of them shows its density; a key of one dot must be seen by itself.
    for handle in ax.get_legend().legend_handles:
        handle.set(alpha=1.0, sizes=[24.0])
    return ax


def _axes(ax: Any) -> Any:
    """The axes given, or those of a new figure, in colours for light and dark pages."""
    if ax is None:
        try:
            from matplotlib import pyplot
        except ImportError as error:
            raise ImportError("plots need matplotlib: pip install 'vsa-retrieval[plots]'") from error
        figure, ax = pyplot.subplots(layout="constrained")
        figure.patch.set_alpha(0.0)
    _grey(ax)
    ax.patch.set_alpha(0.0)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def _grey(ax: Any) -> None:
    ax.tick_params(colors=INK, which="both")
    ax.xaxis.label.set_color(INK)
    ax.yaxis.label.set_color(INK)
    for spine in ax.spines.values():
        spine.set_color(INK)


def _legend(ax: Any, curves: int, *, outside: bool = False) -> None:
    if curves > 1:
        place: dict[str, Any] = {"loc": "center left", "bbox_to_anchor": (1.0, 0.5)} if outside else {"loc": "best"}
        ax.legend(frameon=False, labelcolor=INK, fontsize=9, **place)
