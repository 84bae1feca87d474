"""Files that appear whole or not at all, whatever kills the process while they are written."""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NO_SPACE_TEXTS = ("No space left on device", "Disk quota exceeded", "File too large")
"""Messages of libraries that are not written in Python for the same errors."""


def write_atomic(path: Path, data: bytes) -> None:
    """Create or replace `path` with `data`, durable on return; the folder must exist.

    Raises OSError naming `path` (disk full, permission); the old content is then untouched.
    """
    temporary = None
    try:
        # A leading dot keeps an abandoned temporary file out of every glob of a reader.
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
        temporary = Path(name)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
        flush(path.parent)
    except OSError as error:
        raise OSError(
            error.errno, f"cannot write the file ({error.strerror})", str(path)
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def write_json_atomic(path: Path, data: Any) -> None:
    """`write_atomic` of indented strict JSON.

    Raises ValueError when `data` holds NaN, infinity or anything else that JSON cannot express.
    """
    try:
        text = json.dumps(data, indent=1, allow_nan=False, ensure_ascii=True)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path.name} cannot be written as JSON: {error}") from error
    write_atomic(path, (text + "\n").encode())


def free_path(path: Path, purpose: str) -> Path:
    """`<path>.<purpose>-1`, or with the first number that no file bears."""
    number = 1
    while (free := path.with_name(f"{path.name}.{purpose}-{number}")).exists():
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
    """Wait until a file, or the names in a folder, are on disk: a file is lost with its name."""
    if sys.platform == "win32":
        return  # which opens no folder, and flushes no file that is opened for reading
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
