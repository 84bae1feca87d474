"""Opens regular files, and only those: no link inside a results directory, no pipe, no device.

Reading a pipe or a device may wait or go on for ever. A link inside a folder from elsewhere may
point at any file of the reader's.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path

from conspo_study.text import size_text

_KINDS = {
    stat.S_IFLNK: "it is a link, and links inside a results directory are not followed",
    stat.S_IFDIR: "it is a folder, not a file",
    stat.S_IFIFO: "it is a pipe, not a regular file",
    stat.S_IFSOCK: "it is a socket, not a regular file",
    stat.S_IFCHR: "it is a device, not a regular file",
    stat.S_IFBLK: "it is a device, not a regular file",
}
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)
_FLAGS |= getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
_BY_FOLDER = os.open in os.supports_dir_fd
"""Whether files can be opened relative to an open folder: not on Windows, where logs are read."""


class StrangeFile(OSError):
    """There is something else than a regular file of a plausible size."""


def open_regular(path: Path, most: int | None, *, inside: int = 0) -> BufferedReader:
    """Open a regular file for reading, at once.

    most: the largest size that is opened, in bytes; None for a file that is read in blocks.
    inside: how many of the last parts of the path may be no links, as those inside of a results
    directory; with 0 links are followed everywhere. Raises StrangeFile where it is a link, no
    regular file or too large, FileNotFoundError, or another OSError; `strerror` says why.
    """
    with _place(path, inside) as (name, folder):
        try:
            # First a look: only opening a device may have an effect.
            found = os.stat(name, dir_fd=folder, follow_symlinks=not inside)
            _check_kind(found.st_mode, path)
            handle = os.open(name, _FLAGS | (_NO_LINK if inside else 0), dir_fd=folder)
        except OSError as error:
            raise _told(error, path, inside) from None
    file = os.fdopen(handle, "rb")
    try:
        found = os.fstat(handle)
        _check_kind(found.st_mode, path)
        if most is not None and found.st_size > most:
            raise _too_large(found.st_size, most, path)
    except OSError:
        file.close()
        raise
    return file


def read_regular(path: Path, most: int, *, inside: int = 0) -> bytes:
    """The content of a regular file, at most `most` bytes. Raises OSError like `open_regular`."""
    with open_regular(path, most, inside=inside) as file:
        content = file.read(most + 1)
    if len(content) > most:  # a file that grows, or that does not tell its size
        raise _too_large(len(content), most, path)
    return content


def regular_digest(path: Path, *, inside: int = 0) -> str:
    """SHA-256 of a regular file of any size, in hexadecimal. Raises OSError like `open_regular`."""
    with open_regular(path, None, inside=inside) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _place(path: Path, inside: int) -> Iterator[tuple[str | Path, int | None]]:
    """The file's name with an open folder that it stands in, reached without following any of the
    last `inside` parts of the path; the whole path without a folder where none may be a link."""
    parts = path.parts[-inside:] if inside else ()
    if not parts or not _BY_FOLDER:
        for parent in list(path.parents)[: max(0, len(parts) - 1)]:
            if parent.is_symlink():
                _check_kind(stat.S_IFLNK, parent)
        yield path, None
        return
    place = Path(*path.parts[: -len(parts)])
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    try:
        folder = os.open(place, flags)
    except OSError as error:
        raise _told(error, path, 0) from None
    try:
        for part in parts[:-1]:
            place /= part
            try:
                inner = os.open(part, flags | os.O_NOFOLLOW, dir_fd=folder)
            except OSError as error:
                raise _told(error, place if place.is_symlink() else path, inside) from None
            os.close(folder)
            folder = inner
        yield parts[-1], folder
    finally:
        os.close(folder)


def kind_of(mode: int) -> str:
    """A clause about what `mode` (of `os.stat`) says of something that is no regular file."""
    return _KINDS.get(stat.S_IFMT(mode), "it is not a regular file")


def _check_kind(mode: int, path: Path) -> None:
    if not stat.S_ISREG(mode):
        raise StrangeFile(errno.EINVAL, kind_of(mode), str(path))


def _too_large(size: int, most: int, path: Path) -> StrangeFile:
    what = f"it has {size_text(size)}, and no such file has more than {size_text(most)}"
    return StrangeFile(errno.EOVERFLOW, what, str(path))


def _told(error: OSError, path: Path, inside: int) -> OSError:
    """The error, with the path that was asked for."""
    if isinstance(error, StrangeFile):
        return error
    if error.errno == errno.ELOOP or (error.errno == errno.ENOTDIR and path.is_symlink()):
        why = _KINDS[stat.S_IFLNK] if inside else "it is a link that leads to no file"
        return StrangeFile(errno.ELOOP, why, str(path))
    return OSError(error.errno, error.strerror, str(path))
