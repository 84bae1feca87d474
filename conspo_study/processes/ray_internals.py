"""Private names of Ray that forking its workers relies on, each checked before it is used."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import reduce
from importlib import import_module, metadata
from inspect import signature
from typing import Any

STARTING = (
    # The parameters of a Ray node: which script starts its worker processes.
    "ray._private.parameter:RayParams(setup_worker_path)",
    # The script that does so otherwise, and the worker's own beside it.
    "ray._private.workers.setup_worker",
    "ray._private.workers.default_worker",
)
"""For the process that starts Ray, as `module:name.name(argument)`."""
FORKING = (
    # Random ids of Ray's core, which no two forks may share.
    "ray.actor:ActorClassID",
    "ray._raylet:ActorClassID.from_random",
    "ray._raylet:ActorClassID.nil",
    "ray._raylet:UniqueID.from_random",
)
"""For the process that forks workers; modules that it only imports are `fork_server.WITH_RAY`."""


def missing(names: Sequence[str]) -> list[str]:
    """The names that the installed Ray lacks."""
    return [name for name in names if not _exists(name)]


def tested_versions() -> str | None:
    """The versions of Ray that this package asks for, such as `<2.62,>=2.60`, if the installed one
    is not among them; None if it is, and in a checkout that was never installed."""
    from packaging.requirements import Requirement

    with suppress(metadata.PackageNotFoundError):
        for requirement in map(Requirement, metadata.requires("conspo-study") or ()):
            if requirement.name == "ray" and metadata.version("ray") not in requirement.specifier:
                return str(requirement.specifier)
    return None


def _exists(name: str) -> bool:
    module, _, rest = name.partition(":")
    attributes, _, argument = rest.removesuffix(")").partition("(")
    try:
        value: Any = reduce(getattr, filter(None, attributes.split(".")), import_module(module))
        return not argument or argument in signature(value).parameters
    except (ImportError, AttributeError, TypeError, ValueError):
        return False
