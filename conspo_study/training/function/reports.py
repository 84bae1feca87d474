"""The reports of a trial's calls, joined step by step."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from conspo_study.text import counted
from conspo_study.training.function.errors import FunctionError

Metrics = Mapping[str, Any]
Joined = dict[int, Metrics]
"""The metrics of one step, by seed."""


class Reports:
    """Joins what the calls of all seeds report, which must be the same steps.

    A decision about a trial rests on all of its seeds, so nothing of a step is known before all
    have reported it.
    """

    def __init__(self, seeds: Sequence[int], steps: int, required: Sequence[str]):
        """steps: the last step. required: metrics that it must report."""
        self._steps, self._required = steps, required
        self._waiting: dict[int, deque[tuple[int, Metrics]]] = {seed: deque() for seed in seeds}
        self._latest: dict[int, int] = {}
        self._returned: set[int] = set()
        self._stopped = False
        self.step = 0
        """The last step that all seeds have reported; 0 before there is one."""

    def add(self, seed: int, step: int, metrics: Metrics) -> None:
        """Take in a report of one seed."""
        self._waiting[seed].append((step, metrics))
        self._latest[seed] = step

    def waits_for(self, seed: int) -> bool:
        """True if the next step cannot be joined without this seed, whose call has not returned."""
        return seed not in self._returned and not self._waiting[seed]

    def stop(self) -> None:
        """From now on, calls may return before the last step."""
        self._stopped = True

    def returned(self, seed: int) -> None:
        """The call of a seed has returned. Raises FunctionError where it is too early."""
        self._returned.add(seed)
        latest = self._latest.get(seed)
        if self._stopped or latest == self._steps:
            return
        if latest is None:
            raise FunctionError(
                f"seed {seed}: the function returned without a report: call "
                f"trial.report(step, {{...}}), the last time with step {self._steps}"
            )
        raise FunctionError(
            f"seed {seed}: the function returned after step {latest}, but the study declares "
            f"steps={self._steps}: report that step last, or declare steps={latest}"
        )

    def joined(self) -> tuple[int, Joined] | None:
        """The next step, once all seeds have reported it. Raises FunctionError where they report
        different steps, and where the last step lacks a metric that is needed."""
        if not all(self._waiting.values()):
            return None
        heads = {seed: waiting.popleft() for seed, waiting in self._waiting.items()}
        steps = {seed: step for seed, (step, _) in heads.items()}
        if len(set(steps.values())) > 1:
            told = ", ".join(f"seed {seed} step {step}" for seed, step in steps.items())
            raise FunctionError(
                f"after step {self.step} the seeds reported different steps ({told}): all of them "
                "must report the same, or they cannot be compared"
            )
        self.step = next(iter(steps.values()))
        metrics = {seed: head[1] for seed, head in heads.items()}
        if self.step == self._steps:
            self._check_last(metrics)
        return self.step, metrics

    def _check_last(self, metrics: Joined) -> None:
        for seed, reported in metrics.items():
            missing = [name for name in self._required if name not in reported]
            if missing:
                names = ", ".join(sorted(reported)) or "nothing"
                raise FunctionError(
                    f"seed {seed}: the report of the last step, {self.step}, lacks "
                    f"{' and '.join(missing)}, by which the study compares trials; it has "
                    f"{names} ({counted(len(reported), 'metric')})"
                )
