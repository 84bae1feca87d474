"""Surroundings that libraries expect of a process: Linux, a home, a user name, a temporary folder.

A study needs no home directory, but its libraries ask for one when they are imported. A container
may run under a user id without an entry in /etc/passwd, and a cluster may have home directories
that cannot be written, or a temporary folder whose path is too long for Ray's sockets.
"""

from __future__ import annotations

import atexit
import getpass
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from shutil import rmtree

from conspo_study.config.places import cache_root
from conspo_study.machine import why_no_study_runs_here
from conspo_study.records import StudyError

_SOCKET_BYTES = 107
"""Longest path of a Unix socket, in bytes."""
_LONGEST_SOCKET = "/ray/session_2000-01-01_00-00-00_000000_0000000/sockets/dash_TaskEventsHead"
ROOM = _SOCKET_BYTES - len(_LONGEST_SOCKET)
"""Longest path, in bytes, of a study's temporary folder: Ray can open its sockets in it."""
_PROBE_BYTES = 1 << 16
_PREFIX, _IN_USE = "conspo-", "in-use"
"""Of the names of folders for temporary files, and the file in each that its process locks."""


def require_linux() -> None:
    """Raise StudyError where the operating system cannot run a study."""
    if reason := why_no_study_runs_here():
        raise StudyError(reason)


@cache
def settle() -> tuple[str, ...]:
    """Give this process and its children a home, a user name and a temporary folder where it has
    none that can be used. Returns notices for people. Works once per process.

    Raises StudyError if no folder for temporary files can be written, or the working directory is
    gone.
    """
    if why_no_study_runs_here():
        return ()
    try:
        Path.cwd()
    except FileNotFoundError:
        raise StudyError("the working directory is gone: cd to one that exists") from None
    _name_the_user()
    _let_warnings_be_warnings()
    return (*_temporary_folder(), *_home())


@cache
def private_folder() -> Path:
    """A folder of this process, readable by its user alone and removed when it ends; its path is
    short enough for sockets."""
    named = (
        os.environ.get("TMPDIR"),
        "/tmp",
        "/var/tmp",
        "/dev/shm",
        os.environ.get("XDG_RUNTIME_DIR"),
    )
    places = list(dict.fromkeys(filter(None, named)))
    for place in places:
        if len(os.fsencode(place)) + len("/conspo-01234567/s") <= ROOM and not _why_not(place):
            folder, _ = _new_folder(place)
            atexit.register(_remove, folder, os.getpid())
            return folder
    raise StudyError(
        f"no folder for temporary files can be written (tried {', '.join(places)}): "
        f"set TMPDIR to one with a path of at most {ROOM} characters"
    )


def private_folder_if_any() -> Path | None:
    """The private folder if one was created."""
    return private_folder() if private_folder.cache_info().currsize else None


@contextmanager
def study_folder() -> Iterator[tuple[Path, ...]]:
    """A new folder for all temporary files of one study, readable by its user alone and removed at
    the end of the block, in RAY_TMPDIR, or else in TMPDIR, or else in /tmp.

    Yields the path to use, and what a reaper is to remove if this process is killed. The path is
    short enough for sockets: where the folder's own is not, a link to it in the private folder.
    """
    place = os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or "/tmp"
    folder, lock = _new_folder(Path(place).absolute())
    used = folder
    if len(os.fsencode(folder)) > ROOM:
        used = private_folder() / "s"
        used.symlink_to(folder)
    private = private_folder_if_any()
    try:
        yield (used, folder, *([private] if private else []))
    finally:
        if used != folder:
            used.unlink(missing_ok=True)
        rmtree(folder, ignore_errors=True)
        os.close(lock)


