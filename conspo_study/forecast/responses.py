"""Responses of a run: how many are drawn at once and in all, and their assumed length."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from conspo_study.config import EvaluationConfig, RunConfig
from conspo_study.data.benchmarks import NAMED

MEAN_LENGTH: Mapping[int, int] = MappingProxyType({8192: 4000, 4096: 1500, 1024: 450, 512: 250})
"""Assumed mean response length, in tokens, by the response limit."""
PROMPT_TOKENS = 200
"""Assumed mean prompt length, in tokens."""


@dataclass(frozen=True, slots=True)
class Draw:
    """Responses that one worker draws by one call of its engine, at most."""

    name: str
    """`training`, or the evaluation set."""
    prompts: int
    samples: int
    """Per prompt."""
    limit: int
    """Most tokens of a response."""
    times: int
    """How often, over the run of one seed."""

    @property
    def responses(self) -> int:
        """Of one call."""
        return self.prompts * self.samples


def draws(run: RunConfig) -> list[Draw]:
    """All kinds of calls that one worker makes for one seed: its share of a rollout batch, and of
    every evaluation set, sampled and greedy."""
    rollout, settings, workers = run.rollout, run.evaluation, run.train.workers
    prompts = rollout.prompts_per_step // workers
    found = [Draw("training", prompts, rollout.group_size, rollout.max_new_tokens, run.train.steps)]
    for name, times in evaluations_of(run).items():
        share = -(-problems_of(name, settings) // workers)
        limit = settings.max_new_tokens
        found.append(Draw(name, share, settings.samples_for(name), limit, times))
        if settings.greedy:
            found.append(Draw(name, share, 1, limit, times))
    return found


def evaluations_of(run: RunConfig) -> dict[str, int]:
    """How often each set is evaluated in the run of one seed, before training included."""
    ends, between = evaluation_steps(run)
    settings = run.evaluation
    return {name: ends + between * (name in settings.tracked_sets) for name in settings.names}


def evaluation_steps(run: RunConfig) -> tuple[int, int]:
    """Number of evaluations of all sets, and of those of the tracked sets alone."""
    return 2, -(-run.train.steps // run.evaluation.every) - 1


def evaluated_per_run(run: RunConfig) -> int:
    """Number of responses of all evaluations of one seed, the one before training included."""
    settings = run.evaluation
    return sum(
        count * problems_of(name, settings) * (settings.samples_for(name) + int(settings.greedy))
        for name, count in evaluations_of(run).items()
    )


def problems_of(name: str, settings: EvaluationConfig) -> int:
    """Number of problems of a set that are evaluated; an upper bound for a file of unknown size."""
    known = NAMED.get(settings.source(name))
    rows = settings.problems_per_set if known is None else known.rows
    return min(rows, settings.problems_per_set)
