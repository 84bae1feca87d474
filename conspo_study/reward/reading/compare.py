"""Decides whether an answer says what the gold answer says."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction

from conspo_study.reward.reading.arithmetic import computed
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
from conspo_study.reward.reading.labels import is_variable
from conspo_study.reward.reading.numerals import Numeral, equal_numerals, rounds
from conspo_study.reward.reading.read import read_plain
from conspo_study.reward.reading.rules import rule
from conspo_study.reward.reading.units import same_unit

ROUNDED_IN_CHAINS = 3
"""Significant digits from which a decimal may round the other sides of a chain."""
_VARIABLE = re.compile(r"(?<![a-zA-Z\\])[a-zA-Z]")
FormulasEqual = Callable[[str, str], bool]
"""Whether two formulas in plain layout, first that of the gold answer, are equal."""


class Comparison:
    """Compares readings; formulas are left to a function."""

    def __init__(self, formulas: FormulasEqual):
        self._formulas = formulas

    def same(self, gold: Reading, answer: Reading) -> bool:
        """Whether the answer says the same as the gold answer. Not symmetric: what the question
        has fixed, such as a unit, a name or a base, an answer may leave out."""
        if isinstance(gold, Garbage) or isinstance(answer, Garbage):
            return False
        if isinstance(gold, Labelled) or isinstance(answer, Labelled):
            return self._labelled(gold, answer)
        if isinstance(gold, Chain) or isinstance(answer, Chain):
            return self._chains(gold, answer)
        if isinstance(gold, Choice) or isinstance(answer, Choice):
            return self._choices(gold, answer)
        if isinstance(gold, Numeral) and isinstance(answer, Numeral):
            return _evaluated(gold, answer) and equal_numerals(gold, answer)
        if isinstance(answer, Several) and _is_alone(answer) and not isinstance(gold, Several):
            return self.same(gold, answer.parts[0])
        if isinstance(gold, Numeral) and isinstance(answer, Ratio):
            inverse = [part.value / answer.parts[-1].value for part in answer.parts]
            return gold.form == "fraction" and inverse == [gold.value, 1]
        if isinstance(gold, Ratio):
            return self._ratios(gold, answer)
        if isinstance(gold, Several | Interval | Union):
            return self._collections(gold, answer)
        if isinstance(gold, Clock):
            time = _as_time(answer)
            return time is not None and _same_time(gold, time)
        if isinstance(gold, Words) and isinstance(answer, Words):
            return gold.text == answer.text
        return self._with_formula(gold, answer)

    @rule(
        accepted=[
            (r"\frac{\pi}{4}", r"45^\circ"),
            (r"45^\circ", r"\frac{\pi}{4}"),
            (r"16\pi", r"16\pi\text{ cm}^2"),
        ],
        refused=[
            ("5050", r"\sum_{k=1}^{100}k"),
            ("1400", "57^2-43^2"),
            ("42", "9^{9^{9^{9}}}"),
            ("19", r"\frac{57}{3}"),
            (r"16\pi\text{ cm}^2", r"16\pi\text{ cm}^3"),
            (r"\sqrt{7}", "2.646"),
        ],
    )
    def _with_formula(self, gold: Reading, answer: Reading) -> bool:
        """Where the gold answer is a number, only a number is an answer, not an expression that
        still has to be computed; degrees are compared with radians."""
        if isinstance(gold, Numeral):
            if gold.unit.letter and isinstance(answer, Formula):
                return self._formulas(_with_letter(gold), answer.text)
            if not (gold.degrees and isinstance(answer, Formula) and r"\pi" in answer.text):
                return False
            return self._formulas(_radians(gold), answer.text)
        if not isinstance(gold, Formula):
            return False
        if isinstance(answer, Numeral):
            text = _radians(answer) if answer.degrees else _with_letter(answer)
            return self._formulas(gold.text, text)
        return (
            isinstance(answer, Formula)
            and same_unit(gold.unit, answer.unit)
            and self._formulas(gold.text, answer.text)
        )

    def _labelled(self, gold: Reading, answer: Reading) -> bool:
        if isinstance(gold, Labelled) and isinstance(answer, Labelled):
            both = is_variable(gold.name) and is_variable(answer.name)
            if gold.name != answer.name and both:
                return self._as_equations(gold, answer)
            if gold.name != answer.name and "(" in gold.name and "(" in answer.name:
                return False
            return self.same(gold.value, answer.value)
        if isinstance(gold, Labelled):
            if isinstance(answer, Chain):
                return self._as_equations(gold, answer)
            return self.same(gold.value, answer)
        assert isinstance(answer, Labelled)
        if isinstance(gold, Chain):
            return self._as_equations(gold, answer)
        return self.same(gold, answer.value)

    def _as_equations(self, gold: Labelled | Chain, answer: Labelled | Chain) -> bool:
        first, second = _equation(gold), _equation(answer)
        if first is None or second is None:
            return False
        return bool(_VARIABLE.search(second)) and self._formulas(first, second)

    def _chains(self, gold: Reading, answer: Reading) -> bool:
        if isinstance(gold, Chain):
            if isinstance(answer, Chain) and gold.sides == answer.sides:
                return True
            if self._agree(gold.sides):
                return self.same(read_plain(gold.sides[-1]), answer)
            return isinstance(answer, Chain) and self._as_equations(gold, answer)
        assert isinstance(answer, Chain)
        last = read_plain(answer.sides[-1])
        values = [last] if isinstance(gold, Numeral) else map(read_plain, answer.sides)
        return any(self.same(gold, value) for value in values) and self._agree(answer.sides)

    def _agree(self, sides: Sequence[str]) -> bool:
        """Whether all sides of a chain are equal, or round each other."""
        last = read_plain(sides[-1])
        return all(self._side_agrees(side, last) for side in sides[:-1])

    def _side_agrees(self, side: str, last: Reading) -> bool:
        reading = read_plain(side)
        if isinstance(last, Numeral):
            value = reading.amount if isinstance(reading, Numeral) else computed(side)
            if value is not None:
                return value == last.amount or rounds(last, value, ROUNDED_IN_CHAINS)
            if isinstance(reading, Formula) and last.digits >= ROUNDED_IN_CHAINS:
                scaled = (
                    rf"\lfloor {10**last.places} \cdot ({reading.text}) + \frac{{1}}{{2}} \rfloor"
                )
                return self._formulas(scaled, str(int(last.value * 10**last.places)))
            text = plain(last)
        elif isinstance(last, Formula):
            text = last.text
        else:
            return self.same(last, reading)
        if isinstance(reading, Numeral):
            return self._formulas(text, plain(reading))
        return isinstance(reading, Formula) and self._formulas(reading.text, text)

    def _choices(self, gold: Reading, answer: Reading) -> bool:
        if isinstance(gold, Choice) and isinstance(answer, Choice):
            return gold.letter == answer.letter
        if isinstance(gold, Choice):
            if isinstance(answer, Formula | Words):
                return answer.text.strip() == gold.letter
            return gold.rest is not None and self.same(gold.rest, answer)
        assert isinstance(answer, Choice)
        if answer.rest is not None:
            return self.same(gold, answer.rest)
        return isinstance(gold, Formula | Words) and gold.text.strip() == answer.letter

    def _ratios(self, gold: Ratio, answer: Reading) -> bool:
        if isinstance(answer, Ratio):
            return _ratio(gold) == _ratio(answer)
        if isinstance(answer, Clock) and not answer.half:
            return [part.value for part in gold.parts] == [answer.hours, answer.minutes]
        if isinstance(answer, Numeral) and len(gold.parts) == 2:
            return gold.parts[0].value / gold.parts[1].value == answer.value
        return False

    def _collections(self, gold: Several | Interval | Union, answer: Reading) -> bool:
        if isinstance(gold, Interval) and isinstance(answer, Interval):
            opened = (
                gold.low_open == answer.low_open or _is_infinite(gold.low),
                gold.high_open == answer.high_open or _is_infinite(gold.high),
            )
            ends = ((gold.low, answer.low), (gold.high, answer.high))
            return all(opened) and all(self.same(*end) for end in ends)
        if isinstance(gold, Interval) and isinstance(answer, Formula):
            return bool(gold.source) and self._formulas(gold.source, answer.text)
        if isinstance(gold, Interval):
            return (
                isinstance(answer, Several)
                and answer.kind == "tuple"
                and self.same(gold, _as_interval(answer))
            )
        if isinstance(answer, Interval):
            return isinstance(gold, Several) and self.same(_as_interval(gold), answer)
        if isinstance(gold, Union) and isinstance(answer, Union):
            return self._unordered(gold.parts, answer.parts)
        if not isinstance(gold, Several):
            return False
        if not isinstance(answer, Several):
            return _is_alone(gold) and self.same(gold.parts[0], answer)
        return self._several(gold, answer)

    def _several(self, gold: Several, answer: Several) -> bool:
        if gold.kind != "tuple" and answer.kind != "tuple" and not _names(gold):
            return self._mutually(gold.parts, answer.parts)
        if len(gold.parts) != len(answer.parts):
            return False
        names = _names(gold), _names(answer)
        if names[0] and names[1]:
            return self._unordered(gold.parts, answer.parts)
        if names[1]:
            in_order = sorted(answer.parts, key=_name)
            candidates = [answer.parts, tuple(in_order)]
            if any(self._ordered(gold.parts, parts) for parts in candidates):
                return True
        if gold.kind == "tuple" or names[0]:
            return answer.kind != "set" and self._ordered(gold.parts, answer.parts)
        return self._unordered(gold.parts, answer.parts)

    def _mutually(self, gold: Sequence[Reading], answer: Sequence[Reading]) -> bool:
        """Whether each part of one is among the other's: repetitions do not count."""
        rest = [part for part in answer if not any(self.same(g, part) for g in gold)]
        return not rest and all(any(self.same(g, part) for part in answer) for g in gold)

    def _ordered(self, gold: Sequence[Reading], answer: Sequence[Reading]) -> bool:
        return all(self.same(*pair) for pair in zip(gold, answer, strict=True))

    def _unordered(self, gold: Sequence[Reading], answer: Sequence[Reading]) -> bool:
        if len(gold) != len(answer):
            return False
        remaining = list(answer)
        for part in gold:
            place = next((i for i, other in enumerate(remaining) if self.same(part, other)), None)
            if place is None:
                return False
            del remaining[place]
        return True


