"""The trial as a training function sees it: `train(params, seed, trial)`."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conspo_study.training.function.errors import FunctionError
from conspo_study.training.function.saves import newest, saving

RESERVED = frozenset({"seed", "step", "trial"})
"""Names that rows of metrics have already."""
LONGEST_NAME = 200
"""Characters of the name of a metric."""
Send = Callable[[Mapping[str, Any]], bool]
"""Hands a report to the trial's worker, waits for this seed's next turn, and returns whether to go
on."""


class TrialStopped(Exception):
    """A report after `Trial.report` has said that the trial is over."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a training function, as plain data."""

    function: str
    params: Mapping[str, Any]
    seed: int
    trial: str
    label: str
    confirmation: bool
    steps: int
    results: str
    """The trial's folder in the results directory."""
    folder: str
    """The folder of this call."""
    rank: int = 0
    workers: int = 1


class Trial:
    """What a training function reports to, and learns from whether to go on.

    Attributes: `id` (such as t0003), `label` (name of a baseline, else empty), `confirmation` (True
    for a run that confirms), `seed`, `steps` (the step to report last), `folder` (of this seed, for
    checkpoints and whatever else; it outlives restarts), `resume_from` (folder of the last
    checkpoint that `save` completed, or None), `resume_step` (its step, or 0), `rank` and `workers`
    (this process among those of a call with several).
    """

    def __init__(self, call: Call, send: Send):
        self._call, self._send = call, send
        self.id, self.label, self.confirmation = call.trial, call.label, call.confirmation
        self.seed, self.steps = call.seed, call.steps
        self.rank, self.workers = call.rank, call.workers
        self.folder = Path(call.folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        found = newest(self.folder)
        self.resume_from: Path | None = found[1] if found else None
        self.resume_step = found[0] if found else 0
        self.go_on = self.resume_step < self.steps
        """Whether there is more to train: False after the last step, and once the trial has fallen
        behind. What the last `report` returned."""
        self._reported = self._saved = self.resume_step or -1

    def report(self, step: int, metrics: Mapping[str, float]) -> bool:
        """Report the metrics of a step; returns whether to go on.

        step: at most `steps`, and higher with every report; 0 is before training. metrics: numbers
        by name; those that are not finite are stored as "could not be measured". The last report
        must hold the study's metric. When it returns False, the function should return; after that,
        a further report raises TrialStopped.
        """
        if not self.go_on and self._reported < self.steps:
            raise TrialStopped("the trial has fallen behind and is over: return from the function")
        step = self._checked_step(step)
        values = {_name(name): _number(name, value) for name, value in metrics.items()}
        self._reported = step
        self.go_on = self._send({"step": step, "metrics": values}) and step < self.steps
        return self.go_on

    def save(self, step: int) -> AbstractContextManager[Path]:
        """A context manager that gives an empty folder for the checkpoint of a step.

        At the end of its block the checkpoint is complete, and replaces the one before; a call
        that starts again finds it as `resume_from`. Save after the report of the same step: a
        resumed call goes on with the steps after it.
        """
        if self.rank:
            raise FunctionError(f"save on rank 0 alone: this is rank {self.rank}")
        step = operator.index(step)
        if not max(self._reported, 1) <= step <= self.steps:
            raise FunctionError(
                f"a checkpoint of step {step}, after the report of step {max(self._reported, 0)} "
                f"of {self.steps}: save the step that was reported last, or a later one"
            )
        self._saved = step
        return saving(self.folder, step)

    def evaluation_rows(self, rows: Iterable[Mapping[str, Any]], step: int) -> dict[str, float]:
        """Store what was measured on each problem; returns its metrics, to be reported.

        rows: one mapping a response. `problem` (its id) and `correct` (True, False, or None for
        undecided) are needed; `set` (name of the problem set, `eval`), `sample` (0, 1, ... of the
        responses to a problem, by default in their order; -1 for a greedy one), `answer`, `tokens`
        and `reward` are optional, and so are the texts `response`, `prompt` and `gold`, which are
        kept for reading. With k responses a problem the metrics of a set are
        `eval/<set>/avg@k`, `pass@k` and `maj@k`.
        """
        from conspo_study.training.function.evaluation import store_rows

        if self.rank:
            raise FunctionError(f"hand in rows on rank 0 alone: this is rank {self.rank}")
        return store_rows(Path(self._call.results), self.seed, operator.index(step), rows)

    def _checked_step(self, given: Any) -> int:
        try:
            step = operator.index(given)
        except TypeError:
            raise FunctionError(f"step {given!r} is not a whole number") from None
        if not 0 <= step <= self.steps:
            raise FunctionError(
                f"step {step} is reported, but the study declares steps={self.steps}: report steps "
                f"up to {self.steps}, or declare another number"
            )
        if step <= self._reported:
            raise FunctionError(
                f"step {step} is reported after step {self._reported}: steps must rise"
                + (", and those up to resume_step are known" if self.resume_step else "")
            )
        if step <= self._saved:
            raise FunctionError(
                f"step {step} is reported after a checkpoint of step {self._saved}: report first, "
                "then save, so that a resumed call knows what was reported"
            )
        return step


def _name(name: Any) -> str:
    if not isinstance(name, str) or not name.strip() or len(name) > LONGEST_NAME:
        raise FunctionError(
            f"{name!r} is no name of a metric: give text of up to {LONGEST_NAME} characters"
        )
    if name in RESERVED:
        raise FunctionError(f"a metric cannot be called {name!r}, which every row has already")
    return name


def _number(name: str, value: Any) -> float:
    try:
        if isinstance(value, str):
            raise TypeError
        return float(value)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        raise FunctionError(f"metric {name!r} is {value!r:.100}, not a number") from None
