"""Says where the wall time of a trial goes outside its own steps, and how many run in a minute.

    python benchmarks/trial_overhead.py [--runs 1] [--study results/margin_sweep] [--json FILE]

Runs the margin sweep with tiny trials (two seeds, two steps, 4 problems per evaluation) through its
own command, one trial at a time and two at a time in turn, each with two numbers of trials: their
difference in processor seconds is what one more trial costs, whatever starting and ending Ray does.
The phases of a trial come from the study's log and from its worker's first sign of life:

    start   suggested, until the worker process has begun: placing, actors, processes
    load    until the first report: policies, verifier, and the evaluation at step 0 where it is new
    steps   until the last report: steps, evaluations, checkpoints
    end     until the trial is known to have ended
    gap     until another trial is suggested in its place

The numbers to read are `overhead`, which is start + load + end + gap, and `own`, the part of
`steps` that the training steps themselves took. With --study a finished study is read as well, such
as one made by `python studies/margin_sweep.py`: `share` is the overhead's part of a trial of it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

from harness import Spread, parser, write
from study_runs import SWEEP, StudyRun, prepare, run_study, step_seconds

from conspo_study.records import EventKind
from conspo_study.results.folder import read_definition
from conspo_study.results.log import LoggedEvent, read_log

TINY = ("train.steps=2", "evaluation.problems_per_set=4", "evaluation.samples=2")
SIZES = (6, 12)
"""Trials of the two studies; the sweep's five anchors among them."""
TARGET_S, TARGET_SHARE = 5.0, 0.15
ENDED = (EventKind.FINISHED, EventKind.PRUNED)


@dataclass(frozen=True, slots=True)
class Phases:
    """Seconds of a trial's life, one phase after the other."""

    start: float
    load: float
    steps: float
    end: float
    gap: float | None
    """None for the last trial of a slot: nothing came in its place."""
    own: float
    """Of `steps`, the training steps themselves."""

    @property
    def overhead(self) -> float:
        """What is not between the first report and the last."""
        return self.start + self.load + self.end + (self.gap or 0.0)


def trials_of(folder: Path) -> list[Phases]:
    """The phases of all trials of a results directory that ended well."""
    study = read_definition(folder)["name"]
    log = read_log(folder / "log.jsonl")
    suggested = sorted(_at(one) for one in log if one.event.kind is EventKind.SUGGESTED)
    return [
        found
        for trial, events in _by_trial(log).items()
        if (found := _phases(events, suggested, folder, f"{study}-{trial}", trial))
    ]


def _by_trial(log: Sequence[LoggedEvent]) -> dict[str, list[LoggedEvent]]:
    found: dict[str, list[LoggedEvent]] = {}
    for one in log:
        if one.event.trial:
            found.setdefault(one.event.trial, []).append(one)
    return found


def _phases(
    events: Sequence[LoggedEvent],
    suggested: Sequence[float],
    folder: Path,
    run: str,
    trial: str,
) -> Phases | None:
    """None for a trial that did not end well, or was begun more than once."""
    ends = [_at(one) for one in events if one.event.kind in ENDED]
    begun = [_at(one) for one in events if one.event.kind is EventKind.STARTED]
    reports = [_at(one) for one in events if one.event.kind is EventKind.REPORTED]
    worker = folder / "ray" / run / "worker-0.json"
    if len(ends) != 1 or len(begun) != 1 or not reports or not worker.exists():
        return None
    asked = next(_at(one) for one in events if one.event.kind is EventKind.SUGGESTED)
    entered = worker.stat().st_mtime
    following = next((time for time in suggested if time >= ends[0]), None)
    own = sum(sum(seconds) for seconds in step_seconds(folder / "trials" / trial).values())
    return Phases(
        start=entered - asked,
        load=reports[0] - entered,
        steps=reports[-1] - reports[0],
        end=ends[0] - reports[-1],
        gap=None if following is None else following - ends[0],
        own=own,
    )


def _at(one: LoggedEvent) -> float:
    """When it was logged, in seconds since the epoch."""
    return datetime.fromisoformat(one.time).timestamp()


def per_minute(folder: Path) -> float:
    """Trials per minute, from the first suggestion to the last end."""
    log = read_log(folder / "log.jsonl")
    ends = [_at(one) for one in log if one.event.kind in ENDED]
    first = next(_at(one) for one in log if one.event.kind is EventKind.SUGGESTED)
    return 60 * len(ends) / (max(ends) - first)


def spreads(trials: Sequence[Phases]) -> dict[str, Spread]:
    """Of each phase over trials, and of their overhead."""
    names = [field.name for field in fields(Phases)]
    columns = {
        name: [value for one in trials if (value := getattr(one, name)) is not None]
        for name in [*names, "overhead"]
    }
    return {name: Spread.of(values) for name, values in columns.items() if values}


def show(title: str, found: dict[str, Spread]) -> None:
    """Print a row."""
    print(f"{title:16s} {' '.join(f'{name} {one.text()}' for name, one in found.items())}")


def runs_of(
    slots: int, sizes: Sequence[int], settings: Sequence[str], temporary: Path, run: int
) -> Iterator[StudyRun]:
    """Studies of each size with so many trials at a time."""
    for size in sizes:
        yield run_study(
            SWEEP,
            temporary / f"{slots}-{size}-{run}",
            settings,
            ["--trials", str(size), "--no-confirm", "--quiet"],
            slots,
        )


def main() -> None:
    """Measure and print."""
    options = parser(__doc__, runs=1)
    options.add_argument("--study", type=Path, help="a finished study, which is read as well")
    options.add_argument(
        "--trials", type=int, nargs=2, default=SIZES, help="of the smaller and the larger study"
    )
    options.add_argument("--slots", type=int, nargs="+", default=(1, 2), help="trials at a time")
    options.add_argument("--set", action="append", default=[], help="as of study scripts")
    arguments = options.parse_args()
    settings = [*TINY, *arguments.set]
    small, large = sorted(arguments.trials)
    result: dict[str, Any] = {"trials": [small, large], "targets": [TARGET_S, TARGET_SHARE]}
    if arguments.runs:
        prepare(settings)
    phases: dict[int, list[Phases]] = {slots: [] for slots in arguments.slots}
    cpu: dict[int, list[float]] = {slots: [] for slots in arguments.slots}
    rate: dict[int, list[float]] = {slots: [] for slots in arguments.slots}
    with tempfile.TemporaryDirectory() as temporary:
        for run in range(arguments.runs):
            for slots in arguments.slots if run % 2 == 0 else arguments.slots[::-1]:
                first, second = runs_of(slots, (small, large), settings, Path(temporary), run)
                phases[slots] += trials_of(second.folder)
                cpu[slots].append((second.cpu_s - first.cpu_s) / (large - small))
                rate[slots].append(per_minute(second.folder))
    for slots, trials in phases.items():
        if trials:
            title = f"{slots} at a time"
            found = spreads(trials)
            found |= {"cpu": Spread.of(cpu[slots]), "per_minute": Spread.of(rate[slots])}
            result[title] = found
            show(title, found)
    if arguments.study is not None:
        trials = trials_of(arguments.study)
        found = spreads(trials)
        share = [one.overhead / (one.overhead + one.steps) for one in trials]
        found |= {"share": Spread.of(share)}
        result["study"] = {**found, "per_minute": per_minute(arguments.study)}
        show(arguments.study.name, found)
        print(f"overhead is {100 * median(share):.0f} % of a trial of {arguments.study}")
    write(arguments.json, result)


if __name__ == "__main__":
    main()
