"""A figure of a gallery."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True)
class FigureEntry:
    """A figure that can be drawn."""

    stem: str
    """Name of its files, without an ending."""
    title: str
    """A few words, plain text."""
    caption: str
    """The content, bands and intervals of the figure. Plain text that may hold names from the
    study, made visible."""
    trials: tuple[str, ...]
    """Ids of the trials that its numbers come from."""
    draw: Callable[[], Figure]
    """Draws it, inside `style.style()`, which must also surround the saving."""
