"""Plan of a study before it starts: work, concurrency, time, disk, memory, and the differences that
its seeds can show."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from conspo_study.definition import StudyDefinition
from conspo_study.definition.batches import Batch, confirmation_batch, search_batch
from conspo_study.forecast.costs import fetched_bytes, study_bytes, study_seconds
from conspo_study.forecast.credit_direction import direction_lines
from conspo_study.forecast.detectable import (
    Detectable,
    confirmation_family,
    detectable,
    search_family,
)
from conspo_study.forecast.gpu_hours import gpu_lines
from conspo_study.forecast.margin_reach import margin_lines
from conspo_study.forecast.measured import Measured
from conspo_study.forecast.memory import Memory
from conspo_study.forecast.memory.fit import fit_lines, memory_problems, memory_warnings
from conspo_study.forecast.memory.trials import (
    host_problems,
    memory_notes,
    neediest_notes,
    neediest_run,
)
from conspo_study.forecast.notes import study_notes
from conspo_study.forecast.placement import Node, Placement, place
from conspo_study.forecast.responses import evaluated_per_run
from conspo_study.forecast.sampling_noise import SamplingNoise, sampling_noise
from conspo_study.policy.models import EMBEDDED
from conspo_study.results.folder import disk_problem
from conspo_study.results.retention import BUDGET, budget_bytes
from conspo_study.statistics.family import Family
from conspo_study.statistics.paired_spread import FEWEST_SEEDS, PairedSpread
from conspo_study.text import counted, duration, size_text

WIDTH = 96
"""Longest printed line, in characters."""
_TITLE = 20
UNKNOWN = "unknown for this model"
UNKNOWN_FUNCTION = "unknown for a training function"

ASSUMED_METRIC, ASSUMED_PROBLEMS, ASSUMED_SD = "eval/chain/hard/avg@8", 96, 0.025
"""The embedded model's paired differences varied by 0.018, 0.016 and 0.033 from seed to seed in
three finished studies (10, 8 and 18 degrees of freedom; 0.026 pooled)."""


@dataclass(frozen=True, slots=True)
class Stage:
    """The search or the confirmation: trials that are compared over the same seeds."""

    trials: int
    seeds: int
    tests: Detectable | None
    """What its comparisons can show; None where nothing is compared."""

    @property
    def detectable(self) -> float | None:
        """Smallest difference that is detected with 80 % power; None if unknown."""
        return self.tests.effect if self.tests else None

    @property
    def runs(self) -> int:
        """Trials x seeds."""
        return self.trials * self.seeds


@dataclass(frozen=True, slots=True)
class Plan:
    """Work of a study and its needs. `problems` is empty if the machine can run it."""

    rollouts_per_step: int | None
    """None for a training function, of whose steps nothing is known."""
    evaluated_per_run: int | None
    """Number of responses of all evaluations of one seed, the one before training included."""
    anchors: int
    steps: int
    search: Stage
    """The search, baselines included."""
    confirmation: Stage | None
    """Its number of trials is an upper bound: the winner may be a baseline."""
    concurrent: int
    """Most trials at a time."""
    concurrency: str
    """The same for people, with the limit."""
    seconds: float | None
    """Estimated wall time; None for models of unknown speed."""
    measured: Measured | None
    """What a probe showed, from which that time is."""
    disk_bytes: int | None
    """Bytes of checkpoints and rows of all trials; None for models of unknown size."""
    fetched_bytes: int | None
    """Bytes of the model that has to be fetched first; None if unknown."""
    disk_problem: str | None
    """Why the disk is too small; None if it is not."""
    checkpoint_budget: int
    """Most bytes of the checkpoints of ended trials."""
    spread: PairedSpread | None
    """Seed-to-seed variation of paired differences; None while it is unknown."""
    gpu_hours: tuple[str, ...]
    """An estimate with its arithmetic; empty for unknown models."""
    gpu_bytes: int | None
    """Bytes of the smallest GPU; None if there are none, or unknown ones."""
    memory: Memory | None
    """Memory of a worker of a searched trial; None for models of unknown size."""
    fit: tuple[str, ...]
    """What that memory means for a GPU; empty for a trial without one."""
    share: bool
    """Whether the study's metric is an accuracy, between 0 and 1."""
    noise: SamplingNoise | None
    """A lower bound on the differences that can be detected, where `spread` is unknown."""
    margin: tuple[str, ...]
    """Effects of the margins of the space on a gradient weight."""
    direction: tuple[str, ...]
    """Angles between the credits of ConSPO's settings, and which of these will behave alike."""
    notes: tuple[str, ...]
    """Limits of what the study can show."""
    too_large: tuple[str, ...]
    """Those of the problems that GPUs of this size have, wherever they are."""
    problems: tuple[str, ...]

    def lines(self, width: int = WIDTH) -> list[str]:
        """The plan for people, one fact a line or paragraph, with the arithmetic shown."""
        return [line for fact in self._facts() for line in titled(*fact, width)]

    def __repr__(self) -> str:
        return "\n".join(self.lines())

    def _facts(self) -> Iterator[tuple[str, str]]:
        search, confirm = self.search, self.confirmation
        runs = search.runs + (confirm.runs if confirm else 0)
        unknown = UNKNOWN
        if self.rollouts_per_step is None:
            unknown = UNKNOWN_FUNCTION
        else:
            yield "rollouts per step", f"{self.rollouts_per_step} = prompts_per_step x group_size"
        yield "steps", f"{self.steps} of each run, {runs * self.steps:,} in all"
        yield (
            "trials",
            f"{search.trials} ({counted(self.anchors, 'baseline')}, "
            f"{search.trials - self.anchors} searched) x {counted(search.seeds, 'seed')} = "
            f"{counted(search.runs, 'run')}",
        )
        if confirm:
            yield (
                "confirmation",
                f"up to {counted(confirm.trials, 'trial')} x "
                f"{counted(confirm.seeds, 'fresh seed')} = {counted(confirm.runs, 'run')}",
            )
        if self.rollouts_per_step is not None and self.evaluated_per_run is not None:
            yield (
                "responses",
                f"{runs * self.steps * self.rollouts_per_step:,} in training, about "
                f"{runs * self.evaluated_per_run:,} in evaluation",
            )
        yield "concurrency", self.concurrency
        time = unknown if self.seconds is None else duration(self.seconds)
        yield "estimated time", f"{time}, without early stopping"
        if self.measured is not None:
            yield "measured", self.measured.line()
        for index, line in enumerate(self.gpu_hours):
            yield ("" if index else "GPU hours"), line
        size = "" if self.disk_bytes is None else f"about {size_text(self.disk_bytes)}"
        yield "disk", f"{size}: checkpoints and rows of all trials" if size else unknown
        yield (
            "",
            "an ended trial keeps its last checkpoint, all of them within "
            f"{size_text(self.checkpoint_budget)} (half of the free space, or {BUDGET}): those of "
            "the worst trials are removed first, those of the baselines and the winner never",
        )
        if self.fetched_bytes:
            yield "", f"the model itself is fetched first: about {size_text(self.fetched_bytes)}"
        need = self.memory.lines() if self.memory else [unknown]
        for index, line in enumerate(need):
            yield ("" if index else "memory per worker"), line
        for index, line in enumerate(self.fit):
            yield ("" if index else "fits"), line
        for index, line in enumerate(self.memory.host_lines() if self.memory else ()):
            yield ("" if index else "main memory"), line
        yield "seed-to-seed sd", _varies(self.spread)
        for name, stage in (("search", self.search), ("confirmation", confirm)):
            if stage is None or stage.tests is None:
                continue
            if self.spread is not None or stage.seeds < FEWEST_SEEDS:
                yield "can detect", f"{name}: {stage.tests.line(self.share)}"
            elif self.noise is not None:
                yield "can detect", f"{name}: {self.noise.line(stage.seeds, stage.tests.family)}"
        for index, line in enumerate(self.margin):
            yield ("" if index else "the margin"), line
        for index, line in enumerate(self.direction):
            yield ("" if index else "direction of credit"), line
        for note in self.notes:
            yield "note", note


