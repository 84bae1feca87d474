"""The peak resident memory of this process: its need for memory where it computes on a CPU."""

from __future__ import annotations

import resource
import sys
from pathlib import Path


def peak_resident_bytes() -> int:
    """Peak resident memory since the process began, in bytes."""
    if sys.platform == "linux":
        # Not `ru_maxrss`, which starts from the memory of the parent process.
        for line in Path("/proc/self/status").read_text("utf-8", "replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # macOS counts in bytes
