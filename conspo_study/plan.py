"""The arithmetic of a study before it starts: how much work, how many at once, how long."""

from __future__ import annotations

from dataclasses import dataclass

from conspo_study.definition import StudyDefinition

EMBEDDED_TOKENS_PER_S = 12_000
"""Generated tokens per second of training that one core manages with the embedded model."""
EMBEDDED_RESPONSE_TOKENS = 15
"""Mean response length of the embedded model over a run."""
TRIAL_OVERHEAD_S = 8.0
"""Seconds that a trial spends outside of its own steps: processes, imports, collectives."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a study will do. `problems` is empty when the machine can run it."""

    rollouts_per_step: int
    evaluated_per_run: int
    """Responses of all evaluations of one seed, the one before training included."""
    trials: int
    anchors: int
    seeds: int
    steps: int
    concurrent: int
    seconds: float | None
    """Estimated wall time; None for models whose speed is not known in advance."""
    problems: tuple[str, ...]

    def lines(self) -> list[str]:
        """The plan for people, one fact a line, with the arithmetic shown."""
        time = "unknown for this model" if self.seconds is None else f"{self.seconds / 60:.0f} min"
        runs = self.trials * self.seeds
        rollouts = self.rollouts_per_step
        return [
            f"rollouts per step   {rollouts} = prompts_per_step x group_size",
            f"steps               {self.steps} of each run, {runs * self.steps:,} in all",
            f"trials              {self.trials} ({self.anchors} anchors, "
            f"{self.trials - self.anchors} searched) x {self.seeds} seeds = {runs} runs",
            f"responses           {runs * self.steps * rollouts:,} in training, "
            f"{runs * self.evaluated_per_run:,} in evaluation",
            f"concurrency         {self.concurrent} trials at a time",
            f"estimated time      {time}, without early stopping",
        ]


def make_plan(study: StudyDefinition, cpus: int, gpus: int) -> Plan:
    """Lay out `study` on a machine or cluster of `cpus` cores and `gpus` GPUs."""
    base = study.base
    train, evaluation = base.train, base.evaluation
    cpus_each = train.workers * train.cpus_per_worker
    gpus_each = train.workers * train.gpus_per_worker
    problems = []
    if cpus_each > cpus:
        problems.append(
            f"a trial needs {cpus_each} CPU cores ({train.workers} workers x "
            f"{train.cpus_per_worker}), there are {cpus}: lower train.workers or "
            "train.cpus_per_worker"
        )
    if gpus_each > gpus:
        problems.append(
            f"a trial needs {gpus_each} GPUs, there are {gpus}: lower train.workers or set "
            "train.gpus_per_worker=0"
        )
    slots = [cpus // cpus_each] + ([gpus // gpus_each] if gpus_each else [])
    concurrent = max(1, min([*slots, study.trials]))
    per_set = evaluation.problems_per_set * (evaluation.samples + int(evaluation.greedy))
    between = -(-train.steps // evaluation.every) - 1
    evaluated = per_set * (2 * len(evaluation.sets) + between * len(evaluation.tracked_sets))
    rollouts = base.rollout.prompts_per_step * base.rollout.group_size
    seconds = None
    if base.policy.model == "embedded":
        trained = train.steps * rollouts * EMBEDDED_RESPONSE_TOKENS / EMBEDDED_TOKENS_PER_S
        # Generation alone is about three times as fast as a whole training step.
        tested = evaluated * EMBEDDED_RESPONSE_TOKENS / (3 * EMBEDDED_TOKENS_PER_S)
        per_trial = TRIAL_OVERHEAD_S + len(study.seeds) * (trained + tested)
        seconds = -(-study.trials // concurrent) * per_trial
    return Plan(
        rollouts_per_step=rollouts,
        evaluated_per_run=evaluated,
        trials=study.trials,
        anchors=len(study.anchors),
        seeds=len(study.seeds),
        steps=train.steps,
        concurrent=concurrent,
        seconds=seconds,
        problems=tuple(problems),
    )
