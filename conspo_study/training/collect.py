"""The rollout batch of a training step: prompts, responses, verdicts, groups.

With `rollout.ahead` the responses of every step but the first are requested before the update of
the step before it, from the weights as they are then: vLLM draws them while the trainer computes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import astuple, dataclass
from functools import partial
from itertools import chain
from pathlib import Path

import torch
from safetensors import SafetensorError
from transformers import PreTrainedTokenizerBase

from conspo_study.config import RunConfig
from conspo_study.data.order import TrainingStream
from conspo_study.data.prompts import prompt_text, prompt_tokens
from conspo_study.data.thoughts import opens_thought
from conspo_study.records import Answered, Group, Judgement, Part, Problem, Rollout, add_parts
from conspo_study.reward import Judge
from conspo_study.rollout.ahead import load_rollouts, save_rollouts
from conspo_study.rollout.engine import Draw, RolloutEngine, Sampling
from conspo_study.rollout.groups import GroupCounts, form_groups
from conspo_study.rollout.metrics import rollout_metrics
from conspo_study.seeds import derive_seed
from conspo_study.training.clock import Clock
from conspo_study.training.collapse import with_finite_logits
from conspo_study.training.kept_rollouts import Sample, kept_positions
from conspo_study.update.errors import CheckpointError
from conspo_study.update.world import World

AHEAD_FILE = "ahead.safetensors"
"""File of a checkpoint, in its folder for a seed: responses of the next step, of all workers."""


@dataclass(frozen=True, slots=True)
class RolloutBatch:
    """The rollouts of a training step on one worker."""

    groups: list[Group]
    """Groups with contrast, at most this worker's share of the step's prompts."""
    samples: list[Sample]
    """All responses to the prompts that are kept for reading; in most steps none."""
    counts: GroupCounts
    """Over all workers."""
    parts: dict[str, Part]
    """Metrics of this worker's rollouts."""


@dataclass(slots=True)
class _Request:
    """A request to the engine: the responses of a step, or of a round that refills it."""

    step: int
    first: int
    """Position of this worker's first problem in the training stream."""
    problems: list[Problem]
    prompts: list[tuple[int, ...]]
    updates: int
    """Optimiser steps behind the weights that were to draw."""
    fetch: Draw
    clock: Clock
    """Time that the trainer has spent on the responses, also before their step."""