def titled(title: str, text: str, width: int = WIDTH) -> list[str]:
    """A fact as a line or a paragraph after its title."""
    return textwrap.wrap(
        text,
        width,
        initial_indent=f"{title:<{_TITLE}}",
        subsequent_indent=" " * _TITLE,
        break_long_words=False,
        break_on_hyphens=False,
    )


def make_plan(
    study: StudyDefinition,
    cpus: int,
    gpus: int,
    *,
    nodes: Sequence[Node] | None = None,
    spread: PairedSpread | None = None,
    folder: Path | None = None,
    gpu_bytes: int | None = None,
    measured: Measured | None = None,
) -> Plan:
    """Plan `study` for a machine or cluster of `cpus` cores and `gpus` GPUs.

    nodes: the machines that these belong to; one machine by default. spread: variation measured in
    finished trials of this study (`measured_spread`); by default an assumption for the embedded
    model. folder: its results directory, whose disk limits the checkpoints; by default the working
    directory. gpu_bytes: size of the smallest GPU; None: unknown, and nothing is held against it.
    measured: what a probe showed, from which the time is planned.
    """
    nodes = nodes or [Node(cpus, gpus)]
    if study.function is not None:
        return _function_plan(study, nodes, spread, folder or Path(), gpu_bytes)
    search, again = search_batch(study), confirmation_batch(study)
    placement = place(search.run, nodes)
    problems = [*placement.problems]
    if again is not None:
        problems += [p for p in place(again.run, nodes).problems if p not in problems]
    slots = max(1, placement.trials)
    concurrent = _at_once(study, slots, again)
    spread = spread or _assumed_spread(study)
    budget = budget_bytes(folder or Path())
    run = search.built_in
    neediest, memory = neediest_run(study, search.seeds, gpu_bytes)
    too_much = memory_problems(neediest, search.seeds, gpu_bytes)
    if again is not None and not too_much:
        found = memory_problems(again.built_in, again.seeds, gpu_bytes, "--no-confirm")
        too_much = [f"of the confirmation, {problem}" for problem in found]
    problems += too_much
    problems += host_problems(memory, run.train.workers, gpus)
    on_gpu = run.train.gpus_per_worker > 0
    disk = study_bytes(study, concurrent, budget)
    return Plan(
        rollouts_per_step=run.rollout.prompts_per_step * run.rollout.group_size,
        evaluated_per_run=evaluated_per_run(run),
        anchors=len(study.anchors),
        steps=run.train.steps,
        search=_stage(search, spread, search_family(study)),
        confirmation=_stage(again, spread, confirmation_family(study)) if again else None,
        concurrent=concurrent,
        concurrency=_concurrency(study, placement),
        seconds=study_seconds(study, slots, gpu_bytes, measured),
        measured=measured,
        disk_bytes=disk,
        fetched_bytes=fetched_bytes(run.policy),
        disk_problem=disk_problem(folder or Path(), disk),
        checkpoint_budget=budget,
        spread=spread,
        gpu_hours=tuple(gpu_lines(study, gpu_bytes)),
        gpu_bytes=gpu_bytes,
        memory=memory,
        fit=tuple(fit_lines(neediest, memory, gpu_bytes)) if memory and on_gpu else (),
        share="/reward@" not in study.metric,
        noise=None if spread else sampling_noise(study),
        margin=tuple(margin_lines(study)),
        direction=tuple(direction_lines(study)),
        notes=(
            *study_notes(study, again),
            *memory_notes(memory, run.train.workers * concurrent, gpus),
            *memory_warnings(neediest, search.seeds, gpu_bytes),
            *neediest_notes(run, neediest),
        ),
        too_large=tuple(too_much),
        problems=tuple(problems),
    )


