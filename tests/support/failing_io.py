"""A disk of which one call fails: the `at`-th by which something in a folder is written.

The calls are those of the operating system, so whatever a class comes to write is among them.
"""

import errno
import io
import json
import os
import re
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

KILLED = 9


class Fault(StrEnum):
    """What the call does instead."""

    EIO = "EIO"
    ENOSPC = "ENOSPC"
    SHORT = "short"
    """Writes half and says so."""
    HALF = "half"
    """Writes half, or does what it was asked to, and fails."""
    DIE = "die"
    DIE_HALF = "die half-way"
    """The process is killed after half, or right after the call."""


KILLS = {Fault.DIE, Fault.DIE_HALF}


class Disk:
    """Counts the calls below `folder`; the `at`-th, from 0, is a `fault`."""

    def __init__(self, folder, at=None, fault=Fault.EIO):
        self.folder, self.at, self.fault = os.path.realpath(folder), at, fault
        self.calls = []
        """What was called on what, in order."""
        self._real = {name: getattr(os, name) for name in self._patches()}
        self._open = io.open

    def _patches(self):
        return {
            **{name: getattr(self, name) for name in ("open", "write", "pwrite")},
            **{name: self._on_file(name) for name in ("fsync", "ftruncate")},
            **{name: self._on_path(name) for name in ("mkdir", "unlink", "rmdir")},
            **{name: self._on_path(name, "src_dir_fd") for name in ("rename", "replace")},
        }

    @contextmanager
    def working(self):
        """Let the calls of this process go through the disk."""
        for name, call in self._patches().items():
            setattr(os, name, call)
        io.open = self._opened
        try:
            yield self
        finally:
            for name, call in self._real.items():
                setattr(os, name, call)
            io.open = self._open

    def open(self, path, flags, mode=0o777, *, dir_fd=None):
        """Counts where something can be written."""
        call = self._real["open"]
        writes = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        name = self._named(path, dir_fd) if writes else None
        return self._do("open", name, lambda: call(path, flags, mode, dir_fd=dir_fd), path)

    def write(self, handle, data):
        call, half = self._real["write"], bytes(data)[: len(data) // 2]
        name = self._of(handle)
        return self._do("write", name, lambda: call(handle, data), half=lambda: call(handle, half))

    def pwrite(self, handle, data, offset):
        call, half = self._real["pwrite"], bytes(data)[: len(data) // 2]
        name = self._of(handle)
        return self._do(
            *("pwrite", name, lambda: call(handle, data, offset)),
            half=lambda: call(handle, half, offset),
        )

    def _on_file(self, function):
        call = getattr(os, function)

        def wrapped(handle, *arguments):
            if function == "fsync":  # what is flushed makes no difference without a power cut
                return self._do(function, self._of(handle), lambda: None)
            return self._do(function, self._of(handle), lambda: call(handle, *arguments))

        return wrapped

    def _on_path(self, function, descriptor="dir_fd"):
        call = getattr(os, function)

        def wrapped(path, *arguments, **options):
            name = self._named(path, options.get(descriptor))
            return self._do(function, name, lambda: call(path, *arguments, **options), path)

        return wrapped

    def _opened(self, file, mode="r", *arguments, **options):
        """Python's own files, so that what they write is counted, too."""
        if isinstance(file, int) or not set(mode) & set("wax+"):
            return self._open(file, mode, *arguments, **options)
        raw = _Raw(file, mode.replace("b", "").replace("t", ""), opener=os.open)
        file = io.BufferedWriter(raw)
        return file if "b" in mode else io.TextIOWrapper(file, encoding="utf-8")

    def _do(self, function, name, call, path=None, half=None):
        if name is None:
            return call()
        self.calls.append(f"{function} {name}")
        if len(self.calls) - 1 != self.at or (self.fault is Fault.SHORT and half is None):
            return call()
        if self.fault is Fault.SHORT:
            return half()
        if self.fault in (Fault.HALF, Fault.DIE_HALF):
            with suppress(OSError):  # there already
                (half or call)()
        if self.fault in KILLS:
            os._exit(KILLED)
        number = errno.ENOSPC if self.fault is Fault.ENOSPC else errno.EIO
        raise OSError(number, os.strerror(number), path)

    def _named(self, path, dir_fd):
        """The path below the folder without what is random in it; None for another place."""
        here = self._where(dir_fd) if dir_fd is not None else Path.cwd()
        place = os.path.normpath(Path(here, path))
        if not place.startswith(self.folder):
            return None
        return re.sub(r"[0-9a-f]{8,16}\.tmp", "*.tmp", os.path.relpath(place, self.folder))

    def _of(self, handle):
        return self._named(self._where(handle), None)

    def _where(self, handle):
        try:
            return str(Path(f"/proc/self/fd/{handle}").readlink())
        except OSError:
            return "/"


class _Raw(io.FileIO):
    def write(self, data):
        """Through `os.write`, as the files that the project opens itself."""
        return os.write(self.fileno(), data)


@dataclass
class Outcome:
    """How a run ended."""

    done: list = field(default_factory=list)
    """What it acknowledged."""
    error: BaseException | None = None
    died: bool = False
    calls: list = field(default_factory=list)


def run(act, folder, at=None, fault=Fault.EIO):
    """Call `act(folder, acknowledge)`; `acknowledge(what)` says that something was stored. Where
    it is to be killed, it is a process of its own."""
    if fault in KILLS:
        return _killed(act, folder, Disk(folder, at, fault))
    outcome = Outcome()
    with Disk(folder, at, fault).working() as disk:
        try:
            act(folder, outcome.done.append)
        except Exception as error:
            outcome.error = error
    outcome.calls = disk.calls
    return outcome


def _killed(act, folder, disk):
    out, into = os.pipe()
    write = os.write
    child = os.fork()
    if child == 0:
        try:
            with disk.working():
                act(folder, lambda what: write(into, json.dumps(what).encode() + b"\n"))
        finally:
            os._exit(0)
    os.close(into)
    with os.fdopen(out, "rb") as said:
        done = [json.loads(line) for line in said]
    _, status = os.waitpid(child, 0)
    return Outcome(done, died=os.waitstatus_to_exitcode(status) == KILLED)


def stored(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
