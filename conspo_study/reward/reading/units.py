r"""Units of measurement, and words that stand behind a number."""

from __future__ import annotations

import re
from typing import NamedTuple

from conspo_study.reward.reading.rules import rule

_UNITS = {
    "um": "um micrometer micrometers micron microns",
    "mm": "mm millimeter millimeters millimetre millimetres",
    "cm": "cm cms centimeter centimeters centimetre centimetres",
    "dm": "dm decimeter decimeters decimetre decimetres",
    "m": "m meter meters metre metres",
    "km": "km kms kilometer kilometers kilometre kilometres",
    "nm": "nm nanometer nanometers nanometre nanometres",
    "in": "in inch inches",
    "ft": "ft foot feet",
    "yd": "yd yard yards",
    "mi": "mi mile miles",
    "ly": "ly lightyear lightyears",
    "AU": "AU au",
    "pc": "pc parsec parsecs",
    "mg": "mg milligram milligrams",
    "g": "g gm gms gram grams",
    "kg": "kg kgs kilogram kilograms",
    "lb": "lb lbs pound pounds",
    "oz": "oz ounce ounces",
    "ton": "ton tons tonne tonnes",
    "ns": "ns nanosecond nanoseconds",
    "ms": "ms millisecond milliseconds",
    "s": "s sec secs second seconds",
    "min": "min mins minute minutes",
    "h": "h hr hrs hour hours",
    "d": "day days",
    "week": "week weeks",
    "month": "month months",
    "year": "yr yrs year years",
    "mL": "ml mL milliliter milliliters millilitre millilitres",
    "L": "l L liter liters litre litres",
    "gal": "gal gallon gallons",
    "cup": "cup cups",
    "qt": "quart quarts",
    "pt": "pint pints",
    "Hz": "Hz hertz",
    "kHz": "kHz kilohertz",
    "MHz": "MHz megahertz",
    "GHz": "GHz gigahertz",
    "N": "N newton newtons",
    "J": "J joule joules",
    "kJ": "kJ kilojoule kilojoules",
    "eV": "eV",
    "keV": "keV",
    "MeV": "MeV",
    "GeV": "GeV",
    "cal": "cal calorie calories",
    "W": "W watt watts",
    "kW": "kW kilowatt kilowatts",
    "V": "V volt volts",
    "A": "A ampere amperes amp amps",
    "ohm": "ohm ohms",
    "C": "C coulomb coulombs",
    "T": "T tesla",
    "Pa": "Pa pascal pascals",
    "kPa": "kPa kilopascal kilopascals",
    "atm": "atm atmosphere atmospheres",
    "K": "K kelvin kelvins",
    "mol": "mol mole moles",
    "erg": "erg ergs",
    "acre": "acre acres",
    "mph": "mph",
    "$": "$ dollar dollars USD usd",
    "cent": "cent cents",
    "€": "€ euro euros EUR",
    "£": "£ GBP",
    "deg": "degree degrees deg degs",
    "rad": "rad rads radian radians",
}
_CANONICAL = {spelling: unit for unit, known in _UNITS.items() for spelling in known.split()}
_SCALES = {
    "dozen": 12,
    "hundred": 100,
    "thousand": 1000,
    "million": 10**6,
    "billion": 10**9,
    "trillion": 10**12,
}
_POWERS = {"square": 2, "sq": 2, "cubic": 3, "cu": 3, "squared": 2, "cubed": 3}
_LETTER = re.compile(r"[a-zA-Z](?: ?\^ ?\{? ?-?\d ?\}?)?")
_PHRASE = re.compile(r"[a-zA-Z' ,.()-]+")
_WORD = re.compile(r"[a-zA-Z€£$]+")
_PART = re.compile(r"([*/]|per\b)|([a-zA-Z€£$]+)(?:\s*\^\s*\{?\s*(-?\d)\s*\}?)?|\s+|\\cdot\b|\.")
_HEDGING = (
    "or and not maybe perhaps either neither possibly probably nor but if except versus vs unless "
    "minus plus times half twice factorial than wrong incorrect false"
)
_HEDGES = frozenset(_HEDGING.split())
"""Words that make what stands before them less than an answer, or another one."""
MAX_WORDS = 12
"""Maximum number of words behind a number."""


