"""Looks into readings: the formulas in them, and the canonical form of an answer."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import fields, is_dataclass

from conspo_study.reward.reading.kinds import Chain, Formula, Garbage, Labelled, Reading, Several
from conspo_study.reward.reading.labels import is_label
from conspo_study.reward.reading.layout import squeezed
from conspo_study.reward.reading.numerals import Numeral

_LONGEST_KEY = 64


def formulas_in(reading: object) -> Iterator[str]:
    """The formulas of a reading, in its order."""
    if isinstance(reading, Formula):
        yield reading.text
    elif isinstance(reading, Chain):
        yield from (side for side in reading.sides if not is_label(side))
    elif isinstance(reading, tuple):
        for part in reading:
            yield from formulas_in(part)
    elif is_dataclass(reading) and not isinstance(reading, Numeral):
        for field in fields(reading):
            yield from formulas_in(getattr(reading, field.name))


def needs_algebra(reading: Reading) -> bool:
    """Whether there is a formula in a reading."""
    return next(formulas_in(reading), None) is not None


def key_of(reading: Reading) -> str:
    """A canonical form: readings with equal keys say the same. Empty for Garbage."""
    if isinstance(reading, Garbage):
        return ""
    key = _key(reading)
    if len(key) <= _LONGEST_KEY:
        return key
    return hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()


def _key(reading: object) -> str:
    if isinstance(reading, Numeral):
        return reading.key
    if isinstance(reading, Labelled):
        return _key(reading.value)
    if isinstance(reading, Formula):
        return squeezed(reading.text)
    if isinstance(reading, Several) and reading.kind != "tuple":
        return f"{{{','.join(sorted(map(_key, reading.parts)))}}}"
    if isinstance(reading, tuple):
        return ",".join(map(_key, reading))
    if is_dataclass(reading):
        inside = ";".join(_key(getattr(reading, field.name)) for field in fields(reading))
        return f"{type(reading).__name__}({inside})"
    return str(reading)
