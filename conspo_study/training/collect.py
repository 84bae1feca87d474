"""The rollout batch of a training step: prompts, responses, verdicts, groups.

With `rollout.ahead` the responses of a step are asked for before the update of the step before it,
from the weights as they are then: vLLM draws them while the trainer computes. Those of the first
step are not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from conspo_study.config import RunConfig
from conspo_study.data.order import TrainingStream
from conspo_study.data.prompts import prompt_text, prompt_tokens
from conspo_study.records import Answered, Group, Judgement, Part, Problem, Rollout, add_parts
from conspo_study.reward import Judge
from conspo_study.rollout.ahead import load_rollouts, save_rollouts
from conspo_study.rollout.engine import Draw, RolloutEngine, Sampling
from conspo_study.rollout.groups import GroupCounts, form_groups
from conspo_study.rollout.metrics import rollout_metrics
from conspo_study.seeds import derive_seed
from conspo_study.training.clock import Clock
from conspo_study.training.kept_rollouts import Sample, kept_positions
from conspo_study.update.errors import CheckpointError
from conspo_study.update.world import World

AHEAD_FILE = "ahead.safetensors"
"""In a checkpoint's folder of a seed: the responses of the step after it, of all workers."""


@dataclass(slots=True)
class _Asked:
    """What the engine has been asked to answer for a step, or for a round that refills it."""

    step: int
    first: int
    """Where this worker's problems begin in the training stream."""
    problems: list[Problem]
    prompts: list[tuple[int, ...]]
    updates: int
    """Optimiser steps behind the weights that were asked."""
    fetch: Draw
    clock: Clock
    """What the trainer has spent on the answers, also before their step."""


class Collector:
    """Collects the groups of one seed, this worker's share of them. Collective: all workers call
    `collect` together, and `settle`."""

    def __init__(
        self,
        config: RunConfig,
        seed: int,
        stream: TrainingStream,
        tokenizer: Any,
        engine: RolloutEngine,
        judge: Judge,
        world: World,
    ):
        self.config, self.seed, self.stream, self.world = config, seed, stream, world
        self.tokenizer, self.engine, self.judge = tokenizer, engine, judge
        self.share = config.rollout.prompts_per_step // world.size
        """Prompts of this worker in a step."""
        self.samples: list[Sample] = []
        """What the last step drew for the prompts whose responses are kept for reading."""
        self._ahead: _Asked | None = None
        self._settled: list[tuple[Rollout, ...]] = []

    def collect(
        self, step: int, updates: int, clock: Clock
    ) -> tuple[list[Group], GroupCounts, dict[str, Part]]:
        """Groups with contrast of step `step`, from 0, refilled if configured.

        updates: optimiser steps that have been applied so far. clock: counts the stages, those of
        drawing ahead in the step that was drawn for.
        Raises what the engine raises, and RuntimeError when it draws from weights that it should
        not have.
        """
        settings = self.config.rollout
        kept: list[Group] = []
        counts = GroupCounts()
        parts: dict[str, Part] = {}
        self.samples = []
        reading = kept_positions(self.config, step)
        for attempt in range(settings.refill_rounds + 1):
            with clock.apart():
                asked = self._asked_ahead(step) or self._ask(step, attempt, updates)
                rollouts = self._answers(asked, updates)
            clock.include(asked.clock)
            problems, prompts = asked.problems, asked.prompts
            with clock.stage("reward"):
                judgements = self._judge(problems, rollouts)
            self.samples += [
                Sample(position - reading.start, problems[i].id, prompts[i], rollouts[i], judged)
                for i, judged in enumerate(judgements)
                if (position := asked.first + i) in reading
            ]
            groups, found = form_groups(
                problems, prompts, rollouts, judgements, self.config.objective.contrast
            )
            kept += groups
            counts += found
            flat = list(chain.from_iterable(rollouts)), list(chain.from_iterable(judgements))
            add_parts(parts, rollout_metrics(*flat))
            missing = max(0, self.share - len(kept))
            if settings.refill_rounds and not any(self.world.sum([missing])):
                break
        following = step + 1
        if settings.ahead and following < self.config.train.steps:
            with clock.apart():
                self._ahead = self._ask(following, attempt=0, updates=updates)
        with clock.stage("wait"):
            totals = self.world.gather(counts)
        return kept[: self.share], sum(totals[1:], totals[0]), parts

    def settle(self) -> None:
        """Wait for the responses that were asked for ahead, so that `save` can write them."""
        if self._ahead:
            with self._ahead.clock.stage("generate"):
                own = self._ahead.fetch()
            self._ahead.fetch = lambda: own
            gathered = self.world.gather(own)
            self._settled = [] if self.world.rank else list(chain.from_iterable(gathered))

    def save(self, folder: Path) -> dict[str, int]:
        """Write into `folder` what `settle` has waited for, on one worker; returns what else must
        be kept."""
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
        own = rollouts[first : first + self.share]
        self._ahead = _Asked(step, *self._problems(step, attempt=0), updates, lambda: own, Clock())

    def _problems(
        self, step: int, attempt: int
    ) -> tuple[int, list[Problem], list[tuple[int, ...]]]:
        """Where this worker's problems of a step, or of a round that refills it, begin in the
        training stream; they and their prompts."""
        settings = self.config.rollout
        batch = step * (settings.refill_rounds + 1) + attempt
        first = batch * settings.prompts_per_step + self.world.rank * self.share
        problems = [self.stream.problem(first + i) for i in range(self.share)]
        return first, problems, prompt_tokens(problems, self.config.data, self.tokenizer)

    def _ask(self, step: int, attempt: int, updates: int) -> _Asked:
        settings = self.config.rollout
        clock, sent = Clock(), self.engine.sync_s()
        with clock.stage("generate"):
            first, problems, prompts = self._problems(step, attempt)
            seeds = [derive_seed(self.seed, "rollout", first + i) for i in range(self.share)]
            sampling = Sampling(
                temperature=settings.temperature, max_new_tokens=settings.max_new_tokens
            )
            fetch = self.engine.begin(prompts, settings.group_size, sampling, seeds)
        clock.move(self.engine.sync_s() - sent, "generate", "sync")
        return _Asked(step, first, problems, prompts, updates, fetch, clock)

    def _asked_ahead(self, step: int) -> _Asked | None:
        """What was asked for this step before it, if anything was; to be had once."""
        if self._ahead is None or self._ahead.step != step:
            return None
        asked, self._ahead = self._ahead, None
        return asked

    def _answers(self, asked: _Asked, updates: int) -> list[tuple[Rollout, ...]]:
        """The responses, from the weights that were asked or, where those were lost, of now."""
        with asked.clock.stage("generate"):
            rollouts = asked.fetch()
        allowed = {updates, asked.updates}
        strange = {r.weights_version for r in chain.from_iterable(rollouts)} - allowed
        if strange:
            raise RuntimeError(
                f"rollouts of seed {self.seed} were drawn from weights after {sorted(strange)} "
                f"optimiser steps, not {sorted(allowed)}: this is a bug of the rollout engine"
            )
        return rollouts

    def _judge(
        self, problems: Sequence[Problem], rollouts: Sequence[Sequence[Rollout]]
    ) -> list[tuple[Judgement, ...]]:
        answered = [
            Answered(problem, prompt_text(problem, self.config.data), rollout.text)
            for problem, group in zip(problems, rollouts, strict=True)
            for rollout in group
        ]
        flat = iter(self.judge.judge(answered))
        return [tuple(next(flat) for _ in group) for group in rollouts]
