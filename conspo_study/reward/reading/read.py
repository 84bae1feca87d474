"""Turns the text of an answer into its Reading."""

from __future__ import annotations

import re
from collections.abc import Callable

from conspo_study.reward.reading.brackets import is_balanced, split, unwrapped
from conspo_study.reward.reading.kinds import (
    Chain,
    Choice,
    Clock,
    Formula,
    Garbage,
    Interval,
    Labelled,
    Ratio,
    Reading,
    Several,
    Union,
    Words,
)
from conspo_study.reward.reading.labels import is_label
from conspo_study.reward.reading.layout import Malformed, plain_layout
from conspo_study.reward.reading.numerals import read_numeral
from conspo_study.reward.reading.outside import without_surroundings
from conspo_study.reward.reading.rules import rule
from conspo_study.reward.reading.units import read_unit

_Flat = Callable[[str], Reading | None]
_Nested = Callable[[str, int], Reading | None]
MAX_LEVELS = 6
"""Maximum depth of lists in lists."""
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
_CLOCK = re.compile(r"(\d{1,2})(?: ?: ?(\d{2}))? *([ap])\.? ?m\.?", re.IGNORECASE)
_HOURS = re.compile(r"(\d{1,2}) ?: ?(\d{2})(?: ?o'?clock)?")
_TEXT = re.compile(r"\\text ?\{([^{}]*)\}")
_SEPARATOR = re.compile(
    r"\\text ?\{[\s,;]*+(?:and|or)?[\s,;]*+\}|(?<!\d)[,;]|[,;](?!\d{3}(?!\d))"
    r"|\\(?:lor|land|vee|wedge)\b|(?<![a-zA-Z\\])(?:and|or)(?![a-zA-Z])|\\&|&"
)
_UNIT = re.compile(r"\\text ?\{[^{}]+\}(?: ?\^ ?\{? ?\d ?\}?)?$")
_REALS = re.compile(r"\\mathbb ?\{?R\}?")
_ALL_BUT = re.compile(r"\\mathbb ?\{?R\}? ?(?:\\setminus|\\backslash|-|/) ?\\\{(.+)\\\}")
_SETS = re.compile(r"\\cup\b")
_RELATION = re.compile(
    r"\\(?:approx|le|ge|ne|in|equiv|sim|to|rightarrow|mapsto|subseteq?|notin)\b|:=|<=|>=|[=<>]"
)
_MEMBER = re.compile(
    r"(?:\\forall ?)?[a-zA-Z](?: ?, ?[a-zA-Z])* ?\\in ?\\mathbb ?\{?[NZQRC]\}?[\^_+*{}\d\-> ]*"
    r"|[a-zA-Z] ?\\text ?\{ ?(?:is )?(?:an? )?(?:any )?(?:integer|real)s?(?: number)? ?\}"
)
_QUANTITY = re.compile(r"(\d[\d.]*) ?(?:\\text ?\{([^{}\d]*)\}|([a-zA-Z]{1,12}))[ ,]*(?:and\b)? ?")
_MATRIX = re.compile(
    r"\\begin ?\{([pvbBV]?matrix|smallmatrix|array)\}(?: ?\{[lcr|]+\})?(.*)\\end ?\{\1\}", re.DOTALL
)
_CONDITION = re.compile(r"[a-zA-Z](?: ?\\in ?\\mathbb ?\{[A-Z]\})? ?(?::|\|) ?(.*)", re.DOTALL)
_CAPITALS = re.compile(r"[A-Z]{2,}")
_BARE_WORDS = re.compile(r"[A-Za-z][A-Za-z' .\-]*")
_SHORT_WORDS = (
    "yes no true false even odd none never always east west north south both all any mean mode "
    "neither infinite finite undefined zero one two three four five six seven eight nine ten"
)
_KNOWN_WORDS = frozenset(_SHORT_WORDS.split())
_IDLE_WORDS = ("the", "a", "an", "on", "in", "at")
_ALPHANUMERIC = re.compile(r"[a-zA-Z0-9]")
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")
_COUNTING = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen twenty"
)
_NUMBERS = _COUNTING.split()
_SENTENCE = re.compile(
    r"^(?:(?!not\b|or\b|never\b|no\b)[a-zA-Z']+ ){1,7}?(?:is|are) (?!not\b)", re.I
)
_EMPTY_SETS = frozenset({r"\emptyset", r"\{\}", r"\{ \}"})


def read(text: str) -> Reading:
    """What the content of a box, or a gold answer, says. Linear in the length of `text`."""
    if _CONTROL.search(text.replace("\n", " ").replace("\r", " ").replace("\t", " ")):
        return Garbage()
    try:
        plain = plain_layout(text).replace("{,}", ",")
    except (Malformed, RecursionError):
        return Garbage()
    return read_plain(plain)


