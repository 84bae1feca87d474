"""The errors of settings, in lines for people."""

from __future__ import annotations

from collections.abc import Sequence

from conspo_study.text import counted


class Problems(ValueError):
    """Several problems of one thing; `problems` has one line per problem."""

    def __init__(self, problems: Sequence[str]):
        self.problems = tuple(problems)
        super().__init__(self.problems)

    def __str__(self) -> str:
        return "; ".join(self.problems)


class ConfigError(Problems):
    """An unusable configuration, or part of one such as a `Study` or a `Choice`; `problems` has one
    line per problem, each with its fix.

    part: what it is a part of, for the headline.
    """

    def __init__(self, problems: Sequence[str], part: str = "the configuration"):
        super().__init__(problems)
        self.part = part

    def __str__(self) -> str:
        head = f"{counted(len(self.problems), 'problem')} in {self.part}:"
        return "\n  - ".join([head, *self.problems])
