"""Samplers that do not learn: random, a low-discrepancy sequence, all combinations."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping

from conspo_study.definition import StudyDefinition
from conspo_study.definition.space import MAX_POINTS, Space, Value, number_of_points, point, points
from conspo_study.search.samplers import Params, Past
from conspo_study.seeds import derive_seed

DRAWS = 100
"""Random draws that may be repeats before the remaining points of a space are listed."""
MOST_DRAWS = 10_000
"""Random draws from a space that cannot be listed, and where few points may be valid."""


class Random:
    """Draws every dimension uniformly (or log-uniformly) where it exists, independently."""

    def __init__(self, definition: StudyDefinition):
        self._space, self._root = definition.space, definition.root_seed
        self._draws = _draws(self._space)

    def candidates(self, past: Past) -> Iterator[Params]:
        """Draws, then the remaining points of a space of choices."""
        for attempt in range(self._draws):
            # Python promises that random() of a seed stays the same from version to version.
            stream = random.Random(derive_seed(self._root, "random", past.number, attempt))
            yield point(self._space, [stream.random() for _ in self._space])
        yield from left_over(self._space, self._root, past.number)


class QuasiRandom:
    """Points of a scrambled Sobol sequence in order, without those that were run.

    Sobol (1967), scrambled as in Matousek (1998): the first points of the sequence, however many,
    fill the space about as evenly as that number of points can. A condition that does not hold
    leaves the coordinates of its dimension unused, which keeps the others even.
    """

    def __init__(self, definition: StudyDefinition):
        self._space, self._root = definition.space, definition.root_seed
        self._draws = _draws(self._space)
        self._block: list[list[float]] = []

    def candidates(self, past: Past) -> Iterator[Params]:
        """The sequence from its start, then the remaining points of a space of choices."""
        for index in range(past.number + self._draws):
            if index == len(self._block):
                self._block = self._longer_block()
            yield point(self._space, self._block[index])
        yield from left_over(self._space, self._root, past.number)

    def _longer_block(self) -> list[list[float]]:
        """Twice as many points of the unit cube, a power of two; those known come first."""
        import numpy as np  # here, since scipy takes a second to import
        from scipy.stats.qmc import Sobol

        exponent = len(self._block).bit_length()
        generator = np.random.default_rng(derive_seed(self._root, "qmc"))
        sequence = Sobol(len(self._space), scramble=True, seed=generator)
        coordinates: list[list[float]] = sequence.random_base2(exponent).tolist()
        return coordinates


class Grid:
    """All combinations of choices, in a shuffled order.

    Shuffled, because a budget smaller than the grid then covers a fair sample of it instead of one
    corner. The order of the points does not depend on how many there are: values added to a choice
    leave the order of the others as it was.
    """

    def __init__(self, definition: StudyDefinition):
        self._points = shuffled(definition.space, definition.root_seed, "grid")

    def candidates(self, past: Past) -> Iterator[Params]:
        """The whole grid."""
        return iter(self._points)


def shuffled(space: Space, root: int, *names: str | int) -> list[Mapping[str, Value]]:
    """All points of a space of choices, in an order that `names` select under the root seed."""
    return sorted(
        points(space),
        key=lambda params: derive_seed(root, *names, json.dumps(params, sort_keys=True)),
    )


def left_over(space: Space, root: int, number: int) -> Iterator[Params]:
    """All points of a space of choices, in an order that depends on the trial's number: random
    draws would hardly find the last ones. Empty for a space of ranges, or a large one."""
    if _is_listed(space):
        yield from shuffled(space, root, "left over", number)


def _draws(space: Space) -> int:
    return DRAWS if _is_listed(space) else MOST_DRAWS


def _is_listed(space: Space) -> bool:
    """True if all of its points can be listed."""
    return (number_of_points(space) or MAX_POINTS) < MAX_POINTS
