"""The training loop: data -> rollouts -> verdicts -> objective -> update -> evaluation -> results.

The result of a run is a pure function of (configuration, seed). The seeds of a trial advance
together, so that every report carries all of them and no decision rests on one seed. One that
collapses (`training.collapse`) stops alone.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import torch

from conspo_study.config import RunConfig, config_hash
from conspo_study.evaluation.metrics import evaluation_metrics
from conspo_study.records import Collapse, CreditRow, EvalRow, ProblemRow, RolloutRow, Verdict
from conspo_study.results.incidents import Incident, IncidentType
from conspo_study.reward import Judge, make_judge
from conspo_study.training.allocator import keep_freed_memory
from conspo_study.training.bars import Bars
from conspo_study.training.collapse import collapse_at, repeated, unanswered
from conspo_study.training.engines import rollout_engines
from conspo_study.training.reference import reference_policies
from conspo_study.training.seed_run import SeedRun
from conspo_study.training.step_result import StepResult
from conspo_study.update.checkpoint_store import CheckpointStore, Resumable
from conspo_study.update.errors import COLLAPSES, NonFiniteLogitsError
from conspo_study.update.world import World

Metrics = dict[str, Any]

_LOST_CHECKS = {
    Verdict.TIMEOUT: IncidentType.VERIFIER_TIMEOUT,
    Verdict.KILLED: IncidentType.VERIFIER_KILLED,
    Verdict.UNDECIDED: IncidentType.UNREWARDED,
    Verdict.ERROR: IncidentType.UNREWARDED,
}


class Outlet(Protocol):
    """Where a trial's results go. Every worker calls `report`; only rank 0 calls the others."""

    def step_rows(self, rows: Sequence[Metrics]) -> None:
        """One row per seed after a training step."""

    def credits(self, seed: int, step: int, rows: Sequence[CreditRow]) -> None:
        """Credits of the rollouts of one seed at a training step that stores them."""

    def rollouts(self, seed: int, step: int, rows: Sequence[RolloutRow]) -> None:
        """Responses of one seed at a training step that keeps some for reading."""

    def problems(self, rows: Sequence[ProblemRow]) -> None:
        """The problems of all evaluations of the trial, at every start of it."""

    def evaluation(self, rows: Sequence[EvalRow]) -> None:
        """All responses of one seed's evaluation."""

    def untrained(self, seed: int) -> list[EvalRow] | None:
        """The evaluation at step 0, if another trial of the same policy and seed has made it."""

    def incident(self, incident: Incident) -> None:
        """A failure that the trial recovered from."""

    def totals(self, totals: Sequence[Incident]) -> None:
        """Recovered failures of the kinds that are counted, over the whole trial so far."""

    def report(
        self, step: int, latest: dict[int, Metrics], collapsed: Mapping[int, Collapse]
    ) -> None:
        """The latest metrics by seed, and the seeds that have collapsed."""


def train(
    config: RunConfig,
    seeds: Sequence[int],
    outlet: Outlet,
    *,
    policy_folder: Path | Mapping[int, Path],
    checkpoints: Path,
    bars: Bars | None = None,
    until: int | None = None,
    world: World | None = None,
) -> None:
    """Train one policy per seed, from `policy_folder`, for `config.train.steps` steps.

    policy_folder: of all seeds, or by seed. until: a step at which to pause, evaluated and with a
    checkpoint, from which a later call goes on as if there had been no pause; schedules are those
    of the whole run.

    Training ends early at the first evaluation that misses its bar, that of a seed when it
    collapses; a trial whose seeds have all collapsed trains nothing more. It continues from the
    newest good checkpoint in the folder `checkpoints`, where it writes its own. On a CPU the result
    is bit for bit that of an uninterrupted run.

    Raises CheckpointError when a checkpoint belongs to another run or does not fit, MismatchError
    when sampler and trainer compute different things, PolicyError and PromptRefused when the model
    or a prompt cannot be used, EngineFailed when a generation engine and its replacement were lost,
    OSError for a full disk. Of a policy that no optimiser step has changed: DivergedError when its
    gradients stay non-finite, NonFiniteLogitsError when its logits are, NoContrastError when there
    is nothing to learn from.
    """
    torch.set_num_threads(config.train.cpus_per_worker)
    keep_freed_memory()
    world = world or World()
    identity = {"config_hash": config_hash(config), "seeds": list(seeds)}
    shards = {"shards": world.size} if world.sharded else {}
    logs = checkpoints / f"engines-{world.rank}"
    with (
        make_judge(config.reward) as judge,
        _examiner(config, judge) as examiner,
        rollout_engines(config, logs) as engine_of,
    ):
        judges = (judge, examiner)
        if isinstance(policy_folder, Path):
            policy_folder = dict.fromkeys(seeds, policy_folder)
        reference_of = reference_policies(config, world)
        runs = [
            SeedRun(config, seed, policy_folder[seed], judges, engine_of, reference_of, world)
            for seed in seeds
        ]
        writers = world if world.sharded else World()
        store = CheckpointStore(checkpoints, shards | identity, writers)
        loop = _Loop(config, runs, outlet, store, bars, world, until)
        try:
            loop.run()
        finally:
            loop.tell_totals()