class Collector:
    """Collects the rollout batches of one seed, this worker's share of them.

    Collective: all workers call `collect` together, and `settle`.
    """

    def __init__(
        self,
        config: RunConfig,
        seed: int,
        stream: TrainingStream,
        tokenizer: PreTrainedTokenizerBase,
        engine: RolloutEngine,
        judge: Judge,
        world: World,
    ):
        self.config, self.seed, self.stream, self.world = config, seed, stream, world
        self.tokenizer, self.engine, self.judge = tokenizer, engine, judge
        self.share = config.rollout.prompts_per_step // world.size
        """Prompts of this worker in a step."""
        self._ahead: _Request | None = None
        self._settled: list[tuple[Rollout, ...]] = []

    def collect(self, step: int, updates: int, clock: Clock) -> RolloutBatch:
        """The rollout batch of step `step`, from 0, refilled if configured.

        updates: optimiser steps that have been applied so far. clock: counts the stages; those of
        drawing ahead count in the step that the responses are for. Raises NonFiniteLogitsError, on
        all workers, what else the engine raises, and RuntimeError when the engine draws from other
        weights than it was given.
        """
        settings = self.config.rollout
        groups: list[Group] = []
        samples: list[Sample] = []
        counts = GroupCounts()
        parts: dict[str, Part] = {}
        reading = kept_positions(self.config, step)
        waiting = partial(clock.stage, "wait")
        for attempt in range(settings.refill_rounds + 1):
            draw = partial(self._draw, step, attempt, updates, clock.device)
            with clock.apart():
                request, rollouts = with_finite_logits(self.world, draw, waiting)
            clock.include(request.clock)
            with clock.stage("reward"):
                judgements = self._judge(request.problems, request.prompts, rollouts)
            for i, problem in enumerate(request.problems):
                prompt, responses, verdicts = request.prompts[i], rollouts[i], judgements[i]
                formed, counted = form_groups(
                    [problem], [prompt], [responses], [verdicts], self.config.objective.contrast
                )
                if request.first + i in reading:
                    place = request.first + i - reading.start
                    group = len(groups) if formed else None
                    samples.append(Sample(place, problem, prompt, responses, verdicts, group))
                groups += formed
                counts += counted
            flat = list(chain.from_iterable(rollouts)), list(chain.from_iterable(judgements))
            add_parts(parts, rollout_metrics(*flat))
            missing = max(0, self.share - len(groups))
            if settings.refill_rounds and not any(self.world.sum([missing])):
                break
        following = step + 1
        if settings.ahead and following < self.config.train.steps:
            begin = partial(self._request, following, 0, updates, clock.device)
            with clock.apart():
                self._ahead = with_finite_logits(self.world, begin, waiting)
        with clock.stage("wait"):
            totals = [GroupCounts(*each) for each in self.world.gather(astuple(counts))]
        return RolloutBatch(groups[: self.share], samples, sum(totals[1:], totals[0]), parts)

    def settle(self) -> None:
        """Wait for the responses that were requested ahead, so that `save` can write them. Raises
        NonFiniteLogitsError as `collect` does."""
        request, self._ahead = self._ahead, None
        if request:
            with request.clock.stage("generate"):
                waiting = partial(request.clock.stage, "wait")
                share = with_finite_logits(self.world, request.fetch, waiting)
            request.fetch = lambda: share
            self._ahead = request
            gathered = self.world.gather(share)
            self._settled = [] if self.world.rank else list(chain.from_iterable(gathered))

    def drop(self) -> None:
        """Do without the responses that were requested ahead: no step will use them."""
        if self._ahead:
            with suppress(FloatingPointError):
                self._ahead.fetch()  # an engine may still be drawing them
        self._ahead = None

    def save(self, folder: Path) -> dict[str, int]:
        """Write the responses that `settle` has waited for into `folder`, on one worker.

        Returns the other values that `load` needs, for the checkpoint's state.
        """
        if not self._ahead:
            return {}
        save_rollouts(folder / AHEAD_FILE, self._settled)
        self._settled = []
        return {"step": self._ahead.step, "updates": self._ahead.updates}

    def load(self, folder: Path, kept: Mapping[str, int]) -> None:
        """Restore what `save` wrote and returned. Raises CheckpointError when it does not fit."""
        self._ahead = None
        if not kept:
            return
        try:
            rollouts = load_rollouts(folder / AHEAD_FILE)
            step, updates = kept["step"], kept["updates"]
        except (SafetensorError, OSError, ValueError, KeyError) as error:
            name = f"{folder.parent.name}/{folder.name}/{AHEAD_FILE}"
            raise CheckpointError(f"{name} cannot be restored: {error}") from error
        first = self.world.rank * self.share
        share = rollouts[first : first + self.share]
        problems = self._problems(step, attempt=0)
        self._ahead = _Request(step, *problems, updates, lambda: share, Clock())

    def _problems(
        self, step: int, attempt: int
    ) -> tuple[int, list[Problem], list[tuple[int, ...]]]:
        """This worker's problems of a step, or of a round that refills it: the position of the
        first in the training stream, the problems, and their prompts."""
        settings = self.config.rollout
        batch = step * (settings.refill_rounds + 1) + attempt
        first = batch * settings.prompts_per_step + self.world.rank * self.share
        problems = [self.stream.problem(first + i) for i in range(self.share)]
        return first, problems, prompt_tokens(problems, self.config.data, self.tokenizer)

    def _request(self, step: int, attempt: int, updates: int, device: torch.device) -> _Request:
        settings = self.config.rollout
        clock, sent = Clock(device), self.engine.sync_s()
        with clock.stage("generate"):
            first, problems, prompts = self._problems(step, attempt)
            seeds = [derive_seed(self.seed, "rollout", first + i) for i in range(self.share)]
            sampling = Sampling(
                temperature=settings.temperature, max_new_tokens=settings.max_new_tokens
            )
            fetch = self.engine.begin(prompts, settings.group_size, sampling, seeds)
        clock.move(self.engine.sync_s() - sent, "generate", "sync")
        return _Request(step, first, problems, prompts, updates, fetch, clock)

    def _draw(
        self, step: int, attempt: int, updates: int, device: torch.device
    ) -> tuple[_Request, list[tuple[Rollout, ...]]]:
        request = self._take_ahead(step) or self._request(step, attempt, updates, device)
        return request, self._responses(request, updates)

    def _take_ahead(self, step: int) -> _Request | None:
        """The request that was made ahead for this step, if there is one; only once."""
        if self._ahead is None or self._ahead.step != step:
            return None
        request, self._ahead = self._ahead, None
        return request

    def _responses(self, request: _Request, updates: int) -> list[tuple[Rollout, ...]]:
        """The requested responses: drawn from the weights of the request, or from the current ones
        where an engine was lost and replaced."""
        with request.clock.stage("generate"):
            rollouts = request.fetch()
        allowed = {updates, request.updates}
        unexpected = {r.weights_version for r in chain.from_iterable(rollouts)} - allowed
        if unexpected:
            raise RuntimeError(
                f"rollouts of seed {self.seed} were drawn from weights after {sorted(unexpected)} "
                f"optimiser steps, not {sorted(allowed)}: this is a bug of the rollout engine"
            )
        return rollouts

    def _judge(
        self,
        problems: Sequence[Problem],
        prompts: Sequence[Sequence[int]],
        rollouts: Sequence[Sequence[Rollout]],
    ) -> list[tuple[Judgement, ...]]:
        mark = self.config.reward.after
        thinking = [opens_thought(prompt, self.tokenizer, mark) for prompt in prompts]
        answered = [
            Answered(problem, prompt_text(problem, self.config.data), rollout.text, in_thought)
            for problem, in_thought, group in zip(problems, thinking, rollouts, strict=True)
            for rollout in group
        ]
        flat = iter(self.judge.judge(answered))
        return [tuple(next(flat) for _ in group) for group in rollouts]