def read_plain(plain: str, level: int = 0) -> Reading:
    """As `read`, for a text in plain layout."""
    text = without_surroundings(plain)
    if level > MAX_LEVELS or not text or not is_balanced(text):
        return Garbage()
    if text.replace(" ", "") in _EMPTY_SETS:
        return Words(r"\emptyset")
    for flat, nested in _READERS:
        for reader in flat:
            if (whole := reader(text)) is not None:
                return whole
        for deeper in nested:
            if (parted := deeper(text, level)) is not None:
                return parted
    return _formula(text)


def _formula(text: str) -> Reading:
    if not _ALPHANUMERIC.search(text):
        return Garbage()
    if _REALS.fullmatch(text):
        return _between(None, None)
    found = _UNIT.search(text)
    if found and found.start() and _ALPHANUMERIC.search(text[: found.start()]):
        unit = read_unit(_TEXT.sub(r" \1 ", found.group()), spaced=True)
        if unit is not None and unit.scale == 1:
            return Formula(_upright(text[: found.start()]), unit._replace(letter=False))
    return Formula(_upright(text))


def _between(low: Reading | None, high: Reading | None) -> Interval:
    """An open interval; None stands for infinity."""
    return Interval(low or Formula(r"-\infty"), high or Formula(r"\infty"), True, True)


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


@rule(
    accepted=[
        (r"4:30 \text{ p.m.}", r"\text{4:30 PM}"),
        (r"4:30 \text{ p.m.}", "4:30"),
        (r"4:30 \text{ p.m.}", "16:30"),
    ],
    refused=[(r"4:30 \text{ p.m.}", r"4:30 \text{ a.m.}")],
)
def _clock(text: str) -> Clock | None:
    """Times of the day are equal if the clock shows the same."""
    bare = _TEXT.sub(r"\1", text).strip()
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
def _quantities(text: str) -> Several | None:
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


def _text(text: str, level: int) -> Reading | None:
    """The reading of a text that is all words."""
    found = _TEXT.fullmatch(text)
    if not found:
        return None
    content = without_surroundings(found[1])
    if len(content) == 1:
        return None  # an upright letter
    if not _ALPHANUMERIC.search(content):
        return Garbage()
    for reader in (_clock, read_numeral):
        if (reading := reader(content)) is not None:
            return reading
    parts, separators = split(content, _SEPARATOR)
    if separators and 1 < len(parts) <= MAX_PARTS and all(parts):
        return Several(tuple(read_plain(rf"\text{{{part}}}", level + 1) for part in parts), "list")
    if re.search(r"\d", content):
        return read_plain(content, level + 1)
    if (word := content.lower()) in _NUMBERS:
        return read_numeral(str(_NUMBERS.index(word)))
    return Words(_normal_words(_SENTENCE.sub("", content)))


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
        both = _intersection(intervals) if not any("or" in sign for sign in separators) else None
        return both or Union(readings)
    return Several(readings, "list")


def _intersection(intervals: list[Interval]) -> Interval | None:
    """Of two half-lines that meet, one open to each side."""
    infinite = Formula(r"-\infty"), Formula(r"\infty")
    above = [one for one in intervals if one.high == infinite[1] and one.low != infinite[0]]
    below = [one for one in intervals if one.low == infinite[0] and one.high != infinite[1]]
    if len(intervals) != 2 or len(above) != 1 or len(below) != 1:
        return None
    return Interval(above[0].low, below[0].high, above[0].low_open, below[0].high_open)


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
        name = _squeezed(sides[0])
        if len(sides) > 2:
            return Labelled(name, Chain(tuple(sides[1:])))
        return Labelled(name, read_plain(sides[1], level + 1))
    if signs == [r"\in"] and is_label(sides[0]):
        value = read_plain(sides[1], level + 1)
        return value if isinstance(value, Interval | Union | Several) else None
    if signs == [r"\ne"] and _is_unknown(sides[0]):
        excluded = read_plain(sides[1], level + 1)
        return Union((_between(None, excluded), _between(excluded, None)))
    return _inequality(sides, signs, level)


