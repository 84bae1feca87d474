"""A mask, a quota or a list of visible GPUs is what a study counts with, not the machine."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from conspo_study import machine
from conspo_study.machine import smallest_gpu_bytes, usable_cores, usable_gpus, usable_memory


@pytest.fixture
def groups(tmp_path, monkeypatch):
    """Makes a machine of 16 cores whose process is in the given control groups."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(16)))

    def make(mine, **files):
        (tmp_path / "proc/self").mkdir(parents=True)
        (tmp_path / "proc/self/cgroup").write_text(mine)
        for name, text in files.items():
            path = tmp_path / "sys/fs/cgroup" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path

    return make


def test_without_control_groups_the_cpu_mask_counts(tmp_path, monkeypatch):
    assert usable_cores(tmp_path) == len(os.sched_getaffinity(0))
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {3})
    assert usable_cores(tmp_path) == 1


@pytest.mark.parametrize(
    ("quota", "cores"),
    [
        ("max 100000", 16),
        ("400000 100000", 4),
        ("250000 100000", 2),  # whole cores
        ("50000 100000", 1),  # at least one
        ("9900000 100000", 16),  # more than there are
        ("nonsense", 16),
        ("", 16),
    ],
)
def test_a_quota_of_version_2_counts_in_whole_cores(groups, quota, cores):
    root = groups("0::/pod/me\n", **{"pod/me/cpu.max": quota + "\n"})
    assert usable_cores(root) == cores


def test_the_quota_of_an_outer_group_counts_too(groups):
    files = {"pod/cpu.max": "200000 100000\n", "pod/me/cpu.max": "max 100000\n"}
    assert usable_cores(groups("0::/pod/me\n", **files)) == 2


@pytest.mark.parametrize("path", ["/", "/../../elsewhere", "/docker/abc"])
def test_a_container_that_sees_its_own_group_outermost_has_its_quota(groups, path):
    assert usable_cores(groups(f"0::{path}\n", **{"cpu.max": "300000 100000\n"})) == 3


@pytest.mark.parametrize("mounted", ["cpu,cpuacct", "cpu"])
def test_a_quota_of_version_1_counts(groups, mounted):
    files = {
        f"{mounted}/job/cpu.cfs_quota_us": "150000\n",
        f"{mounted}/job/cpu.cfs_period_us": "50000\n",
        f"{mounted}/cpu.cfs_quota_us": "-1\n",
        f"{mounted}/cpu.cfs_period_us": "100000\n",
    }
    root = groups("7:memory:/other\n4:cpu,cpuacct:/job\n1:name=systemd:/x\n0::/\n", **files)
    assert usable_cores(root) == 3


def test_memory_is_the_machine_s_or_the_least_limit(groups, tmp_path):
    physical = usable_memory(tmp_path / "nothing")
    assert physical == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    files = {
        "memory/job/memory.limit_in_bytes": "1000000\n",
        "memory/memory.limit_in_bytes": "9223372036854771712\n",
        "unified/memory.max": "max\n",
    }
    assert usable_memory(groups("4:memory:/job\n0::/\n", **files)) == 1_000_000


def test_memory_limits_of_version_2_nest(groups):
    files = {"a/memory.max": "2000000\n", "a/b/memory.max": "3000000\n"}
    assert usable_memory(groups("0::/a/b\n", **files)) == 2_000_000


@pytest.mark.parametrize(
    ("visible", "there", "usable"),
    [
        (None, 4, 4),
        ("", 4, 0),
        ("0,2", 4, 2),
        ("-1", 4, 0),
        ("NoDevFiles", 4, 0),
        ("none", 4, 0),
        ("0,-1,1", 4, 1),  # it ends at the first that is none
        ("0,7", 4, 1),
        ("1, 2", 4, 2),
        ("1,1", 4, 1),
        ("GPU-8932f937-d72c-4106-c12f-20bd9faed9f6,GPU-1d", 4, 2),
        ("MIG-0aab,MIG-1bbc,MIG-2ccd", 1, 3),
        ("0,1", 0, 0),
        ("GPU-8932f937", 0, 0),
        ("٣", 4, 0),
    ],
)
def test_visible_gpus_are_counted_as_cuda_does(monkeypatch, visible, there, usable):
    monkeypatch.setattr(machine, "_gpus_of_the_machine", lambda: there)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert usable_gpus() == usable


