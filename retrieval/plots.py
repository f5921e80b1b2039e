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

    from retrieval.upgrade.report import Report

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

    Staying and re-encoding everything are level lines, each with its 95 % interval as a band.

    Raises
    ------
    MissingDependencyError
        If matplotlib is not installed.
    """
    figure = _figure(4.2 * len(report.decisive), 3.4)
    figure.suptitle(f"{report.name}: {str(report.verdict).partition(':')[0]}", color=INK)
    curve = [search for search in report.searches if search.share is not None]
    shares = [100 * (search.share or 0.0) for search in curve]
    for number, measure in enumerate(report.decisive, 1):
        axes = figure.add_subplot(1, len(report.decisive), number)
        for name, colour, style in (("old/old", VERMILION, "--"), ("new/new", BLUE, ":")):
            found = report[name].expected[measure]
            axes.axhspan(found.low, found.high, color=colour, alpha=0.2, linewidth=0)
            axes.axhline(found.estimate, color=colour, linestyle=style, label=name)
        found_at = [search.expected[measure] for search in curve]
        axes.fill_between(
            shares, [f.low for f in found_at], [f.high for f in found_at], color=GREEN, alpha=0.2, linewidth=0
        )
        axes.plot(shares, [f.estimate for f in found_at], color=GREEN, marker="o", label="mixed search")
        axes.set_xlabel("re-encoded, %")
        axes.set_ylabel(f"{measure}, %")
        _plain(axes)
        legend = axes.legend(frameon=False)
        for label in legend.get_texts():
            label.set_color(INK)
    return figure