@rule(
    accepted=[
        ("(0,7.5)", "0<x<7.5"),
        (r"m\ge\sqrt{5}", r"[\sqrt{5},\infty)"),
        ("[2,5)", r"x \in [2,5)"),
        (r"(-\infty,0)\cup(3,\infty)", r"x<0 \text{ or } x>3"),
        ("-2 < x < 5", r"x>-2 \text{ and } x<5"),
        (r"(-\infty, 2) \cup (2, \infty)", r"x \neq 2"),
    ],
    refused=[("(0,7.5)", "0<x<8"), ("[2,5)", "(2,5)"), ("42", r"0 \le x \le 100")],
)
def _inequality(sides: list[str], signs: list[str], level: int) -> Interval | None:
    """An inequality is the interval of its solutions."""
    flipped = {"<": ">", ">": "<", r"\le": r"\ge", r"\ge": r"\le"}
    signs = [{"<=": r"\le", ">=": r"\ge"}.get(sign, sign) for sign in signs]
    if not set(signs) <= set(flipped):
        return None
    source = "".join(part for pair in zip(sides, [*signs, ""], strict=True) for part in pair)
    if len(sides) == 3 and signs[0] in (">", r"\ge"):
        sides, signs = sides[::-1], [flipped[sign] for sign in signs[::-1]]
    if len(sides) == 3:
        if not _is_unknown(sides[1]) or not set(signs) <= {"<", r"\le"}:
            return None
        low, high = (read_plain(side, level + 1) for side in (sides[0], sides[2]))
        return Interval(low, high, signs[0] == "<", signs[1] == "<", source)
    if len(sides) != 2 or _is_unknown(sides[0]) == _is_unknown(sides[1]):
        return None
    if _is_unknown(sides[1]):
        sides, signs = sides[::-1], [flipped[signs[0]]]
    end = read_plain(sides[1], level + 1)
    opened = signs[0] in "<>"
    infinity = Formula(r"\infty")
    if signs[0] in (">", r"\ge"):
        return Interval(end, infinity, opened, True, source)
    return Interval(Formula(r"-\infty"), end, True, opened, source)


def _is_unknown(side: str) -> bool:
    """Whether a side of an inequality is what it is solved for."""
    return is_label(side) and not re.search(r"[+\-*/]", side)


def _union(text: str, level: int) -> Reading | None:
    if (found := _ALL_BUT.fullmatch(text)) and "," not in found[1]:
        excluded = read_plain(found[1], level + 1)
        return Union((_between(None, excluded), _between(excluded, None)))
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
        flat = [cell for row in cells for cell in row]
        return Several(tuple(read_plain(cell, level + 1) for cell in flat), "tuple")
    return Several(
        tuple(
            Several(tuple(read_plain(cell, level + 1) for cell in row), "tuple") for row in cells
        ),
        "tuple",
    )


def _elements(inside: str, kind: str, level: int) -> Reading:
    reading = read_plain(inside, level + 1)
    if isinstance(reading, Several) and reading.kind == "list":
        return Several(reading.parts, kind)
    if kind == "set" and not isinstance(reading, Several | Garbage):
        return Several((reading,), kind)
    return reading


def _plus_minus(text: str, level: int) -> Reading | None:
    if len(re.findall(r"\\pm\b", text)) != 1 or r"\begin" in text:
        return None
    both = [
        re.sub(r"\\mp\b", other, re.sub(r"\\pm\b", sign, text))
        for sign, other in (("+", "-"), ("-", "+"))
    ]
    return Several(tuple(read_plain(one, level + 1) for one in both), "list")


@rule(accepted=[("3:2", "12:8")], refused=[("3:2", "2:3")])
def _ratio(text: str) -> Ratio | None:
    """Ratios are equal if their parts are proportional."""
    parts, separators = split(text, re.compile(r" ?: ?"))
    numerals = [read_numeral(part) for part in parts]
    if not separators or not all(n and n.value and not n.base for n in numerals):
        return None
    return Ratio(tuple(numeral for numeral in numerals if numeral))


@rule(
    accepted=[(r"\text{Evelyn}", "Evelyn"), ("BAC", r"\text{BAC}"), (r"\text{even}", "even")],
    refused=[("BAC", "CAB"), (r"\text{Evelyn}", r"\text{Evelyn and Maria}")],
)
def _words(text: str) -> Words | None:
    """Words and runs of capital letters are compared as they are written."""
    if _CAPITALS.fullmatch(text):
        return Words(text)
    bare = _TEXT.sub(r" \1 ", text).strip()
    if not _BARE_WORDS.fullmatch(bare):
        return None
    words = bare.split()
    known = any(len(word) > 4 or word.lower() in _KNOWN_WORDS for word in words)
    return Words(_normal_words(bare)) if known or ("\\text" in text and len(bare) > 1) else None


def _normal_words(text: str) -> str:
    bare = re.sub(r"[^\w\s\\+\-*/'%]", " ", text)
    words = [word for word in bare.split() if word.lower() not in _IDLE_WORDS]
    joined = " ".join(words or bare.split())
    return joined if _CAPITALS.fullmatch(joined) else joined.lower()


def _squeezed(text: str) -> str:
    return text.replace(" ", "")


_READERS: tuple[tuple[tuple[_Flat, ...], tuple[_Nested, ...]], ...] = (
    ((_clock, read_numeral, _quantities), (_choice, _text, _matrix, _several, _relation)),
    ((), (_union, _bracketed, _plus_minus)),
    ((_ratio, _words), ()),
)
"""In order: those that read a text as a whole, then those that read its parts."""
