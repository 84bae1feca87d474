"""The look of figures, and their files."""

from __future__ import annotations

import io
import math
import textwrap
import warnings
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Literal

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from analysis.figures.symbols import literal
from conspo_study.files import write_atomic

PAGE_IN, COLUMN_IN = 7.0, 3.4
"""Widths of a page and of a column in inches; figures are drawn at their printed size."""

POSITIVE, NEGATIVE = "#0072B2", "#D55E00"
"""Correct and wrong responses, the same in every figure."""

VALUE_SCALE = "cividis"
"""Colour map of the study's metric, made for colour vision deficiencies; dark is low."""

INK, FAINT = "#222222", "#8a8a8a"

# Okabe and Ito's palette, distinguishable under the common colour vision deficiencies. Its yellow
# is left out: too pale on white for a thin line.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", INK)
SCHEDULES = {
    "no margin": ("o", INK),
    "cosine": ("s", "#0072B2"),
    "constant": ("^", "#D55E00"),
    "linear": ("D", "#009E73"),
}
"""Marker and colour of the margin's schedule, the same in every figure."""
OTHER_SCHEDULE = ("P", "#CC79A7")

BODY_PT, SMALL_PT = 8, 7
"""The two sizes of type, the same in every figure: axes, and whatever is smaller."""


def style() -> AbstractContextManager[None]:
    """Context in which to build and save a figure."""
    settings: Any = {
        # Times as papers set it, with matching formulas; letters that it lacks come from the other.
        "font.family": ["STIXGeneral", "DejaVu Sans"],
        "mathtext.fontset": "stix",
        "font.size": BODY_PT,
        "axes.titlesize": SMALL_PT,
        "axes.titlelocation": "left",
        "axes.labelsize": BODY_PT,
        "xtick.labelsize": SMALL_PT,
        "ytick.labelsize": SMALL_PT,
        "legend.fontsize": SMALL_PT,
        "legend.title_fontsize": SMALL_PT,
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
    }
    return matplotlib.rc_context(settings)


def colours(count: int) -> Sequence[Any]:
    """One colour per ordered category: the palette, or viridis when it has too few."""
    if count <= len(PALETTE):
        return PALETTE[:count]
    # The brightest tenth is left out for the same reason as the palette's yellow.
    return [matplotlib.colormaps["viridis"](0.9 * index / (count - 1)) for index in range(count)]


def distinct(count: int) -> Sequence[tuple[Any, Any]]:
    """A colour and a line style per category without an order, all different; at most 28."""
    styles = ("-", (0, (4, 1.5)), (0, (1, 1.2)), (0, (5, 1.2, 1, 1.2)))
    pairs = [(colour, line) for line in styles for colour in PALETTE]
    return pairs[:count]


def wrapped(text: str, width: int) -> str:
    """Plain text on two lines at most, to be drawn as it is."""
    return literal("\n".join(textwrap.wrap(text, width, max_lines=2, placeholder="…")))


def broken(typeset: str, width: int) -> str:
    """A typeset name on lines of about so many characters, broken at spaces alone, which formulas
    have none of."""
    return "\n".join(textwrap.wrap(typeset, width, break_long_words=False, break_on_hyphens=False))


def shortened(text: str, width: int = 56) -> str:
    """Plain text on one line of at most so many characters, to be drawn as it is: two such fit side
    by side on a page."""
    return literal(text if len(text) <= width else f"{text[: width - 1]}…")


def title_panels(panels: Iterable[Axes], titles: Sequence[str] = ()) -> None:
    """Title each panel at its upper left corner, after a letter where there are several.

    titles: typeset, one for each panel; none: letters alone.
    """
    panels = list(panels)
    for index, axes in enumerate(panels):
        letter = f"({chr(ord('a') + index)})" if len(panels) > 1 else ""
        axes.set_title(f"{letter} {titles[index] if titles else ''}".strip(), loc="left")


def label_below(panels: Iterable[Axes], columns: int, label: str) -> None:
    """Name the horizontal axis, which all panels share, under the lowest of each column. panels:
    row by row."""
    for axes in list(panels)[-columns:]:
        axes.set_xlabel(label)


