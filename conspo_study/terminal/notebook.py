"""The live view in a notebook: one output that is drawn again in its place."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import RenderableType
from rich.jupyter import JupyterMixin

REDRAW_S = 1.0


class _Output(JupyterMixin):
    """Something that rich can draw, as a notebook asks for it."""

    def __init__(self, drawn: RenderableType):
        self._drawn = drawn

    def __rich__(self) -> RenderableType:
        return self._drawn


@contextmanager
def redrawn(draw: Callable[[], RenderableType]) -> Iterator[None]:
    """Show what `draw` returns until the block ends, and leave the last of it standing."""
    from IPython.display import display

    handle: Any = display(_Output(draw()), display_id=True)
    stop = threading.Event()

    def draw_again() -> None:
        while not stop.wait(REDRAW_S):
            handle.update(_Output(draw()))

    thread = threading.Thread(target=draw_again, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        handle.update(_Output(draw()))