def _new_folder(place: str | Path) -> tuple[Path, int]:
    """A folder that nobody else can enter, and the descriptor of a file in it that stays locked
    while this process lives. Folders of processes that were killed, and could not remove them, are
    removed."""
    import fcntl  # here, since Windows, where results are read, has none

    for abandoned in Path(place).glob(f"{_PREFIX}*/{_IN_USE}"):
        with suppress(OSError):
            handle = os.open(abandoned, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                if os.fstat(handle).st_uid == os.getuid():
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)  # raises while it is in use
                    rmtree(abandoned.parent, ignore_errors=True)
            finally:
                os.close(handle)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=place))
    begun = folder / f".{_IN_USE}"
    lock = os.open(begun, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    begun.rename(folder / _IN_USE)  # so that it never bears the name unlocked
    return folder, lock


def _temporary_folder() -> Iterator[str]:
    """Replace TMPDIR, and RAY_TMPDIR where that is set, by a folder that can be used."""
    for name in ("TMPDIR", "RAY_TMPDIR"):
        set_by_user = os.environ.get(name)
        if not set_by_user and name == "RAY_TMPDIR":
            continue
        place = set_by_user or "/tmp"
        if why := _why_not(place):
            used = private_folder() / "tmp"
            used.mkdir(exist_ok=True)
            os.environ[name] = str(used)
            tempfile.tempdir = None
            notice = f"{place} {why}: temporary files are in {used.parent}"
            yield f"{name}={notice}" if set_by_user else notice


def _why_not(place: str | Path) -> str:
    """Reason why a folder cannot hold temporary files; empty if it can."""
    if not Path(place).is_dir():
        return "is not a folder" if os.path.lexists(place) else "does not exist"
    try:
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(bytes(_PROBE_BYTES))
    except OSError as error:
        return f"cannot be written ({error.strerror})"
    return ""


def _name_the_user() -> None:
    """Set a name for a user without one, for libraries that ask for it."""
    try:
        getpass.getuser()
    except (KeyError, OSError):
        os.environ["USER"] = os.environ["LOGNAME"] = f"uid{os.getuid()}"


def _let_warnings_be_warnings() -> None:
    """Undo `PYTHONWARNINGS=error` and `-W error`: Ray and its dashboard do not start under it."""
    if any("error" in option for option in sys.warnoptions):
        os.environ.pop("PYTHONWARNINGS", None)
        sys.warnoptions.clear()  # which multiprocessing passes to its children
        warnings.resetwarnings()
        warnings.simplefilter("ignore")


def _home() -> Iterator[str]:
    """Redirect files that belong into the home directory if it cannot be written. Files there are
    still read."""
    home = _found_home()
    if home is None:
        named = os.environ.get("HOME")
        os.environ["HOME"] = str(_made("home"))
        why = f"HOME={named} is not a folder" if named else "there is no home directory"
        yield f"{why}: caches are in {os.environ['HOME']} and are removed when this process ends"
        return
    os.environ["HOME"] = str(home)  # Ray looks nowhere else
    if _can_write(home):
        return
    elsewhere = {"MPLCONFIGDIR": "matplotlib", "TRITON_HOME": "triton"}
    if not (home / ".cache").exists():
        elsewhere["XDG_CACHE_HOME"] = "cache"
    if not (home / ".config").exists():
        elsewhere["XDG_CONFIG_HOME"] = "config"
    for name, folder in elsewhere.items():
        if not os.environ.get(name):
            os.environ[name] = str(_made(folder))
    root = cache_root()
    if not root.exists() and not _can_write(next(p for p in root.parents if p.exists())):
        os.environ["CONSPO_STUDY_CACHE"] = str(_made("cache/conspo-study"))
    yield (
        f"the home directory {home} cannot be written: caches are in {private_folder()} and are "
        "removed when this process ends, unless CONSPO_STUDY_CACHE and HF_HOME name others"
    )


def _found_home() -> Path | None:
    """The home directory; None without one."""
    if not os.environ.get("HOME"):
        os.environ.pop("HOME", None)  # empty, it would be taken for the root directory
    with suppress(RuntimeError):
        home = Path.home()
        if home.is_absolute() and home.is_dir():
            return home
    return None


def _can_write(folder: Path) -> bool:
    return os.access(folder, os.W_OK | os.X_OK)


def _made(name: str) -> Path:
    folder = private_folder() / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _remove(folder: Path, owner: int) -> None:
    if os.getpid() == owner:  # and not a fork of it
        rmtree(folder, ignore_errors=True)
