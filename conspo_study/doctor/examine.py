"""The findings of a trial: what the rules say of its seeds, together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from conspo_study.doctor.rules import RULES, Symptom
from conspo_study.doctor.series import Metrics
from conspo_study.results.collapse import collapse_rate
from conspo_study.results.table import TrialRow

COLLAPSED = "collapsed seed"
"""The finding of the seeds that collapsed, by the rule of `conspo_study.results.collapse`."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that went wrong in a trial."""

    name: str
    """Of the rule."""
    symptoms: Mapping[int, Symptom]
    """By seed; at least one."""
    of: int
    """Seeds of the trial."""
    advice: str

    @property
    def first(self) -> tuple[int, Symptom]:
        """The seed in which it set in first, and its symptom."""
        return min(self.symptoms.items(), key=lambda item: (item[1].step, item[0]))

    @property
    def step(self) -> int:
        """The step at which it set in, in the first seed that has it."""
        return self.first[1].step

    @property
    def seeds(self) -> str:
        """Such as `2 of 3`."""
        return f"{len(self.symptoms)} of {self.of}"


def examine(
    row: TrialRow,
    seeds: Mapping[int, Metrics],
    config: Mapping[str, Any],
    metric: str,
    direction: str,
) -> tuple[Finding, ...]:
    """The findings of a trial, those that set in first before others; of a running one, too.

    seeds: the training steps of each. config: its full configuration, as in `config.json`.
    metric, direction: the study's.
    """
    found = [
        Finding(rule.name, symptoms, len(row.seeds), rule.advice)
        for rule in RULES
        if (
            symptoms := {
                seed: symptom
                for seed, steps in seeds.items()
                if (symptom := rule.find(steps, config)) is not None
            }
        )
    ]
    rate = collapse_rate(row, metric, direction)
    if rate.seeds:
        steps = (row.collapsed.get(seed, row.step) for seed in rate.seeds)
        ends = zip(rate.seeds, steps, rate.reasons, strict=True)
        symptoms = {
            seed: Symptom(step, reason.removeprefix(f"seed {seed} ")) for seed, step, reason in ends
        }
        advice = "a look at what set in before it"
        found.append(Finding(COLLAPSED, symptoms, len(row.seeds), advice))
    return tuple(sorted(found, key=lambda finding: finding.step))