def _is_alone(several: Several) -> bool:
    """Whether it is a set of one element, which is as good as the element."""
    return several.kind == "set" and len(several.parts) == 1


def _evaluated(gold: Numeral, answer: Numeral) -> bool:
    """False for a fraction such as 57/3 where an integer is asked for."""
    unreduced = answer.form == "fraction" and not answer.reduced
    return not (unreduced and answer.value.denominator == 1 and gold.form != "fraction")


def plain(numeral: Numeral) -> str:
    """A numeral as a formula."""
    value = numeral.amount
    if numeral.form == "decimal" and not numeral.percent:
        sign = "-" if value < 0 else ""
        return f"{sign}{numeral.numeral}"
    if value.denominator == 1:
        return str(value.numerator)
    sign = "-" if value < 0 else ""
    return rf"{sign}\frac{{{abs(value.numerator)}}}{{{value.denominator}}}"


def _with_letter(numeral: Numeral) -> str:
    """A numeral as a formula, with the letter behind it, which may be a variable."""
    if not numeral.unit.letter:
        return plain(numeral)
    ((letter, power),) = numeral.unit.factors
    return f"{plain(numeral)} {letter}^{{{power}}}"


def _radians(numeral: Numeral) -> str:
    return rf"{plain(replace(numeral, form='fraction', value=numeral.value / 180))}\pi"


