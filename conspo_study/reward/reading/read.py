"""Turns the text of an answer into its Reading."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import partial

from conspo_study.reward.reading.brackets import is_balanced, split, unwrapped
from conspo_study.reward.reading.formula import ALPHANUMERIC, formula
from conspo_study.reward.reading.intervals import all_but, inequality, intersection, without_one
from conspo_study.reward.reading.kinds import (
    Chain,
    Choice,
    Garbage,
    Interval,
    Labelled,
    Reading,
    Several,
    Union,
    Words,
)
from conspo_study.reward.reading.labels import is_label
from conspo_study.reward.reading.layout import TEXT, plain_layout, squeezed
from conspo_study.reward.reading.numerals import read_numeral
from conspo_study.reward.reading.outside import without_surroundings
from conspo_study.reward.reading.rules import rule
from conspo_study.reward.reading.words import clock, named, quantities, ratio, words

_Flat = Callable[[str], Reading | None]
_Nested = Callable[[str, int], Reading | None]
MAX_LEVELS = 6
"""Maximum depth of lists in lists."""
ODD_TEXT = (ValueError, ArithmeticError, RecursionError)
"""What numbers and nesting that nobody writes may raise."""
MAX_PARTS = 256
"""Maximum number of parts of an answer."""

_CHOICE = re.compile(
    r"(?:\\text ?\{ ?)?(?:(?:option|choice|answer) )?\(?((?-i:[A-J]))\)?\.? ?\}?", re.IGNORECASE
)
_CHOICE_AND_TEXT = re.compile(
    r"(?:\\text ?\{ ?\(([A-J])\)[.:]? ?\} ?|\(([A-J])\)[.:]? ?|\\text ?\{ ?([A-J])[:.)] ?(?=[^}])"
    r"|([A-J])[:.)] ?)(?P<rest>.*)",
    re.DOTALL,
)
_SEPARATOR = re.compile(
    r"\\text ?\{[\s,;]*+(?:and|or)?[\s,;]*+\}|(?<!\d)[,;]|[,;](?!\d{3}(?!\d))"
    r"|\\(?:lor|land|vee|wedge)\b|(?<![a-zA-Z\\])(?:and|or)(?![a-zA-Z])|\\&|&"
)
_SETS = re.compile(r"\\cup\b")
_RELATION = re.compile(
    r"\\(?:approx|le|ge|ne|in|equiv|sim|to|rightarrow|mapsto|subseteq?|notin)\b|:=|<=|>=|[=<>]"
)
_MEMBER = re.compile(
    r"(?:\\forall ?)?[a-zA-Z](?: ?, ?[a-zA-Z])* ?\\in ?\\mathbb ?\{?[NZQRC]\}?[\^_+*{}\d\-> ]*"
    r"|[a-zA-Z] ?\\text ?\{ ?(?:is )?(?:an? )?(?:any )?(?:integer|real)s?(?: number)? ?\}"
)
_MATRIX = re.compile(
    r"\\begin ?\{([pvbBV]?matrix|smallmatrix|array)\}(?: ?\{[lcr|]+\})?(.*)\\end ?\{\1\}", re.DOTALL
)
_CONDITION = re.compile(r"[a-zA-Z](?: ?\\in ?\\mathbb ?\{[A-Z]\})? ?(?::|\|) ?(.*)", re.DOTALL)
_PLUS_MINUS, _MINUS_PLUS = re.compile(r"\\pm\b"), re.compile(r"\\mp\b")
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")
_EMPTY_SETS = frozenset({r"\emptyset", r"\{\}", r"\{ \}"})


def read(text: str) -> Reading:
    """What the content of a box, or a gold answer, says. Linear in the length of `text`."""
    if _CONTROL.search(text.replace("\n", " ").replace("\r", " ").replace("\t", " ")):
        return Garbage()
    try:
        return read_plain(plain_layout(text).replace("{,}", ","))
    except ODD_TEXT:
        return Garbage()


def read_plain(plain: str, level: int = 0) -> Reading:
    """As `read`, for a text in plain layout."""
    text = without_surroundings(plain)
    if level > MAX_LEVELS or not text or not is_balanced(text):
        return Garbage()
    if squeezed(text) in _EMPTY_SETS:
        return Words(r"\emptyset")
    for flat, nested in _READERS:
        for reader in flat:
            if (whole := reader(text)) is not None:
                return whole
        for deeper in nested:
            if (parted := deeper(text, level)) is not None:
                return parted
    return formula(text)


@rule(
    accepted=[
        ("E", r"\text{E}"),
        ("B", "(B)"),
        ("E", r"\text{E: the third law}"),
        ("20", r"(D)\ 20"),
        ("D", r"(D)\ 20"),
    ],
    refused=[("D", "A, B, C, D"), ("D", "E")],
)
def _choice(text: str, level: int = 0) -> Reading | None:
    """A letter of a multiple choice counts with and without its option."""
    if found := _CHOICE.fullmatch(text):
        return Choice(found[1])
    found = _CHOICE_AND_TEXT.fullmatch(text)
    if not found or not found["rest"].strip():
        return None
    letter = next(filter(None, found.groups()[:4]))
    rest = found["rest"].strip()
    if found[3]:
        rest = rf"\text{{{rest}"
    return Choice(letter, read_plain(rest, level + 1))


def _text(text: str, level: int) -> Reading | None:
    """The reading of a text that is all words."""
    found = TEXT.fullmatch(text)
    if not found:
        return None
    content = without_surroundings(found[1])
    if len(content) == 1 and content.isalpha():
        return None  # an upright letter
    if not ALPHANUMERIC.search(content):
        return Garbage()
    for reader in (clock, read_numeral):
        if (reading := reader(content)) is not None:
            return reading
    parts, separators = split(content, _SEPARATOR)
    if separators and 1 < len(parts) <= MAX_PARTS and all(parts):
        return Several(tuple(read_plain(rf"\text{{{part}}}", level + 1) for part in parts), "list")
    if re.search(r"\d", content):
        return read_plain(content, level + 1)
    return named(content)


@rule(
    accepted=[
        (r"17 \text{ and } 29", r"29 \text{ and } 17"),
        ("3,-4", r"a=3 \text{ or } a=-4"),
        (r"\{2,7\}", "2, 7"),
        (r"\{2,5\}", "(5,2)"),
        ("3,8", "3, 8"),
        ("5k", r"n=5k, k\in\mathbb{Z}"),
        (r"3 \pm \sqrt{2}", r"3-\sqrt{2}, 3+\sqrt{2}"),
    ],
    refused=[
        (r"17 \text{ and } 29", "29"),
        ("42", "41 or 42"),
        ("42", r"\{41,42,43\}"),
        ("12,34", "1234"),
        ("(2,1)", "(1,2)"),
    ],
)
def _several(text: str, level: int) -> Reading | None:
    """Of several answers all must be given, and no other; only tuples have an order."""
    parts, separators = split(text, _SEPARATOR)
    if not separators or len(parts) > MAX_PARTS:
        return Garbage() if separators else None
    parts = [part for part in parts if part]
    kept = [part for part in parts if not _MEMBER.fullmatch(part)] or parts
    if len(kept) == 1:
        return read_plain(kept[0], level + 1)
    readings = tuple(read_plain(part, level + 1) for part in kept)
    if any(isinstance(reading, Garbage) for reading in readings):
        return Garbage()
    intervals = [reading for reading in readings if isinstance(reading, Interval)]
    if len(intervals) == len(readings):
        both = intersection(intervals) if not any("or" in sign for sign in separators) else None
        return both or Union(readings)
    return Several(readings, "list")


@rule(
    accepted=[
        ("5", "x=5"),
        ("2x+1", "f(x)=2x+1"),
        ("293", "m+n = 256+37 = 293"),
        ("p=2,q=5", "(2,5)"),
        ("p=2,q=5", "q=5, p=2"),
    ],
    refused=[
        ("42", "41 = 42"),
        ("43", r"42 \approx 43"),
        ("1", r"\omega^5=1"),
        ("293", "293 = 256+38"),
        ("p=2,q=5", "5, 2"),
        ("5", "n=5k"),
    ],
)
def _relation(text: str, level: int) -> Reading | None:
    """A name before an equals sign says nothing more; all sides of a chain must agree."""
    sides, signs = split(text, _RELATION)
    if not signs:
        return None
    if any(not side for side in sides):
        return Garbage()
    if set(signs) <= {"=", ":=", r"\approx"}:
        if not is_label(sides[0]):
            return Chain(tuple(sides)) if set(signs) <= {"=", r"\approx"} else None
        name = squeezed(sides[0])
        if len(sides) > 2:
            return Labelled(name, Chain(tuple(sides[1:])))
        return Labelled(name, read_plain(sides[1], level + 1))
    if signs == [r"\in"] and is_label(sides[0]):
        value = read_plain(sides[1], level + 1)
        return value if isinstance(value, Interval | Union | Several) else None
    return inequality(sides, signs, partial(read_plain, level=level + 1))


def _union(text: str, level: int) -> Reading | None:
    if (excluded := without_one(text)) is not None:
        return all_but(read_plain(excluded, level + 1))
    parts, separators = split(text, _SETS)
    if not separators or not all(parts) or len(parts) > MAX_PARTS:
        return None
    readings = tuple(read_plain(part, level + 1) for part in parts)
    known = (Interval, Several)
    return Union(readings) if all(isinstance(reading, known) for reading in readings) else None


def _bracketed(text: str, level: int) -> Reading | None:
    if (inside := unwrapped(text, r"\{", r"\}")) is not None:
        if condition := _CONDITION.fullmatch(inside):
            return read_plain(condition[1], level + 1)
        return _elements(inside, "set", level)
    if (inside := unwrapped(text, r"\langle", r"\rangle")) is not None:
        return _elements(inside, "tuple", level)
    for opening, closing in ("()", "[)", "(]", "[]", "]["):
        inside = unwrapped(text, opening, closing)
        if opening == "]" and text[0] == "]" and text[-1] == "[":
            inside = text[1:-1]
        if inside is None:
            continue
        elements = _elements(inside, "tuple", level)
        if opening + closing == "()":
            return elements
        if not isinstance(elements, Several) or len(elements.parts) != 2:
            return elements if opening + closing == "[]" else None
        return Interval(*elements.parts, opening in "(]", closing in ")[")
    return None


@rule(
    accepted=[
        (
            r"\begin{pmatrix} 1 & 1/2 \\ 0 & 3 \end{pmatrix}",
            r"\begin{bmatrix} 1 & 0.5 \\ 0 & 3 \end{bmatrix}",
        ),
        (r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}", "(1, 2)"),
    ],
    refused=[
        (
            r"\begin{pmatrix} 1 & 2 \\ 0 & 3 \end{pmatrix}",
            r"\begin{pmatrix} 1 & 0 \\ 2 & 3 \end{pmatrix}",
        )
    ],
)
def _matrix(text: str, level: int) -> Reading | None:
    """Matrices are equal if all their entries are; a single row or column is a tuple."""
    found = _MATRIX.fullmatch(text.strip("()[] "))
    if not found:
        return None
    rows = [row.strip() for row in found[2].split("\\\\")]
    cells = [row.split("&") for row in rows if row]
    if len(cells) > MAX_PARTS or not cells or len({len(row) for row in cells}) > 1:
        return Garbage()
    if len(cells) == 1 or len(cells[0]) == 1:
        return _tuple((cell for row in cells for cell in row), level)
    return Several(tuple(_tuple(row, level) for row in cells), "tuple")


def _tuple(cells: Iterable[str], level: int) -> Several:
    return Several(tuple(read_plain(cell, level + 1) for cell in cells), "tuple")


def _elements(inside: str, kind: str, level: int) -> Reading:
    reading = read_plain(inside, level + 1)
    if isinstance(reading, Several) and reading.kind == "list":
        return Several(reading.parts, kind)
    if kind == "set" and not isinstance(reading, Several | Garbage):
        return Several((reading,), kind)
    return reading


def _plus_minus(text: str, level: int) -> Reading | None:
    if len(_PLUS_MINUS.findall(text)) != 1 or r"\begin" in text:
        return None
    both = [
        _MINUS_PLUS.sub(other, _PLUS_MINUS.sub(sign, text))
        for sign, other in (("+", "-"), ("-", "+"))
    ]
    return Several(tuple(read_plain(one, level + 1) for one in both), "list")


_READERS: tuple[tuple[tuple[_Flat, ...], tuple[_Nested, ...]], ...] = (
    ((clock, read_numeral, quantities), (_choice, _text, _matrix, _several, _relation)),
    ((), (_union, _bracketed, _plus_minus)),
    ((ratio, words), ()),
)
"""In order: those that read a text as a whole, then those that read its parts."""
