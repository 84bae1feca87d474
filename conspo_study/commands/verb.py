"""The base of the verbs of `conspo`: a dataclass of its options, and what it does."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

from conspo_study.records import StudyError

if TYPE_CHECKING:
    from conspo_study.terminal.console import Console


class Verb(ABC):
    """One verb. The first line of its docstring stands in the list of verbs.

    Modules of verbs are imported for every command, `conspo --help` included: they import the
    libraries that they need inside `run`.
    """

    BAD_INPUT: ClassVar[tuple[type[Exception], ...]] = (StudyError, ValueError, OSError)
    """Errors that are answered with their message and exit status 2, as a MissingPackage is; others
    are bugs."""

    @classmethod
    def description(cls) -> str:
        """Text that `--help` shows."""
        return inspect.getdoc(cls) or ""

    @property
    def silent(self) -> bool:
        """True to print only what was asked for."""
        return False

    @abstractmethod
    def run(self, console: Console) -> int:
        """Do it; returns the exit status of the process. Raises one of `BAD_INPUT`."""
