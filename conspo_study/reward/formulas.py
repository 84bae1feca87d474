"""Compares formulas by computer algebra, in a checking process.

math-verify's parser reads them and its grader compares them; values at a few points, in 30 digits,
then confirm or overrule it, since the grader rounds absolutely and simplifies incompletely.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from functools import lru_cache
from typing import Any

from conspo_study.reward.reading.layout import squeezed
from conspo_study.reward.reading.numerals import read_numeral, rounds

_DIGITS = 30
_TOLERANCE = Fraction(1, 10**12)
"""Largest relative difference of equal values: decimals inside formulas have 15 digits."""
_POINTS = (
    (7, 5), (13, 11), (29, 17), (31, 7), (5, 19), (-11, 7), (-3, 13), (-23, 9),
)  # fmt: skip
"""Values of the first variable; those of further ones follow from them."""
_ENOUGH = 3
"""Points that must agree for formulas to be equal without the grader's consent."""

_COMPUTING = re.compile(
    r"\\(?:sum|prod|int|iint|oint|lim|bmod|pmod|mod|gcd|lcm|max|min|det|lfloor|lceil|operatorname)\b"
)
_IMAGINARY = re.compile(r"(?<![a-zA-Z\\_{])(?<!_ )i(?![a-zA-Z])|\\imath\b")
_DEGREES = re.compile(r"(\d+(?:\.\d+)?) ?\^ ?\{? ?\\circ ?\}?")
_NATURAL = re.compile(r"\\log ?_ ?(?:\{ ?e ?\}|e)")
_CIRCLE = re.compile(r" ?\^ ?\{? ?\\circ ?\}?")
_GREEK_FACTOR = re.compile(
    r"\\(alpha|beta|delta|epsilon|eta|kappa|lambda|mu|nu|omega|rho|tau|theta) \("
)


class FormulaChecker:
    """Decides whether two formulas in plain layout are equal."""

    def __init__(self) -> None:
        from latex2sympy2_extended import NormalizationConfig, latex2sympy
        from latex2sympy2_extended.latex2sympy2 import ConversionConfig
        from math_verify import verify

        normalization = NormalizationConfig(
            basic_latex=True, units=False, malformed_operators=True, nits=True, boxed="none"
        )
        conversion = ConversionConfig(
            interpret_simple_eq_as_assignment=False, interpret_contains_as_eq=False,
            lowercase_symbols=False,
        )  # fmt: skip

        def parse(text: str, is_complex: bool) -> Any:
            try:
                return latex2sympy(
                    _for_the_parser(text),
                    is_real=not is_complex,
                    convert_degrees=False,
                    normalization_config=normalization,
                    conversion_config=conversion,
                )
            except MemoryError:
                raise
            except Exception:  # whatever a parser raises on untrusted text
                return None

        self._parse = lru_cache(maxsize=1024)(parse)
        self._verify = verify
        self.equal(r"\frac{1}{2}", "0.5")  # builds the parser's tables

    def understood(self, text: str) -> bool:
        """Whether the formula can be read."""
        return self._parse(text, _is_complex(text)) is not None

    def equal(self, gold: str, answer: str) -> bool:
        """Whether two formulas are equal wherever both have real values.

        An answer with a sum, an integral, a remainder or a limit, where the gold answer has none,
        still has to be computed and is not equal.
        """
        if _COMPUTING.search(answer) and not _COMPUTING.search(gold):
            return False
        if _CIRCLE.search(gold) is None or _CIRCLE.search(answer) is None:
            bare = _CIRCLE.sub("", gold), _CIRCLE.sub("", answer)
            if bare != (gold, answer) and self.equal(*bare):
                return True
        is_complex = _is_complex(gold) or _is_complex(answer)
        first, second = self._parse(gold, is_complex), self._parse(answer, is_complex)
        if first is None or second is None:
            return False
        if squeezed(gold) == squeezed(answer):
            return True
        if first == second:
            return True
        decimal = read_numeral(answer)
        if decimal is not None and decimal.form == "decimal":
            exact = _value(first, {})
            if exact is not None:
                return rounds(decimal, exact) or exact == decimal.value
        probes = list(_probes(first, second))
        if probes and not all(probes):
            return False
        if len(probes) >= _ENOUGH or (probes and not _symbols(first, second)):
            return True
        return bool(self._verify([first], [second], timeout_seconds=None))