def _ratio(ratio: Ratio) -> list[Fraction]:
    return [part.value / ratio.parts[0].value for part in ratio.parts]


def _as_time(reading: Reading) -> Clock | None:
    """A time of the day; two numbers around a colon are one."""
    if isinstance(reading, Ratio) and len(reading.parts) == 2:
        hours, minutes = (part.value for part in reading.parts)
        return Clock(int(hours), int(minutes), "")
    return reading if isinstance(reading, Clock) else None


def _same_time(gold: Clock, answer: Clock) -> bool:
    if (gold.half and answer.half) or (not gold.half and not answer.half):
        return gold == answer
    hours = {_hours(gold), gold.hours}, {_hours(answer), answer.hours}
    return gold.minutes == answer.minutes and bool(hours[0] & hours[1])


def _hours(clock: Clock) -> int:
    return clock.hours % 12 + 12 * (clock.half == "p") if clock.half else clock.hours


def _is_infinite(reading: Reading) -> bool:
    return isinstance(reading, Formula) and r"\infty" in reading.text


def _as_interval(pair: Several) -> Reading:
    if pair.kind != "tuple" or len(pair.parts) != 2:
        return Garbage()
    return Interval(*pair.parts, True, True)


def _names(several: Several) -> bool:
    """Whether all parts have names, which differ."""
    names = [part.name for part in several.parts if isinstance(part, Labelled)]
    return len(names) == len(several.parts) == len(set(names))


def _name(part: Reading) -> str:
    return part.name if isinstance(part, Labelled) else ""


def _equation(reading: Labelled | Chain) -> str | None:
    if isinstance(reading, Chain):
        return "=".join(reading.sides) if len(reading.sides) == 2 else None
    value = reading.value
    if isinstance(value, Numeral):
        return f"{reading.name}={plain(value)}"
    return f"{reading.name}={value.text}" if isinstance(value, Formula) else None
