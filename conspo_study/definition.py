"""What a study is: declared once, hashed, and written down before its first trial."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from conspo_study.config import ConfigError, RunConfig, config_hash, with_overrides
from conspo_study.config.stage import Stage
from conspo_study.space import Choice, Dimension, Value


class StudyError(RuntimeError):
    """A study cannot start, with the reason and what to do; no trial was run."""


class Anchor(Stage):
    """A named setting that always runs, first and to its end, whatever the search prefers."""

    label: str = Field(min_length=1)
    """How tables and figures name it."""
    params: dict[str, Value]
    """Dotted settings and their values; they need not lie in the search space."""


class EarlyStopping(Stage):
    """Successive halving (ASHA) on the mean over a trial's seeds."""

    min_fraction: float = Field(0.5, gt=0, le=1)
    """No trial stops before this fraction of its steps."""
    reduction_factor: float = Field(2.0, gt=1)
    """At each rung, the best 1/reduction_factor of the trials seen so far go on."""


class StudyDefinition(Stage):
    """Space, budget, seeds and selection rule of a study."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")
    """Names the results directory."""
    base: RunConfig
    """What all trials share."""
    space: dict[str, Dimension] = Field(default_factory=dict)
    """Dotted setting -> what it may be."""
    anchors: tuple[Anchor, ...] = ()
    """Reference settings that always run."""
    trials: int = Field(ge=1)
    """Budget: trials, anchors included."""
    seeds: tuple[int, ...] = Field(min_length=1)
    """Seeds of every trial; the same for all, so that trials are compared pair by pair."""
    metric: str
    """What is optimised: the mean over seeds of this metric at a trial's last step."""
    direction: Literal["max", "min"] = "max"
    """Whether more of the metric is better."""
    early_stopping: EarlyStopping | None = EarlyStopping()
    """When to stop trials that fall behind; None runs all to their end."""
    startup_trials: int = Field(4, ge=1)
    """Random suggestions before the sampler starts to model the results."""
    root_seed: int = Field(0, ge=0)
    """Seed of the search itself."""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        problems = []
        if len(set(self.seeds)) != len(self.seeds):
            problems.append("seeds must be distinct: a repeated seed is no second observation")
        if len(self.anchors) > self.trials:
            problems.append(
                f"{len(self.anchors)} anchors always run, but the budget is {self.trials} trials"
            )
        labels = [anchor.label for anchor in self.anchors]
        if len(set(labels)) != len(labels):
            problems.append("anchor labels must be distinct")
        if self.trials > len(self.anchors) and not self.space:
            problems.append("the space is empty: lower trials to the number of anchors")
        for anchor in self.anchors:
            problems += [f"anchor {anchor.label!r}: {p}" for p in self._problems_of(anchor.params)]
        for path, dimension in self.space.items():
            for value in self._extremes(dimension):
                problems += [f"space: {p}" for p in self._problems_of({path: value})]
        known = self._metric_names()
        if self.metric not in known:
            problems.append(
                f"metric {self.metric!r} is not tracked during training; known: {', '.join(known)}"
            )
        if problems:
            raise ValueError("; ".join(problems))
        return self

    @property
    def hash(self) -> str:
        """Changes exactly when the definition does, the budget aside: a study may be extended."""
        return config_hash({k: v for k, v in self.frozen().items() if k != "trials"})

    def frozen(self) -> dict[str, Any]:
        """The definition as plain JSON data."""
        return self.model_dump(mode="json", include=set(StudyDefinition.model_fields))

    def _problems_of(self, params: dict[str, Value]) -> tuple[str, ...]:
        try:
            with_overrides(self.base, params)
        except ConfigError as error:
            return error.problems
        return ()

    @staticmethod
    def _extremes(dimension: Dimension) -> tuple[Value, ...]:
        return (
            dimension.values if isinstance(dimension, Choice) else (dimension.low, dimension.high)
        )

    def _metric_names(self) -> list[str]:
        settings = self.base.evaluation
        k = settings.samples
        kinds = [f"avg@{k}", f"pass@{k}", f"maj@{k}", *(["greedy"] if settings.greedy else [])]
        return [f"eval/{name}/{kind}" for name in settings.tracked_sets for kind in kinds]
