"""One seed's policy on its way through the stages: a training step and an evaluation.

Every random draw is derived from (seed, purpose, step or problem), never from a shared generator,
so a step needs no random state to be resumed and does not depend on the number of workers.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from conspo_study.config import RunConfig
from conspo_study.data.sources import evaluation_sets, prompt_tokens, training_stream
from conspo_study.evaluation.evaluate import evaluate
from conspo_study.objective import Progress
from conspo_study.policy.load import load_policy, save_policy
from conspo_study.policy_update import PolicyUpdate
from conspo_study.records import EvalRow, Group, Mean, Problem, Rollout, add_means
from conspo_study.reward.verifier import Verifier
from conspo_study.rollout.engine import Sampling
from conspo_study.rollout.groups import GroupCounts, form_groups
from conspo_study.rollout.metrics import rollout_metrics
from conspo_study.rollout.transformers_engine import TransformersEngine
from conspo_study.seeds import derive_seed
from conspo_study.update.step import Updater
from conspo_study.update.world import World


class SeedRun:
    """A policy, its optimiser and its data; the same on every worker of the trial."""

    def __init__(
        self,
        config: RunConfig,
        seed: int,
        policy_folder: Path,
        verifier: Verifier,
        world: World,
    ):
        self.config, self.seed, self.verifier, self.world = config, seed, verifier, world
        self.model, self.tokenizer = load_policy(config.policy, policy_folder)
        self.model.to("cuda" if config.train.gpus_per_worker else "cpu")
        self.engine = TransformersEngine(self.model, self.tokenizer, config.rollout.batch_rows)
        self.updater = Updater(self.model, config.update, world)
        world.copy_from_first(self.updater.parameters)
        self.policy_update = PolicyUpdate(config, self.model, self.updater)
        self.stream = training_stream(config.data, derive_seed(seed, "order"))
        self.evaluation_sets = evaluation_sets(config.evaluation)
        self.clock: dict[str, float] = {}

    def train_step(self, step: int) -> dict[str, Any]:
        """Sample, verify and update once; `step` counts from 0. Returns the step's metrics."""
        self.clock = {}
        groups, counts, parts = self._collect(step)
        progress = Progress(step, self.config.train.steps)
        with self._timed("update"):
            update = self.policy_update.run(groups, progress, derive_seed(self.seed, "epoch", step))
        row: dict[str, Any] = counts.fractions() | update
        row |= self.world.means(parts)
        row["progress"] = progress.fraction
        generated = row["response_length"] * counts.rollouts
        row |= {"tokens": generated, "tokens_per_s": generated / sum(self.clock.values())}
        return row | {f"time/{name}_s": seconds for name, seconds in self.clock.items()}

    def evaluate(self, step: int) -> list[EvalRow]:
        """Rows of the evaluation sets that are due, on every worker.

        A problem meets the same random numbers at every step and in every trial of this seed, so
        that differences are the policy's.
        """
        settings = self.config.evaluation
        sampling = Sampling(settings.temperature, settings.max_new_tokens, settings.top_p)
        greedy = Sampling(temperature=0, max_new_tokens=settings.max_new_tokens)
        rows: list[EvalRow] = []
        ends = step in (0, self.config.train.steps)
        for name, problems in self.evaluation_sets.items():
            if not ends and name not in settings.tracked_sets:
                continue
            rows += evaluate(
                name,
                problems[self.world.rank :: self.world.size],
                partial(self._respond, n=settings.samples, sampling=sampling),
                partial(self._respond, n=1, sampling=greedy) if settings.greedy else None,
                self.verifier.verify,
                seed=self.seed,
                step=step,
            )
        gathered = chain.from_iterable(self.world.gather(rows))
        return sorted(gathered, key=lambda row: (row.problem_set, row.problem_id, row.sample))

    def save_policy(self, folder: Path) -> None:
        """Write the policy and its tokenizer as a transformers model folder."""
        save_policy(self.model, self.tokenizer, folder)

    def _respond(
        self, problems: Sequence[Problem], n: int, sampling: Sampling
    ) -> list[tuple[Rollout, ...]]:
        prompts = prompt_tokens(problems, self.config.data, self.tokenizer)
        seeds = [derive_seed(self.seed, "evaluation", problem.id) for problem in problems]
        return self.engine.generate(prompts, n, sampling, seeds)

    def _collect(self, step: int) -> tuple[list[Group], GroupCounts, dict[str, Mean]]:
        """Groups with contrast of this worker's share of the prompts, refilled if configured."""
        settings = self.config.rollout
        share = settings.prompts_per_step // self.world.size
        kept: list[Group] = []
        counts = GroupCounts()
        parts: dict[str, Mean] = {}
        for attempt in range(settings.refill_rounds + 1):
            batch = step * (settings.refill_rounds + 1) + attempt
            first = batch * settings.prompts_per_step + self.world.rank * share
            positions = range(first, first + share)
            groups, found, metrics = self._sample_groups(positions)
            kept += groups
            counts += found
            add_means(parts, metrics)
            missing = max(0, share - len(kept))
            if settings.refill_rounds and not any(self.world.sum([missing])):
                break
        totals = self.world.gather(counts)
        return kept[:share], sum(totals[1:], totals[0]), parts

    def _sample_groups(
        self, positions: Sequence[int]
    ) -> tuple[list[Group], GroupCounts, dict[str, Mean]]:
        settings = self.config.rollout
        problems = [self.stream.problem(position) for position in positions]
        prompts = prompt_tokens(problems, self.config.data, self.tokenizer)
        seeds = [derive_seed(self.seed, "rollout", position) for position in positions]
        sampling = Sampling(
            temperature=settings.temperature, max_new_tokens=settings.max_new_tokens
        )
        with self._timed("rollout"):
            rollouts = self.engine.generate(prompts, settings.group_size, sampling, seeds)
        with self._timed("reward"):
            pairs = [
                (problem.answer, rollout.text)
                for problem, group in zip(problems, rollouts, strict=True)
                for rollout in group
            ]
            flat = iter(self.verifier.verify(pairs))
            judgements = [tuple(next(flat) for _ in group) for group in rollouts]
        groups, counts = form_groups(problems, prompts, rollouts, judgements)
        metrics = rollout_metrics(list(chain(*rollouts)), list(chain(*judgements)))
        return groups, counts, metrics

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.clock[name] = self.clock.get(name, 0.0) + time.perf_counter() - start
