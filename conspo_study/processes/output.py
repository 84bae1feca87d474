"""Standard streams that never fail a command: a closed pipe, a full disk, a missing stream.

The results of a command are its files and its exit status; the reader of its output may leave.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

from conspo_study.text import speak_plainly


@contextmanager
def lasting_output() -> Iterator[None]:
    """Inside the block, printing never fails: output that cannot be written is dropped, and
    characters that the encoding lacks are replaced (`speak_plainly`)."""
    _open_missing_streams()
    speak_plainly()
    before = sys.stdout, sys.stderr
    lasting = [_Lasting(stream) for stream in before]
    sys.stdout, sys.stderr = lasting
    try:
        yield
    finally:
        for stream in lasting:
            stream.flush()  # or the interpreter would, and complain
        sys.stdout, sys.stderr = before
        if lasting[0].lost:
            print(f"standard output is lost: {lasting[0].lost}", file=lasting[1], flush=True)


class _Lasting:
    """A text stream that drops everything after the first error."""

    def __init__(self, stream: TextIO):
        self._stream = stream
        self.lost = ""
        """Reason why output was dropped; empty if its reader had left."""

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError as error:
            self._go_silent(error)
            return len(text)

    def writelines(self, texts: Iterator[str]) -> None:
        for text in texts:
            self.write(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as error:
            self._go_silent(error)

    def _go_silent(self, error: OSError) -> None:
        """Drop the buffered output and all that follows."""
        if error.errno not in (errno.EPIPE, errno.EIO):
            self.lost = error.strerror or str(error)
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _open_missing_streams() -> None:
    """Open streams that were closed before this process began (`>&-`): otherwise a file of the
    study would take their number, and receive what libraries print."""
    opened = os.open(os.devnull, os.O_RDWR)
    while opened <= 2:
        os.set_inheritable(opened, True)
        opened = os.open(os.devnull, os.O_RDWR)
    os.close(opened)
    for name, number in (("stdin", 0), ("stdout", 1), ("stderr", 2)):
        if getattr(sys, name) is None:
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8", closefd=False))
