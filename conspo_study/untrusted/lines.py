"""Files of lines, none of which is endless."""

from __future__ import annotations

from typing import BinaryIO

from conspo_study.text import size_text

LONGEST_LINE = 16 << 20
"""Bytes of the longest line that is read: a thousand times a long one of a large study."""
CHUNK = 1 << 20
"""Bytes that are read at once."""


class LineTooLong(ValueError):
    """A file has a line of more bytes than any that is written."""

    def __init__(self, line: int):
        self.line = line
        """Its number, from 1."""
        super().__init__(f"it is longer than {size_text(LONGEST_LINE)}")


def all_lines(file: BinaryIO, most: int) -> bytes:
    """The rest of an open file, or `most` bytes of it where it grows beyond them. Raises
    LineTooLong as soon as a line is."""
    content, line_start = bytearray(), 0
    while len(content) < most and (chunk := file.read(min(CHUNK, most - len(content)))):
        last = max(chunk.rfind(b"\n"), chunk.rfind(b"\r"))
        if last >= 0:
            line_start = len(content) + last + 1
        content += chunk
        if len(content) - line_start > LONGEST_LINE:
            raise LineTooLong(content.count(b"\n") + 1)
    return bytes(content)
