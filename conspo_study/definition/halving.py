"""Declaration of successive halving: rungs, and who goes on from them."""

from __future__ import annotations

import math
from collections.abc import Iterator

from pydantic import Field

from conspo_study.config import AnyRun, FunctionConfig
from conspo_study.config.stage import Stage
from conspo_study.definition.parts import Confirmation


class Halving(Stage):
    """Successive halving (Jamieson & Talwalkar 2016): searched trials run to a rung and pause; the
    best of them go on from their checkpoints to the next, and the others stop there.

    Baselines run to their end. All trials of a bracket are compared at the same step, on the same
    seeds, once all of them are there, so that no decision depends on which was faster.
    """

    rungs: tuple[int, ...] = Field(min_length=1)
    """Training steps at which trials pause, ascending; evaluations are made there."""
    keep: float = Field(1 / 3, gt=0, lt=1)
    """Share of the trials at a rung that go on, rounded down; at least one does."""
    bracket: int = Field(9, ge=2)
    """Trials that are compared with one another. The next bracket begins when all of one have
    ended, and a sampler that learns knows their results; a budget has whole brackets."""

    def kept(self, trials: int) -> int:
        """How many of the trials at a rung go on."""
        return max(1, math.floor(self.keep * trials + 1e-9))

    def trained_share(self, steps: int) -> float:
        """The share of the steps of searched trials that are trained, if none fails."""
        done, left, before = 0, self.bracket, 0
        for rung in (*self.rungs, steps):
            done += left * (rung - before)
            left, before = self.kept(left), rung
        return done / (self.bracket * steps)


def halving_problems(
    rule: Halving | None, base: AnyRun, searched: int, confirm: Confirmation | None
) -> Iterator[str]:
    """What is wrong with a rule for so many searched trials of a configuration."""
    if rule is None:
        return
    if confirm is not None and confirm.best_over:
        yield (
            "early_stopping: halving stops whole strata, whose best confirm.best_over asks for: "
            "set early_stopping=None"
        )
    if isinstance(base, FunctionConfig):
        yield (
            "early_stopping: a training function cannot be paused at a rung: use racing "
            "(EarlyStopping), or None"
        )
        return
    if searched % rule.bracket:
        fewer = searched - searched % rule.bracket
        yield (
            f"early_stopping: {searched} searched trials are no whole number of brackets of "
            f"{rule.bracket}: change trials so that {fewer} or {fewer + rule.bracket} are searched "
            "beside the baselines, or bracket"
        )
    steps, every = base.train.steps, base.evaluation.every
    if list(rule.rungs) != sorted(set(rule.rungs)) or rule.rungs[0] < 1:
        yield f"early_stopping: rungs {list(rule.rungs)} have to ascend from step 1 or later"
    if rule.rungs[-1] >= steps:
        yield (
            f"early_stopping: rung {rule.rungs[-1]} is not before the last step, {steps}: give "
            "earlier ones"
        )
    if missed := [rung for rung in rule.rungs if rung % every]:
        yield (
            f"early_stopping: nothing is measured at step {', '.join(map(str, missed))}: rungs are "
            f"multiples of evaluation.every, {every}"
        )
