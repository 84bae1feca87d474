"""Files that appear whole or not at all, whatever kills the process while they are written.

Everything is written by the descriptor of its folder, never through a link: `inner` says how many
of the folders above a file lie in a results directory, where none may be a link. What is above
them may well be one. The umask decides who may read a file.
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import secrets
import stat
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NO_SPACE_TEXTS = ("No space left on device", "Disk quota exceeded", "File too large")
"""Messages of libraries that are not written in Python for the same errors."""
_NO_LINK = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
"""Flags with which neither a link nor a pipe without a reader is waited for or followed."""
_MODE = 0o666
"""Of a new file, less what the umask takes away."""


def write_atomic(path: Path, data: bytes, inner: int = 0) -> None:
    """Create or replace `path` with `data`, durable on return; the folder must exist.

    Raises OSError naming `path` (disk full, permission, a link among the last `inner` folders);
    the file then has its old content or, whole, the new.
    """
    with naming(path, "cannot write the file"), _descriptor(path.parent, inner) as folder:
        # A leading dot keeps an abandoned temporary file out of every glob of a reader.
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_LINK
            handle = os.open(_in(folder, temporary), flags, _MODE, dir_fd=folder)
            try:
                write_all(handle, data)
                os.fsync(handle)
            finally:
                os.close(handle)
            ends = {"src_dir_fd": folder, "dst_dir_fd": folder}
            os.replace(_in(folder, temporary), _in(folder, path), **ends)  # noqa: PTH105
        except BaseException:
            with suppress(OSError):
                os.unlink(_in(folder, temporary), dir_fd=folder)
            raise
        if folder is not None:
            os.fsync(folder)


def write_json_atomic(path: Path, data: Any, inner: int = 0) -> None:
    """`write_atomic` of indented strict JSON.

    Raises ValueError when `data` holds NaN, infinity or anything else that JSON cannot express.
    """
    try:
        text = json.dumps(data, indent=1, allow_nan=False, ensure_ascii=True)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path.name} cannot be written as JSON: {error}") from error
    write_atomic(path, (text + "\n").encode(), inner)


def open_to_append(path: Path, inner: int = 0) -> int:
    """The descriptor of a file that is read and appended to, created if need be.

    Raises OSError naming `path` for a link, anything else that is no regular file, and a file with
    a second name: what is appended would change that, too.
    """
    with naming(path, "cannot open the file"), _descriptor(path.parent, inner) as folder:
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | _NO_LINK
        handle = os.open(_in(folder, path), flags, _MODE, dir_fd=folder)
        try:
            if why := _unfit(os.fstat(handle)):
                raise OSError(errno.EPERM, why)
        except OSError:
            os.close(handle)
            raise
    return handle


def make_folders(path: Path, inner: int) -> None:
    """Create the folder `path` and those above it where they are missing.

    Raises OSError naming `path` when one of the last `inner` is a link or no folder.
    """
    with naming(path, "cannot create the folder"):
        path.absolute().parents[inner - 1].mkdir(parents=True, exist_ok=True)
        with _descriptor(path, inner, make=True):
            pass


def write_all(handle: int, data: bytes) -> None:
    """Write all of `data` to a descriptor. Raises OSError."""
    while data:
        data = data[os.write(handle, data) :]


@contextmanager
def naming(path: Path, what: str, rest: str = "") -> Iterator[None]:
    """Let an OSError of the block name `path`, and what could not be done with it."""
    try:
        yield
    except OSError as error:
        link = error.errno == errno.ELOOP
        why = "it is a link, through which nothing is written" if link else error.strerror
        raise OSError(error.errno, f"{what} ({why}){rest}", str(path)) from error


@contextmanager
def _descriptor(folder: Path, inner: int, make: bool = False) -> Iterator[int | None]:
    """The descriptor of a folder, whose last `inner` names are no links; None on Windows, which
    has no such thing. make: create those that are missing."""
    folder = folder.absolute()
    if sys.platform == "win32":
        if make:
            folder.mkdir(parents=True, exist_ok=True)
        yield None
        return
    names = folder.parts[len(folder.parts) - inner :]
    handle = os.open(folder.parents[inner - 1] if inner else folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for name in names:
            if make:
                with suppress(FileExistsError):
                    os.mkdir(name, dir_fd=handle)
            try:
                flags = os.O_RDONLY | os.O_DIRECTORY | _NO_LINK
                inside = os.open(name, flags, dir_fd=handle)
            except NotADirectoryError:
                raise OSError(errno.ENOTDIR, f"{name} is a link, or no folder") from None
            os.close(handle)
            handle = inside
        yield handle
    finally:
        os.close(handle)


def _in(folder: int | None, path: Path) -> str | Path:
    """The name of a file as the descriptor of its folder wants it; without one its path."""
    return path if folder is None else path.name


def _unfit(about: os.stat_result) -> str:
    if not stat.S_ISREG(about.st_mode):
        return "it is not a regular file"
    if about.st_nlink > 1:
        return "it has a second name, a hard link, which would change too: put a copy in its place"
    return ""


def free_path(path: Path, purpose: str) -> Path:
    """`<path>.<purpose>-1`, or with the first number that no file bears."""
    number = 1
    while os.path.lexists(free := path.with_name(f"{path.name}.{purpose}-{number}")):
        number += 1
    return free


def finite(data: Any) -> Any:
    """JSON data in which numbers that are not finite as floats are null: could not be measured."""
    if isinstance(data, Mapping):
        return {str(name): finite(value) for name, value in data.items()}
    if isinstance(data, list | tuple):
        return [finite(value) for value in data]
    if not isinstance(data, int | float):
        return data
    try:
        return data if math.isfinite(data) else None
    except OverflowError:  # an integer beyond all floats
        return None


def digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_no_space(error: BaseException) -> bool:
    """Whether an error says that a disk, a quota or a limit of file sizes is used up."""
    if isinstance(error, OSError) and error.errno in _NO_SPACE:
        return True
    return any(text in str(error) for text in _NO_SPACE_TEXTS)


def flush(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on disk: a file is lost with its name.

    Raises OSError naming it.
    """
    if sys.platform == "win32":
        return  # which opens no folder, and flushes no file that is opened for reading
    with naming(path, "cannot wait for the disk"):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
