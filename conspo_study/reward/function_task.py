"""A user's own reward function; runs in a checking process.

    def score(prompt, response, problem) -> float | None: ...
    def score(prompts, responses, problems) -> list[float | None]: ...

The second form is recognised by the name of its first parameter.
"""

from __future__ import annotations

import inspect
import math
import traceback
from collections.abc import Callable
from typing import Any

from conspo_study.plugins import PluginError, load
from conspo_study.records import Problem

LONGEST_ERROR = 2000
"""Characters of what is told of an error."""


class FunctionTask:
    """Scores `{"items": [{"prompt", "response", "problem"}, ...]}` as `{"scores": [...]}`: a
    number, null where the function said None, and `{"error": ...}` where it failed."""

    retires_at = 0.75
    """A reward model that is loaded at the first call should not be loaded for every call."""

    def __init__(self, path: str) -> None:
        function = load(path)
        if not callable(function):
            raise PluginError(f"{path} is a {type(function).__name__}, and no function")
        self._function = function
        self._path = path
        self._batched = _is_batched(function, path)
        self.hello: dict[str, Any] = {"ready": True, "batched": self._batched}

    def __call__(self, request: dict[str, Any]) -> dict[str, Any]:
        items = [
            (item["prompt"], item["response"], Problem(**item["problem"]))
            for item in request["items"]
        ]
        if self._batched:
            return {"scores": self._scores_of_batch(items)}
        return {"scores": [self._score(*item) for item in items]}

    def exhausted(self, reply: dict[str, Any], share: float) -> bool:
        """Never by a guess: what the function returns is what it says."""
        return False

    def _score(self, prompt: str, response: str, problem: Problem) -> Any:
        try:
            return self._number(self._function(prompt, response, problem))
        except MemoryError:
            raise
        except Exception as error:  # whatever the function's own code does
            return {"error": _told(error)}

    def _scores_of_batch(self, items: list[tuple[str, str, Problem]]) -> list[Any]:
        try:
            scores = self._function(*map(list, zip(*items, strict=True)))
            numbers = list(scores)
            if len(numbers) != len(items):
                raise ValueError(f"{self._path} gave {len(numbers)} rewards for {len(items)}")
        except MemoryError:
            raise
        except Exception as error:
            return [{"error": _told(error)}] * len(items)
        found: list[Any] = []
        for number in numbers:
            try:
                found.append(self._number(number))
            except (TypeError, ValueError, OverflowError) as error:
                found.append({"error": str(error)})
        return found

    def _number(self, value: Any) -> float | None:
        if value is None:
            return None
        if isinstance(value, str | bytes) or not hasattr(value, "__float__"):
            kind = type(value).__name__
            raise TypeError(f"{self._path} returned a {kind}, where a number or None is needed")
        number = float(value)
        if not math.isfinite(number):
            raise ValueError(f"{self._path} returned {number}, which is no reward")
        return number


def _is_batched(function: Callable[..., Any], path: str) -> bool:
    try:
        signature = inspect.signature(function)
        signature.bind(None, None, None)
    except (TypeError, ValueError) as error:
        raise PluginError(
            f"{path} cannot be called with (prompt, response, problem): {error}"
        ) from error
    return next(iter(signature.parameters)) == "prompts"


def _told(error: BaseException) -> str:
    """The error, and the line of the user's code that raised it."""
    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename != __file__
    ]
    where = f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {error}{where}"[:LONGEST_ERROR]
