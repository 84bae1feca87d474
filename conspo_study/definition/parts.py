"""Parts of a study's definition: baselines, sampler, early stopping, further objectives,
confirmation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field

from conspo_study.config import AnyRun
from conspo_study.config.fields import NAME
from conspo_study.config.stage import Stage
from conspo_study.config.values import PlainValue, Value
from conspo_study.definition.space.settings import held

FRESH_PROBLEMS: Mapping[str, Value] = {"evaluation.split": "test"}
"""Settings that a confirmation changes by default."""


class Anchor(Stage):
    """Baseline: named settings that always run, first and to the end, for comparison."""

    label: str = Field(min_length=1)
    """Name in tables and figures."""
    params: dict[str, PlainValue]
    """Dotted settings and their values; they need not lie in the search space."""

    def held(self, base: AnyRun) -> Anchor:
        """A copy with values replaced by the texts that they stand for."""
        name = {path: self.params[path] for path in (NAME,) if path in self.params}
        params = {path: held(value, base, path, name) for path, value in self.params.items()}
        return self.model_copy(update={"params": params})


class Sampler(Stage):
    """Choice of the settings to try after the baselines."""

    name: Literal["tpe", "gp", "qmc", "random", "grid"] = "tpe"
    """`tpe` and `gp` (Optuna's tree-structured Parzen estimator and Gaussian process) learn from
    the results. `qmc` (a scrambled Sobol sequence) fills the space evenly, `random` by chance, and
    `grid` walks through all combinations of choices in a shuffled order."""
    startup_trials: int = Field(4, ge=1)
    """Random suggestions before `tpe` or `gp` starts to model the results."""

    @property
    def learns(self) -> bool:
        """True if its choices depend on results."""
        return self.name in ("tpe", "gp")


class EarlyStopping(Stage):
    """Racing: a trial stops where it is significantly worse than the best trial was at that step.

    It looks at the study's metric alone; a further objective keeps no trial alive.
    """

    min_fraction: float = Field(0.5, gt=0, le=1)
    """No trial stops before this fraction of its steps."""
    alpha: float = Field(0.05, gt=0, lt=0.5)
    """Highest probability, at every evaluation, of stopping a trial that is as good as the best."""


class Aim(Stage):
    """A further objective."""

    metric: str
    """A tracked evaluation metric, or one of a few metrics of the last training step."""
    direction: Literal["max", "min"]
    """`max` if more is better, `min` if less is."""


class Confirmation(Stage):
    """The winner and the baselines again, on seeds and problems that did not select the winner.

    Selection makes the best of many trials look better than it is; a fresh measurement is unbiased.
    """

    LATER: ClassVar[tuple[str, ...]] = ("best_over",)

    seeds: tuple[int, ...] = Field(min_length=1)
    """Seeds of every confirmation; none of the study's."""
    anchors: tuple[str, ...] | None = None
    """Labels of the baselines that the winner is compared with; None takes all, or with
    `best_over` none besides the winners."""
    best_over: tuple[str, ...] = ()
    """Dotted settings that everything else is compared at its own best of, such as
    `update.learning_rate`: trials that differ in these alone form a stratum, and the best trial of
    every stratum is confirmed. Empty: one winner for the whole study."""
    overrides: dict[str, PlainValue] = Field(default_factory=lambda: dict(FRESH_PROBLEMS))
    """Dotted settings of the evaluation that differ from the study's."""

    def confirms(self, label: str) -> bool:
        """Whether the baseline of this label is confirmed, winner or not."""
        return not self.best_over if self.anchors is None else label in self.anchors
