"""Legends of curves, and counts of seeds in words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.figures.data_training import Curve


def curve_legend(
    figure: Figure, curves: Sequence[Curve], looks: Sequence[tuple[Any, Any]], note: str = ""
) -> None:
    """Add a legend of the curves below the figure. looks: colour and line style of each. note: a
    last entry without a mark."""
    handles = [
        Line2D([], [], color=colour, linestyle=line, label=curve.typeset)
        for curve, (colour, line) in zip(curves, looks, strict=True)
    ]
    handles += [Line2D([], [], linestyle="", label=note)] if note else []
    figure.legend(handles=handles, loc="outside lower center", ncols=2, columnspacing=2)


def seed_range(counts: Iterable[float]) -> str:
    """`3`, or `1 to 3` for counts that differ; at least one."""
    numbers = sorted({int(count) for count in counts})
    return " to ".join(str(n) for n in dict.fromkeys((numbers[0], numbers[-1])))
