"""Dimensions of a space: choices, ranges and conditions.

A dimension does not know its setting. Its problems are therefore reported by the definition of the
study, which names the setting (`problems`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, PlainSerializer, PlainValidator

from conspo_study.config.stage import Stage, only_for_calls
from conspo_study.config.values import Value, key_of, kind_of, plain, same


def _values(given: Any) -> Any:
    if hasattr(given, "tolist"):
        given = given.tolist()
    if not isinstance(given, list | tuple | range):
        raise ValueError(
            f"values of a choice are a list or a tuple, which keep their order: write "
            f"values=(...), not {given!r}"
        )
    return tuple(map(plain, given))


def _number(given: Any) -> Any:
    given = plain(given)
    try:
        return float(given) if isinstance(given, int) and not isinstance(given, bool) else given
    except OverflowError:
        return given


_Values = Annotated[
    tuple[Value, ...], PlainValidator(_values), PlainSerializer(lambda values: [*values])
]
_Bound = Annotated[float, PlainValidator(_number), PlainSerializer(lambda value: value)]


_UNSET: Any = object()


def _named(**given: Any) -> dict[str, Any]:
    """What was given by position, by its name."""
    return {name: value for name, value in given.items() if value is not _UNSET}


class When(Stage):
    """A dimension exists only where another has one of these values."""

    path: str
    values: _Values

    @only_for_calls
    def __init__(self, path: str = _UNSET, values: Any = _UNSET, **fields: Any) -> None:
        super().__init__(**_named(path=path, values=values), **fields)

    def holds(self, params: Mapping[str, Any]) -> bool:
        """True if `params` meet the condition; False if the other dimension does not exist."""
        return self.path in params and self.allows(params[self.path])

    def allows(self, value: Any) -> bool:
        """True if the condition holds for this value of the other dimension."""
        return any(same(value, allowed) for allowed in self.values)


Conditions = When | tuple[When, ...] | None
"""No condition, one, or several that must all hold."""


def _conditions(when: Conditions) -> tuple[When, ...]:
    if when is None:
        return ()
    return when if isinstance(when, tuple) else (when,)


class Choice(Stage):
    """One of a few values: `Choice([0.1, 1.0])`."""

    kind: Literal["choice"] = "choice"
    values: _Values
    when: Conditions = None

    @only_for_calls
    def __init__(self, values: Any = _UNSET, *others: Any, **fields: Any) -> None:
        if others:
            listed = ", ".join(map(repr, (values, *others)))
            raise TypeError(f"the values of a choice are one list: write Choice([{listed}])")
        super().__init__(**_named(values=values), **fields)

    @property
    def conditions(self) -> tuple[When, ...]:
        """Conditions that must all hold for the dimension to exist."""
        return _conditions(self.when)

    def problems(self) -> Iterator[str]:
        """Problems of the dimension, without the name of its setting."""
        if not self.values:
            yield "a choice needs at least one value"
        for value in self.values:
            if kind_of(value) is None:
                yield (
                    f"{value!r} is not a plain value: give a finite number, text, True, False, "
                    "None, or a list of these"
                )

    def contains(self, value: Any) -> bool:
        """True if the search could suggest `value`."""
        return any(same(value, listed) for listed in self.values)

    def at(self, coordinate: float) -> Value:
        """The value at `coordinate` in [0, 1); each has an equal share."""
        return self.values[int(coordinate * len(self.values))]

    @property
    def listed(self) -> Sequence[Value]:
        """All values, each once."""
        return self.values

    def index(self, value: Any) -> int:
        """Index of a value that it contains."""
        return [key_of(listed) for listed in self.values].index(key_of(value))


class Range(Stage):
    """A number in [low, high], uniform in it or in its logarithm: `Range(1e-5, 1e-3, log=True)`."""

    LATER: ClassVar[tuple[str, ...]] = ("integer",)

    kind: Literal["range"] = "range"
    low: _Bound
    high: _Bound
    log: bool = False
    integer: bool = False
    """True if it has whole numbers only. A study sets it where the setting takes no others."""
    when: Conditions = None

    @only_for_calls
    def __init__(self, low: Any = _UNSET, high: Any = _UNSET, **fields: Any) -> None:
        super().__init__(**_named(low=low, high=high), **fields)

    @property
    def conditions(self) -> tuple[When, ...]:
        """Conditions that must all hold for the dimension to exist."""
        return _conditions(self.when)

    def problems(self) -> Iterator[str]:
        """Problems of the dimension, without the name of its setting."""
        for name, bound in (("low", self.low), ("high", self.high)):
            if kind_of(bound) != "a number":
                yield f"{name}={bound!r} is not a finite number"
                return
        if self.low >= self.high or (self.log and self.low <= 0):
            yield "a range needs low < high, and 0 < low on a logarithmic scale"
        elif self.integer and not (self.low.is_integer() and self.high.is_integer()):
            low, high = math.ceil(self.low), math.floor(self.high)
            log = ", log=True" if self.log else ""
            advice = f"write Range(low={low}, high={high}{log})" if low < high else "widen it"
            ends = " and ".join(f"{x:g}" for x in (self.low, self.high) if not x.is_integer())
            yield f"its range has whole numbers only, and ends at {ends}: {advice}"

    def contains(self, value: Any) -> bool:
        """True if the search could suggest `value`."""
        if kind_of(value) != "a number" or (self.integer and value != int(value)):
            return False
        return bool(self.low <= value <= self.high)

    def at(self, coordinate: float) -> float:
        """The value at `coordinate` in [0, 1); a whole number has the share of an interval of half
        a step to both sides of it."""
        step = 0.5 if self.integer else 0.0
        low, high = self.low - step, self.high + step
        if self.log:
            value = low * math.exp(coordinate * math.log(high / low))
        else:
            value = low + coordinate * (high - low)
        if self.integer:
            value = math.floor(value + 0.5)
            return min(max(value, int(self.low)), int(self.high))
        return min(max(value, self.low), self.high)  # rounding may have left the interval

    @property
    def listed(self) -> Sequence[Value] | None:
        """All values, each once; None if they are not whole numbers."""
        return range(int(self.low), int(self.high) + 1) if self.integer else None


def _as_dimension(given: Any) -> Any:
    """Turn a list into a choice of its values."""
    if isinstance(given, list | tuple | range):
        return Choice(values=tuple(given))
    if isinstance(given, Choice | Range | Mapping):
        return given
    raise ValueError(
        f"{given!r} is not a dimension: write Choice(values=(...)) or Range(low=..., high=...); a "
        "setting that is the same for all trials belongs to the base"
    )


Dimension = Annotated[
    Annotated[Choice | Range, Field(discriminator="kind")], BeforeValidator(_as_dimension)
]
Space = Mapping[str, Dimension]
