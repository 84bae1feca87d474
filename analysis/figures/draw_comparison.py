"""The figure of differences to a reference."""

from __future__ import annotations

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from analysis.figures.style import FAINT, INK, PAGE_IN, POSITIVE, shortened, wrapped
from analysis.findings.run_comparison import RunComparison
from analysis.load.text import axis_label, visible

_BAND = "#dcdcdc"


def differences_to_reference(comparison: RunComparison) -> Figure:
    """A row per setting, in the order of the files: its difference with both intervals and every
    seed, over a band that reaches to the smallest differences that could have been detected."""
    items = comparison.differences
    figure = Figure(figsize=(0.75 * PAGE_IN, 1.15 + 0.27 * len(items)))
    axes = figure.subplots()
    for height, item in zip(range(len(items) - 1, -1, -1), items, strict=True):
        seeds = list(item.by_seed.values())
        axes.plot(seeds, [height - 0.26] * len(seeds), "|", color=FAINT, ms=5, mew=0.9)
        if (found := item.contrast) is not None:
            size = found.detectable(comparison.alpha)
            band = Rectangle((-size, height - 0.4), 2 * size, 0.8, color=_BAND, lw=0, zorder=0.5)
            axes.add_patch(band)
            family = found.interval(1 - comparison.alpha)
            axes.plot(family, [height] * 2, color=POSITIVE, lw=0.7)
            axes.plot(found.interval(), [height] * 2, color=POSITIVE, lw=2.2)
        fill = POSITIVE if found else "white"
        axes.plot([item.value], [height], "o", color=POSITIVE, mfc=fill, ms=4.5)
    axes.axvline(0, color=INK, lw=0.8, zorder=0.8)
    names = [shortened(visible(item.setting), 36) for item in items]
    axes.set_yticks(range(len(items) - 1, -1, -1), names)
    axes.set_ylim(-0.6, len(items) - 0.4)
    axes.grid(visible=True, axis="x")
    axes.grid(visible=False, axis="y")
    axes.autoscale_view(scaley=False)
    step = "" if comparison.runs.step is None else f" at step {comparison.runs.step}"
    better = "lower" if comparison.lower_is_better else "higher"
    label = f"{axis_label(comparison.runs.metric, 40)}{step} minus that of "
    label += f"{visible(comparison.reference, 36)} ({better} is better)"
    axes.set_xlabel(wrapped(label, 70))
    handles: list[Line2D | Patch] = [
        Line2D([], [], color=POSITIVE, marker="o", ms=4.5, lw=2.2, label="difference, 95 % CI"),
        Line2D([], [], color=POSITIVE, lw=0.7, label="95 % CI of the family"),
        Line2D([], [], color=FAINT, marker="|", ls="", label="each seed"),
        Patch(color=_BAND, lw=0, label="found with probability below 80 %"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2)
    return figure
