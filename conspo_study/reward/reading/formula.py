"""Reads what only computer algebra can compare."""

from __future__ import annotations

import re

from conspo_study.reward.reading.intervals import between
from conspo_study.reward.reading.kinds import Formula, Garbage, Reading
from conspo_study.reward.reading.layout import TEXT
from conspo_study.reward.reading.rules import rule
from conspo_study.reward.reading.units import read_unit

_UNIT = re.compile(r"\\text ?\{[^{}]+\}(?: ?\^ ?\{? ?\d ?\}?)?$")
_REALS = re.compile(r"\\mathbb ?\{?R\}?")
ALPHANUMERIC = re.compile(r"[a-zA-Z0-9]")
_LETTER = re.compile(r"\\text ?\{ ?([a-zA-Z]) ?\}")
_INDEX = r"(?:\{([^{}]*)\}|(\w))"
_COMBINATIONS = (
    re.compile(rf"(?<![a-zA-Z\\])C ?_ ?{_INDEX} ?\^ ?{_INDEX}"),
    re.compile(rf"(?:\{{ ?\}})? ?_ ?{_INDEX} ?C ?_ ?{_INDEX}"),
)


def formula(text: str) -> Reading:
    """The formula, with the unit behind it; Garbage without letters and digits."""
    if not ALPHANUMERIC.search(text):
        return Garbage()
    if _REALS.fullmatch(text):
        return between(None, None)
    found = _UNIT.search(text)
    if found and found.start() and ALPHANUMERIC.search(text[: found.start()]):
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
    text = _LETTER.sub(r" \1 ", text)
    for pattern in _COMBINATIONS:
        text = pattern.sub(_binomial, text)
    return text.strip()


def _binomial(found: re.Match[str]) -> str:
    return rf"\binom{{{found[1] or found[2]}}}{{{found[3] or found[4]}}}"
