"""One driver per study: a lease file that says who drives it and shows that they are alive.

`driver.json` holds host, process and start, and a counter that a daemon thread raises while the
driver lives. It is removed on a clean exit. A driver whose process this one would see is judged by
that; any other by whether its counter moves. One that is silent is replaced without being told to
only if it ran on this machine, outside of a container, before the last boot: host names prove
nothing, since containers and clones share them. Clocks of two machines are never compared.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path

from conspo_study.processes.identity import start_of
from conspo_study.results.reading import stored_bytes, stored_object
from conspo_study.text import reason
from conspo_study.untrusted import StrangeFile

HEARTBEAT_S = 2.0
"""Seconds between two heartbeats."""
PATIENCE = 4
"""Heartbeats that a living driver would not miss in a row."""
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_NAMESPACE = Path("/proc/self/ns/pid")
_NO_CONTAINER = "pid:[4026531836]"
"""The kernel's own pid namespace, which has this number on every machine."""
_MACHINE_ID = Path("/etc/machine-id")
_MOST = 1 << 16
"""Bytes of a lease, many times over."""


class LogLocked(RuntimeError):
    """Another process drives this study; the message says which and what to do."""


class LeaseLost(LogLocked):
    """Another driver has taken this study over: nothing more may be logged by this one."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who drives a study, as its lease file says."""

    host: str
    pid: int
    process_start: int
    """When the kernel started the process, in its own ticks: a pid alone may be used again."""
    scope: str
    """Hash of the boot and the pid namespace in which `pid` and `process_start` mean something."""
    token: str
    """Random; tells this lease from every other."""
    started: str
    """When the lease was taken, UTC, for people."""
    heartbeat: int
    boot: str = ""
    """Hash of the boot of its machine; empty in leases of earlier versions."""
    machine: str = ""
    """Hash of the machine; empty in a container, which may run anywhere, and where unknown."""

    def __str__(self) -> str:
        return f"process {self.pid} on host {self.host}, which began at {self.started}"

    @property
    def here(self) -> bool:
        """Whether this process would see the holder's, if that still ran."""
        return self.scope == _scope()

    @property
    def alive(self) -> bool:
        """Whether a holder that is `here` still runs."""
        return start_of(self.pid) == self.process_start

    @property
    def ended_with_its_boot(self) -> bool:
        """Whether the holder ran on this machine before it was started again."""
        same = self.machine == _machine() != "" and self.host == socket.gethostname()
        return same and self.boot not in ("", _boot())


def read_lease(path: Path) -> Holder | None:
    """The holder; None without a lease. Raises OSError or ValueError for an unreadable one.

    What newer versions have added to leases is left out.
    """
    known = {field.name for field in fields(Holder)}
    try:
        stored = stored_object(path, _MOST)
        holder = Holder(**{name: value for name, value in stored.items() if name in known})
    except FileNotFoundError:
        return None
    except (StrangeFile, TypeError, ValueError) as error:
        raise ValueError(f"{path} is not a lease: {reason(error)}") from error
    for field in fields(Holder):
        value = getattr(holder, field.name)
        if type(value).__name__ != field.type or (
            isinstance(value, str) and not value.isprintable()
        ):
            raise ValueError(f"{path} is not a lease: {field.name} = {value!r}")
    return holder


def beats(
    path: Path, interval: float = HEARTBEAT_S, wait: Callable[[float], None] = time.sleep
) -> bool:
    """Whether the lease file changes within a few heartbeats; returns as soon as it does."""
    before = _bytes(path)
    for _ in range(2 * PATIENCE):
        wait(interval / 2)
        if _bytes(path) != before:
            return True
    return False


