"""Plain values of settings: what JSON can hold, and when two of them are the same.

Python takes True for 1 and False for 0; a setting does not.
"""

from __future__ import annotations

import math
import os
from collections.abc import Hashable, Mapping
from typing import Any

Value = float | int | str | bool | None | tuple[Any, ...] | Mapping[str, Any]

_KINDS: dict[str, tuple[type, ...]] = {
    "null": (type(None),),
    "true or false": (bool,),
    "a number": (int, float),
    "text": (str,),
    "a list": (list, tuple),
    "a mapping": (Mapping,),
}


def plain(given: Any) -> Any:
    """`given` as plain data: sequences as tuples, paths as text, other libraries' numbers and
    arrays as Python's. What is no plain data stays as it is, to be refused by `kind_of`."""
    if hasattr(given, "tolist"):
        given = given.tolist()
    if isinstance(given, bool) or given is None:
        return given
    for of in (int, float):
        if isinstance(given, of):
            return of(given)
    if isinstance(given, str):
        return str.__str__(given)
    if isinstance(given, os.PathLike):
        return os.fspath(given)
    if isinstance(given, list | tuple | range):
        return tuple(map(plain, given))
    if isinstance(given, Mapping):
        return {name: plain(value) for name, value in given.items()}
    return given


def kind_of(value: Any) -> str | None:
    """What a plain value is, in words; None for one that JSON cannot hold as it is."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, list | tuple) and any(kind_of(item) is None for item in value):
        return None
    if isinstance(value, Mapping) and not all(
        isinstance(name, str) and kind_of(item) for name, item in value.items()
    ):
        return None
    return next((words for words, types in _KINDS.items() if isinstance(value, types)), None)


def key_of(value: Any) -> Hashable:
    """Equal for two spellings of one value, 1 and 1.0 or a list and a tuple, and for nothing else:
    not for 1, True and "1"."""
    if isinstance(value, list | tuple):
        return ("a list", *map(key_of, value))
    if isinstance(value, Mapping):
        return ("a mapping", *sorted((str(name), key_of(item)) for name, item in value.items()))
    return (kind_of(value), value)


def same(one: Any, other: Any) -> bool:
    """Whether two values are the same setting's same value."""
    return key_of(one) == key_of(other)
