"""Notices when what a study runs on is gone, and ends the study at once in a resumable state.

When the head of a Ray cluster dies, calls into Ray wait without end, or until Ray ends the process
from within, with a stack trace and after a minute; neither raises an error that could be caught.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

TICK_S = 1.0
PATIENCE = 30
"""Ticks without an answer after which there will be none. Ticks of this process are counted rather
than seconds of a clock, so that a process that was stopped for a while does not accuse another."""
LAST_ANSWER = 5
"""Ticks that the last question may take, which is answered in milliseconds by what is alive."""

Probe = Callable[[], str | None]
"""Asks for a sign of life: returns None, or what is wrong for good; may raise, or never return."""


@contextmanager
def watching(
    probe: Probe,
    lost: Callable[[str], None],
    *,
    tick_s: float = TICK_S,
    patience: int = PATIENCE,
) -> Iterator[None]:
    """Call `probe` again and again inside the block, and `lost`, once, with what is wrong.

    What raises has not answered: it may answer yet. A probe that is under way when the block ends
    may see the end of what it asks: it is waited for, up to `LAST_ANSWER` ticks, and not heard.
    """
    done, answered, first = threading.Event(), threading.Event(), threading.Lock()
    silence, ending = ["it does not answer"], threading.Lock()

    def say(what: str) -> None:
        with ending:
            heard = not done.is_set() and first.acquire(blocking=False)
        if heard:
            lost(what)

    def ask() -> None:
        while not done.wait(tick_s):
            try:
                found = probe()
            except Exception as error:
                silence[0] = f"{type(error).__name__}: {error}"
                continue
            if found:
                say(found)
                return
            answered.set()

    def watch() -> None:
        silent = 0
        while not done.wait(tick_s):
            silent = 0 if answered.is_set() else silent + 1
            answered.clear()
            if silent > patience:
                say(silence[0])
                return

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        with ending:
            done.set()
        asking.join(LAST_ANSWER * tick_s)