class Lease:
    """The right to drive the study whose folder `path` lies in; `ResultsLog` takes and returns it.

    takeover: take it from a driver elsewhere that shows no sign of life. on_lost: called once
    in the heartbeat's thread when another driver has taken over.
    """

    def __init__(
        self,
        path: Path,
        *,
        takeover: bool = False,
        on_lost: Callable[[], None] = lambda: None,
        interval: float = HEARTBEAT_S,
        wait: Callable[[float], None] = time.sleep,
    ):
        self.path = path
        self.notice = ""
        """What there is to say about the driver before this one."""
        self._takeover, self._on_lost = takeover, on_lost
        self._interval, self._wait = interval, wait
        self._holder: Holder | None = None
        self._text = ""
        """The file's content but for the number at its end."""
        self._fd = -1
        self._ended, self._releasing = threading.Event(), threading.Lock()
        self._thread = threading.Thread(target=self._beat, name="lease", daemon=True)

    def acquire(self) -> None:
        """Take the lease, and keep it alive until `release`.

        Raises LogLocked naming the holder when that is or may be alive, OSError when the file
        cannot be written.
        """
        self._judge_the_last()
        start = start_of(os.getpid())
        assert start is not None
        now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        self._holder = Holder(
            host=socket.gethostname(),
            pid=os.getpid(),
            process_start=start,
            scope=_scope(),
            token=secrets.token_hex(8),
            started=now,
            heartbeat=0,
            boot=_boot(),
            machine=_machine(),
        )
        named = {name: value for name, value in asdict(self._holder).items() if name != "heartbeat"}
        self._text = json.dumps(named).removesuffix("}") + ', "heartbeat": '
        temporary = self.path.with_name(f".{self.path.name}.{self._holder.token}.tmp")
        try:
            # Heartbeats go into this file, not into whatever bears its name by then: a driver that
            # wakes up late must not take the lease back. That also needs no space on the disk.
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_DSYNC | os.O_NOFOLLOW
            self._fd = os.open(temporary, flags, 0o666)
            self._write(0)
            temporary.replace(self.path)
        except OSError as error:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            self.release()
            raise OSError(
                error.errno, f"cannot take the lease ({error.strerror})", str(self.path)
            ) from error
        self._thread.start()

    def is_mine(self) -> bool:
        """Whether this object holds the lease at this moment, as far as that can be told: a bad
        read on a network file system must not end a study. Nothing is removed on such grounds."""
        if self._holder is None:
            return False
        try:
            return self._is_named()
        except OSError:
            return True
        except ValueError:
            return self._is_the_file()

    def check(self) -> None:
        """Raises LeaseLost, naming the other driver, unless the lease is this object's."""
        if self.is_mine():
            return
        try:
            holder = read_lease(self.path)
            what = f"was taken over by {holder}" if holder else f"lost its {self.path.name}"
        except (OSError, ValueError):
            what = f"has a {self.path.name} that another driver wrote and this version cannot read"
        raise LeaseLost(f"the study in {self.path.parent} {what}; all that was logged stands")

    def holder(self) -> Holder | None:
        """Whose lease it is at this moment; None when nobody's, or when that cannot be read."""
        try:
            return read_lease(self.path)
        except (OSError, ValueError):
            return None

    def release(self) -> None:
        """Give the lease back. Harmless when it was never taken, or lost; and from two threads, of
        which one ends the process because the other takes too long."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(self._interval)
        with self._releasing:
            with suppress(OSError, ValueError):  # another's, or nobody can tell: it stays
                if self._holder is not None and self._is_named():
                    self.path.unlink(missing_ok=True)
            self._holder = None
            # A heartbeat that hangs in a dead file system keeps its file.
            if self._fd >= 0 and not self._thread.is_alive():
                os.close(self._fd)
                self._fd = -1

    def _is_named(self) -> bool:
        """Whether the file names this object as the holder. Raises OSError, ValueError."""
        holder, own = read_lease(self.path), self._holder
        return holder is not None and own is not None and holder.token == own.token

    def _is_the_file(self) -> bool:
        """Whether the heartbeat goes into what bears the lease's name."""
        try:
            return os.path.samestat(os.fstat(self._fd), self.path.lstat())
        except OSError:
            return True

    def _judge_the_last(self) -> None:
        """Return when the study may be taken. Raises LogLocked when it may not."""
        try:
            holder = read_lease(self.path)
        except ValueError:
            self._ask_for_takeover(f"{self.path} cannot be read, so somebody may drive this study")
            return
        if holder is None:
            return
        driven = f"the study in {self.path.parent} is driven by {holder}"
        if holder.here:
            if holder.alive:
                raise LogLocked(f"{driven}; wait for it to end, or stop it with: kill {holder.pid}")
            self.notice = f"the last driver, {holder}, died; its open trials go on"
        elif beats(self.path, self._interval, self._wait):
            if self.path.exists():
                raise LogLocked(f"{driven}, and alive: wait for it to end, or stop it there")
        elif holder.ended_with_its_boot:
            self.notice = (
                f"the last driver, {holder}, ended with its machine; its open trials go on"
            )
        else:
            self._ask_for_takeover(f"{driven}, which shows no sign of life")

    def _ask_for_takeover(self, what: str) -> None:
        if not self._takeover:
            raise LogLocked(f"{what}: if that driver is dead, add --takeover")
        self.notice = f"{what}: taken over"

    def _beat(self) -> None:
        count = 0
        while not self._ended.wait(self._interval):
            if not self.is_mine():
                if not self._ended.is_set():  # or `release` has just removed it
                    self._on_lost()
                return
            count += 1
            try:
                self._write(count)
            except OSError:
                # Others may then think that this driver is dead. It stops if they take over, and
                # the study goes on if they do not.
                continue

    def _write(self, heartbeat: int) -> None:
        """Rewrite the file in place; its length never changes."""
        content, done = f"{self._text}{heartbeat:12d}}}\n".encode(), 0
        while done < len(content):
            done += os.pwrite(self._fd, content[done:], done)


def _bytes(path: Path) -> bytes | None:
    try:
        return stored_bytes(path, _MOST)
    except OSError:
        return None


def _scope() -> str:
    return _hash(_BOOT_ID.read_text("utf-8") + str(_NAMESPACE.readlink()))


def _boot() -> str:
    return _hash(_BOOT_ID.read_text("utf-8"))


def _machine() -> str:
    try:
        if str(_NAMESPACE.readlink()) != _NO_CONTAINER:
            return ""
        name = _MACHINE_ID.read_text("ascii").strip()
    except (OSError, ValueError):
        return ""
    return _hash(f"conspo-study {name}") if len(name) == 32 else ""


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
