"""Files that appear whole or not at all, whatever kills the process while they are written."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any


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


def flush(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on disk: a file is lost with its name."""
    if sys.platform == "win32":
        return  # which opens no folder, and flushes no file that is opened for reading
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
