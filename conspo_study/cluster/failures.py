"""Causes of failures that a restart of a trial's workers cannot cure."""

from __future__ import annotations

from conspo_study.cluster.restarts import is_short_node
from conspo_study.config import ConfigError
from conspo_study.data.rows import ProblemFileError
from conspo_study.files import is_no_space
from conspo_study.plugins import PluginError
from conspo_study.policy.errors import PolicyError
from conspo_study.policy.models import AnotherModelError
from conspo_study.reward import RewardUnavailable
from conspo_study.rollout.engine import PromptRefused
from conspo_study.rollout.engine_pool import EngineFailed
from conspo_study.text import chain
from conspo_study.training.function.errors import FunctionError
from conspo_study.update.errors import COLLAPSES, CheckpointError, MismatchError

_NO_MEMORY_TEXTS = ("out of memory", "Cannot allocate memory", "can't allocate memory", "bad_alloc")


DISK_FULL = "disk full: "
"""Beginning of the cause of a trial that found no space, which is not the trial's fault."""


_LASTING = (
    *(ConfigError, PluginError, ProblemFileError, AnotherModelError),
    *(PolicyError, PromptRefused, MismatchError, FunctionError),
)
_PROGRAMMING_ERRORS = (
    *(TypeError, ValueError, LookupError, AttributeError, NameError, ArithmeticError),
    *(ImportError, AssertionError, NotImplementedError),
)
LONGEST_CAUSE = 20_000
"""Most characters of a cause in the log."""


class TrialFailed(RuntimeError):
    """A trial's workers stopped for good. The message is the cause, its first line a summary."""


def lasting_cause(error: BaseException) -> str | None:
    """The cause with all its lines; None if a restart may cure it."""
    for link in chain(error):
        line = all_lines(link)
        if isinstance(link, (TrialFailed, *_LASTING)):
            return line
        for kind, word in COLLAPSES.items():
            if isinstance(link, kind):
                return f"{word}: {line}"
        if isinstance(link, FloatingPointError):
            return f"diverged: {line}"
        if isinstance(link, EngineFailed):
            return f"rollout {line}"
        if isinstance(link, RewardUnavailable):
            return f"reward: {line}"
        if isinstance(link, CheckpointError):
            return f"checkpoint refused: {line}"
        if is_no_space(link):
            return f"{DISK_FULL}{line}"
        if _is_about_memory(link):
            return f"out of memory: {line or type(link).__name__}"
    return None


def is_of_the_machine(error: BaseException) -> bool:
    """True for a lasting cause that the same trial may not meet on another day or machine: memory,
    or a generation engine that was lost."""
    return any(isinstance(link, EngineFailed) or _is_about_memory(link) for link in chain(error))


def _is_about_memory(error: BaseException) -> bool:
    """Whether the process asked for more memory than there was."""
    line = all_lines(error)
    told = isinstance(error, MemoryError) or any(text in line for text in _NO_MEMORY_TEXTS)
    return told and not is_short_node(error)


def comes_again(error: BaseException) -> bool:
    """True for a programming error: a trial computes the same numbers in every run, so the error
    recurs."""
    while error.__cause__ is not None:
        error = error.__cause__
    return isinstance(error, _PROGRAMMING_ERRORS)


def all_lines(error: BaseException) -> str:
    """An error's message without blank lines."""
    lines = (line.rstrip() for line in str(error).splitlines())
    return "\n".join(line for line in lines if line)[:LONGEST_CAUSE]
