"""Reads what only computer algebra can compare."""

from __future__ import annotations

import re

from conspo_study.reward.reading.intervals import between
from conspo_study.reward.reading.kinds import Formula, Garbage, Reading
from conspo_study.reward.reading.rules import rule
from conspo_study.reward.reading.units import read_unit
from conspo_study.reward.reading.words import TEXT

_UNIT = re.compile(r"\\text ?\{[^{}]+\}(?: ?\^ ?\{? ?\d ?\}?)?$")
_REALS = re.compile(r"\\mathbb ?\{?R\}?")
_ALPHANUMERIC = re.compile(r"[a-zA-Z0-9]")


def formula(text: str) -> Reading:
    """The formula, with the unit behind it; Garbage without letters and digits."""
    if not _ALPHANUMERIC.search(text):
        return Garbage()
    if _REALS.fullmatch(text):
        return between(None, None)
    found = _UNIT.search(text)
    if found and found.start() and _ALPHANUMERIC.search(text[: found.start()]):
        unit = read_unit(TEXT.sub(r" \1 ", found.group()), spaced=True)
        if unit is not None and unit.scale == 1:
            return Formula(_upright(text[: found.start()]), unit._replace(letter=False))
    return Formula(_upright(text))


@rule(
    accepted=[
        (r"1+2\mathrm{i}", "1+2i"),
        (r"3+\frac{2}{\mathrm{e}}", r"3+\frac{2}{e}"),
        (r"\frac{n(n-1)}{2}", "C_n^2"),
        (r"\frac{n(n-1)}{2}", r"\binom{n}{2}"),
    ],
    refused=[(r"1+2\mathrm{i}", "3"), (r"3\mathbf{i}+4\mathbf{j}", r"3\mathbf{i}-4\mathbf{j}")],
)
def _upright(text: str) -> str:
    r"""Upright letters are letters, and the usual signs for combinations are binomials."""
    text = re.sub(r"\\text ?\{ ?([a-zA-Z]) ?\}", r" \1 ", text)
    argument = r"(?:\{([^{}]*)\}|(\w))"
    text = re.sub(
        rf"(?<![a-zA-Z\\])C ?_ ?{argument} ?\^ ?{argument}",
        lambda m: rf"\binom{{{m[1] or m[2]}}}{{{m[3] or m[4]}}}",
        text,
    )
    text = re.sub(
        rf"(?:\{{ ?\}})? ?_ ?{argument} ?C ?_ ?{argument}",
        lambda m: rf"\binom{{{m[1] or m[2]}}}{{{m[3] or m[4]}}}",
        text,
    )
    return text.strip()
