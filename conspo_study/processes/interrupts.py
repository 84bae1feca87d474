"""Ctrl-C, SIGTERM and SIGHUP while a study runs: the first asks it to stop, the second ends it.

Both leave a study that can be resumed. The first ends running trials and shuts Ray down. Whoever
sends it may have sent it to Ray's processes, too, which then answer nothing any more: a study that
has not stopped in order after `STOP_S` ends at once, as at a second signal. That is like a kill:
everything logged is on disk, and the reaper ends the child processes.
"""

from __future__ import annotations

import atexit
import gc
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from types import FrameType
from typing import Any

STOP_S = 4.0
"""Longest time, in seconds, that stopping in order may take. Batch systems and service managers
send SIGKILL some time after SIGTERM, the most impatient of them after 5 seconds."""
_RELEASE_S = 0.5
"""Longest wait for the lease to be given back: the file system may be what does not answer."""
_SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)


class Interrupts:
    """Record of the signals received.

    release: gives back what the next driver would otherwise wait for; called, from another thread,
    before the process ends at once.
    """

    def __init__(self, release: Callable[[], None] = lambda: None) -> None:
        self.received: signal.Signals | None = None
        """The first signal; None before it."""
        self._release = release
        self._asked_by_itself = False
        self._in_order = threading.Event()

    @property
    def exit_status(self) -> int:
        """128 plus the signal's number, as in shells: 130 for Ctrl-C, 143 for SIGTERM, 129 for
        SIGHUP."""
        return 128 + (self.received or signal.SIGINT)

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal. Raises KeyboardInterrupt unless Ray Tune can stop cleanly."""
        by_itself, self._asked_by_itself = self._asked_by_itself, False
        if self.received is not None:
            if not by_itself:
                self.end(128 + number, "stopped at once; continue with --resume")
            return
        self.received = signal.Signals(number)
        # An interactive session outlives the study that it stops, and a study that asks itself to
        # stop has more to say.
        if not by_itself and not (number == signal.SIGINT and _is_interactive()):
            threading.Thread(target=self._end_late, daemon=True).start()
        if callable(signal.getsignal(signal.SIGUSR1)):
            # Tune is running: this signal asks it to stop after the current event.
            signal.raise_signal(signal.SIGUSR1)
        else:
            raise KeyboardInterrupt

    def ask(self) -> None:
        """Ask the study to stop, from any thread, as Ctrl-C would."""
        self._asked_by_itself = True
        os.kill(os.getpid(), signal.SIGINT)

    def stopped_in_order(self) -> None:
        """Say that nothing is left to stop."""
        self._in_order.set()

    def end(self, status: int, message: str) -> None:
        """End this process with a message. As safe as a kill: what was logged is on disk."""
        releasing = threading.Thread(target=self._release, daemon=True)
        releasing.start()
        releasing.join(_RELEASE_S)
        with suppress(OSError):  # after SIGHUP there is no terminal
            os.write(sys.stderr.fileno(), f"\n{message}\n".encode())
        os._exit(status)

    def _end_late(self) -> None:
        if not self._in_order.wait(STOP_S):
            self.end(
                self.exit_status,
                f"not stopped in order within {STOP_S:.0f} s, so stopped at once; all that was "
                "logged is kept: continue with --resume",
            )


_active: Interrupts | None = None


@contextmanager
def interrupts(release: Callable[[], None] = lambda: None) -> Iterator[Interrupts]:
    """Handle the signals inside the block, as far as it runs in the main thread. One that is
    ignored there, as SIGHUP is under `nohup`, stays ignored. release: as in `Interrupts`."""
    global _active
    if threading.current_thread() is not threading.main_thread():
        yield Interrupts()
        return
    _exit_quickly()
    # Or Tune would handle SIGINT itself, and a second one would not be noticed.
    os.environ["TUNE_DISABLE_SIGINT_HANDLER"] = "1"
    before: dict[int, Any] = {number: signal.getsignal(number) for number in _SIGNALS}
    signal.signal(signal.SIGUSR1, signal.SIG_DFL)
    outer, active = _active, Interrupts(release)
    _active = active
    handle_again()
    try:
        yield active
    finally:
        active.stopped_in_order()
        _active = outer
        signal.signal(signal.SIGUSR1, signal.SIG_DFL)
        for number, handler in before.items():
            signal.signal(number, handler)


def handle_again() -> None:
    """Set the handlers again after a library has set its own."""
    if _active is not None:
        for number in _SIGNALS:
            if number != getattr(signal, "SIGHUP", None) or not _is_ignored(number):
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
        _active.ask()


def end_at_once(what: str) -> None:
    """End this process because of `what`: as at a second signal if it was asked to stop, since what
    stops it may have ended what it runs on."""
    active = _active or Interrupts()
    if active.received is not None:
        active.end(active.exit_status, f"stopped ({what}); continue with --resume")
    active.end(1, f"error: {what}. All that was logged stands; continue with --resume")


@cache
def _exit_quickly() -> None:
    """Skip the interpreter's last collection of garbage, which takes as long as stopping does once
    torch and Ray are loaded."""
    atexit.register(gc.freeze)


def _is_ignored(number: int) -> bool:
    return signal.getsignal(number) is signal.SIG_IGN


def _is_interactive() -> bool:
    return hasattr(sys, "ps1") or "ipykernel" in sys.modules
