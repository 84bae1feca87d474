r"""Columns of a LaTeX table: numbers aligned at the decimal marker, intervals, and text.

Numbers are cells of siunitx's `S` columns, `0.742 +- 0.012` those with a standard deviation; what
is not a number in such a column is in braces.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from analysis.tables.latex import latex_head, latex_text
from analysis.tables.latex_widths import text_ems
from analysis.tables.numbers import ABSENT

_NUMBER = re.compile(
    r"(?P<less>< )?(?P<sign>[+-]?)(?P<whole>[0-9]{1,12})(?:\.(?P<part>[0-9]{1,12}))?"
    r"(?:e(?P<power>[+-]?[0-9]{1,3})| ± (?P<sd>[0-9]{1,12}(?:\.[0-9]{1,12})?))?"
)
_END = r"([+-]?[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?)"
_INTERVAL = re.compile(rf"\[{_END}, {_END}\]")
_POWER = re.compile("e([+-]?)0*([0-9]+)")
NARROWEST_EMS = 6.5
"""Of text that is broken into lines."""
_NARROWEST_TITLE_EMS = 4.5


@dataclass(frozen=True, slots=True)
class LatexColumn:
    """A column: its place in the tabular's argument, its cells as LaTeX, and its width."""

    spec: str
    head: tuple[str, ...]
    """The lines of its title."""
    cells: tuple[str, ...]
    ems: float
    """Of the widest cell, without the space between columns."""
    fine_ems: float = 0.0
    """Of the widest cell in `\\scriptsize`."""
    least_ems: float = math.inf
    """Of text that may be broken into lines; infinite where it may not."""


@dataclass(frozen=True, slots=True)
class NumberFormat:
    """What the numbers of a column need: siunitx's `table-format`, by its parts."""

    less: bool
    sign: str
    whole: int
    part: int
    sd: int
    """Digits of the standard deviations, counted from the last decimal."""
    power: str
    """Sign of the exponents and their digits; empty without one."""

    @property
    def spec(self) -> str:
        """The column for a tabular."""
        form = f"{'<' if self.less else ''}{self.sign}{self.whole}.{self.part}"
        form += f"({self.sd})" if self.sd else ""
        form += f"e{self.power}" if self.power else ""
        options = [f"table-format={form}"]
        options += ["group-minimum-digits=13"] if max(self.whole, self.part) > 4 else []
        options += ["retain-explicit-plus"] if self.sign == "+" else []
        # Aligned, both are surrounded by the wrong spaces.
        options += ["separate-uncertainty", "table-align-uncertainty=false"] if self.sd else []
        options += ["table-align-exponent=false"] if self.power else []
        return f"S[{','.join(options)}]"

    @property
    def ems(self) -> float:
        """The width of the widest number that has it."""
        digits = f"{'0' * self.whole}{'.' + '0' * self.part if self.part else ''}"
        spread = f" ± 0.{'0' * self.part}" if self.sd else ""
        power = " × 10" + "0" * _characters(self.power) if self.power else ""
        return text_ems(
            f"{'< ' if self.less else ''}{'+' if self.sign else ''}{digits}{spread}{power}"
        )

    def padded(self, number: str, look: str = "{}") -> str:
        r"""A number in braces, as text of a look such as `\textbf{{{}}}`, in the place that it has
        as a number."""
        sign, digits = (number[0], number[1:]) if number[0] in "+-" else ("", number)
        gap = "0" * (self.whole - len(digits.partition(".")[0]))
        gap += f"${self.sign}$" if self.sign and not sign else ""
        shown = look.format(f"${sign}${digits}" if sign else digits)
        held = rf"\phantom{{{gap}}}" if gap else ""
        return f"{{{held}{shown}}}"


def _digits_of(power: str) -> str:
    """What stands for an exponent in a format: its sign, and how many digits it has."""
    return f"{'-' if power.startswith('-') else ''}{len(power.lstrip('+-'))}"


def _characters(digits: str) -> int:
    """Of an exponent of which there are so many digits, with its sign; 0 without one."""
    return digits.startswith("-") + int(digits.lstrip("-") or 0)


def number_format(texts: Sequence[str]) -> NumberFormat | None:
    """The format of those texts that are numbers; None where none is."""
    found = [match for text in texts if (match := _NUMBER.fullmatch(text))]
    if not found:
        return None
    signs = {match["sign"] for match in found}
    part = max(len(match["part"] or "") for match in found)
    powers = [_short_power(f"e{match['power']}")[1:] for match in found if match["power"]]
    return NumberFormat(
        less=any(match["less"] for match in found),
        sign="+" if "+" in signs else "-" if "-" in signs else "",
        whole=max(len(match["whole"]) for match in found),
        part=part,
        sd=max(len(str(round(float(match["sd"] or 0) * 10**part))) for match in found)
        if any(match["sd"] for match in found)
        else 0,
        power=max(map(_digits_of, powers), key=_characters, default=""),
    )


def column_of(texts: Sequence[str], title: str, own: Collection[str]) -> LatexColumn:
    """The column of these cells. own: titles that are typeset (`latex_head`)."""
    known = [text for text in texts if text not in ("", ABSENT)]
    widest = max((text_ems(text) for text in texts), default=0.0)
    if known and all(map(_INTERVAL.fullmatch, known)):
        widest = max(text_ems(text.replace("-", "−")) for text in known)
        return _column("r", title, own, tuple(map(_interval, texts)), widest)
    form = number_format(texts)
    if form is not None and all(text[:1] in "+-<" or text[:1].isdecimal() for text in known):
        others = [text_ems(text) for text in known if not _NUMBER.fullmatch(text)]
        return _column(form.spec, title, own, tuple(map(_number, texts)), max(form.ems, *others, 0))
    found = _column("l", title, own, tuple(map(latex_text, texts)), widest)
    return replace(found, least_ems=min(found.ems, NARROWEST_EMS))


def on_lines(text: str, ems: float) -> list[str]:
    """Text broken at spaces and slashes into lines of at most so many ems, where words allow."""
    lines = [""]
    for word in re.split("(?<=[/ ])", text):
        if lines[-1] and text_ems(lines[-1] + word.strip()) > ems:
            lines.append("")
        lines[-1] += word
    return [line.strip() for line in lines]


def _column(
    spec: str,
    title: str,
    own: Collection[str],
    cells: tuple[str, ...],
    ems: float,
) -> LatexColumn:
    """The column with its title on as many lines as it is wider than the cells."""
    lines = on_lines(title, max(ems, _NARROWEST_TITLE_EMS))
    typeset = [latex_head(line, lines if title in own else ()) for line in lines]
    if spec.startswith("S"):
        typeset = [f"{{{line}}}" for line in typeset]
    return LatexColumn(spec, tuple(typeset), cells, max(ems, *map(text_ems, lines)))


def _number(text: str) -> str:
    if not _NUMBER.fullmatch(text):
        return f"{{{latex_text(text)}}}" if text else ""
    return _short_power(text).replace("±", "+-")


def _interval(text: str) -> str:
    ends = _INTERVAL.fullmatch(text)
    if ends is None:
        return latex_text(text)
    return f"$[{_in_math(ends[1])}, {_in_math(ends[2])}]$"


def _in_math(number: str) -> str:
    digits, power = _short_power(number).partition("e")[::2]
    return rf"{digits} \times 10^{{{power}}}" if power else digits


def _short_power(number: str) -> str:
    """`1e-5` for `1e-05`."""
    return _POWER.sub(lambda m: f"e{'-' if m[1] == '-' else ''}{m[2]}", number)
