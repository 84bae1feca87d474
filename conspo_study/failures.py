"""Why a trial cannot go on: the causes that a restart of its workers would only meet again."""

from __future__ import annotations

import errno
from collections.abc import Iterator

from conspo_study.prepare import AnotherModelError
from conspo_study.rollout.engine_pool import EngineFailed
from conspo_study.update.errors import CheckpointError, DivergedError, NoContrastError

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
# What libraries that are not written in Python say of the same errors.
_NO_SPACE_TEXTS = ("No space left on device", "Disk quota exceeded", "File too large")
_NO_MEMORY_TEXTS = ("out of memory", "Cannot allocate memory", "can't allocate memory", "bad_alloc")


DISK_FULL = "disk full: "
"""How the cause of a trial begins that found no space: no fault of the trial's."""


class TrialFailed(RuntimeError):
    """A trial's workers stopped for good; the message is the cause, in one line."""


def lasting_cause(error: BaseException) -> str | None:
    """The cause in one line, or None when a restart may cure it."""
    for link in _chain(error):
        line = one_line(link)
        if isinstance(link, TrialFailed):
            return line
        if isinstance(link, DivergedError | FloatingPointError):
            return f"diverged: {line}"
        if isinstance(link, EngineFailed):
            return f"rollout {line}"
        if isinstance(link, NoContrastError):
            return f"no contrast: {line}"
        if isinstance(link, AnotherModelError):
            return line
        if isinstance(link, CheckpointError):
            return f"checkpoint refused: {line}"
        if _is_no_space(link, line):
            return f"{DISK_FULL}{line}"
        if isinstance(link, MemoryError) or any(text in line for text in _NO_MEMORY_TEXTS):
            return f"out of memory: {line or type(link).__name__}"
    return None


def one_line(error: BaseException) -> str:
    """The first line of an error's message that says anything, shortened."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:400] if lines else ""


def _is_no_space(error: BaseException, line: str) -> bool:
    if isinstance(error, OSError) and error.errno in _NO_SPACE:
        return True
    return any(text in line for text in _NO_SPACE_TEXTS)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error, what it was raised from, and what that was raised from."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