def _for_the_parser(text: str) -> str:
    """`text` without what the parser refuses or misreads: an indexed E is not Euler's number, a
    Greek letter is no function, and degrees are numbers."""
    text = re.sub(r"(?<![a-zA-Z\\])E(?= ?_)", r"\\mathcal{E}", text).replace(r"\odot", "sun")
    text = _GREEK_FACTOR.sub(r"\\\1 \\cdot (", text)
    text = _NATURAL.sub(r"\\ln ", text)
    return _CIRCLE.sub("", _DEGREES.sub(r"(\\frac{\1 \\pi}{180})", text))


def _is_complex(text: str) -> bool:
    return _IMAGINARY.search(text) is not None


def _symbols(first: Any, second: Any) -> list[Any]:
    symbols = getattr(first, "free_symbols", set()) | getattr(second, "free_symbols", set())
    return sorted(symbols, key=str)


def _probes(first: Any, second: Any) -> Iterator[bool]:
    """Whether the formulas agree, at each point at which both have a value.

    Equations agree if their differences of sides are proportional.
    """
    from sympy import Eq, Expr

    equations = isinstance(first, Eq) and isinstance(second, Eq)
    if equations:
        first, second = first.lhs - first.rhs, second.lhs - second.rhs
    if not (isinstance(first, Expr) and isinstance(second, Expr)):
        return
    if first.has(*_not_probed()) or second.has(*_not_probed()):
        return
    symbols = _symbols(first, second)
    factor = None
    points = list(_POINTS if symbols else _POINTS[:1])
    if _has_root(first) or _has_root(second):
        points = [point for point in points if point[0] > 0]
    for point in points:
        places = _coordinates(symbols, point)
        one, other = _value(first, places), _value(second, places)
        if one is None or other is None:
            continue
        if not equations:
            yield abs(one - other) <= _TOLERANCE * max(abs(one), abs(other))
        elif one and other:
            factor = one / other if factor is None else factor
            yield abs(one - factor * other) <= _TOLERANCE * abs(one)


def _has_root(expression: Any) -> bool:
    """Whether it has a root of a variable, whose usual rules hold for positive numbers only."""
    from sympy import Pow

    return any(
        power.base.free_symbols and not power.exp.is_integer for power in expression.atoms(Pow)
    )


def _not_probed() -> tuple[Any, ...]:
    """What has no value at a point, or takes long to have one."""
    from sympy import Integral, Limit, Product, Sum
    from sympy.core.function import AppliedUndef

    return (Sum, Product, Integral, Limit, AppliedUndef)


def _coordinates(symbols: list[Any], point: tuple[int, int]) -> dict[Any, Any]:
    from sympy import Rational

    top, bottom = point
    return {
        symbol: Rational(top * (place + 2) + place * place, bottom + 2 * place)
        for place, symbol in enumerate(symbols)
    }


def _value(expression: Any, places: dict[Any, Any]) -> Fraction | None:
    """The real value at a point, in 30 digits; None if there is none."""
    try:
        number = expression.evalf(_DIGITS, subs=places, maxn=120)
        real, imaginary = number.as_real_imag()
        if not (real.is_Number and imaginary.is_Number and real.is_finite):
            return None
        if abs(imaginary) > 10**-15 * (abs(real) + 10**-15):
            return None
        return Fraction(int(real.p), int(real.q)) if real.is_Rational else _fraction(real)
    except MemoryError:
        raise
    except Exception:  # a pole, an undefined function, a formula that has no number
        return None


def _fraction(real: Any) -> Fraction:
    sign, mantissa, exponent, _ = real._mpf_
    return (-1 if sign else 1) * Fraction(int(mantissa)) * Fraction(2) ** int(exponent)
