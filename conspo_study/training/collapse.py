"""A collapse: what ends the training of one seed, and of no other.

A seed collapses when its gradients stay non-finite, its policy's logits are non-finite, or its
answers leave nothing to learn from for `train.max_steps_without_contrast` steps. That is a result:
how often a method does it is what its users want to know. The seed stops there, its policy is
evaluated once more, as at the end of training, and every later evaluation of the trial repeats
these answers: its policy no longer changes. A policy whose logits are non-finite answers nothing,
so all of its responses count as responses without an answer. The other seeds train on.

Before the first optimiser step nothing has been trained that could collapse: a task without any
contrast, or a model whose logits are non-finite, is a mis-set study, and an error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import TypeVar

from conspo_study.config import RunConfig
from conspo_study.records import GREEDY, Collapse, EvalRow, FinishStatus, Problem, Verdict
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


def with_finite_logits(
    world: World,
    draw: Callable[[], Drawn],
    waiting: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> Drawn:
    """The result of `draw()` on this worker. Raises NonFiniteLogitsError on all workers when it
    raises FloatingPointError on one. Collective. waiting: entered to wait for the others."""
    broken = ""
    try:
        drawn = draw()
    except FloatingPointError as error:
        broken = str(error) or type(error).__name__
    with waiting():
        problems = world.gather(broken)
    if found := next(filter(None, problems), ""):
        raise NonFiniteLogitsError(found)
    return drawn


def repeated(
    rows: Sequence[EvalRow], due: Mapping[str, Sequence[Problem]], step: int
) -> list[EvalRow]:
    """The rows of the evaluation of the problems `due` by set at `step`, of a policy that answered
    them before as in `rows`."""
    wanted = {(name, problem.id) for name, problems in due.items() for problem in problems}
    return [replace(row, step=step) for row in rows if (row.problem_set, row.problem_id) in wanted]


def unanswered(
    config: RunConfig, seed: int, due: Mapping[str, Sequence[Problem]], step: int
) -> list[EvalRow]:
    """The rows of an evaluation of the problems `due` by set, of a policy that answers nothing."""
    settings = config.evaluation
    nothing = EvalRow(
        *(seed, step, "", "", 0),
        verdict=Verdict.NO_ANSWER.value,
        answer="",
        response_tokens=0,
        status=FinishStatus.TRUNCATED.value,
        reward=0.0 if config.evaluation_reward.graded else None,
    )
    greedy = [GREEDY] if settings.greedy else []
    return [
        replace(nothing, problem_set=name, problem_id=problem, sample=sample)
        for name in sorted(due)
        for problem in sorted(problem.id for problem in due[name])
        for sample in (*greedy, *range(settings.samples_for(name)))
    ]
