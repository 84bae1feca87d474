"""The task of a checking process that calls a custom reward function.

    def score(prompt, response, problem) -> float | None: ...
    def score(prompts, responses, problems) -> list[float | None]: ...

The name of its first parameter distinguishes the batched form.
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
"""Maximum length of an error in a reply, in characters."""


class FunctionTask:
    """Answers `{"items": [{"prompt", "response", "problem"}, ...]}` with `{"scores": [...]}`: a
    number, null if the function returned None, or `{"error": ...}` if it failed."""

    retires_at = 0.75
    """High, so that a reward model loaded in the first call is not loaded again for every call."""

    def __init__(self, path: str) -> None:
        function = load(path)
        if not callable(function):
            raise PluginError(f"{path} is a {type(function).__name__}, not a function")
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
        """Always false: only a MemoryError counts."""
        return False

    def _score(self, prompt: str, response: str, problem: Problem) -> Any:
        try:
            return self._number(self._function(prompt, response, problem))
        except MemoryError:
            raise
        except Exception as error:  # anything that the function's code raises
            return {"error": _described(error)}

    def _scores_of_batch(self, items: list[tuple[str, str, Problem]]) -> list[Any]:
        try:
            scores = self._function(*map(list, zip(*items, strict=True)))
            numbers = list(scores)
            if len(numbers) != len(items):
                raise ValueError(
                    f"{self._path} returned {len(numbers)} rewards for {len(items)} responses"
                )
        except MemoryError:
            raise
        except Exception as error:
            return [{"error": _described(error)}] * len(items)
        results: list[Any] = []
        for number in numbers:
            try:
                results.append(self._number(number))
            except (TypeError, ValueError, OverflowError) as error:
                results.append({"error": str(error)})
        return results

    def _number(self, value: Any) -> float | None:
        if value is None:
            return None
        if isinstance(value, str | bytes) or not hasattr(value, "__float__"):
            kind = type(value).__name__
            raise TypeError(f"{self._path} returned a {kind}, but must return a number or None")
        number = float(value)
        if not math.isfinite(number):
            raise ValueError(f"{self._path} returned {number}, which is not finite")
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


def _described(error: BaseException) -> str:
    """The error, and the line of the user's code that raised it."""
    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename != __file__
    ]
    where = f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {error}{where}"[:LONGEST_ERROR]
