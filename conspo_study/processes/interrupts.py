"""Ctrl-C and SIGTERM while a study runs: the first asks it to stop, the second ends it at once.

Both leave a study that can be resumed. The first ends running trials and shuts Ray down. The second
is like a kill: everything logged is on disk, and the kernel ends the child processes.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """Record of the signals received."""

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        """The first signal; None before it."""

    @property
    def exit_status(self) -> int:
        """128 plus the signal's number, as in shells: 130 for Ctrl-C, 143 for SIGTERM."""
        return 128 + (self.received or signal.SIGINT)

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal. Raises KeyboardInterrupt unless Ray Tune can stop cleanly."""
        if self.received is not None:
            os.write(sys.stderr.fileno(), b"\nstopped at once; continue with --resume\n")
            os._exit(128 + number)
        self.received = signal.Signals(number)
        if callable(signal.getsignal(signal.SIGUSR1)):
            # Tune is running: this signal asks it to stop after the current event.
            signal.raise_signal(signal.SIGUSR1)
        else:
            raise KeyboardInterrupt


_active: Interrupts | None = None


@contextmanager
def interrupts() -> Iterator[Interrupts]:
    """Handle both signals inside the block, as far as it runs in the main thread."""
    global _active
    if threading.current_thread() is not threading.main_thread():
        yield Interrupts()
        return
    # Or Tune would handle SIGINT itself, and a second one would not be noticed.
    os.environ["TUNE_DISABLE_SIGINT_HANDLER"] = "1"
    before: dict[int, Any] = {number: signal.getsignal(number) for number in _SIGNALS}
    signal.signal(signal.SIGUSR1, signal.SIG_DFL)
    _active = Interrupts()
    handle_again()
    try:
        yield _active
    finally:
        _active = None
        signal.signal(signal.SIGUSR1, signal.SIG_DFL)
        for number, handler in before.items():
            signal.signal(number, handler)


def handle_again() -> None:
    """Set the handlers again after a library has set its own."""
    if _active is not None:
        for number in _SIGNALS:
            signal.signal(number, _active)


def tune_has_ended() -> None:
    """Let signals interrupt again: Tune leaves its handler behind, which nothing reads any more."""
    if _active is not None and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGUSR1, signal.SIG_DFL)


def stopping() -> bool:
    """True if the study that runs in such a block has been asked to stop."""
    return _active is not None and _active.received is not None


def stop() -> None:
    """Ask the study that runs in such a block to stop, from any thread, as Ctrl-C would."""
    if _active is not None:
        os.kill(os.getpid(), signal.SIGINT)
