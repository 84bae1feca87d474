"""Reads the files of a results directory, whoever wrote them.

The directory itself may be a link, or lie behind one; links inside it are refused, as is all that
is no regular file or larger than any that is written. Nothing here waits for a writer.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO

from conspo_study.results.names import parts_inside
from conspo_study.untrusted import (
    LineTooLong,
    all_lines,
    open_regular,
    read_object,
    read_regular,
)

MOST_DOCUMENT = 16 << 20
"""Bytes of the largest JSON document: a definition, a snapshot, the configuration of a trial."""
MOST_LINES = 8 << 30
"""Bytes of the largest log, or file of rows."""


def open_stored(path: Path, most: int | None) -> BinaryIO:
    """Open a file of a results directory; see `open_regular`, whose OSError it raises."""
    return open_regular(path, most, inside=parts_inside(path))


def stored_bytes(path: Path, most: int = MOST_DOCUMENT) -> bytes:
    """The content of a file of a results directory. Raises OSError like `open_stored`."""
    return read_regular(path, most, inside=parts_inside(path))


def stored_object(path: Path, most: int = MOST_DOCUMENT) -> dict[str, Any]:
    """The JSON object in such a file. Raises OSError like `open_stored`, ValueError for other
    content."""
    return read_object(path, most, inside=parts_inside(path))


def stored_lines(path: Path) -> bytes:
    """The content of a file of lines. Raises OSError like `open_stored`, ValueError naming the file
    and a line that is too long to be one."""
    with open_stored(path, MOST_LINES) as file:
        try:
            return all_lines(file, MOST_LINES)
        except LineTooLong as error:
            raise ValueError(f"{path}: line {error.line} cannot be read: {error}") from None
