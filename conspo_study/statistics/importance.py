"""Importance of settings: the share of the variance between trials that each accounts for."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

FEWEST_TRIALS = 8
"""With fewer, a share of the variance says nothing."""
_SHUFFLES = 500
_BINS = 4

_Codes: TypeAlias = np.ndarray[tuple[int], np.dtype[np.intp]]
_Rows: TypeAlias = np.ndarray[tuple[int, int], np.dtype[np.float64]]


@dataclass(frozen=True, slots=True)
class Importance:
    """What one setting accounts for."""

    setting: str
    share: float
    """Of the variance between trials: one-way eta squared."""
    chance: float
    """The 95 % quantile of the share when values are shuffled among the trials."""
    groups: int
    """Groups of trials with the same value, or with values in the same quartile."""


def importance(values: Sequence[float], settings: Mapping[str, Sequence[Any]]) -> list[Importance]:
    """The share of the variance between trials that each setting accounts for by itself, the
    largest first.

    values: of the finished trials, means over seeds. settings: by name, one value for each trial,
    None where it does not apply, which counts as a value of its own. Numbers with more than four
    values are put into quartiles. Empty with fewer than `FEWEST_TRIALS` trials, and where their
    values are all the same. Interactions are not included, and a sampler that prefers some region
    makes settings look alike that were varied together.
    """
    measured = np.asarray(values, dtype=float)
    if len(measured) < FEWEST_TRIALS or np.ptp(measured) == 0:
        return []
    rng = np.random.default_rng(0)
    shuffled = np.stack([rng.permutation(measured) for _ in range(_SHUFFLES)])
    found = []
    for name, chosen in settings.items():
        codes = _groups(chosen)
        count = int(codes.max()) + 1
        # As many groups as trials explain everything, whatever the values.
        if 1 < count <= len(measured) // 2:
            chance = float(np.quantile(_eta_squared(shuffled, codes), 0.95))
            share = float(_eta_squared(measured[None], codes)[0])
            found.append(Importance(name, share, chance, count))
    return sorted(found, key=lambda one: -one.share)


def _groups(chosen: Sequence[Any]) -> _Codes:
    """A code for each trial: of its value, or of the quartile of many numbers."""
    given = [value for value in chosen if value is not None]
    numeric = all(isinstance(value, int | float) for value in given)
    if not numeric or len(set(given)) <= _BINS:
        return _distinct([_text(value) for value in chosen])
    edges = np.unique(np.quantile(np.asarray(given, dtype=float), np.linspace(0, 1, _BINS + 1)))
    inner = edges[1:-1]
    return _distinct(
        ["" if value is None else str(np.searchsorted(inner, float(value))) for value in chosen]
    )


def _text(value: Any) -> str:
    """Equal for equal values: 1 and 1.0 are the same number."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return json.dumps(float(value) if number else value, sort_keys=True, default=str)


def _distinct(texts: Sequence[str]) -> _Codes:
    codes = {text: code for code, text in enumerate(dict.fromkeys(texts))}
    return np.array([codes[text] for text in texts], dtype=np.intp)


def _eta_squared(values: _Rows, codes: _Codes) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """[rows, trials] -> [rows]: variance between the groups over the whole variance."""
    centred = values - values.mean(axis=1, keepdims=True)
    member = np.eye(int(codes.max()) + 1)[codes]  # [trials, groups]
    between = ((centred @ member) ** 2 / member.sum(axis=0)).sum(axis=1)
    return np.asarray(between / (centred**2).sum(axis=1))
