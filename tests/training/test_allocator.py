"""Freed memory is kept."""

import platform
import subprocess
import sys

import pytest

from conspo_study.training.allocator import keep_freed_memory

MIB = 2**20
CODE = """
import resource
from pathlib import Path
from conspo_study.training.allocator import keep_freed_memory
{first}
def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
before = resident()
blocks = [bytearray(b"1") * (8 << 20) for _ in range(8)]  # of the C library, as tensors are
del blocks
print(resident() - before)
"""


def kept(first):
    """Bytes that a process still has after it has filled and freed 64 MiB."""
    command = [sys.executable, "-c", CODE.format(first=first)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a matter of glibc's")
def test_freed_blocks_stay_with_the_process():
    assert kept("") < 16 * MIB
    assert 48 * MIB < kept("keep_freed_memory()") < 80 * MIB


def test_where_the_c_library_has_no_such_setting_nothing_happens(monkeypatch):
    monkeypatch.setattr("conspo_study.training.allocator.ctypes.CDLL", lambda _: object())
    keep_freed_memory()
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr("conspo_study.training.allocator.ctypes.CDLL", None)
    keep_freed_memory()
