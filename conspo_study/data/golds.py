"""Shows what can be seen of a gold answer without a verifier: missing, the same as another, oddly
written."""

from __future__ import annotations

import re
from collections.abc import Hashable
from fractions import Fraction

_MISSING = frozenset({"null", "none", "nan", "n/a", "<na>", "-", "--", "–", "—"})
_ODD = re.compile(r"[\d.][eE][-+\d]|[.,;:$]")
_E_NOTATION = re.compile(r"\d\.?[eE][-+]?\d")
_MARKS = ".,;:$"

_LAYOUT = re.compile(
    r"[\s$~°]|\\[!,;: ]|\\?%|\^\{?\\circ(?![A-Za-z])\}?"
    r"|\\(?:left|right|displaystyle)(?![A-Za-z])"
)
_STYLE = re.compile(
    r"\\(?:text|textbf|textit|mathrm|mathbf|mathit|boldsymbol|operatorname)\{([^{}]*)\}"
)
_SMALL_FRACTION = re.compile(r"\\[dt]frac(?![A-Za-z])")
_BOXED = "\\boxed{"
_NAMED = re.compile(r"[A-Za-z]=(?!.*=)")
_CHOICE = re.compile(r"\(([A-Za-z])\)")
_THOUSANDS = re.compile(r"[-+]?\d{1,3}(?:(?:,|\{,\})\d{3})+(?:\.\d*)?")
_NUMERAL = re.compile(r"([-+]?)(\d*)(?:\.(\d*))?(?:[eE]([-+]?\d{1,9}))?")
_QUOTIENT = re.compile(r"([-+]?)(?:\\frac\{(\d{1,18})\}\{(\d{1,18})\}|(\d{1,18})/(\d{1,18}))")
_LARGEST_EXPONENT = 100
"""Decimal exponent up to which a number is compared with fractions, too."""


def is_missing(text: str) -> bool:
    r"""Whether a text stands for a missing value, as `None`, `N/A` and `-` do.

    An answer that is the word `none` is written as such: `\text{none}`.
    """
    return text.strip().lower() in _MISSING


def oddities(answer: str) -> tuple[bool, bool]:
    """Whether an answer has a number in e-notation (`4.5e33`), and whether it has marks around it
    (`42.` or `$42$`)."""
    if answer.isdigit() or not _ODD.search(answer):
        return False, False
    bare = answer.strip()
    return bool(_E_NOTATION.search(bare)), bare[:1] == "$" or bare[-1:] in _MARKS


def meaning(answer: str) -> Hashable:
    """A key that is the same for answers that differ in their spelling alone.

    Without white space, `$`, a box, styles, degrees and percent signs; numbers by value: `0.5`,
    `.50` and `1/2`; `1,000` and `1000`.
    """
    plain = _STYLE.sub(r"\1", _LAYOUT.sub("", answer)).rstrip(".,;:")
    plain = _SMALL_FRACTION.sub(r"\\frac", plain)
    if plain.startswith(_BOXED) and plain.endswith("}") and plain.count(_BOXED) == 1:
        plain = plain[len(_BOXED) : -1].rstrip(".,;:")
    if named := _NAMED.match(plain):
        plain = plain[named.end() :]
    if choice := _CHOICE.fullmatch(plain):
        return choice[1]
    if _THOUSANDS.fullmatch(plain):
        plain = plain.replace("{,}", "").replace(",", "")
    value = _number(plain)
    return plain if value is None else value


def _number(plain: str) -> Hashable:
    """The value of a numeral or quotient; None for anything else."""
    if quotient := _QUOTIENT.fullmatch(plain):
        above, below = quotient[2] or quotient[4], quotient[3] or quotient[5]
        if int(below):
            return Fraction(int(quotient[1] + above), int(below))
    numeral = _NUMERAL.fullmatch(plain)
    if numeral is None or not (numeral[2] or numeral[3]):
        return None
    sign, whole, part, power = (group or "" for group in numeral.groups())
    digits = (whole + part).lstrip("0")
    exponent = int(power or 0) - len(part) + len(digits) - len(digits.rstrip("0"))
    digits = digits.rstrip("0")
    if not digits:
        return Fraction(0)
    if len(digits) > _LARGEST_EXPONENT or abs(exponent) > _LARGEST_EXPONENT:
        return sign == "-", digits, exponent
    return int(sign.strip("+") + digits) * Fraction(10) ** exponent
