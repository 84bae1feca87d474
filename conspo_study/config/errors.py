"""The errors of settings, in lines for people."""

from __future__ import annotations

from collections.abc import Sequence


class Problems(ValueError):
    """Several problems of one thing; `problems` has one line per problem."""

    def __init__(self, problems: Sequence[str]):
        self.problems = tuple(problems)
        super().__init__("; ".join(self.problems))


class ConfigError(Problems):
    """An unusable configuration, or part of one such as a `Study` or a `Choice`; `problems` has one
    line per problem, each with its fix.

    part: what it is a part of, for the headline.
    """

    def __init__(self, problems: Sequence[str], part: str = "the configuration"):
        super().__init__(problems)
        count = len(self.problems)
        head = f"{count} problem{'s' if count > 1 else ''} in {part}:"
        self.args = ("\n  - ".join([head, *self.problems]),)
