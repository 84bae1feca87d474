"""Confines the verifier's processes before they read what a model wrote.

They compute and answer; should a library execute what it reads, it finds no files but libraries,
no network and no other process. Each part is given up where the kernel lets an ordinary process do
so, and the others hold without it.
"""

from __future__ import annotations

import ctypes
import os
import resource
import site
import sys
import sysconfig
from collections.abc import Iterator, Mapping

from conspo_study.reward.landlock import allow_reading_only
from conspo_study.reward.seccomp import allow_computing_only

_SET_NO_NEW_PRIVS = 38
_MOST_FILES = 64


def confine() -> Mapping[str, bool]:
    """Give up, for good, all that computing does not need: writing files, starting processes, and,
    as far as the kernel offers it, reading (`files`) and all other system calls (`calls`).

    Returns which of these two hold. Call it after the imports; libraries may still be read.
    """
    places = list(_libraries())
    sys.dont_write_bytecode = True
    for limit, most in (
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_NOFILE, _MOST_FILES),
    ):
        resource.setrlimit(limit, (most, most))
    os.chdir("/")
    allowed = ctypes.CDLL(None).prctl(_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    files = allowed and allow_reading_only(places)
    return {"files": files, "calls": allowed and allow_computing_only()}


def _libraries() -> Iterator[str]:
    """Folders of the standard library, of installed and of imported packages, and of the system's
    libraries: sympy imports parts of itself when it needs them."""
    yield from (sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib"))
    yield from site.getsitepackages()
    if site.ENABLE_USER_SITE:
        yield site.getusersitepackages()
    for name, module in list(sys.modules.items()):
        if "." not in name:
            yield from map(str, getattr(module, "__path__", ()))
    yield from ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache", f"{sys.prefix}/lib")
    yield from filter(None, os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep))
