"""The rules by which answers are read and compared, each with its examples.

The examples are tests, and rows of `docs/verifier.md`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

_Function = TypeVar("_Function", bound=Callable[..., object])
Pair = tuple[str, str]
"""Gold answer and content of the response's box."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule; the first sentence of its function's docstring tells it."""

    name: str
    text: str
    accepted: tuple[Pair, ...]
    refused: tuple[Pair, ...]


RULES: list[Rule] = []
"""All rules, in the order in which their modules are imported."""


def rule(
    accepted: Iterable[Pair] = (), refused: Iterable[Pair] = ()
) -> Callable[[_Function], _Function]:
    """Record the decorated function as a rule with pairs that it makes right or wrong."""

    def record(function: _Function) -> _Function:
        text = " ".join((function.__doc__ or "").split("\n\n")[0].split())
        name = function.__name__.strip("_").replace("_", " ")
        RULES.append(Rule(name, text, tuple(accepted), tuple(refused)))
        return function

    return record
