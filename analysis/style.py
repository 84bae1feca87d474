"""How figures look, and how they are saved."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

PAGE_IN = 7.0
"""Width of a page in inches: figures are drawn at the size at which they are read."""

INK, FAINT = "#222222", "#8a8a8a"

# Okabe and Ito's palette, distinguishable under the common colour vision deficiencies. Its yellow
# is left out: too pale on white for a thin line.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", INK)
MARKERS = {"no margin": "o", "cosine": "s", "constant": "^", "linear": "D"}
"""Of the margin's schedule, the same in every figure."""


def style() -> AbstractContextManager[None]:
    """Context in which to build and save a figure."""
    settings: Any = {
        "font.size": 8,
        "axes.titlesize": 8,
        "axes.labelsize": 8,
        "xtick.labelsize": 7,
        "ytick.labelsize": 7,
        "legend.fontsize": 7,
        "legend.title_fontsize": 7,
        "legend.frameon": False,
        "legend.handlelength": 1.4,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.edgecolor": INK,
        "axes.linewidth": 0.7,
        "axes.grid": True,
        "axes.grid.axis": "y",
        "axes.axisbelow": True,
        "grid.color": "#e4e4e4",
        "grid.linewidth": 0.6,
        "lines.linewidth": 1.5,
        "lines.solid_capstyle": "round",
        "figure.constrained_layout.use": True,
        # Text stays text in the PDF, so that it can be searched and edited.
        "pdf.fonttype": 42,
        "text.usetex": False,
        # A study name with a dollar sign is not a formula.
        "text.parse_math": False,
    }
    return matplotlib.rc_context(settings)


def colours(count: int) -> Sequence[Any]:
    """One colour per ordered category: the palette, or viridis when it has too few."""
    if count <= len(PALETTE):
        return PALETTE[:count]
    # The brightest tenth is left out for the same reason as the palette's yellow.
    return [matplotlib.colormaps["viridis"](0.9 * index / (count - 1)) for index in range(count)]


def save(figure: Figure, stem: Path) -> list[Path]:
    """Write `stem`.pdf and `stem`.png (200 dpi); the same figure gives the same bytes."""
    pdf, png = stem.with_suffix(".pdf"), stem.with_suffix(".png")
    figure.savefig(pdf, metadata={"CreationDate": None})
    figure.savefig(png, dpi=200, metadata={"Software": None})
    return [pdf, png]
