"""The class of options that `objective.name` selects: a registered one, or a plugin's.

A name is one of `OPTIONS`, that of an entry point in the group `conspo_study.objectives`, or an
import path, `my_module:GapHinge`. A path leads to a class of options or to a function.
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
    import_path,
    importable,
    is_import_path,
    load,
    path_of,
)

OWN = "conspo_study."


class ObjectiveOptions(Stage):
    """Base of all objective options. Subclasses add their own fields.

    A subclass that is chosen by its import path may be the whole objective, with a method
    `loss(self, batch, progress) -> ObjectiveOutput`. One that is chosen by a name of its own fixes
    `name`, and its function is registered for it (`conspo_study.objective.register`).
    """

    name: str
    """Which objective to minimise: a registered name, or the import path of an own one."""

    contrast: ClassVar[Literal["verdicts", "rewards"]] = "verdicts"
    """What must differ within a group for the objective to learn from it: `verdicts` for one that
    compares correct with wrong rollouts, `rewards` for one that reads rewards alone."""


OPTIONS: dict[str, type[ObjectiveOptions]] = {}
"""By name; those of plugins once they have been asked for."""

Options = TypeVar("Options", bound=ObjectiveOptions)


def register_options(options: type[Options]) -> type[Options]:
    """Class decorator: make the options selectable by the default of their `name` field.

    Raises ValueError when the name is taken.
    """
    name = options.model_fields["name"].default
    if name in OPTIONS:
        raise ValueError(f"an objective named {name!r} is already registered")
    OPTIONS[name] = options
    return options


def objective_name(given: Any) -> Any:
    """The name of an objective that is given as a class of options or a function."""
    if isinstance(given, type) and issubclass(given, ObjectiveOptions):
        registered = given.model_fields["name"].default
        return registered if OPTIONS.get(registered) is given else import_path(given)
    return import_path(given) if callable(given) else given


def options_named(name: str) -> type[ObjectiveOptions]:
    """The options that a name selects. Raises ValueError, PluginError for a plugin's fault."""
    if name not in OPTIONS:
        path = path_of(name, OBJECTIVES)
        if path is None:
            close = difflib.get_close_matches(name, OPTIONS, n=1)
            hint = f" (did you mean {close[0]}?)" if close else ""
            raise ValueError(
                f"unknown objective {name!r}; known: {', '.join(sorted(OPTIONS))}{hint}; choose an "
                "own one by its import path, my_module:MyObjective, or name its module in the "
                "study's `plugins`"
            )
        OPTIONS.setdefault(name, _renamed(_options_at(path), name))
    return OPTIONS[name]


def module_of_objective(name: str) -> str | None:
    """The module outside of this package that an objective comes from; None for our own.

    Raises what `options_named` raises.
    """
    if is_import_path(name) or name not in OPTIONS:
        options_named(name)
        return (path_of(name, OBJECTIVES) or name).partition(":")[0]
    module = OPTIONS[name].__module__
    return None if module.startswith(OWN) else importable(module)


def _options_at(path: str) -> type[ObjectiveOptions]:
    found = load(path)
    options = getattr(found, "options", found)  # of a function that is registered for them
    if isinstance(options, type):
        if issubclass(options, ObjectiveOptions):
            return options
        raise PluginError(
            f"{path} is a class, but none of options: derive it from "
            "conspo_study.config.ObjectiveOptions and give it a method loss(self, batch, progress)"
        )
    if not callable(found):
        raise PluginError(
            f"{path} is a {type(found).__name__}: an objective is a function (batch, options, "
            "progress) or a class of options with a method loss(self, batch, progress)"
        )
    return _without_settings(found, path)


def _without_settings(function: Callable[..., Any], path: str) -> type[ObjectiveOptions]:
    """Options for a plain function `(batch, options, progress)`, which has nothing to set."""
    try:
        inspect.signature(function).bind(None, None, None)
    except (TypeError, ValueError) as error:
        raise PluginError(
            f"{path} cannot be called as an objective is, with (batch, options, progress): {error}"
        ) from error

    def loss(self: ObjectiveOptions, batch: Any, progress: Any) -> Any:
        return function(batch, self, progress)

    name = path.rpartition(":")[2].replace(".", "_")
    return type(name, (ObjectiveOptions,), {"__module__": function.__module__, "loss": loss})


def _renamed(options: type[ObjectiveOptions], name: str) -> type[ObjectiveOptions]:
    """The options under the name that a configuration selects them by."""
    fixed: Any = (Literal[name], name)
    return create_model(
        options.__name__, __base__=options, __module__=options.__module__, name=fixed
    )
