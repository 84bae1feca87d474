"""Entries of a list of problem sets: `name=source`, or a source that is its own name."""

from __future__ import annotations

import re

_NAMED_SET = re.compile(r"([A-Za-z0-9][\w.+-]{0,63})=(.+)", re.DOTALL)
"""A problem set with a name of its own, which has no "/" or "@", at which metrics are cut."""
CHAIN = "chain"
"""The generated task of sums, for the embedded model."""
GENERATED = (CHAIN, "word_problems")
"""Names of the generated tasks; their levels are written as `chain/hard`."""


def is_generated(source: str) -> bool:
    """True for a generated task or one of its levels, without the name of a set in front; not for
    a file in a folder of that name."""
    task, _, level = source.partition("/")
    return task in GENERATED and "." not in level


def set_name(entry: str) -> str:
    """What metrics, tables and captions call the set: its own name, or else all that is written."""
    named = _NAMED_SET.fullmatch(entry)
    return named[1] if named else entry


def set_source(entry: str) -> str:
    """What the set holds: the path of a file, the name of a known set, or a generated level."""
    named = _NAMED_SET.fullmatch(entry)
    return named[2] if named else entry
