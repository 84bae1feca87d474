"""The console that reports are printed to."""

from __future__ import annotations

from rich.console import Console

_PIPE_WIDTH = 1000
"""Columns of a file or a pipe, which no table has to fit."""


def plain_console() -> Console:
    """Standard output without rich's markup and highlights."""
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = _PIPE_WIDTH
    return console
