"""A thread that works beside a block of code and ends with it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def beside(work: Callable[[threading.Event], None], wait_s: float | None = None) -> Iterator[None]:
    """Run `work` in a thread while the block runs.

    work: gets an event that is set when the block ends. wait_s: longest wait for the thread after
    that, in seconds; None waits until it has ended.
    """
    over = threading.Event()
    thread = threading.Thread(target=work, args=(over,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(wait_s)
