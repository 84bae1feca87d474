"""Selects the options class of an objective by `objective.name`, registered or from a plugin.

A name is a key of `OPTIONS`, the name of an entry point in the group `conspo_study.objectives`, or
an import path such as `my_module:GapHinge` of an options class or a function.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable
from typing import Any, ClassVar, Literal, TypeVar

from pydantic import create_model

from conspo_study.config.stage import Stage
from conspo_study.plugins import (
    OBJECTIVES,
    PluginError,
    as_import_path,
    import_path,
    importable,
    is_import_path,
    load,
    path_of,
)

_PACKAGE = "conspo_study."


class ObjectiveOptions(Stage):
    """Base of all objective options; subclasses add fields.

    A subclass selected by import path may be the whole objective, with a method
    `loss(self, batch, progress) -> ObjectiveOutput`. A subclass selected by a short name fixes
    `name`, and its function is registered for it (`conspo_study.objective.register`).
    """

    name: str
    """Objective to minimise: a registered name, or the import path of a custom one."""

    contrast: ClassVar[Literal["verdicts", "rewards"]] = "verdicts"
    """Quantity that must differ within a group for the objective to learn from it: `verdicts` if it
    compares correct with wrong rollouts, `rewards` if it reads rewards alone."""

    corrects_tokens: ClassVar[bool] = False
    """Whether the loss reads `GroupBatch.correction_T`, the importance weight of each token."""

    @property
    def limits_kl(self) -> bool:
        """Whether the loss depends on the KL divergence of the whole optimiser step."""
        return False


OPTIONS: dict[str, type[ObjectiveOptions]] = {}
"""Options classes by name; a plugin's is added when it is first selected."""

Options = TypeVar("Options", bound=ObjectiveOptions)


def register_options(options: type[Options]) -> type[Options]:
    """Class decorator that makes options selectable by the default of their `name` field.

    Raises ValueError when the name is taken.
    """
    name = options.model_fields["name"].default
    if name in OPTIONS:
        raise ValueError(f"an objective named {name!r} is already registered")
    OPTIONS[name] = options
    return options


def objective_name(given: Any) -> Any:
    """The name of an objective given as an options class or a function; other values unchanged."""
    if isinstance(given, type) and issubclass(given, ObjectiveOptions):
        registered = given.model_fields["name"].default
        return registered if OPTIONS.get(registered) is given else import_path(given)
    return as_import_path(given)


def options_named(name: str) -> type[ObjectiveOptions]:
    """The options class that a name selects. Raises ValueError for an unknown name, PluginError for
    a plugin that cannot be used."""
    if name not in OPTIONS:
        path = path_of(name, OBJECTIVES)
        if path is None:
            close = difflib.get_close_matches(name, OPTIONS, n=1)
            hint = f" (did you mean {close[0]}?)" if close else ""
            raise ValueError(
                f"unknown objective {name!r}; known: {', '.join(sorted(OPTIONS))}{hint}; select a "
                "custom objective by its import path, my_module:MyObjective, or list its module in "
                "the study's `plugins`"
            )
        OPTIONS.setdefault(name, _renamed(_options_at(path), name))
    return OPTIONS[name]


def module_of_objective(name: str) -> str | None:
    """The module outside of this package that defines an objective; None for a built-in one.

    Raises what `options_named` raises.
    """
    if is_import_path(name) or name not in OPTIONS:
        options_named(name)
        return (path_of(name, OBJECTIVES) or name).partition(":")[0]
    return None if is_built_in(name) else importable(OPTIONS[name].__module__)


def is_built_in(name: str) -> bool:
    """Whether this package defines the objective of that name."""
    return name in OPTIONS and OPTIONS[name].__module__.startswith(_PACKAGE)


def _options_at(path: str) -> type[ObjectiveOptions]:
    target = load(path)
    options = getattr(target, "options", target)  # a registered function names its options
    if isinstance(options, type):
        if issubclass(options, ObjectiveOptions):
            return options
        raise PluginError(
            f"{path} is a class, but not of options: derive it from "
            "conspo_study.config.ObjectiveOptions and give it a method loss(self, batch, progress)"
        )
    if not callable(target):
        raise PluginError(
            f"{path} is a {type(target).__name__}: an objective is a function (batch, options, "
            "progress) or a class of options with a method loss(self, batch, progress)"
        )
    return _without_settings(target, path)


def _without_settings(function: Callable[..., Any], path: str) -> type[ObjectiveOptions]:
    """Options without settings, for a plain function `(batch, options, progress)`."""
    try:
        inspect.signature(function).bind(None, None, None)
    except (TypeError, ValueError) as error:
        raise PluginError(
            f"{path} cannot be called like an objective, with (batch, options, progress): {error}"
        ) from error

    def loss(self: ObjectiveOptions, batch: Any, progress: Any) -> Any:
        return function(batch, self, progress)

    name = path.rpartition(":")[2].replace(".", "_")
    return type(name, (ObjectiveOptions,), {"__module__": function.__module__, "loss": loss})


def _renamed(options: type[ObjectiveOptions], name: str) -> type[ObjectiveOptions]:
    """The options class with `name` fixed to the name that selects it."""
    fixed: Any = (Literal[name], name)
    return create_model(
        options.__name__, __base__=options, __module__=options.__module__, name=fixed
    )
