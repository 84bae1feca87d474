"""Landlock: what this process may still read, and that it can do nothing else to files.

Linux from 5.13 on, where the kernel has it switched on; no privileges are needed. Later kernels
also let it refuse TCP, and signals and abstract sockets to processes outside.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

_CREATE, _ADD, _RESTRICT = 444, 445, 446
"""Numbers of the system calls, the same on all architectures."""
_VERSION = 1
_BENEATH = 1
_READ_FILE, _READ_DIR = 1 << 2, 1 << 3
_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
"""Bits of the rights to files, by version; later versions are asked for those of 5."""


def allow_reading_only(places: Iterable[str]) -> bool:
    """Take from this process all access to files but reading under `places`; they must be folders
    or files, and those that do not exist are skipped.

    Returns False, and changes nothing, where the kernel does not offer it. Files that are open stay
    open. `no_new_privs` must be set.
    """
    call: Any = ctypes.CDLL(None).syscall
    version = call(_CREATE, None, ctypes.c_size_t(0), _VERSION)
    if version < 1:
        return False
    rights = [(1 << _FILE_RIGHTS[min(version, 5)]) - 1]
    if version >= 4:
        rights.append(0b11)  # bind and connect of TCP
    if version >= 6:
        rights.append(0b11)  # abstract sockets and signals
    handled = struct.pack(f"={len(rights)}Q", *rights)
    rules = call(_CREATE, handled, ctypes.c_size_t(len(handled)), 0)
    if rules < 0:
        return False
    try:
        for place in places:
            with suppress(OSError):
                _allow(call, rules, place)
        return bool(call(_RESTRICT, rules, 0) == 0)
    finally:
        os.close(rules)


def _allow(call: Any, rules: int, place: str) -> None:
    folder = os.open(place, os.O_PATH | os.O_CLOEXEC)
    try:
        rights = _READ_FILE | (_READ_DIR if Path(place).is_dir() else 0)
        call(_ADD, rules, _BENEATH, struct.pack("=Qi", rights, folder), 0)
    finally:
        os.close(folder)
