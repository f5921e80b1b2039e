"""Pictures of what the package finds; needs the extra `plots`.

Colours are those of Okabe & Ito (Color Universal Design, 2008), which people with any kind of colour
vision tell apart. Backgrounds are transparent and all ink is of middle lightness, so that a figure reads
on white and on black.
"""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

from retrieval.errors import MissingDependencyError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from retrieval.upgrade.report import Asked, Report

ORANGE, SKY_BLUE, GREEN, BLUE, VERMILION = "#E69F00", "#56B4E9", "#009E73", "#0072B2", "#D55E00"
# Contrast 4.5 : 1 and more against white, 4.6 : 1 against black.
INK = "#767676"


def _figure(width: float, height: float) -> Figure:
    try:
        from matplotlib.figure import Figure as Plain
    except ImportError as error:
        raise MissingDependencyError("pictures need matplotlib: pip install 'vsa-retrieval[plots]'") from error

    # A figure of its own, without pyplot: no global state, and no window. Notebooks show only pyplot's by themselves.
    class Picture(Plain):
        def _repr_png_(self) -> bytes:
            written = BytesIO()
            self.savefig(written, format="png")
            return written.getvalue()

    figure: Figure = Picture(figsize=(width, height), layout="constrained")
    figure.patch.set_alpha(0.0)
    return figure


def _plain(axes: Axes) -> None:
    axes.patch.set_alpha(0.0)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(INK)
    axes.tick_params(colors=INK)
    for label in (axes.title, axes.xaxis.label, axes.yaxis.label):
        label.set_color(INK)
    axes.grid(axis="y", color=INK, alpha=0.2)


def upgrade_report(report: Report) -> Figure:
    """Draw, for each decisive measure, the quality against the share backfilled.

    Staying and re-encoding everything are level lines, each with its 95 % interval as a band. Queries that were given
    have panels of their own, before those of whole items as queries.

    Raises
    ------
    MissingDependencyError
        If matplotlib is not installed.
    """
    parts: list[tuple[str, Asked | Report]] = [("", report)]
    if report.asked is not None:
        parts.insert(0, (f"{report.asked.n:,} queries: ", report.asked))
        parts[1] = ("whole items: ", report)
    panels = [(title, judged, measure) for title, judged in parts for measure in judged.decisive]
    figure = _figure(4.2 * len(panels), 3.4)
    figure.suptitle(f"{report.name}: {str(report.verdict).partition(':')[0]}", color=INK)
    for number, (title, judged, measure) in enumerate(panels, 1):
        _curve(figure.add_subplot(1, len(panels), number), judged, measure, f"{title}{measure}, %")
    # Below the panels, where no line runs through it.
    figure.legend(
        *figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False, labelcolor=INK
    )
    return figure


def _curve(axes: Axes, judged: Asked | Report, measure: str, label: str) -> None:
    """Draw one measure against the share backfilled."""
    for name, colour, style in (("old/old", VERMILION, "--"), ("new/new", BLUE, ":")):
        found = judged[name].expected[measure]
        axes.axhspan(found.low, found.high, color=colour, alpha=0.2, linewidth=0)
        axes.axhline(found.estimate, color=colour, linestyle=style, label=name)
    mixed = [(100 * one.share, one.expected[measure]) for one in judged.searches if one.share is not None]
    shares, found_at = [share for share, _ in mixed], [found for _, found in mixed]
    axes.fill_between(
        shares, [f.low for f in found_at], [f.high for f in found_at], color=GREEN, alpha=0.2, linewidth=0
    )
    axes.plot(shares, [f.estimate for f in found_at], color=GREEN, marker="o", label="mixed search")
    axes.set_xlabel("re-encoded, %")
    axes.set_ylabel(label)
    _plain(axes)
