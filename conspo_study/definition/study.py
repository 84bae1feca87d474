"""Definition of a study: declared once, hashed, and stored before its first trial."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    Field,
    PlainSerializer,
    PlainValidator,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from conspo_study.config import (
    AnyRun,
    ConfigError,
    FunctionConfig,
    RunConfig,
    config_hash,
    flatten,
    is_function,
    with_overrides,
)
from conspo_study.config.errors import Problems
from conspo_study.config.messages import described
from conspo_study.config.stage import Stage
from conspo_study.config.values import kind_of
from conspo_study.definition.base import as_base, tracked_metrics
from conspo_study.definition.comparisons import Comparisons, comparison_problems
from conspo_study.definition.foreign_code import REWARD, imports_of, modules_of
from conspo_study.definition.function import (
    as_definition,
    unknown_names,
    with_drawn_seeds,
)
from conspo_study.definition.halving import Halving, halving_problems
from conspo_study.definition.parts import Aim, Anchor, Confirmation, EarlyStopping, Sampler
from conspo_study.definition.space import Dimension, Value
from conspo_study.definition.space.problems import space_problems, value_problem
from conspo_study.definition.space.settings import fitted
from conspo_study.plugins import load_module
from conspo_study.text import counted

LAST_STEP_METRICS = ("entropy", "response_length", "tokens")
"""Metrics of the last training step that may be further objectives: every step has them, and they
do not depend on the speed of the machine."""
LONGEST_NAME = 64
"""Most characters of a study's name."""

_SEEDS = range(-(2**63), 2**63)
"""Numbers that tables can store."""


