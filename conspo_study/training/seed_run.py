"""One seed of a trial: its policy, trained by steps and evaluated.

Every random draw is derived from (seed, purpose, step or problem), never from a shared generator,
so a step needs no random state to be resumed and does not depend on the number of workers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from conspo_study.config import RunConfig
from conspo_study.data.prompts import prompt_text, prompt_tokens
from conspo_study.data.sources import evaluation_sets, training_stream
from conspo_study.data.thoughts import opens_thought
from conspo_study.evaluation.evaluate import evaluate
from conspo_study.objective import Progress
from conspo_study.policy.load import restore_policy, save_policy
from conspo_study.policy.sharding import save_sharded_policy, whole_weights
from conspo_study.policy.weights import named_weights
from conspo_study.records import Collapse, EvalRow, Problem, ProblemRow, Rollout, RolloutRow
from conspo_study.results.incidents import IncidentType
from conspo_study.reward import Judge
from conspo_study.rollout.engine import PolicyWeights, Sampling
from conspo_study.rollout.groups import GroupCounts
from conspo_study.rollout.metrics import derived_metrics
from conspo_study.seeds import derive_seed
from conspo_study.training.clock import Clock
from conspo_study.training.collapse import with_finite_logits
from conspo_study.training.collect import Collector
from conspo_study.training.engines import EngineFactory
from conspo_study.training.kept_rollouts import Sample, kept_positions, kept_rows
from conspo_study.training.mismatch import refuse_absurd_mismatch
from conspo_study.training.placed_policy import load_placed
from conspo_study.training.policy_update import PolicyUpdate
from conspo_study.training.problem_rows import problem_rows
from conspo_study.training.reference import ReferenceFactory
from conspo_study.training.step_result import Signal, StepResult
from conspo_study.update.checkpoint import load_run, save_run
from conspo_study.update.device import device_of
from conspo_study.update.errors import NoContrastError
from conspo_study.update.shards import load_weights
from conspo_study.update.step import Updater
from conspo_study.update.world import World


class SeedRun:
    """A policy, its optimiser and its data; the same on every worker of the trial."""

    def __init__(
        self,
        config: RunConfig,
        seed: int,
        policy_folder: Path,
        judges: tuple[Judge, Judge],
        engine_of: EngineFactory,
        reference_of: ReferenceFactory,
        world: World,
    ):
        """judges: of training and of evaluations; mostly the same one twice."""
        self.config, self.seed, self.judges, self.world = config, seed, judges, world
        self.model: PreTrainedModel
        self.tokenizer: PreTrainedTokenizerBase
        self.model, self.tokenizer = load_placed(config, policy_folder, world)
        self.device = device_of(config.train.gpus_per_worker)
        self.updater = Updater(self.model, config.update, world)
        weights = PolicyWeights(
            f"seed {seed}", lambda: self.updater.applied, partial(named_weights, self.model)
        )
        self.engine = engine_of(self.model, self.tokenizer, weights)
        reference = reference_of(policy_folder, self.model)
        self.policy_update = PolicyUpdate(config, self.model, self.updater, reference)
        stream = training_stream(config.data, config.evaluation, derive_seed(seed, "order"))
        self.collector = Collector(
            config, seed, stream, self.tokenizer, self.engine, judges[0], world
        )
        self.evaluation_sets = evaluation_sets(config.data, config.evaluation)
        self.recovered: Counter[str] = Counter()
        """Failures that this run has recovered from so far, by type of incident."""
        self.without_contrast = 0
        """Steps in a row in which no group had contrast, and not because all answers were right."""
        self.collapse: Collapse | None = None
        """The end of this seed's training before its last step, if it has come."""

    def train_step(self, step: int) -> StepResult:
        """Sample, verify and update once; `step` counts from 0."""
        clock = Clock(self.device)
        with clock.stage("other"):
            result = self._step(step, clock)
        speed = {"tokens_per_s": result.metrics["tokens"] / clock.total()}
        return replace(result, metrics=result.metrics | speed | clock.metrics())

    def _step(self, step: int, clock: Clock) -> StepResult:
        with whole_weights(self.model):
            batch = self.collector.collect(step, self.updater.applied, clock)
        self.engine.rest()
        progress = Progress(step, self.config.train.steps)
        epoch = derive_seed(self.seed, "epoch", step)
        untrained = not self.updater.applied
        update = self.policy_update.run(batch.groups, progress, epoch, clock)
        if untrained:
            refuse_absurd_mismatch(self.config, update.metrics)
        kept = self._kept(step, batch.samples, update.signals)
        self._count(batch.counts, update.metrics)
        self._count_restarts()
        metrics = batch.counts.fractions() | update.metrics | self.world.metrics(batch.parts)
        refilled = self.config.rollout.refill_rounds > 0
        metrics |= derived_metrics(metrics, batch.counts.sampled if refilled else None)
        metrics |= {
            "progress": progress.fraction,
            "tokens": metrics["response_length"] * batch.counts.rollouts,
        }
        return StepResult(metrics, update.credits, kept)

    def due(self, step: int) -> dict[str, list[Problem]]:
        """The problems of each evaluation set that is due at `step`."""
        settings, last = self.config.evaluation, self.config.train.steps
        return {
            name: problems[: settings.problems_for(name, step == last)]
            for name, problems in self.evaluation_sets.items()
            if step in (0, last) or name in settings.tracked_sets
        }

    def problem_rows(self) -> list[ProblemRow]:
        """The problems of all evaluations of the run, for reading."""

        def prompts(problems: Sequence[Problem]) -> list[str]:
            return [*map(self.tokenizer.decode, self._prompts(problems))]

        often = partial(self.config.evaluation.problems_for, last=False)
        return problem_rows(self.evaluation_sets, often, prompts)

    def evaluate(self, step: int) -> list[EvalRow]:
        """Rows of the evaluation that is due at `step`, on every worker.

        A problem meets the same random numbers at every step and in every trial of this seed, so
        that differences are the policy's. Raises NonFiniteLogitsError on all workers.
        """
        with whole_weights(self.model):
            rows = with_finite_logits(self.world, partial(self._evaluate, step))
        self._count_restarts()
        gathered = chain.from_iterable(self.world.gather(rows))
        return sorted(gathered, key=lambda row: (row.problem_set, row.problem_id, row.sample))

    def _evaluate(self, step: int) -> list[EvalRow]:
        """This worker's rows."""
        settings = self.config.evaluation
        sampling = Sampling(settings.temperature, settings.max_new_tokens, settings.top_p)
        greedy = Sampling(temperature=0, max_new_tokens=settings.max_new_tokens)
        rows: list[EvalRow] = []
        for name, problems in self.due(step).items():
            k = settings.samples_for(name)
            rows += evaluate(
                name,
                problems[self.world.rank :: self.world.size],
                partial(self._respond, n=k, sampling=sampling),
                partial(self._respond, n=1, sampling=greedy) if settings.greedy else None,
                self.judges[1].judge,
                partial(prompt_text, config=self.config.data),
                seed=self.seed,
                step=step,
                in_thought=self._in_thought(problems),
            )
        return rows

    def stop(self, collapse: Collapse) -> None:
        """Train this seed no further. Collective."""
        self.collapse = collapse
        with whole_weights(self.model):  # for an engine that has to be replaced
            self.collector.drop()

    def require_contrast(self) -> None:
        """Raise NoContrastError when too many steps in a row had nothing to learn from."""
        if self.without_contrast >= self.config.train.max_steps_without_contrast:
            failed = self.judges[0].last_error
            raise NoContrastError(
                f"all groups of seed {self.seed} were all correct/all wrong for "
                f"{self.without_contrast} steps in a row; choose easier problems, a lower "
                "update.learning_rate or a larger rollout.group_size"
                + (f". The reward has failed, the last time with:\n{failed}" if failed else "")
            )

    def settle(self) -> None:
        """Wait for the responses that are drawn ahead, so that `save` finds them. Collective.
        Raises NonFiniteLogitsError."""
        if self.config.rollout.ahead:
            with whole_weights(self.model):  # for an engine that has to be replaced
                self.collector.settle()
            self._count_restarts()

    def save(self, folder: Path) -> dict[str, Any]:
        """Write policy, tokenizer and optimiser into `folder`.

        Returns the other values that `load` needs, for the checkpoint's state. Collective for a
        sharded model, of which every worker writes a part.
        """
        save = partial(save_policy, self.model, self.tokenizer)
        if self.world.sharded:
            part = self.world.rank, self.world.size
            save = partial(save_sharded_policy, self.model, self.tokenizer, *part)
        counters = save_run(folder, save, self.updater)
        state: dict[str, Any] = {
            **counters,
            "absorbed": dict(self.recovered),
            "without_contrast": self.without_contrast,
        }
        if self.collapse is not None:
            state["collapse"] = asdict(self.collapse)
        if self.world.rank == 0 and (ahead := self.collector.save(folder)):
            state["ahead"] = ahead
        return state

    def load(self, folder: Path, kept: Mapping[str, Any]) -> None:
        """Restore what `save` wrote and returned. Raises CheckpointError when it does not fit."""
        restore = load_weights if self.world.sharded else restore_policy
        load_run(folder, partial(restore, self.model), self.updater, kept)
        self.collector.load(folder, kept.get("ahead", {}))
        self.recovered = Counter(kept["absorbed"])
        self.without_contrast = kept["without_contrast"]
        self.collapse = Collapse(**kept["collapse"]) if "collapse" in kept else None

    def _kept(
        self, step: int, samples: Sequence[Sample], signals: Sequence[Sequence[Signal]]
    ) -> list[RolloutRow]:
        """The responses of this step that are kept for reading, of all workers on each."""
        if not kept_positions(self.config, step):
            return []
        rows = kept_rows(self.seed, step + 1, samples, signals, self.tokenizer.decode)
        gathered = chain.from_iterable(self.world.gather(list(rows)))
        return sorted(gathered, key=lambda row: (row.group, row.rollout))

    def _count(self, counts: GroupCounts, update: Mapping[str, float]) -> None:
        """Count the failures that this step recovered from; the same on every worker."""
        self.recovered[IncidentType.VERIFIER_TIMEOUT] += counts.timed_out
        self.recovered[IncidentType.VERIFIER_KILLED] += counts.killed
        self.recovered[IncidentType.UNREWARDED] += counts.unrewarded
        skipped = update.get("step_skipped", 0.0) * update.get("updates", 0.0)
        self.recovered[IncidentType.STEP_SKIPPED] += round(skipped)
        halved = update.get("micro_batches_halved", 0.0)
        self.recovered[IncidentType.MICRO_BATCHES_HALVED] += round(halved)
        self.recovered[IncidentType.DEGENERATE_STEP] += not counts.valid
        # A policy that answers everything right has nothing to learn either, and has not failed.
        stuck = not counts.valid and counts.all_correct < counts.sampled
        self.without_contrast = self.without_contrast + 1 if stuck else 0

    def _count_restarts(self) -> None:
        """Count the engine processes that were replaced; the same on every worker."""
        restarts = self.world.sum([len(self.engine.take_restarts())])
        self.recovered[IncidentType.ENGINE_RESTARTED] += round(restarts[0])

    def _in_thought(self, problems: Sequence[Problem]) -> bool:
        """Whether the prompts of a set end inside a thought, by that of the first problem."""
        prompts = self._prompts(problems[:1])
        mark = self.config.evaluation_reward.after
        return any(opens_thought(prompt, self.tokenizer, mark) for prompt in prompts)

    def _respond(
        self, problems: Sequence[Problem], n: int, sampling: Sampling
    ) -> list[tuple[Rollout, ...]]:
        prompts = self._prompts(problems)
        seeds = [derive_seed(self.seed, "evaluation", problem.id) for problem in problems]
        return self.engine.generate(prompts, n, sampling, seeds)

    def _prompts(self, problems: Sequence[Problem]) -> list[tuple[int, ...]]:
        return prompt_tokens(problems, self.config.data, self.tokenizer)