def _function_plan(
    study: StudyDefinition,
    nodes: Sequence[Node],
    spread: PairedSpread | None,
    folder: Path,
    gpu_bytes: int | None,
) -> Plan:
    """Plan a study of a training function, whose costs are unknown before it has run."""
    search, again = search_batch(study), confirmation_batch(study)
    placement = place(search.run, nodes)
    return Plan(
        rollouts_per_step=None,
        evaluated_per_run=None,
        anchors=len(study.anchors),
        steps=search.run.train.steps,
        search=_stage(search, spread, search_family(study)),
        confirmation=_stage(again, spread, confirmation_family(study)) if again else None,
        concurrent=_at_once(study, max(1, placement.trials), again),
        concurrency=_concurrency(study, placement),
        seconds=None,
        measured=None,
        disk_bytes=None,
        fetched_bytes=None,
        disk_problem=None,
        checkpoint_budget=budget_bytes(folder),
        spread=spread,
        gpu_hours=(),
        gpu_bytes=gpu_bytes,
        memory=None,
        fit=(),
        share=False,
        noise=None,
        margin=(),
        direction=(),
        notes=tuple(study_notes(study, again)),
        too_large=(),
        problems=placement.problems,
    )


def _at_once(study: StudyDefinition, slots: int, again: Batch | None) -> int:
    # Baselines wait for nothing; their confirmations overlap with the last searched trials.
    wanted = max(len(study.anchors), min(study.trials, study.searched_at_once))
    return min(slots, wanted + (again.trials if again else 0))


def _stage(batch: Batch, spread: PairedSpread | None, family: Family | None) -> Stage:
    tests = detectable(family, spread, batch.seeds) if family else None
    return Stage(batch.trials, batch.seeds, tests)


def _assumed_spread(study: StudyDefinition) -> PairedSpread | None:
    run = study.built_in
    name = study.metric.removeprefix("eval/").rpartition("/")[0]
    problems = run.evaluation.problems_for(name, last=True)
    measured = (run.policy.model, study.metric, problems)
    if measured == (EMBEDDED, ASSUMED_METRIC, ASSUMED_PROBLEMS):
        return PairedSpread(ASSUMED_SD, "an assumption, from earlier studies of the embedded model")
    return None


def _concurrency(study: StudyDefinition, placement: Placement) -> str:
    run, room = study.base, placement.trials
    if not room:
        return "no trial fits"
    workers, gpus = run.train.workers, run.train.workers * run.gpus_per_worker
    need = f"each {workers} x {counted(run.cpus_per_worker, 'CPU core')}" + (
        f" and {counted(gpus, 'GPU')}" if gpus else ""
    )
    at_once = min(study.trials, study.searched_at_once)
    if at_once < min(room, study.trials):
        limit = "its bracket" if study.halving else f"lag {study.lag} + 1"
        return (
            f"{counted(at_once, 'searched trial')} at a time, limited by {limit}; "
            f"there is room for {room}, {need}"
        )
    if study.trials <= room:
        return f"all {counted(study.trials, 'trial')} at a time, {need}"
    return f"{counted(room, 'trial')} at a time, {need}, limited by {placement.limit}"


def _varies(spread: PairedSpread | None) -> str:
    if spread is None:
        return "unknown until two seeds of two trials have finished"
    return f"{spread.sd:.3f} of a paired difference ({spread.source})"
