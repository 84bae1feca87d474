"""Responses of a run: how many are drawn at once and in all, and their assumed length."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
    for name, problems, times in _evaluated(run):
        share = -(-problems // workers)
        limit = settings.max_new_tokens
        found.append(Draw(name, share, settings.samples_for(name), limit, times))
        if settings.greedy:
            found.append(Draw(name, share, 1, limit, times))
    return found


def _evaluated(run: RunConfig) -> Iterator[tuple[str, int, int]]:
    """Each set with a number of problems and how often so many are evaluated in the run of one
    seed, before training included."""
    ends, between = evaluation_steps(run)
    settings = run.evaluation
    for name in settings.names:
        times = ends + between * (name in settings.tracked_sets)
        often, once = (problems_of(name, settings, last) for last in (False, True))
        if often == once:
            yield name, once, times
        else:
            yield name, often, times - 1
            yield name, once, 1


def evaluation_steps(run: RunConfig) -> tuple[int, int]:
    """Number of evaluations of all sets, and of those of the tracked sets alone."""
    return 2, -(-run.train.steps // run.evaluation.every) - 1


def evaluated_per_run(run: RunConfig) -> int:
    """Number of responses of all evaluations of one seed, the one before training included."""
    return sum(
        times * problems * _per_problem(name, run.evaluation)
        for name, problems, times in _evaluated(run)
    )


def evaluated_last(run: RunConfig) -> int:
    """Number of responses of the evaluation of one seed after the last step."""
    settings = run.evaluation
    return sum(
        problems_of(name, settings, last=True) * _per_problem(name, settings)
        for name in settings.names
    )


def problems_of(name: str, settings: EvaluationConfig, last: bool) -> int:
    """Number of problems of a set that are evaluated; an upper bound for a file of unknown size.

    last: after the last step, where there may be more.
    """
    known, most = NAMED.get(settings.source(name)), settings.problems_for(name, last)
    return most if known is None else min(known.rows, most)


def _per_problem(name: str, settings: EvaluationConfig) -> int:
    return settings.samples_for(name) + int(settings.greedy)
