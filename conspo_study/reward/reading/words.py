"""Reads what is no mathematics: words, times of the day, quantities in a row, ratios."""

from __future__ import annotations

import re
from fractions import Fraction

from conspo_study.reward.reading.brackets import split
from conspo_study.reward.reading.kinds import Clock, Ratio, Several, Words
from conspo_study.reward.reading.layout import TEXT
from conspo_study.reward.reading.numerals import NUMBERS, Numeral, read_numeral
from conspo_study.reward.reading.rules import rule
from conspo_study.reward.reading.units import read_unit

_CLOCK = re.compile(r"(\d{1,2})(?: ?: ?(\d{2}))? *([ap])\.? ?m\.?", re.IGNORECASE)
_HOURS = re.compile(r"(\d{1,2}) ?: ?(\d{2})(?: ?o'?clock)?")
_QUANTITY = re.compile(r"(\d[\d.]*) ?(?:\\text ?\{([^{}\d]*)\}|([a-zA-Z]{1,12}))[ ,]*(?:and\b)? ?")
_COLON = re.compile(r" ?: ?")
_CAPITALS = re.compile(r"[A-Z]{2,}")
_BARE_WORDS = re.compile(r"[A-Za-z][A-Za-z' .\-]*")
_SHORT_WORDS = (
    "yes no true false even odd none never always east west north south both all any mean mode "
    "neither infinite finite undefined"
)
_KNOWN_WORDS = frozenset([*_SHORT_WORDS.split(), *NUMBERS])
_IDLE_WORDS = ("the", "a", "an", "on", "in", "at")
_SENTENCE = re.compile(
    r"^(?:(?!not\b|or\b|never\b|no\b)[a-zA-Z']+ ){1,7}?(?:is|are) (?!not\b)", re.I
)


def named(content: str) -> Numeral | Words:
    """The reading of words: of a small number in words, or of what a sentence ends in."""
    if (word := content.lower()) in NUMBERS:
        return Numeral(Fraction(NUMBERS.index(word)))
    return Words(normal_words(_SENTENCE.sub("", content)))


@rule(
    accepted=[
        (r"4:30 \text{ p.m.}", r"\text{4:30 PM}"),
        (r"4:30 \text{ p.m.}", "4:30"),
        (r"4:30 \text{ p.m.}", "16:30"),
    ],
    refused=[(r"4:30 \text{ p.m.}", r"4:30 \text{ a.m.}")],
)
def clock(text: str) -> Clock | None:
    """Times of the day are equal if the clock shows the same."""
    bare = TEXT.sub(r"\1", text).strip()
    if found := _CLOCK.fullmatch(bare):
        hours, minutes, half = int(found[1]), int(found[2] or 0), found[3].lower()
    elif (found := _HOURS.fullmatch(bare)) and (found[2][0] == "0" or int(found[1]) > 12):
        hours, minutes, half = int(found[1]), int(found[2]), ""
    else:
        return None
    return Clock(hours, minutes, half) if hours < 25 and minutes < 60 else None


@rule(
    accepted=[(r"2\text{ hours }30\text{ minutes}", r"2 \text{ h } 30 \text{ min}")],
    refused=[
        (r"2\text{ hours }30\text{ minutes}", r"2\text{ hours }45\text{ minutes}"),
        (r"2\text{ hours }30\text{ minutes}", r"30\text{ minutes}"),
    ],
)
def quantities(text: str) -> Several | None:
    """Of several quantities in a row all must be equal."""
    at, parts = 0, []
    while at < len(text):
        found = _QUANTITY.match(text, at)
        name = re.sub(r"[\s,]*(?:\band)?[\s,]*$", "", found[2] or found[3]) if found else ""
        unit = found and read_unit(name, spaced=True)
        number = found and read_numeral(found[1])
        if not found or not unit or not unit.factors or number is None:
            return None
        parts.append(read_numeral(rf"{found[1]}\text{{ {name}}}") or number)
        at = found.end()
    return Several(tuple(parts), "tuple") if len(parts) > 1 else None


@rule(accepted=[("3:2", "12:8")], refused=[("3:2", "2:3")])
def ratio(text: str) -> Ratio | None:
    """Ratios are equal if their parts are proportional."""
    parts, separators = split(text, _COLON)
    numerals = [read_numeral(part) for part in parts]
    if not separators or not all(n and n.value and not n.base for n in numerals):
        return None
    return Ratio(tuple(numeral for numeral in numerals if numeral))


@rule(
    accepted=[(r"\text{Evelyn}", "Evelyn"), ("BAC", r"\text{BAC}"), (r"\text{even}", "even")],
    refused=[("BAC", "CAB"), (r"\text{Evelyn}", r"\text{Evelyn and Maria}")],
)
def words(text: str) -> Words | None:
    """Words and runs of capital letters are compared as they are written."""
    if _CAPITALS.fullmatch(text):
        return Words(text)
    bare = TEXT.sub(r" \1 ", text).strip()
    if not _BARE_WORDS.fullmatch(bare):
        return None
    known = any(len(word) > 4 or word.lower() in _KNOWN_WORDS for word in bare.split())
    return Words(normal_words(bare)) if known or ("\\text" in text and len(bare) > 1) else None


def normal_words(text: str) -> str:
    """Words without marks and articles, in lower case unless they are one run of capitals."""
    bare = re.sub(r"[^\w\s\\+\-*/'%]", " ", text)
    words = [word for word in bare.split() if word.lower() not in _IDLE_WORDS]
    joined = " ".join(words or bare.split())
    return joined if _CAPITALS.fullmatch(joined) else joined.lower()