def test_a_machine_without_the_library_counts_device_files(monkeypatch):
    monkeypatch.setattr(machine, "_NVML", ("libnosuch.so",))
    devices = list(Path("/dev").glob("nvidia[0-9]"))
    assert machine._gpus_of_the_machine() == len(devices)


NVML = """
struct memory {{ unsigned long long total, free, used; }};
static unsigned long long sizes[] = {{{sizes}}};
int nvmlInit_v2(void) {{ return 0; }}
int nvmlShutdown(void) {{ return 0; }}
int nvmlDeviceGetCount_v2(unsigned *count) {{ *count = {count}; return 0; }}
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **gpu) {{
    *gpu = &sizes[index]; return 0;
}}
int nvmlDeviceGetMemoryInfo(void *gpu, struct memory *found) {{
    found->total = *(unsigned long long *)gpu; found->free = 1; return {status};
}}
"""


@pytest.fixture
def nvml(tmp_path, monkeypatch):
    """Makes a library that answers as NVIDIA's does, for GPUs of these sizes."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")

    def make(*sizes, status=0):
        text = ", ".join(f"{size}ull" for size in sizes)
        source, library = tmp_path / "nvml.c", tmp_path / f"nvml-{len(sizes)}-{status}.so"
        source.write_text(NVML.format(sizes=text, count=len(sizes), status=status))
        subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source], check=True)
        monkeypatch.setattr(machine, "_NVML", (str(library),))

    return make


def test_the_smallest_gpu_is_found_by_the_library(nvml, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    nvml(85_899_345_920, 25_757_220_864)
    assert usable_gpus() == 2
    assert smallest_gpu_bytes() == 25_757_220_864
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert smallest_gpu_bytes() is None, "none is visible"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "MIG-0")
    assert smallest_gpu_bytes() is None, "parts have sizes of their own"


def test_a_gpu_whose_size_cannot_be_asked_has_none(nvml, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    nvml(85_899_345_920, status=3)
    assert usable_gpus() == 1 and smallest_gpu_bytes() is None
    monkeypatch.setattr(machine, "_NVML", ("libnosuch.so",))
    assert machine._gpu_sizes() is None


class Nvml:
    """NVIDIA's library on a machine with two GPUs."""

    nvmlInit_v2 = nvmlShutdown = staticmethod(lambda: 0)
    nvmlDeviceGetHandleByIndex_v2 = staticmethod(lambda index, gpu: 1)

    @staticmethod
    def nvmlDeviceGetCount_v2(count):
        count._obj.value = 2
        return 0


@pytest.mark.parametrize("where", machine._NVML)
def test_gpus_without_device_files_are_found_by_the_library_wherever_wsl_keeps_it(
    monkeypatch, where
):
    def load(name):
        if name != where:
            raise OSError(name)
        return Nvml

    monkeypatch.setattr(machine, "CDLL", load)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert usable_gpus() == 2 and machine.why_no_gpus() is None


@pytest.mark.parametrize(
    ("there", "visible", "wsl", "why"),
    [
        (2, "", False, r"CUDA_VISIBLE_DEVICES= hides .*\(2\): unset it"),
        (0, None, False, "`nvidia-smi` must list one"),
        (0, None, True, "driver on Windows, none inside WSL"),
    ],
)
def test_what_hides_gpus_is_said_with_what_to_do(monkeypatch, tmp_path, there, visible, wsl, why):
    monkeypatch.setattr(machine, "_gpus_of_the_machine", lambda: there)
    monkeypatch.setattr(machine, "_WSL_DEVICE", tmp_path if wsl else tmp_path / "none")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert re.search(why, machine.why_no_gpus())
