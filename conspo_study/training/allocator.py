"""Keeping freed memory in the process, instead of returning it to the system.

By default glibc returns blocks above some hundred KiB to the system at once and requests them
again, and the first touch of each page costs more than computing on it: on virtual machines new
memory is filled at 1 GB/s, memory in use at 6. A training step frees and allocates the same blocks
over and over.
"""

from __future__ import annotations

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of mallopt(3)
LARGEST_KEPT = 64 << 20
"""Larger blocks, such as the weights of a large model, still go back to the system, in bytes."""
MOST_KEPT = 512 << 20
"""Unused memory at the end of the heap that is kept, in bytes."""


def keep_freed_memory() -> None:
    """Make this process reuse freed blocks, where it can.

    Works with glibc, for all threads, from now on. It changes no result.
    """
    if sys.platform.startswith("linux"):
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            mallopt(_M_MMAP_THRESHOLD, LARGEST_KEPT)
            mallopt(_M_TRIM_THRESHOLD, MOST_KEPT)
