"""A collapse: what ends the training of one seed, and of no other.

A seed collapses when its gradients stay non-finite, its policy's logits are non-finite, or its
answers leave nothing to learn from for `train.max_steps_without_contrast` steps. That is a result:
how often a method does it is what its users want to know. The seed stops there, its policy is
evaluated once more, as at the end of training, and every later evaluation of the trial repeats
these answers: its policy no longer changes. A policy that cannot be evaluated keeps its last
evaluation. The other seeds train on.

Before the first optimiser step nothing has been trained that could collapse: a task without any
contrast, or a model whose logits are non-finite, is a mis-set study, and an error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from conspo_study.records import Collapse, EvalRow, Problem
from conspo_study.text import one_line
from conspo_study.update.errors import COLLAPSES, NonFiniteLogitsError
from conspo_study.update.world import World

Drawn = TypeVar("Drawn")


def collapse_at(step: int, error: Exception, updates: int) -> Collapse:
    """The collapse that `error`, one of `COLLAPSES`, is at training step `step`.

    updates: optimiser steps that had been applied to the policy. Raises the error if there were
    none.
    """
    if not updates:
        raise error
    return Collapse(step, f"{COLLAPSES[type(error)]}: {one_line(error)}")


def with_finite_logits(world: World, draw: Callable[[], Drawn]) -> Drawn:
    """The result of `draw()` on this worker. Raises NonFiniteLogitsError on all workers when it
    raises FloatingPointError on one. Collective."""
    broken = ""
    try:
        drawn = draw()
    except FloatingPointError as error:
        broken = str(error)
    if found := next(filter(None, world.gather(broken)), ""):
        raise NonFiniteLogitsError(found)
    return drawn


def repeated(
    rows: Sequence[EvalRow], due: Mapping[str, Sequence[Problem]], step: int
) -> list[EvalRow]:
    """The rows of the evaluation of the problems `due` by set at `step`, of a policy that answered
    them before as in `rows`."""
    wanted = {(name, problem.id) for name, problems in due.items() for problem in problems}
    return [replace(row, step=step) for row in rows if (row.problem_set, row.problem_id) in wanted]


def last_of_each_set(rows: Sequence[EvalRow]) -> list[EvalRow]:
    """The rows of the last evaluation of each set."""
    last: dict[str, int] = {}
    for row in rows:
        last[row.problem_set] = max(row.step, last.get(row.problem_set, 0))
    return [row for row in rows if row.step == last[row.problem_set]]
