"""Cores, memory and GPUs that this process may use, and whether a study can run here at all.

A CPU mask (`taskset`, Slurm), a container's quota or `CUDA_VISIBLE_DEVICES` leave less than the
machine has. The plan and the Ray that a study starts both count with what is left.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from ctypes import CDLL, Structure, byref, c_uint, c_ulonglong, c_void_p
from pathlib import Path

_NVML = ("libnvidia-ml.so.1", "/usr/lib/wsl/lib/libnvidia-ml.so.1")
"""NVIDIA's library, and where Windows puts it under WSL, which is not always searched."""
_WSL_DEVICE = Path("/dev/dxg")
_SYSTEMS = {"darwin": "macOS", "win32": "Windows"}


def why_no_study_runs_here() -> str | None:
    """The reason why this operating system cannot run a study, and what it can do; None on
    Linux."""
    platform = str(sys.platform)
    if platform == "linux":
        return None
    system = _SYSTEMS.get(platform, platform)
    linux = "WSL 2 or a Linux machine" if platform == "win32" else "a Linux machine or container"
    return (
        f"{system} cannot run a study, since starting and ending its processes needs Linux: use "
        f"{linux}. Plans (`conspo plan`, `--dry-run`) and results (`conspo status`, `watch`, "
        f"`report`, `compare`, `export`) work on {system}"
    )


def usable_cores(root: Path = Path("/")) -> int:
    """Whole cores, at least 1: those of the CPU mask, or fewer where a control group has a quota.

    root: where /proc and /sys are.
    """
    cores = _cores()
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
    from psutil import virtual_memory

    size: int = virtual_memory().total
    for folder in _control_groups(root, "memory"):
        for name in ("memory.max", "memory.limit_in_bytes"):
            size = min([size, *_numbers(folder / name)])
    return size


def usable_gpus() -> int:
    """GPUs that CUDA would find here, without loading PyTorch to ask."""
    count = _gpus_of_the_machine()
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return count if visible is None else _visible(visible, count)


def smallest_gpu_bytes() -> int | None:
    """Bytes of memory of the smallest GPU of this machine; None without one, where it cannot be
    asked, and where parts of GPUs (MIG) are used."""
    if "MIG-" in os.environ.get("CUDA_VISIBLE_DEVICES", "") or not usable_gpus():
        return None
    return min(filter(None, _gpu_sizes() or ()), default=None)


def why_no_gpus() -> str | None:
    """The reason why no GPU can be used here, and what to do about it; None where one can."""
    if usable_gpus():
        return None
    if there := _gpus_of_the_machine():
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        return f"CUDA_VISIBLE_DEVICES={visible} hides the GPUs that are here ({there}): unset it"
    if _WSL_DEVICE.exists():
        return (
            "NVIDIA's library finds no GPU under WSL: install NVIDIA's driver on Windows, none "
            "inside WSL, and run `wsl --update`, until `nvidia-smi` lists the GPU here"
        )
    return "NVIDIA's driver shows no GPU here: `nvidia-smi` must list one, in a container, too"


def _cores() -> int:
    affinity = getattr(os, "sched_getaffinity", None)  # Linux alone has it
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _visible(text: str, count: int) -> int:
    """Number of `count` GPUs that CUDA_VISIBLE_DEVICES leaves: the list ends at the first entry
    that names none, such as -1 or NoDevFiles. Names of GPUs, and of parts of them (MIG), are
    taken to exist."""
    if not count:
        return 0
    seen: dict[str, None] = {}
    for entry in text.split(","):
        name = entry.strip()
        number = int(name) if name.isascii() and name.isdigit() else None
        known = number < count if number is not None else name.startswith(("GPU-", "MIG-"))
        if not known or name in seen:
            break
        seen[name] = None
    parts = any(name.startswith("MIG-") for name in seen)
    return len(seen) if parts else min(count, len(seen))


class _GpuMemory(Structure):
    """NVML's `nvmlMemory_t`, in bytes."""

    _fields_ = (("total", c_ulonglong), ("free", c_ulonglong), ("used", c_ulonglong))


def _gpu_sizes() -> list[int] | None:
    """Bytes of memory of each GPU of the machine by NVIDIA's library, 0 where it does not say; None
    without the library."""
    for name in _NVML:
        with suppress(OSError, AttributeError):
            library, count = CDLL(name), c_uint()
            if library.nvmlInit_v2() == 0:
                counted = library.nvmlDeviceGetCount_v2(byref(count)) == 0
                sizes = [_size(library, index) for index in range(count.value)]
                library.nvmlShutdown()
                if counted:
                    return sizes
    return None


def _size(library: CDLL, index: int) -> int:
    gpu, memory = c_void_p(), _GpuMemory()
    if (
        library.nvmlDeviceGetHandleByIndex_v2(index, byref(gpu)) == 0
        and library.nvmlDeviceGetMemoryInfo(gpu, byref(memory)) == 0
    ):
        return int(memory.total)
    return 0


def _gpus_of_the_machine() -> int:
    """The number of GPUs by NVIDIA's library, which knows those under WSL, too, where there are no
    device files of theirs; without it, by device files."""
    sizes = _gpu_sizes()
    if sizes is not None:
        return len(sizes)
    return len([path for path in Path("/dev").glob("nvidia*") if path.name[6:].isdigit()])


def _control_groups(root: Path, controller: str) -> Iterator[Path]:
    """Folders of the control groups that this process is in, from its own to the outermost, for
    version 2 and for version 1's `controller`."""
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
