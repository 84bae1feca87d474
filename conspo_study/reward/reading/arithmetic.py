"""Computes small sums, products and powers of numerals exactly."""

from __future__ import annotations

import re
from fractions import Fraction

from conspo_study.reward.reading.numerals import read_numeral

MAX_CHARACTERS = 400
MAX_BITS = 4096
"""Largest size of a result; beyond it nothing is computed."""
MAX_POWER = 64

_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+(?:,\d{3})*(?:\.\d+)?|\.\d+)|(?P<frac>\\frac)|(?P<sign>[+\-*/^(){}]|"
    r"\\(?:cdot|times|div)\b))"
)


def computed(text: str) -> Fraction | None:
    r"""The value of an expression in plain layout of numbers, `+ - \cdot / \frac ^` and brackets;
    None if it has anything else or is too large."""
    if len(text) > MAX_CHARACTERS:
        return None
    numeral = read_numeral(text)
    if numeral is not None and not numeral.base:
        return numeral.amount
    tokens, at = [], 0
    text = text.rstrip()
    while at < len(text):
        found = _TOKEN.match(text, at)
        if not found:
            return None
        tokens.append(found["number"] or found["frac"] or found["sign"])
        at = found.end()
    try:
        return _Expression(tokens).value()
    except (ValueError, ZeroDivisionError, RecursionError):
        return None


class _Expression:
    def __init__(self, tokens: list[str]):
        self._tokens = tokens
        self._at = 0

    def value(self) -> Fraction:
        result = self._sum()
        if self._at < len(self._tokens):
            raise ValueError("more than an expression")
        return result

    def _peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _take(self) -> str:
        token = self._peek()
        self._at += 1
        return token

    def _sum(self) -> Fraction:
        total = self._product()
        while self._peek() in ("+", "-"):
            sign = 1 if self._take() == "+" else -1
            total = _checked(total + sign * self._product())
        return total

    def _product(self) -> Fraction:
        total = self._signed()
        while (sign := self._peek()) in ("*", r"\cdot", r"\times", "/", r"\div", "(", r"\frac"):
            if sign not in ("(", r"\frac"):
                self._take()
            factor = self._signed()
            total = _checked(total / factor if sign in ("/", r"\div") else total * factor)
        return total

    def _signed(self) -> Fraction:
        sign = 1
        while self._peek() in ("+", "-"):
            sign = -sign if self._take() == "-" else sign
        return sign * self._power()

    def _power(self) -> Fraction:
        base = self._atom()
        if self._peek() != "^":
            return base
        self._take()
        exponent = self._atom() if self._peek() != "-" else self._signed()
        if exponent.denominator != 1 or abs(exponent) > MAX_POWER:
            raise ValueError("a power that is not computed")
        return _checked(base ** int(exponent))

    def _atom(self) -> Fraction:
        token = self._take()
        if token in ("(", "{"):
            inside = self._sum()
            if self._take() not in (")", "}"):
                raise ValueError("a bracket is not closed")
            return inside
        if token == r"\frac":
            return _checked(self._atom() / self._atom())
        if not token or (not token[0].isdigit() and token[0] != "."):
            raise ValueError("no number")
        return Fraction(token.replace(",", ""))


def _checked(value: Fraction) -> Fraction:
    if value.numerator.bit_length() + value.denominator.bit_length() > MAX_BITS:
        raise ValueError("too large")
    return value