@contextmanager
def _examiner(config: RunConfig, judge: Judge) -> Iterator[Judge]:
    """The judge of evaluations: that of training unless the configuration names another reward."""
    if config.evaluation_reward == config.reward:
        yield judge
        return
    with make_judge(config.evaluation_reward) as examiner:
        yield examiner


class _Loop:
    """The steps of a trial, on one of its workers."""

    def __init__(
        self,
        config: RunConfig,
        runs: Sequence[SeedRun],
        outlet: Outlet,
        store: CheckpointStore,
        bars: Bars | None,
        world: World,
        until: int | None = None,
    ):
        self.config, self.runs, self.outlet, self.store = config, runs, outlet, store
        self.last = config.train.steps if until is None else min(until, config.train.steps)
        """The step at which this call ends."""
        self.bars, self.world = bars or Bars(), world
        self.main = world.rank == 0
        self.latest: dict[int, Metrics] = {run.seed: {} for run in runs}
        self.answers: dict[int, list[EvalRow]] = {}
        """Of collapsed seeds: the rows that their later evaluations repeat."""

    @property
    def training(self) -> list[SeedRun]:
        """The runs that have not collapsed."""
        return [run for run in self.runs if run.collapse is None]

    def run(self) -> None:
        """Train to the end, from the newest good checkpoint or from an evaluation at step 0."""
        every, steps = self.config.train, self.last
        done = self._restore()
        if self.main:
            self.outlet.problems(self.runs[0].problem_rows())  # the same for every seed
        if not done:
            self._evaluate(0)
        if self._report(done):
            return
        for step in range(done + 1, steps + 1):
            before = len(self.training)
            self._train(step)
            evaluated = _due(step, self.config.evaluation.every, steps)
            if evaluated:
                self._evaluate(step)
            # Nothing changes any more once all seeds have collapsed.
            saved = _due(step, every.checkpoint_every, steps) and (before > 0 or step == steps)
            if saved:
                self._checkpoint(step)
            collapsed = len(self.training) < before
            due = evaluated or saved or collapsed or _due(step, every.report_every, steps)
            if due and self._report(step):
                return

    def _restore(self) -> int:
        """Continue from the newest good checkpoint, the same on all workers; returns its step."""
        found = self.store.newest(self.last).told() if self.main else {}
        newest = Resumable.from_told(self.world.gather(found)[0])
        if self.main:
            for damage in newest.damages:
                self.outlet.incident(Incident(IncidentType.CHECKPOINT_DAMAGED, damage))
            if newest.damages and newest.folder is None:
                detail = "no checkpoint was good; training began at step 0"
                self.outlet.incident(Incident(IncidentType.RESTARTED_FROM_SCRATCH, detail))
        if newest.folder is None:
            return 0
        for run in self.runs:
            state = newest.state["runs"][str(run.seed)]
            run.load(newest.folder / f"seed-{run.seed}", state)
            self.latest[run.seed] = state["latest"]
        return int(newest.state["step"])

    def _train(self, step: int) -> None:
        """One training step of every seed that has not collapsed."""
        results: dict[int, StepResult] = {}
        for run in self.training:
            with self._collapsing(run, step):
                results[run.seed] = run.train_step(step - 1)
        rows = [{"seed": seed, "step": step, **done.metrics} for seed, done in results.items()]
        for row in rows:
            self.latest[row["seed"]] |= row
        if self.main:
            self.outlet.step_rows(rows)
            for seed, done in results.items():
                if done.credits:
                    self.outlet.credits(seed, step, done.credits)
                if done.kept:
                    self.outlet.rollouts(seed, step, done.kept)
        for run in self.training:
            with self._collapsing(run, step):
                run.require_contrast()

    @contextmanager
    def _collapsing(self, run: SeedRun, step: int) -> Iterator[None]:
        """Stop the seed where the block ends in its collapse, which all workers find together."""
        try:
            yield
        except tuple(COLLAPSES) as error:
            run.stop(collapse_at(step, error, run.updater.applied))
            self._measured(run, repeated(self._answers(run), run.due(step), step))

    def _evaluate(self, step: int) -> None:
        """One evaluation of every seed; a known one of the untrained policy is reused."""
        for run in self.runs:
            known = self.outlet.untrained(run.seed) if self.main and step == 0 else None
            start = time.perf_counter()
            rows = self.world.gather(known)[0] or self._evaluation(run, step)
            self._measured(run, rows)
            if run.collapse is None:
                for verdict, kind in _LOST_CHECKS.items():
                    run.recovered[kind] += sum(row.verdict == verdict for row in rows)
                self.latest[run.seed]["time/evaluate_s"] = time.perf_counter() - start
            if self.main and rows:
                self.outlet.evaluation(rows)

    def _evaluation(self, run: SeedRun, step: int) -> list[EvalRow]:
        if run.collapse is None:
            with self._collapsing(run, step):
                return run.evaluate(step)
        return repeated(self._answers(run), run.due(step), step)

    def _answers(self, run: SeedRun) -> list[EvalRow]:
        """The answers of a collapsed policy to all that is evaluated at the end of training."""
        if run.seed not in self.answers:
            assert run.collapse is not None
            last = self.config.train.steps
            try:
                found = run.evaluate(last)
            except NonFiniteLogitsError:
                found = unanswered(self.config, run.seed, run.due(last), last)
            self.answers[run.seed] = found
        return self.answers[run.seed]

    def _measured(self, run: SeedRun, rows: Sequence[EvalRow]) -> None:
        """Take the metrics of an evaluation in; what it did not measure is out of date."""
        if not rows:
            return
        valid = {k: v for k, v in self.latest[run.seed].items() if not k.startswith("eval/")}
        measured = evaluation_metrics(rows, self.config.evaluation.samples_for)
        self.latest[run.seed] = valid | measured

    def _checkpoint(self, step: int) -> None:
        """Write the checkpoint of `step`."""
        for run in self.training:
            with self._collapsing(run, step):
                run.settle()
        if self.main or self.world.sharded:
            self.store.write(step, self._save)

    def _save(self, folder: Path) -> dict[str, Any]:
        """Write every seed into `folder`; returns the rest of the checkpoint's state."""
        return {
            "runs": {
                str(run.seed): {
                    **run.save(folder / f"seed-{run.seed}"),
                    "latest": self.latest[run.seed],
                }
                for run in self.runs
            }
        }

    def _report(self, step: int) -> bool:
        """Report; returns whether training ends here.

        The decision rests on the metrics of this step alone, so a trial that was killed after it
        wrote this step's checkpoint comes to the same decision again.
        """
        steps = self.last
        measured = _due(step, self.config.evaluation.every, steps)
        # Once all seeds have collapsed, nothing is left that stopping would save.
        missed = measured and self.training and self.bars.missed(step, self.latest)
        last = self.world.gather(bool(missed) or step == steps)[0]
        if last:
            self.tell_totals()
        collapsed = {run.seed: run.collapse for run in self.runs if run.collapse is not None}
        self.outlet.report(step, self.latest, collapsed)
        return last

    def tell_totals(self) -> None:
        """Record how often steps recovered from each kind of failure."""
        if not self.main:
            return
        kinds = Counter[str]()
        for run in self.runs:
            kinds += run.recovered
        self.outlet.totals(
            [
                Incident(IncidentType(kind), self._detail(kind), count)
                for kind, count in sorted(kinds.items())
            ]
        )

    def _detail(self, kind: str) -> str:
        counts = ", ".join(f"seed {run.seed}: {run.recovered[kind]}" for run in self.runs)
        errors = [judge.last_error for run in self.runs for judge in run.judges if judge.last_error]
        if kind == IncidentType.UNREWARDED and errors:
            return f"{counts}; the last error of the reward: {errors[-1]}"
        return counts


def _due(step: int, every: int, last: int) -> bool:
    return step % every == 0 or step == last
