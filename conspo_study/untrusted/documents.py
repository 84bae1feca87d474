"""JSON of unknown origin: small enough, and not so deep that reading it ends the program.

The parser is pydantic's, which takes a third of the time of Python's own and gives the same values,
bit by bit. What it refuses is given to Python's: that decides, and reads what only some writers
mean, such as half a surrogate pair.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

from conspo_study.untrusted.opening import read_regular

DEEPEST = 64
"""Levels of lists and objects inside each other that are read."""


class TooDeep(ValueError):
    """A JSON text has more levels than are read."""

    def __init__(self) -> None:
        super().__init__(f"it is nested more than {DEEPEST} levels deep")


def parse_json(text: bytes) -> Any:
    """The value of a JSON text. Raises ValueError for any other text, and for one that is nested
    too deeply."""
    try:
        value = _quick()(text)
    except ValueError:
        value = _parsed(text)
    _check_depth(text, value)
    return value


def parse_strict(text: bytes) -> Any:
    """The value of a text of strict JSON, in UTF-8. Raises ValueError as `parse_json`, and for
    numbers that are not finite."""
    try:
        value = _quick()(text, allow_inf_nan=False)
    except ValueError:
        value = _parsed(text, strict=True)
    _check_depth(text, value)
    return value


def _parsed(text: bytes, strict: bool = False) -> Any:
    """By Python's own parser."""
    try:
        return _STRICT.decode(text.decode()) if strict else json.loads(text)
    except RecursionError:
        raise TooDeep from None


@cache
def _quick() -> Callable[..., Any]:
    from pydantic_core import from_json  # here, since small programs read no JSON

    return from_json


def _check_depth(text: bytes, value: Any) -> None:
    """Raise TooDeep if `value`, which was parsed from `text`, is nested too deeply."""
    if text.count(b"{") + text.count(b"[") <= DEEPEST:
        return
    level = [value]
    for _ in range(DEEPEST):
        inner = (one for outer in level for one in _inside(outer))
        level = [one for one in inner if isinstance(one, dict | list)]
    if level:
        raise TooDeep


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_STRICT = json.JSONDecoder(parse_constant=_refuse_constant)


def _inside(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def read_object(path: Path, most: int, *, inside: int = 0) -> dict[str, Any]:
    """The JSON object in a file of at most `most` bytes; `inside` as for `open_regular`.

    Raises OSError where the file cannot be opened, ValueError for other content.
    """
    value = parse_json(read_regular(path, most, inside=inside))
    if not isinstance(value, dict):
        raise ValueError("it holds no JSON object")
    return value
