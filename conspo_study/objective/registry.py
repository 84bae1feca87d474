"""The registry of objectives, by the class of options that configures each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from conspo_study.config import ObjectiveOptions, options_named
from conspo_study.objective.batch import GroupBatch, Progress
from conspo_study.objective.output import ObjectiveOutput
from conspo_study.plugins import PluginError


class Objective(Protocol):
    """`(batch, options, progress) -> ObjectiveOutput`, pure and differentiable in logprobs_T."""

    def __call__(
        self, batch: GroupBatch, options: Any, progress: Progress, /
    ) -> ObjectiveOutput: ...


_OBJECTIVES: dict[type[ObjectiveOptions], Objective] = {}
"""By the options that they were registered for."""

Function = TypeVar("Function", bound=Objective)


def register(options: type[ObjectiveOptions]) -> Callable[[Function], Function]:
    """Decorator: make a function the objective that `options` configures.

    Raises ValueError when the options already have an objective.
    """

    def decorate(function: Function) -> Function:
        if options in _OBJECTIVES:
            name = options.model_fields["name"].default
            raise ValueError(f"an objective named {name!r} is already registered")
        _OBJECTIVES[options] = function
        function.options = options  # type: ignore[attr-defined]  # the function leads to its options, too
        return function

    return decorate


def objective_of(options: type[ObjectiveOptions]) -> Objective:
    """The objective that `options` configure: the function that is registered for them, or their
    method `loss`; otherwise that of a base class.

    Raises PluginError when there is neither.
    """
    for base in options.__mro__:
        if base in _OBJECTIVES:
            return _OBJECTIVES[base]
        if "loss" in vars(base):
            return _loss_of_the_options
    raise PluginError(
        f"{options.__name__} has options but no objective: give it a method loss(self, batch, "
        f"progress), or register a function for it with @register({options.__name__})"
    )


def _loss_of_the_options(batch: GroupBatch, options: Any, progress: Progress, /) -> ObjectiveOutput:
    output: ObjectiveOutput = options.loss(batch, progress)
    return output


def objective_named(name: str) -> Objective:
    """The objective that `objective.name` selects. Raises ValueError, listing the known names, or
    PluginError for a plugin's fault."""
    return objective_of(options_named(name))
