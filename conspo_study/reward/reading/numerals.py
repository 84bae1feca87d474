r"""Reads numbers as they are written: the numeral, and what stands around it.

A numeral is a number that is given, not one to be computed: an integer, a decimal, a fraction of
these, a mixed number, scientific notation, a repeating decimal.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from fractions import Fraction

from conspo_study.reward.reading.layout import TEXT
from conspo_study.reward.reading.rules import rule
from conspo_study.reward.reading.units import NO_UNIT, Unit, read_unit, same_unit

MAX_EXPONENT = 5000
"""Largest power of ten in scientific notation that is computed."""
MAX_BITS = 12_000
"""Largest size of a number: Python refuses to write integers of more than 4,300 digits."""
ROUNDED_DIGITS = 6
"""A decimal of so many significant digits may stand for an exact value that it rounds."""


@dataclass(frozen=True, slots=True)
class Numeral:
    """A number as it is written."""

    value: Fraction
    form: str = "integer"
    """`integer`, `decimal`, `fraction`, `mixed`, `scientific`, `repeating`."""
    places: int = 0
    """Digits behind the decimal point of a decimal."""
    digits: int = 0
    """Significant digits of a decimal."""
    reduced: bool = True
    """False for a fraction that can be reduced, such as 57/3."""
    numeral: str = ""
    """The digits, for a comparison in another base."""
    base: int | None = None
    percent: bool = False
    degrees: bool = False
    unit: Unit = NO_UNIT

    @property
    def amount(self) -> Fraction:
        """The value, of a percentage as a share."""
        return self.value / 100 if self.percent else self.value

    @property
    def key(self) -> str:
        """The same for equal numbers."""
        if self.base:
            return f"{self.numeral}_{self.base}"
        return str(self.value)


_INT = r"(?:\d{1,3}(?:,\d{3})+(?!\d)|\d{1,3}(?:[ ]\d{3})+(?!\d)|\d+)"
_DEC = rf"(?:{_INT}(?:\.\d*)?|\.\d+)"
_SIGN = r"(?P<sign>[+-]?)[ ]?"
_BARE = r"\d+(?:\.\d*)?|\.\d+"
_PATTERNS = [
    ("repeating", r"(?P<whole>\d*)\.(?P<fixed>\d*)\\(?:overline|bar|dot) ?\{(?P<again>\d+)\}"),
    ("repeating", r"(?P<whole>\d*)\.(?P<fixed>\d*)\((?P<again>\d+)\)"),
    (
        "scientific",
        rf"(?P<mantissa>{_DEC}) ?(?:\\times|\\cdot|\*|x) ?10 ?\^ ?"
        r"(?:\{ ?(?P<power>[+-]? ?\d+) ?\}|(?P<digit>\d))",
    ),
    ("scientific", rf"(?P<mantissa>{_DEC})(?:[eE]|\\text\{{ ?[eE] ?\}})(?P<power>[+-]?\d+)"),
    ("scientific", r"(?P<mantissa>)10 ?\^ ?(?:\{ ?(?P<power>[+-]? ?\d+) ?\}|(?P<digit>\d))"),
    ("mixed", r"(?P<whole>\d+)(?: |\+)?\\frac\{ ?(?P<top>\d+) ?\}\{ ?(?P<bottom>\d+) ?\}"),
    ("mixed", r"(?P<whole>\d+)[ ](?P<top>\d+) ?/ ?(?P<bottom>\d+)"),
    (
        "fraction",
        rf"\\frac\{{ ?(?P<topsign>[+-]?) ?(?P<top>{_DEC}) ?\}}"
        rf"\{{ ?(?P<bottomsign>[+-]?) ?(?P<bottom>{_DEC}) ?\}}",
    ),
    ("fraction", rf"(?P<top>{_BARE}) ?/ ?(?P<bottom>{_BARE})"),
    (
        "fraction",
        rf"\{{ ?(?P<top>{_BARE}) ?(?:/|\\over) ?(?P<bottom>{_BARE}) ?\}}",
    ),
    ("decimal", rf"(?P<decimal>{_DEC})"),
]
_READERS = [(form, re.compile(_SIGN + pattern)) for form, pattern in _PATTERNS]
_MONEY = re.compile(r"^(-?) ?(?:\\\$|\$|€|£|US\\\$|\\text\{ ?(?:Rs\.?|USD|US) ?\}) ?")
_PERCENT = re.compile(r"^ ?(?:\\%|%|\\text\{ ?(?:\\?%|percent|per cent|pct) ?\}|percent\b)")
_DEGREE = re.compile(r"^ ?(?:\^ ?\{? ?\\circ ?\}?|\\circ)")
_BASE = re.compile(
    r"^ ?_ ?(?:\{? ?(?:\\text\{)? ?\(?(?:base )?(?P<base>\d{1,2}|[a-z]+)[ )}]*)$"
    r"|^ ?\\text\{ ?\(?(?:in )?base[ -](?P<words>\d{1,2}|[a-z]+)\)? ?\}$"
)
_BASE_DIGITS = re.compile(r"(?:\\text ?\{|\()? ?(?P<numeral>[0-9A-Za-z]+) ?[)}]? ?_ ?(?P<rest>.+)")
_NUMBER_WORDS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen twenty"
)
NUMBERS = _NUMBER_WORDS.split()
"""The names of the numbers from 0."""
_BASES_IN_WORDS = (*range(2, 11), 12, 16)
_BASE_WORDS = {NUMBERS[base]: base for base in _BASES_IN_WORDS}
_ORDINAL = re.compile(r"^ ?\^? ?\{? ?(?:\\text\{)? ?(?:st|nd|rd|th)\}{0,2}$")
_MICRO = re.compile(r"\\mu ?")
_PARENTHESES = re.compile(r"\(([^()]*)\)")


@rule(
    accepted=[
        ("5", "+5"),
        ("5", "5.0"),
        ("5", "(5)"),
        ("16", "016"),
        ("1000", "1,000"),
        ("7654321", r"7\,654\,321"),
        ("2.75", r"2\frac{3}{4}"),
        ("2.75", "2 3/4"),
        (r"\frac{1}{3}", r"0.\overline{3}"),
        (r"0.\overline{27}", r"\frac{3}{11}"),
        ("4.5e33", r"4.5\times 10^{33}"),
        ("3e8", "300000000"),
        ("3e8", "3e+8"),
        (r"\frac{3}{2}", r"\frac{6}{4}"),
        ("50", r"\$50.00"),
        ("40", r"40.0\%"),
        ("0.4", r"40\%"),
        ("72", r"72^\circ"),
        ("5", r"5^{\text{th}}"),
    ],
    refused=[
        ("0", "5 000"),
        ("3,8", "38"),
        (r"\frac{3}{2}", r"2\frac{3}{4}"),
        (r"40\%", r"0.4\%"),
    ],
)
def read_numeral(text: str) -> Numeral | None:
    """Numbers are equal if their values are: signs, zeros, groups of digits, fractions, mixed
    numbers, scientific notation, repeating decimals, percent and money in any spelling.

    text: in plain layout. None if it is not one numeral.
    """
    text = text.strip()
    if (inside := _PARENTHESES.fullmatch(text)) and "_" not in text:
        text = inside[1].strip()
    based = _BASE_DIGITS.fullmatch(text)
    if based and (base := _base(f"_{based['rest']}")):
        return _in_base(based["numeral"], base)
    money = _MONEY.match(text)
    if money:
        text = money[1] + text[money.end() :]
    for form, pattern in _READERS:
        found = pattern.match(text)
        if found is None:
            continue
        numeral = _value(form, found)
        if numeral is not None and _is_written(numeral.value):
            whole = _with_suffix(numeral, found.group(), text[found.end() :], bool(money))
            if whole is not None:
                return whole
    return None


def _value(form: str, found: re.Match[str]) -> Numeral | None:
    sign = -1 if found["sign"] == "-" else 1
    if form == "decimal":
        return _decimal(sign, found["decimal"])
    if form == "repeating":
        whole, fixed, again = found["whole"], found["fixed"], found["again"]
        moving = Fraction(int(again), (10 ** len(again) - 1) * 10 ** len(fixed))
        value = int(whole or 0) + Fraction(int(fixed or 0), 10 ** len(fixed)) + moving
        return Numeral(sign * value, form)
    if form == "scientific":
        power = int((found["power"] or found["digit"]).replace(" ", ""))
        if abs(power) > MAX_EXPONENT:
            return None
        mantissa = _exact(found["mantissa"] or "1")
        return Numeral(sign * mantissa * Fraction(10) ** power, form)
    top, bottom = _exact(found["top"]), _exact(found["bottom"])
    if bottom == 0:
        return None
    value = top / bottom
    if form == "mixed":
        if value >= 1:
            return None
        return Numeral(sign * (int(found["whole"]) + value), form)
    for part in ("topsign", "bottomsign"):
        if part in found.groupdict() and found[part] == "-":
            sign = -sign
    reduced = top.denominator == bottom.denominator == 1 and value.denominator == bottom
    return Numeral(sign * value, form, reduced=reduced)


def _is_written(value: Fraction) -> bool:
    return value.numerator.bit_length() + value.denominator.bit_length() < MAX_BITS


def _decimal(sign: int, text: str) -> Numeral:
    bare = text.replace(",", "").replace(" ", "")
    _, point, behind = bare.partition(".")
    if not point or not behind:
        digits = bare.rstrip(".")
        return Numeral(sign * Fraction(int(digits)), numeral=digits)
    significant = len(bare.replace(".", "").lstrip("0"))
    return Numeral(
        sign * _exact(bare), "decimal", places=len(behind), digits=significant, numeral=bare
    )


def _exact(text: str) -> Fraction:
    bare = text.replace(",", "").replace(" ", "").strip()
    whole, _, behind = bare.partition(".")
    return Fraction(int((whole + behind) or 0), 10 ** len(behind))


def _with_suffix(numeral: Numeral, head: str, rest: str, money: bool) -> Numeral | None:
    if not rest.strip():
        return replace(numeral, unit=Unit((("$", 1),))) if money else numeral
    if (percent := _PERCENT.match(rest)) and not rest[percent.end() :].strip(" ."):
        return replace(numeral, percent=True)
    if degree := _DEGREE.match(rest):
        scale = rest[degree.end() :].strip(" .")
        if scale in ("", "C", "F", r"\text{C}", r"\text{F}"):
            return replace(numeral, degrees=not scale)
        return None
    if _ORDINAL.match(rest):
        return numeral
    if numeral.form == "integer" and (base := _base(rest)):
        return _in_base(head.strip("+-() "), base)
    if "_" in rest or "=" in rest:
        return None
    words = _MICRO.sub("u", TEXT.sub(r" \1 ", rest).replace(r"\$", "$").replace(r"\Omega", "ohm"))
    in_text = "\\text" in rest or "\\" in rest
    unit = read_unit(words.removeprefix("-"), spaced=in_text or rest[0] == " ")
    if unit is None:
        return None
    if in_text:
        unit = unit._replace(letter=False)
    if unit.factors == (("deg", 1),):
        return replace(numeral, degrees=True)
    return replace(numeral, value=numeral.value * unit.scale, unit=unit)


@rule(
    accepted=[("37_8", r"37_{8}"), ("3121_4", "3121"), ("37_8", r"37_{\text{eight}}")],
    refused=[("37_8", "37_9"), ("22", "22_{5}"), ("37_8", "31")],
)
def _in_base(numeral: str, base: int) -> Numeral | None:
    """A numeral with a base is compared by its digits and its base; an answer may leave out the
    base that the gold answer has."""
    digits = numeral.replace(",", "").replace(" ", "").upper()
    try:
        value = int(digits, base)
    except ValueError:
        return None
    if not _is_written(Fraction(value)):
        return None
    return Numeral(Fraction(value), "based", numeral=digits.lstrip("0") or "0", base=base)


def _base(text: str) -> int | None:
    found = _BASE.match(text.strip())
    if not found:
        return None
    word = found["base"] or found["words"]
    base = int(word) if word.isdigit() else _BASE_WORDS.get(word, 0)
    return base if 2 <= base <= 36 else None


@rule(
    accepted=[(r"\frac{1}{3}", "0.333333"), ("0.142857", r"\frac{1}{7}")],
    refused=[
        (r"\frac{1}{7^{10}}", "0.0"),
        (r"\frac{1}{20160}", "0.00005"),
        (r"\frac{1}{3}", "0.33"),
        ("3.14", "3.1416"),
    ],
)
def rounds(decimal: Numeral, exact: Fraction, digits: int = ROUNDED_DIGITS) -> bool:
    """A decimal of at least six significant digits stands for the exact value that it rounds."""
    if decimal.form != "decimal" or decimal.digits < digits:
        return False
    return 2 * abs(decimal.value - exact) <= Fraction(1, 10**decimal.places)


def equal_numerals(gold: Numeral, answer: Numeral) -> bool:
    """Whether an answer is the gold number; not symmetric in bases and percent signs."""
    if gold.base:
        same_digits = gold.numeral == (answer.numeral.lstrip("0") or "0").upper()
        return same_digits and answer.base in (None, gold.base)
    if answer.base and answer.base != 10:
        return False
    if not same_unit(gold.unit, answer.unit):
        return False
    if _same_value(gold, gold.value, answer, answer.value):
        return True
    if gold.percent == answer.percent:
        return False
    return gold.amount == answer.amount


def _same_value(gold: Numeral, g: Fraction, answer: Numeral, a: Fraction) -> bool:
    if g == a:
        return True
    inexact = ("fraction", "mixed", "repeating")
    return (gold.form in inexact and rounds(answer, g)) or (
        answer.form in inexact and rounds(gold, a)
    )
