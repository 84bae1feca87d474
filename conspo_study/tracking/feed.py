"""A results directory read as it grows, from its files alone, each line once."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from conspo_study.records import EventKind, TrialState
from conspo_study.results.collapse import collapse_rate
from conspo_study.results.event_data import MOST_STEPS
from conspo_study.results.names import CONFIG, LOG, STEPS, trial_folder
from conspo_study.results.reading import stored_object
from conspo_study.results.rows import eval_path
from conspo_study.results.stored import StoredStudy, read_study
from conspo_study.results.table import TrialRow
from conspo_study.results.tail import LineReader, LogFollower
from conspo_study.text import reason
from conspo_study.tracking.runs import Ending, Point, Run
from conspo_study.untrusted import parse_json


@dataclass(slots=True)
class News:
    """What is new of a run since the last look."""

    run: Run
    points: list[Point]
    ending: Ending | None
    """None while the trial has not ended."""


class Feed:
    """The runs of a study. Raises LogDamaged and ValueError for files that cannot be trusted."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._log = LogFollower(folder / LOG)
        self._stored: StoredStudy | None = None
        self._trials: dict[str, _Trial] = {}

    def news(self) -> list[News]:
        """All runs of trials that have begun and are not yet told to their end; each point once,
        steps rising."""
        # The log before the rows: what an event speaks of was written before it.
        for logged in self._log.new():
            event = logged.event
            if event.kind is EventKind.REPORTED:
                self._trial(self._log.builder.row(event.trial)).reported(event.data)
        if self._log.damage is not None:
            raise self._log.damage
        news = []
        for row in self._log.builder.table.all_rows:
            if row.state is not TrialState.WAITING and not self._trial(row).told:
                news += self._trial(row).news(row)
        return news

    def _trial(self, row: TrialRow) -> _Trial:
        if row.id not in self._trials:
            if self._stored is None:
                self._stored = read_study(self.folder)
                if self._stored.problem:
                    raise ValueError(self._stored.problem)
            self._trials[row.id] = _Trial(trial_folder(self.folder, row.id), row, self._stored)
        return self._trials[row.id]


class _Trial:
    """A trial's seeds, and which of their steps have been told."""

    def __init__(self, folder: Path, row: TrialRow, stored: StoredStudy):
        self.told = False
        self._folder = folder
        self._rows = LineReader(folder / STEPS)
        config = _config(folder / CONFIG)
        self._every = _whole(config, "evaluation", "every")
        self._steps = _whole(config, "train", "steps")
        self._reported = -1
        self._metric = str(stored.definition["metric"])
        self._direction = str(stored.definition.get("direction", "max"))
        self._seeds = {
            seed: _Seed(
                Run(
                    study=stored.name,
                    metric=_tag(stored.definition["metric"]),
                    trial=row.id,
                    seed=seed,
                    role=row.role,
                    of=row.of,
                    label=row.label,
                    params=row.params,
                    searched=_searched(stored.definition),
                    config=config,
                )
            )
            for seed in row.seeds
        }

    def reported(self, data: Mapping[str, Any]) -> None:
        """Take the evaluations of a report; what it repeats of earlier ones is left out."""
        step = int(data["step"])
        self._reported = max(self._reported, step)
        for seed, one in self._seeds.items():
            metrics = data.get("seeds", {}).get(str(seed), {})
            if eval_path(self._folder, seed, step).exists():
                measured = {k: v for k, v in metrics.items() if k.startswith("eval/")}
                one.add(step, measured)

    def news(self, row: TrialRow) -> list[News]:
        try:
            for line in filter(bytes.strip, self._rows.new()):
                metrics = parse_json(line)
                seed, step = int(metrics["seed"]), int(metrics["step"])
                if not 0 <= step <= MOST_STEPS:
                    raise ValueError(f"a row has the step {str(step)[:40]}")
                if seed in self._seeds:
                    own = {k: v for k, v in metrics.items() if k not in ("seed", "step")}
                    self._seeds[seed].add(step, own)
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise ValueError(f"{self._rows.path} cannot be read: {reason(error)}") from error
        self.told = row.state.ended
        return [
            News(one.run, one.take(self._ready), self._ending(row, seed) if self.told else None)
            for seed, one in self._seeds.items()
        ]

    def _ending(self, row: TrialRow, seed: int) -> Ending:
        state, cause = row.state, row.cause
        rate = collapse_rate(row, self._metric, self._direction)
        if seed in rate.seeds and state is not TrialState.FAILED:
            state, cause = TrialState.COLLAPSED, rate.reasons[rate.seeds.index(seed)]
        incidents = sum(row.incidents.values())
        return Ending(state, row.step, row.values.get(seed), cause, row.wall_s, incidents)

    def _ready(self, step: int) -> bool:
        """Whether all of a step is here: an evaluation arrives after the row of its step."""
        if self.told or step <= self._reported:
            return True
        evaluated = self._every is None or step % self._every == 0 or step == self._steps
        return not evaluated


@dataclass(slots=True)
class _Seed:
    run: Run
    _last: int = -1
    _waiting: dict[int, dict[str, float]] = field(default_factory=dict)

    def add(self, step: int, metrics: Mapping[str, Any]) -> None:
        """Metrics of a step; of one that has been told already, which restarted workers train
        again, nothing is taken."""
        if step > self._last:
            self._waiting.setdefault(step, {}).update(_numbers(metrics))

    def take(self, ready: Callable[[int], bool]) -> list[Point]:
        """The points up to the first step that is not ready."""
        points = []
        for step in sorted(self._waiting):
            if not ready(step):
                break
            points.append(Point(step, self._waiting.pop(step)))
            self._last = step
        return points


def _config(path: Path) -> dict[str, Any]:
    """A trial's configuration. Raises ValueError naming a file that cannot be read."""
    try:
        config = stored_object(path)["config"]
        if not all(isinstance(s, dict) for name, s in config.items() if name != "function"):
            raise ValueError("a stage is no object")
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{path} cannot be read: {reason(error)}") from error
    return dict(config)


def _whole(config: Mapping[str, Any], stage: str, name: str) -> int | None:
    value = config.get(stage, {}).get(name)
    return value if isinstance(value, int) and value > 0 else None


def _searched(definition: Mapping[str, Any]) -> tuple[str, ...]:
    named = set(definition.get("space", {}))
    for anchor in definition.get("anchors", ()):
        named |= set(anchor.get("params", {}))
    return tuple(sorted(named))


def _numbers(metrics: Mapping[str, Any]) -> dict[str, float]:
    """What can be drawn; metrics without a section of their own are put into `train`."""
    return {
        _tag(name): float(value)
        for name, value in metrics.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    }


def _tag(metric: str) -> str:
    return metric if "/" in metric else f"train/{metric}"