def step_axis(axes: Axes) -> None:
    """Training steps along x, from 0, with whole numbers."""
    axes.set_xlabel("training step")
    axes.set_xlim(left=0)
    axes.xaxis.set_major_locator(MaxNLocator(nbins="auto", steps=[1, 2, 5, 10], integer=True))


def log_axis(axes: Axes, which: Literal["x", "y"], values: Sequence[float], most: int = 6) -> None:
    """Logarithmic, ticks in plain digits; linear around 0 when a value is 0.

    values: what is shown, none negative, at least one. Few values are the ticks, more get powers
    of ten.
    """
    shown = sorted({float(value) for value in values})
    positive = [value for value in shown if value > 0] or [1.0]
    axis, rescale, limit = (
        (axes.xaxis, axes.set_xscale, axes.set_xlim)
        if which == "x"
        else (axes.yaxis, axes.set_yscale, axes.set_ylim)
    )
    zero = [0.0] if shown[0] == 0 else []
    if zero:
        # One tiny value must not stretch the axis: next to 0 is where it belongs.
        positive = [value for value in positive if value >= positive[-1] / 200]
        rescale("symlog", linthresh=positive[0], linscale=0.6)
    else:
        rescale("log")
    ends = axis.get_transform().transform([shown[0], max(shown[-1], positive[-1])])
    pad = 0.07 * (ends[1] - ends[0]) or 0.3
    limit(*axis.get_transform().inverted().transform([ends[0] - pad, ends[1] + pad]))
    ticks = [*zero, *_log_ticks(positive, most)]
    axis.set_ticks(ticks, labels=list(map(_tick_text, ticks)))
    axis.set_ticks([], minor=True)


def _tick_text(value: float) -> str:
    """Plain digits, or a power of ten for what is very small or large."""
    if value == 0 or 1e-4 <= abs(value) < 1e5:
        return f"{value:.3g}"
    digits, power = f"{value:.1e}".split("e")
    factor = "" if digits == "1.0" else rf"{digits}\times"
    return f"${factor}10^{{{int(power)}}}$"


def _log_ticks(values: Sequence[float], most: int) -> list[float]:
    """values: positive, ascending."""
    low, high = math.log10(values[0]), math.log10(values[-1])
    ticks = list(values)
    if len(values) > most:
        every = max(1, math.ceil((high - low) / most))
        powers = range(math.ceil(low - 1e-9), math.floor(high + 1e-9) + 1, every)
        ticks = [10.0**power for power in powers]
        if len(ticks) < 2:
            ticks = [values[0], values[-1]]
    kept: list[float] = []
    for tick in ticks:
        # Neighbours whose labels would touch: the larger one goes.
        if not kept or math.log10(tick / kept[-1]) >= (high - low) / 10:
            kept.append(tick)
    return kept


def save(figure: Figure, stem: Path, pixels: int) -> list[Path]:
    """Write `stem`.pdf, `stem`.svg and `stem`.png; the same figure gives the same bytes. pixels: of
    the PNG per inch."""
    pdf, svg, png = (stem.with_suffix(ending) for ending in (".pdf", ".svg", ".png"))
    with warnings.catch_warnings(), matplotlib.rc_context({"svg.hashsalt": stem.name}):
        # A name may have letters that the font lacks; captions and tables have them.
        warnings.filterwarnings("ignore", "Glyph .* missing")
        write_atomic(pdf, _encoded(figure, format="pdf", metadata={"CreationDate": None}))
        # The layout is settled; working it out again would take longer than drawing.
        figure.set_layout_engine("none")
        write_atomic(svg, _encoded(figure, format="svg", metadata={"Date": None, "Creator": None}))
        write_atomic(png, _encoded(figure, format="png", dpi=pixels, metadata={"Software": None}))
    return [pdf, svg, png]


def _encoded(figure: Figure, **how: Any) -> bytes:
    content = io.BytesIO()
    figure.savefig(content, **how)
    return content.getvalue()
