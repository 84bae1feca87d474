"""Messages between workers, as JSON: values and records arrive exactly as they were, and a message
can do nothing but be read.

The connection between the workers of a trial has no password on a cluster, so nothing that comes
from it is unpickled. An object of JSON stands for what JSON lacks; its one key names the type.
"""

from __future__ import annotations

import json
from array import array
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import fields, is_dataclass
from enum import Enum
from itertools import chain
from typing import Any

from conspo_study.records import (
    Angle,
    Correlation,
    CreditRow,
    EvalRow,
    FinishStatus,
    Least,
    Mean,
    Peak,
    Quantile,
    Rollout,
    RolloutRow,
    Spread,
    Verdict,
)

_NAMED: dict[str, type[Any]] = {
    kind.__name__: kind
    for kind in (
        *(Angle, Correlation, Least, Mean, Peak, Quantile, Spread),
        *(CreditRow, EvalRow, Rollout, RolloutRow),
        *(FinishStatus, Verdict),
    )
}
_MANY = 16
"""Numbers of a tuple from which on they are sent in binary."""
_SCALARS = {type(None), bool, int, float, str}
_FIELDS = {kind: [f.name for f in fields(kind)] for kind in _NAMED.values() if is_dataclass(kind)}


class MalformedMessage(ValueError):
    """A message that `encoded` has not made."""


def encoded(item: Any) -> bytes:
    """A message from scalars, lists, tuples, mappings, and the records above, nested at will.

    Raises TypeError for anything else.
    """
    return json.dumps(_plain(item), separators=(",", ":")).encode()


def decoded(message: bytes) -> Any:
    """The item of a message; mappings are dictionaries. Raises MalformedMessage."""
    try:
        return json.loads(message, object_hook=_restored)
    except (ValueError, TypeError, LookupError, RecursionError) as error:
        raise MalformedMessage(f"{type(error).__name__}: {error}") from error


def _plain(item: Any) -> Any:
    kind = type(item)
    if kind in _SCALARS:
        return item
    if kind is list:
        return _values(item)
    if kind is tuple:
        return _packed(item) if len(item) >= _MANY else {"tuple": _values(item)}
    if isinstance(item, Mapping):
        return {"dict": _values([*chain.from_iterable(item.items())])}
    if kind in _FIELDS:
        return {kind.__name__: _values([getattr(item, name) for name in _FIELDS[kind]])}
    if isinstance(item, Enum) and kind.__name__ in _NAMED:
        return {kind.__name__: [item.value]}
    raise TypeError(f"workers do not exchange a {kind.__name__}")


def _values(items: Sequence[Any]) -> Sequence[Any]:
    return items if _SCALARS.issuperset(map(type, items)) else [*map(_plain, items)]


def _packed(numbers: tuple[Any, ...]) -> dict[str, list[Any]]:
    """Tokens and log-probabilities: their digits would take most of the time of an exchange."""
    kinds = {*map(type, numbers)}
    for kind, code in ((int, "q"), (float, "d")):
        if kinds == {kind}:
            with suppress(OverflowError):
                return {code: [b64encode(array(code, numbers).tobytes()).decode()]}
    return {"tuple": [*_values(numbers)]}


def _restored(tagged: dict[str, Any]) -> Any:
    ((name, values),) = tagged.items()
    if not isinstance(values, list):
        raise TypeError(f"{name} has no list of values")
    if name == "tuple":
        return tuple(values)
    if name == "dict":
        return dict(zip(values[::2], values[1::2], strict=True))
    if name in ("q", "d"):
        (text,) = values
        return tuple(array(name, b64decode(text, validate=True)))
    return _NAMED[name](*values)
