"""Why a trial cannot go on: the causes that a restart of its workers would only meet again."""

from __future__ import annotations

import errno
from collections.abc import Iterator

from conspo_study.config import ConfigError
from conspo_study.data.problems import ProblemFileError
from conspo_study.plugins import PluginError
from conspo_study.policy.errors import PolicyError
from conspo_study.policy.models import AnotherModelError
from conspo_study.reward import RewardUnavailable
from conspo_study.rollout.engine import PromptRefused
from conspo_study.rollout.engine_pool import EngineFailed
from conspo_study.update.errors import (
    CheckpointError,
    DivergedError,
    MismatchError,
    NoContrastError,
)

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
# What libraries that are not written in Python say of the same errors.
_NO_SPACE_TEXTS = ("No space left on device", "Disk quota exceeded", "File too large")
_NO_MEMORY_TEXTS = ("out of memory", "Cannot allocate memory", "can't allocate memory", "bad_alloc")


DISK_FULL = "disk full: "
"""How the cause of a trial begins that found no space: no fault of the trial's."""


_FOR_GOOD = (
    *(ConfigError, PluginError, ProblemFileError, AnotherModelError),
    *(PolicyError, PromptRefused, MismatchError),
)
_OF_THE_CODE = (
    *(TypeError, ValueError, LookupError, AttributeError, NameError, ArithmeticError),
    *(ImportError, AssertionError, NotImplementedError),
)
LONGEST_CAUSE = 20_000
"""Characters of a cause that the log keeps."""


class TrialFailed(RuntimeError):
    """A trial's workers stopped for good; the message is the cause. Its first line says it in
    short."""


def lasting_cause(error: BaseException) -> str | None:
    """The cause, all its lines, or None when a restart may cure it."""
    for link in _chain(error):
        line = all_lines(link)
        if isinstance(link, (TrialFailed, *_FOR_GOOD)):
            return line
        if isinstance(link, DivergedError | FloatingPointError):
            return f"diverged: {line}"
        if isinstance(link, EngineFailed):
            return f"rollout {line}"
        if isinstance(link, NoContrastError):
            return f"no contrast: {line}"
        if isinstance(link, RewardUnavailable):
            return f"reward: {line}"
        if isinstance(link, CheckpointError):
            return f"checkpoint refused: {line}"
        if _is_no_space(link, line):
            return f"{DISK_FULL}{line}"
        if isinstance(link, MemoryError) or any(text in line for text in _NO_MEMORY_TEXTS):
            return f"out of memory: {line or type(link).__name__}"
    return None


def comes_again(error: BaseException) -> bool:
    """Whether an error is one of the code's own: a trial computes the same numbers whenever it is
    run, so it meets such an error again."""
    while error.__cause__ is not None:
        error = error.__cause__
    return isinstance(error, _OF_THE_CODE)


def all_lines(error: BaseException) -> str:
    """An error's message without blank lines."""
    lines = (line.rstrip() for line in str(error).splitlines())
    return "\n".join(line for line in lines if line)[:LONGEST_CAUSE]


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
