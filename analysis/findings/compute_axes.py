"""Costs of training at each evaluation: steps, tokens, FLOP, seconds or GPU hours.

Every amount is summed over the rows of `steps.jsonl`, which hold the last row of each seed and
step: work that an interruption made a trial repeat counts once. Evaluations cost nothing here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import pandas as pd

from analysis.findings.frames import metric_of
from analysis.load.study import StudyResults
from analysis.load.text import visible
from conspo_study.records import is_number
from conspo_study.results.table import TrialRow
from conspo_study.text import counted

TIME, SECONDS, EVALUATION = "time/", "_s", "time/evaluate_s"
"""How the metrics of a step's stages begin and end, and the one that is no stage."""


class Over(StrEnum):
    """What curves are drawn over."""

    TOKENS = "tokens"
    FLOPS = "flops"
    SECONDS = "seconds"
    GPU_HOURS = "gpu_hours"
    STEPS = "steps"

    @property
    def label(self) -> str:
        """For axes and sentences: all amounts are those of one seed."""
        return {
            Over.TOKENS: "generated tokens",
            Over.FLOPS: "training FLOP",
            Over.SECONDS: "seconds of training",
            Over.GPU_HOURS: "GPU hours",
            Over.STEPS: "training steps",
        }[self]


class NoCompute(ValueError):
    """A trial did not log what an axis needs; the message says what."""


@dataclass(frozen=True)
class Spent:
    """What a trial had spent by seed."""

    by_seed: Mapping[int, pd.Series[float]]
    """Seed -> the amount up to and including each step, ascending."""

    def at(self, seed: int, step: int) -> float | None:
        """None before the first row of the seed."""
        found = self.by_seed.get(seed)
        before = None if found is None else found[found.index <= step]
        return None if before is None or before.empty else float(before.iloc[-1])


def spent(study: StudyResults, row: TrialRow, over: Over, steps: Sequence[int]) -> Spent:
    """What every seed had spent at the evaluations after `steps`.

    Raises NoCompute where the trial did not log it, and where rows of steps are missing.
    """
    if over is Over.STEPS:
        whole = pd.Series([float(step) for step in steps], index=list(steps), dtype=float)
        return Spent(dict.fromkeys(row.seeds, whole))
    if study.function:
        raise NoCompute(
            f"{_name(study, row)} ran a training function, whose steps have no {over.label}: use "
            "--over steps"
        )
    share = gpus_of(study.configs.get(row.id, {})) / 3600 if over is Over.GPU_HOURS else 1.0
    if share == 0:
        raise NoCompute(f"{_name(study, row)} used no GPU: use --over seconds")
    logged = study.steps_of([row.id])
    if logged.empty:
        raise NoCompute(f"{_name(study, row)} has no rows in steps.jsonl: use --over steps")
    amounts = _amounts(logged, over)
    if amounts.empty:
        raise NoCompute(
            f"{_name(study, row)} has no {over.label} in steps.jsonl: use another --over"
        )
    by_seed, last = {}, max(steps, default=0)
    for seed in row.seeds:
        own = amounts[amounts["seed"] == seed].set_index("step")["value"].sort_index()
        wanted = range(1, min(row.collapsed.get(seed, last + 1), last + 1))
        lacking = len(set(wanted) - set(own.index))
        if lacking:
            raise NoCompute(
                f"{_name(study, row)}, seed {seed}: {counted(lacking, 'step')} of "
                f"{len(wanted)} without {over.label} in steps.jsonl; use --over steps"
            )
        by_seed[seed] = share * own.cumsum()
    return Spent(by_seed)


def gpus_of(config: Mapping[str, Any]) -> float:
    """GPUs that a trial held: those of its workers and of their engines."""
    train, rollout = config.get("train", {}), config.get("rollout", {})
    engines = _number(rollout, "vllm_engines", 1) if rollout.get("engine") == "vllm" else 0
    each = _number(train, "gpus_per_worker", 0) + engines * _number(rollout, "vllm_gpus", 0)
    return _number(train, "workers", 1) * each


def _amounts(logged: pd.DataFrame, over: Over) -> pd.DataFrame:
    """trial, seed, step, value of what each step cost."""
    if over is Over.FLOPS and "flops" in logged:
        # A step without a group to train on has none.
        logged = logged.assign(flops=logged["flops"].fillna(0.0))
    if over in (Over.TOKENS, Over.FLOPS):
        return metric_of(logged, over.value)
    stages = [
        name
        for name in map(str, logged.columns)
        if name.startswith(TIME) and name.endswith(SECONDS) and name != EVALUATION
    ]
    if not stages:
        return metric_of(logged, TIME)
    numbers = logged[stages].apply(pd.to_numeric, errors="coerce")
    value = numbers.sum(axis=1, min_count=1)
    return logged[["trial", "seed", "step"]].assign(value=value).dropna()


def _number(stage: Mapping[str, Any], name: str, default: float) -> float:
    value = stage.get(name, default)
    return float(value) if is_number(value) else default


def _name(study: StudyResults, row: TrialRow) -> str:
    return visible(f"{study.folder.name}/{row.id}")