class StudyDefinition(Stage):
    """Space, budget, seeds and selection rule of a study."""

    LATER: ClassVar[tuple[str, ...]] = ("plugins", "compare", "question")

    plugins: tuple[str, ...] = ()
    """Modules that are imported first, wherever the study runs, such as those that register an
    objective under a name. Modules that `objective.name` and `reward.name` give by an import path,
    or by a registered name, are added automatically."""
    name: str
    """Name of the study and of its results directory."""
    question: str = Field("", max_length=300)
    """What the study is to answer, in a sentence; its report and its plan begin with it."""
    base: Annotated[
        AnyRun,
        PlainValidator(as_base),
        PlainSerializer(lambda base, info: base.model_dump(mode=info.mode)),
    ]
    """Settings that all trials share: of the built-in training, a `RunConfig` or the name of a
    preset; or of a function of your own, which `train`, `steps`, `params`, `workers` and
    `resources` declare instead."""
    space: dict[str, Dimension] = Field(default_factory=dict)
    """Dimension by dotted setting; a list stands for a choice. Consequences of the settings are
    filled in: ranges with whole numbers only, and settings that only some of the chosen objectives
    have."""
    anchors: tuple[Anchor, ...] = ()
    """Baselines: settings that always run."""
    trials: int = Field(ge=1)
    """Budget: number of trials, baselines included, confirmations not."""
    seeds: tuple[int, ...] = Field(min_length=1)
    """Seeds of every trial; the same for all, so that trials are compared pair by pair."""
    metric: str
    """Metric to optimise, as its mean over seeds at a trial's last step."""
    direction: Literal["max", "min"] = "max"
    """`max` if more of the metric is better, `min` if less is."""
    also: tuple[Aim, ...] = ()
    """Further objectives, with which the search looks for the best compromises."""
    sampler: Sampler = Sampler()
    """Choice of the settings to try."""
    lag: int = Field(3, ge=0)
    """Trial n depends on the results of the trials up to n - 1 - lag and on nothing later, so that
    a study does not depend on how many trials run at a time. At most lag + 1 searched trials run at
    once if the sampler or early stopping uses results."""
    early_stopping: EarlyStopping | Halving | None = EarlyStopping()
    """Rule that stops trials that fall behind: racing, or successive halving; None runs all to
    their end."""
    confirm: Confirmation | None = None
    """Confirmation of the result after the search; None leaves it unconfirmed."""
    compare: Comparisons | None = None
    """Comparisons of baselines that the study is about; None compares every pair."""
    root_seed: int = Field(0, ge=0)
    """Seed of the search itself."""

    @model_validator(mode="before")
    @classmethod
    def _plugins_come_first(cls, given: Any) -> Any:
        plugins = given.get("plugins") if isinstance(given, Mapping) else None
        for name in plugins if isinstance(plugins, list | tuple) else ():
            load_module(str(name))
        return given

    @model_validator(mode="before")
    @classmethod
    def _a_function_is_the_base(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        fields = as_definition(given) if "train" in given else given
        base = fields.get("base")
        own = isinstance(base, FunctionConfig) or is_function(base)
        return with_drawn_seeds(fields) if own else fields

    @field_validator("name")
    @classmethod
    def _name_is_one_of_a_directory(cls, name: str) -> str:
        if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", name):
            return name
        raise ValueError(
            "a name has letters from a to z, digits and the signs . _ -, begins with a letter or "
            f"digit, and is at most {LONGEST_NAME} long; for example {_as_a_name(name)}"
        )

    @field_validator("space")
    @classmethod
    def _space_fits_its_settings(
        cls, space: dict[str, Dimension], info: ValidationInfo
    ) -> dict[str, Any]:
        return fitted(space, info.data["base"]) if "base" in info.data else space

    @field_validator("anchors")
    @classmethod
    def _anchors_hold_what_is_run(
        cls, anchors: tuple[Anchor, ...], info: ValidationInfo
    ) -> tuple[Anchor, ...]:
        base = info.data.get("base")
        return tuple(anchor if base is None else anchor.held(base) for anchor in anchors)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        searched = self.trials - len(self.anchors)
        problems = [
            *self._plugin_problems(),
            *self._counting_problems(),
            *self._anchor_problems(),
            *self._space_problems(),
            *self._objective_problems(),
            *self._confirmation_problems(),
            *self._comparison_problems(),
            *halving_problems(self.halving, self.base, searched, self.confirm),
        ]
        if problems:
            raise Problems(problems)
        return self

    @property
    def hash(self) -> str:
        """Changes exactly when the definition does, the budget aside: a study may be extended."""
        return config_hash({k: v for k, v in self.frozen().items() if k != "trials"})

    @property
    def waits_for_results(self) -> bool:
        """True if decisions about a searched trial depend on results of earlier ones."""
        return self.sampler.learns or bool(self.looks) or self.halving is not None

    @property
    def built_in(self) -> RunConfig:
        """The base of a study of the built-in training."""
        assert isinstance(self.base, RunConfig), "a study of a training function has no such base"
        return self.base

    @property
    def function(self) -> FunctionConfig | None:
        """The base of a study of a training function; None for the built-in training."""
        return self.base if isinstance(self.base, FunctionConfig) else None

    @property
    def halving(self) -> Halving | None:
        """The rule of successive halving; None for another rule, and without one."""
        return self.early_stopping if isinstance(self.early_stopping, Halving) else None

    @property
    def searched_at_once(self) -> int:
        """The most searched trials that run at a time, whatever room there is."""
        others = self.lag + 1 if self.waits_for_results else self.trials
        return self.halving.bracket if self.halving is not None else others

    @property
    def looks(self) -> Sequence[int]:
        """Steps at which racing may stop a trial early; none with a single seed. Those of them at
        which a training function measures are known once it has."""
        rule, steps = self.early_stopping, self.base.train.steps
        if not isinstance(rule, EarlyStopping) or len(self.seeds) < 2:
            return ()
        first = rule.min_fraction * steps - 1e-9  # 0.1 x 30 is a little more than 3
        if isinstance(self.base, FunctionConfig):
            return range(max(1, math.ceil(first)), steps)
        every = self.base.evaluation.every
        return tuple(step for step in range(every, steps, every) if step >= first)

    def frozen(self) -> dict[str, Any]:
        """The definition as plain JSON data."""
        data = self.model_dump(mode="json", include=set(StudyDefinition.model_fields))
        imports = imports_of(self)
        return data | ({"plugins": list(imports)} if imports else {})

    def _plugin_problems(self) -> Iterator[str]:
        try:
            modules_of(self)
        except ValueError as error:
            yield str(error)

    def _counting_problems(self) -> Iterator[str]:
        if len(set(self.seeds)) != len(self.seeds):
            yield "seeds must be distinct: a repeated seed gives no further observation"
        yield from _seed_problems(self.seeds)
        yield from self._warm_start_problems()
        if len(self.anchors) > self.trials:
            baselines = counted(len(self.anchors), "baseline")
            trials = counted(self.trials, "trial")
            yield f"{baselines} (anchors) always run, but the budget is {trials}"
        if self.trials > len(self.anchors) and not self.space:
            yield "the space is empty: lower trials to the number of baselines (anchors)"

    def _warm_start_problems(self) -> Iterator[str]:
        seeds = (*self.seeds, *(self.confirm.seeds if self.confirm else ()))
        own = self.function is None and self.built_in.policy.warm_start_seed == "seed"
        if own and (least := min(seeds)) < 0:
            yield (
                f"policy.warm_start_seed=seed makes a warm start with every seed, which must be 0 "
                f"or more: change seed {least}"
            )

    def _anchor_problems(self) -> Iterator[str]:
        labels = [anchor.label for anchor in self.anchors]
        if len(set(labels)) != len(labels):
            yield "anchor labels must be distinct"
        for anchor in self.anchors:
            problems = [*self._problems_of(anchor.params), *self._shared(anchor.params)]
            yield from (f"anchor {anchor.label!r}: {problem}" for problem in problems)

    def _space_problems(self) -> Iterator[str]:
        problems = [
            *self._shared(self.space),
            *space_problems(self.space, self.base, self.sampler.name),
        ]
        yield from (f"space: {problem}" for problem in problems)

    def _objective_problems(self) -> Iterator[str]:
        known = tracked_metrics(self.base)
        if known is not None and self.metric not in known:
            yield (
                f"metric {self.metric!r} is not tracked during training; known: {', '.join(known)}"
            )
        further = [*(known or ()), *LAST_STEP_METRICS]
        for aim in self.also:
            if known is not None and aim.metric not in further:
                yield (
                    f"also: metric {aim.metric!r} is not known at every trial's end; known: "
                    f"{', '.join(further)}"
                )
        metrics = [self.metric, *(aim.metric for aim in self.also)]
        if len(set(metrics)) != len(metrics):
            yield "also: a metric is an objective once; remove what repeats it"

    def _confirmation_problems(self) -> Iterator[str]:
        if self.confirm is None:
            return
        seeds, overrides = self.confirm.seeds, self.confirm.overrides
        if len(set(seeds)) != len(seeds):
            yield "confirm: seeds must be distinct: a repeated seed gives no further observation"
        yield from (f"confirm: {problem}" for problem in _seed_problems(seeds))
        if used := sorted(set(seeds) & set(self.seeds)):
            known = ", ".join(map(str, used))
            yield f"confirm: seeds {known} selected the winner; confirm it on others"
        labels = [anchor.label for anchor in self.anchors]
        for label in self.confirm.anchors or ():
            if label not in labels:
                yield f"confirm: no anchor is called {label!r}; known: {', '.join(labels)}"
        yield from (f"confirm: {problem}" for problem in self._override_problems(overrides))
        named = {path for anchor in self.anchors for path in anchor.params} | self.space.keys()
        for path in self.confirm.best_over:
            if path not in named:
                yield f"confirm: best_over: no trial sets {path}: there is no best of it to choose"

    def _comparison_problems(self) -> Iterator[str]:
        if self.compare is not None:
            yield from comparison_problems(self.compare, [one.label for one in self.anchors])

    def _override_problems(self, overrides: Mapping[str, Value]) -> Iterator[str]:
        for path in overrides:
            if self.function is None and not path.startswith("evaluation."):
                yield f"{path} is not a setting of the evaluation, and must stay the same"
            elif self.function is not None and (path in self.space or "." in path):
                yield f"{path} is what trials are compared by, and must stay the same"
        problems = self._problems_of(overrides)
        yield from problems
        known = None if problems else tracked_metrics(with_overrides(self.base, overrides))
        if known is not None and self.metric not in known:
            yield f"with these overrides {self.metric!r} is not measured"

    def _shared(self, params: Mapping[str, Any]) -> Iterator[str]:
        for path in params:
            if path.startswith("evaluation."):
                yield f"{path} must be the same for all trials, which are compared by it"
            if path in (REWARD, "reward.threshold") and not self.built_in.evaluation.reward:
                yield (
                    f"{path} differs between trials, and decides which responses count as correct: "
                    "set evaluation.reward, such as math, which then judges all evaluations"
                )
            if path == "train.steps" and self.early_stopping is not None:
                yield (
                    "train.steps differs between trials, which then cannot be compared step by "
                    "step: set early_stopping to None"
                )

    def _problems_of(self, params: Mapping[str, Value]) -> list[str]:
        foreign = [path for path, value in params.items() if kind_of(value) is None]
        if foreign:
            return [f"{path}: {params[path]!r} is not a plain value" for path in foreign]
        if self.function is not None and (
            unknown := [*unknown_names(params, self.function, self.space)]
        ):
            return unknown
        try:
            held = flatten(with_overrides(self.base, params))
        except ConfigError as error:
            return list(error.problems)
        checked = {path: value_problem(value, held[path]) for path, value in params.items()}
        return [f"{path}: {problem}" for path, problem in checked.items() if problem]


def definition_problems(error: ValidationError) -> list[str]:
    """Problems of a definition that pydantic has validated, in lines for people."""
    return [line for _, line in described(error, StudyDefinition, {})]


def _as_a_name(text: str) -> str:
    """The nearest valid name."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", plain).strip("-._")[:LONGEST_NAME] or "my-study"


def _seed_problems(seeds: tuple[int, ...]) -> Iterator[str]:
    for seed in seeds:
        if seed not in _SEEDS:
            yield f"seed {seed} is out of range: seeds are whole numbers from -2^63 to 2^63 - 1"
