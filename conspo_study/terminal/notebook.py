"""Live view in a notebook: one output that is drawn again in its place."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import RenderableType
from rich.jupyter import JupyterMixin

from conspo_study.processes.background import beside

REDRAW_S = 1.0
"""Time between two drawings."""


class _Output(JupyterMixin):
    """Adapts what rich can draw to what a notebook can display."""

    def __init__(self, drawn: RenderableType):
        self._drawn = drawn

    def __rich__(self) -> RenderableType:
        return self._drawn


@contextmanager
def redrawn(draw: Callable[[], RenderableType]) -> Iterator[None]:
    """Show what `draw` returns until the block ends, and leave the last drawing in place."""
    from IPython.display import display

    handle: Any = display(_Output(draw()), display_id=True)

    def draw_again(over: threading.Event) -> None:
        while not over.wait(REDRAW_S):
            handle.update(_Output(draw()))

    try:
        with beside(draw_again):
            yield
    finally:
        handle.update(_Output(draw()))
