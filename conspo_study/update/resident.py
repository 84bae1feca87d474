"""The memory of this process that is resident, which stands for what it needed without a GPU."""

from __future__ import annotations

import resource
import sys
from pathlib import Path


def peak_resident_bytes() -> int:
    """Most memory that was resident since the process began, in bytes."""
    if sys.platform == "linux":
        # Not `ru_maxrss`: it begins at what the process that started this one held.
        for line in Path("/proc/self/status").read_text("utf-8", "replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # macOS counts in bytes
