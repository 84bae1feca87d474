"""The calls of a trial: one for each seed, which take turns.

A call runs from one report to the next while the others wait, so that it has the resources of the
worker to itself, and the trial stops, or not, by the mean over all seeds at the same step. Where no
trial of a study is stopped early, the calls run one after the other instead.
"""

from __future__ import annotations

import math
import os
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from conspo_study.config import FunctionConfig
from conspo_study.results.names import call_folder, call_output
from conspo_study.training.bars import Bars
from conspo_study.training.function.call import RunningCall
from conspo_study.training.function.reports import Joined, Reports
from conspo_study.training.function.saves import newest
from conspo_study.training.function.trial import Call
from conspo_study.update.world import World

_RETURNED = "returned"
"""Mark in the folder of a call that has returned after its last step."""
TELL_EVERY_S = 5.0
"""Time between reports that hold no metric of the study; all are in the trial's rows."""


class Outlet(Protocol):
    """Where a trial's results go. Every worker calls `report`; only rank 0 the others."""

    def step_rows(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """A row of a seed's report."""

    def recorded(self) -> list[dict[str, Any]]:
        """The rows of earlier starts of the trial, by seed and step."""

    def report(self, step: int, latest: Mapping[int, Mapping[str, Any]]) -> None:
        """The metrics of a step by seed."""


@dataclass(frozen=True, slots=True)
class TrialOfFunction:
    """What the calls of a trial have in common."""

    config: FunctionConfig
    seeds: Sequence[int]
    trial: str
    label: str
    confirmation: bool
    results: Path
    """The trial's folder of the results directory."""
    checkpoints: Path
    """The folder of the trial's checkpoints."""
    plugins: Path
    """The copy of the study's own code."""
    required: Sequence[str]
    """Metrics that the last report must hold."""
    bars: Bars
    together: bool
    """Whether the calls take turns; otherwise they run one after the other."""


def run_function(
    trial: TrialOfFunction, outlet: Outlet, world: World | None = None, local_rank: int = 0
) -> None:
    """Call the function for every seed, from its last checkpoint, and report.

    Collective over the workers of the trial. Raises FunctionError when a call fails or does not
    keep to its contract, CallDied when its process was killed, OSError for a full disk.
    """
    world = world or World()
    begun = world.gather(_begun(trial, outlet.recorded()) if world.rank == 0 else {})[0]
    address = world.gather(_free_address(trial.seeds) if world.rank == 0 else {})[0]
    _Calls(trial, outlet, world, local_rank, begun, address).run()


class _Calls:
    """The calls of a trial, on one of its workers."""

    def __init__(
        self,
        trial: TrialOfFunction,
        outlet: Outlet,
        world: World,
        local_rank: int,
        begun: Mapping[str, Any],
        address: Mapping[str, str],
    ):
        """begun: the state that `_begun` returns, from earlier starts of the trial."""
        self.trial, self.outlet, self.world = trial, outlet, world
        self.local_rank, self.address = local_rank, address
        steps = trial.config.train.steps
        required = trial.required if world.rank == 0 else ()
        self.steps, self.reports = steps, Reports(trial.seeds, steps, required)
        self.go_on = True
        self.told = 0.0
        self.last: tuple[int, Joined] | None = None
        """The report that is made when all calls have returned."""
        self.open = []
        """Seeds whose calls have not returned."""
        for seed in trial.seeds:
            state = begun[str(seed)]
            for step, metrics in state["reports"]:
                self.reports.add(seed, step, metrics)
            if state["returned"]:
                self.reports.returned(seed)
            else:
                self.open.append(seed)

    def run(self) -> None:
        """Give turns until all calls have returned."""
        self._join()
        if self.trial.together:
            with self._started(self.open) as calls:
                self._take_turns(calls)
        else:
            for seed in self.open:
                with self._started([seed]) as calls:
                    self._take_turns(calls)
        if self.last is not None:
            self.outlet.report(*self.last)

    def _take_turns(self, calls: list[RunningCall]) -> None:
        running = list(calls)
        while running:
            for call in list(running):
                alone = len(calls) == 1
                if not self.go_on or alone or self.reports.waits_for(call.seed):
                    report = call.turn(self.go_on)
                    if report is None:
                        running.remove(call)
                        self.reports.returned(call.seed)
                        if self.world.rank == 0:
                            (self._folder(call.seed) / _RETURNED).touch()
                    elif self.world.rank == 0:
                        self.outlet.step_rows([{"seed": call.seed, "step": report[0], **report[1]}])
                    if report is not None:
                        self.reports.add(call.seed, *report)
            self._join()

    def _join(self) -> None:
        """Join the steps that all seeds have reported, and decide whether to go on."""
        while self.go_on and (found := self.reports.joined()) is not None:
            step, metrics = found
            # The metrics of rank 0 decide.
            missed = self.world.gather(self.trial.bars.missed(step, metrics))[0]
            if missed or step == self.steps:
                self.last = found
                self.go_on = False
                if missed:
                    self.reports.stop()
            elif self.world.gather(self._is_due(metrics))[0]:
                self.outlet.report(step, metrics)

    def _is_due(self, metrics: Joined) -> bool:
        """Whether a report is one for the log."""
        measured = any(name in own for own in metrics.values() for name in self.trial.required)
        if not measured and time.monotonic() - self.told < TELL_EVERY_S:
            return False
        self.told = time.monotonic()
        return True

    @contextmanager
    def _started(self, seeds: Sequence[int]) -> Iterator[list[RunningCall]]:
        with ExitStack() as stack:
            calls = []
            for seed in seeds:
                calls.append(call := self._start(seed))
                stack.callback(call.end)
            yield calls

    def _start(self, seed: int) -> RunningCall:
        trial, world = self.trial, self.world
        call = Call(
            function=trial.config.function,
            params=trial.config.model_dump(mode="json")["params"],
            seed=seed,
            trial=trial.trial,
            label=trial.label,
            confirmation=trial.confirmation,
            steps=self.steps,
            results=str(trial.results),
            folder=str(self._folder(seed)),
            rank=world.rank,
            workers=world.size,
        )
        own = {}
        if world.size > 1:
            own = {
                "RANK": str(world.rank),
                "WORLD_SIZE": str(world.size),
                "LOCAL_RANK": str(self.local_rank),
                "MASTER_ADDR": self.address["host"],
                "MASTER_PORT": self.address[str(seed)],
            }
        output = call_output(self._folder(seed), world.rank)
        threads = trial.config.cpus_per_worker
        return RunningCall(call, trial.plugins, threads, own, output)

    def _folder(self, seed: int) -> Path:
        return call_folder(self.trial.checkpoints, seed)


def _begun(trial: TrialOfFunction, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """By seed, what earlier starts of the trial leave to build on: the reports up to its last
    checkpoint, or all of them when its call has returned, and whether it has."""
    found: dict[str, Any] = {}
    for seed in trial.seeds:
        folder = call_folder(trial.checkpoints, seed)
        own = [row for row in rows if row["seed"] == seed]
        whole = any(row["step"] == trial.config.train.steps for row in own)
        returned = whole and (folder / _RETURNED).exists()
        saved = newest(folder)
        last = trial.config.train.steps if returned else saved[0] if saved else -1
        reports = [(row["step"], _metrics_of(row)) for row in own if row["step"] <= last]
        found[str(seed)] = {"reports": reports, "returned": returned}
    return found


def _metrics_of(row: Mapping[str, Any]) -> dict[str, float]:
    """The metrics of a stored row, where null stands for what is not a finite number."""
    own = {name: value for name, value in row.items() if name not in ("seed", "step")}
    return {name: math.nan if value is None else value for name, value in own.items()}


def _free_address(seeds: Sequence[int]) -> dict[str, str]:
    """A host, and a port for the processes of each seed's call to meet at."""
    sockets = {seed: socket.socket() for seed in seeds}
    try:
        for each in sockets.values():
            each.bind(("", 0))
        ports = {str(seed): str(each.getsockname()[1]) for seed, each in sockets.items()}
    finally:
        for each in sockets.values():
            each.close()
    return {"host": os.environ.get("MASTER_ADDR", "127.0.0.1"), **ports}
