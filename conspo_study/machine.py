"""What this process may use of its machine: cores, memory and GPUs, whatever else there is.

A CPU mask (`taskset`, Slurm), a container's quota or `CUDA_VISIBLE_DEVICES` leave less than the
machine has. The plan and the Ray that a study starts both count with what is left.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from ctypes import CDLL, byref, c_uint
from pathlib import Path

_NVML = "libnvidia-ml.so.1"


def usable_cores(root: Path = Path("/")) -> int:
    """Whole cores, at least 1: those of the CPU mask, or fewer where a control group has a quota.

    root: where /proc and /sys are.
    """
    cores = len(os.sched_getaffinity(0))
    for folder in _control_groups(root, "cpu"):
        quota = _numbers(folder / "cpu.max") or [
            *_numbers(folder / "cpu.cfs_quota_us"),
            *_numbers(folder / "cpu.cfs_period_us"),
        ]
        if len(quota) == 2 and min(quota) > 0:
            cores = min(cores, quota[0] // quota[1])
    return max(1, cores)


def usable_memory(root: Path = Path("/")) -> int:
    """Bytes of memory: the machine's, or fewer where a control group has a limit."""
    size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for folder in _control_groups(root, "memory"):
        for name in ("memory.max", "memory.limit_in_bytes"):
            size = min([size, *_numbers(folder / name)])
    return size


def usable_gpus() -> int:
    """GPUs that CUDA would find here, without loading PyTorch to ask."""
    found = _gpus_of_the_machine()
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return found if visible is None else _visible(visible, found)


def _visible(text: str, found: int) -> int:
    """How many of `found` GPUs CUDA_VISIBLE_DEVICES leaves: it ends at the first entry that names
    none, such as -1 or NoDevFiles. Names of GPUs and of parts of them (MIG) are taken for real."""
    if not found:
        return 0
    seen: dict[str, None] = {}
    for entry in text.split(","):
        name = entry.strip()
        number = int(name) if name.isascii() and name.isdigit() else None
        known = number < found if number is not None else name.startswith(("GPU-", "MIG-"))
        if not known or name in seen:
            break
        seen[name] = None
    parts = any(name.startswith("MIG-") for name in seen)
    return len(seen) if parts else min(found, len(seen))


def _gpus_of_the_machine() -> int:
    """What NVIDIA's library counts, which knows those of Windows' Linux, too; or device files."""
    with suppress(OSError, AttributeError):
        library, count = CDLL(_NVML), c_uint()
        if library.nvmlInit_v2() == 0:
            known = library.nvmlDeviceGetCount_v2(byref(count)) == 0
            library.nvmlShutdown()
            if known:
                return count.value
    return len([path for path in Path("/dev").glob("nvidia*") if path.name[6:].isdigit()])


def _control_groups(root: Path, controller: str) -> Iterator[Path]:
    """Folders of the control groups that this process is in, from its own to the outermost; of
    version 2 and of version 1's `controller`."""
    with suppress(OSError):
        for line in (root / "proc/self/cgroup").read_text("utf-8", "replace").splitlines():
            number, names, path = line.split(":", 2)
            if number == "0" and not names:
                mounted = [root / "sys/fs/cgroup", root / "sys/fs/cgroup/unified"]
            elif controller in names.split(","):
                mounted = [root / "sys/fs/cgroup" / name for name in (names, controller)]
            else:
                continue
            # A container sees its own group as the outermost, perhaps under a path outside of it.
            inner = [part for part in path.split("/") if part not in ("", "..")]
            for length in range(len(inner), -1, -1):
                yield from (place.joinpath(*inner[:length]) for place in mounted)


def _numbers(path: Path) -> list[int]:
    """The numbers in a file of a control group; none without a limit (`max`) or a file."""
    try:
        return [int(word) for word in path.read_text("utf-8").split()]
    except (OSError, ValueError):
        return []