class Unit(NamedTuple):
    """What stands behind a number."""

    factors: tuple[tuple[str, int], ...] = ()
    """Known units with their powers, sorted; empty for words that are no known unit."""
    scale: int = 1
    """Factor of a word such as `million`."""
    letter: bool = False
    """True for a bare letter, which may be a variable as well, as in `3 m`."""


NO_UNIT = Unit()


@rule(
    accepted=[
        ("18", r"18\text{ km}"),
        ("64", "64 cm^2"),
        ("64", r"64\text{ square centimeters}"),
        ("5", "5 m/s"),
        ("7", r"7\text{ ways}"),
        (r"12 \text{ inches}", "12"),
        (r"12 \text{ inches}", r"12\text{ in}"),
        ("5000000", r"5\text{ million}"),
    ],
    refused=[
        (r"12 \text{ inches}", r"12\text{ feet}"),
        ("42", r"42\text{, or maybe 43}"),
        ("5", r"5\text{ million}"),
        ("5", "5x"),
        ("3 m", "3"),
    ],
)
def read_unit(text: str, *, spaced: bool) -> Unit | None:
    """One unit, or a few words without a number, may stand behind a number; units that both texts
    give must be the same.

    text: what follows the number, with words of `\\text{...}` bare. spaced: whether a space or
    `\\text` separates it. None if it is neither a unit nor words.
    """
    text = text.strip().rstrip(".,;").strip()
    if not text:
        return NO_UNIT
    words = _WORD.findall(text)
    if not words or len(words) > MAX_WORDS or _HEDGES & {word.lower() for word in words}:
        return None
    scale = 1
    while words and words[0].lower() in _SCALES:
        scale *= _SCALES[words[0].lower()]
        text = text.strip()[len(words.pop(0)) :].strip()
    if not text:
        return Unit(scale=scale)
    if not spaced and len(words) == 1 and len(words[0]) == 1 and words[0].isalpha():
        return None  # 5x, 3m: a product
    factors = _factors(text)
    if factors is not None:
        return Unit(factors, scale, letter=_LETTER.fullmatch(text) is not None)
    if not spaced or not _PHRASE.fullmatch(text) or all(len(word) < 3 for word in words):
        return None  # `3 x y` is a product
    return Unit(scale=scale)


def same_unit(gold: Unit, answer: Unit) -> bool:
    """Whether an answer's unit is the gold answer's; either may be missing, but for a letter of the
    gold answer, which may be a variable."""
    if not answer.factors:
        return not gold.letter
    return not gold.factors or gold.factors == answer.factors


def _factors(text: str) -> tuple[tuple[str, int], ...] | None:
    powers: dict[str, int] = {}
    sign, pending, last = 1, 1, ""
    at = 0
    while at < len(text):
        found = _PART.match(text, at)
        if found is None:
            return None
        at = found.end()
        if found[1]:
            sign = -1 if found[1] != "*" else sign
            continue
        word = found[2]
        if not word:
            continue
        if word.lower() in _POWERS:
            power = _POWERS[word.lower()]
            if word.lower() in ("squared", "cubed") and last:
                powers[last] = power * (1 if powers[last] > 0 else -1)
            else:
                pending = power
            continue
        unit = _CANONICAL.get(word) or _CANONICAL.get(word.lower() if len(word) > 2 else word)
        if unit is None:
            return None
        if unit == "mph":
            powers["mi"], powers["h"] = 1, -1
            continue
        power = int(found[3] or pending)
        powers[unit] = powers.get(unit, 0) + sign * power
        last, pending = unit, 1
    return tuple(sorted(powers.items())) if powers else None
