"""The time of a study from a few steps that ran on this machine."""

from __future__ import annotations

from dataclasses import dataclass

from conspo_study.config import RunConfig
from conspo_study.forecast.responses import evaluated_last, evaluated_per_run
from conspo_study.text import counted, duration


@dataclass(frozen=True, slots=True)
class Measured:
    """What a probe of one run showed. Seconds of one seed."""

    steps: int
    """Steps that were run."""
    step_s: float
    """Median of the steps with an update, but for the first, which prepares what later ones use."""
    evaluation_s: float
    """Of the evaluation after the last step, of all sets."""
    start_s: float
    """Of the trial, beside steps and evaluations."""
    peak_gib: float
    """Peak memory of a worker: of PyTorch's tensors on a GPU, else resident."""

    def trial_seconds(self, run: RunConfig, seeds: int) -> float:
        """Wall time in seconds of a trial that is not stopped; its seeds take turns."""
        tested = self.evaluation_s * evaluated_per_run(run) / evaluated_last(run)
        return self.start_s + seeds * (run.train.steps * self.step_s + tested)

    def line(self) -> str:
        """The numbers, for people."""
        return (
            f"{counted(self.steps, 'step')} of one seed: {_seconds(self.step_s)} a step, "
            f"{_seconds(self.evaluation_s)} an evaluation of all sets, {duration(self.start_s)} "
            f"to start; {self.peak_gib:.3g} GiB at the peak"
        )


def _seconds(value: float) -> str:
    return f"{value:.2g} s" if value < 10 else duration(value)
