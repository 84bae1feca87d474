"""Plain values of settings: JSON types, and equality.

Python equates True with 1 and False with 0; a setting does not.
"""

from __future__ import annotations

import math
import os
from collections.abc import Hashable, Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, PlainValidator

from conspo_study.plugins import as_import_path

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
    """`given` as plain data: sequences as tuples, paths as text, numbers and arrays of other
    libraries as Python's. Anything else is returned unchanged, and refused by `kind_of`."""
    if hasattr(given, "tolist"):
        given = given.tolist()
    if isinstance(given, bool) or given is None:
        return given
    for number in (int, float):
        if isinstance(given, number):
            return number(given)
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
    """The kind of a plain value, in words; None for a value that JSON cannot express."""
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
    """A key that is equal for two spellings of one value (1 and 1.0, a list and a tuple) and
    differs otherwise (1, True and "1")."""
    if isinstance(value, list | tuple):
        return ("a list", *map(key_of, value))
    if isinstance(value, Mapping):
        return ("a mapping", *sorted((str(name), key_of(item)) for name, item in value.items()))
    return (kind_of(value), value)


def same(value: Any, other: Any) -> bool:
    """True if two values of a setting are equal."""
    return key_of(value) == key_of(other)


CodePath = Annotated[str, BeforeValidator(as_import_path)]
"""A field that holds an import path, or a name, and takes a class or function for its path."""
PlainValue = Annotated[Value, PlainValidator(plain), PlainSerializer(lambda value: value)]
"""A field that holds a plain value as it is."""
