"""JSON of unknown origin: small enough, and not so deep that reading it ends the program."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from conspo_study.untrusted.opening import read_regular

DEEPEST = 64
"""Levels of lists and objects inside each other that are read."""
_TOO_DEEP = f"it is nested more than {DEEPEST} levels deep"


def parse_json(text: bytes) -> Any:
    """The value of a JSON text. Raises ValueError for any other text, and for one that is nested
    too deeply."""
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    check_depth(text, value)
    return value


def check_depth(text: bytes, value: Any) -> None:
    """Raise ValueError if `value`, which was parsed from `text`, is nested too deeply."""
    if text.count(b"{") + text.count(b"[") <= DEEPEST:
        return
    level = [value]
    for _ in range(DEEPEST):
        inner = (one for outer in level for one in _inside(outer))
        level = [one for one in inner if isinstance(one, dict | list)]
    if level:
        raise ValueError(_TOO_DEEP)


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
