"""A study of a training function of the user's: its declaration, and what it may declare."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from conspo_study.config import FunctionConfig
from conspo_study.config.errors import Problems
from conspo_study.config.messages import described
from conspo_study.seeds import derive_seed

ARGUMENTS = ("train", "steps", "params", "workers", "resources")
"""Arguments of `Study` that declare a training function, in place of `base`."""
_RESOURCES = {"CPU": "cpus_per_worker", "GPU": "gpus_per_worker"}
_SEEDS = 10**6
"""Seeds that are drawn are below this number, which a table shows in six digits."""


def as_definition(given: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a definition, from the arguments of a study with `train`.

    The function becomes its `base`, and numbers of seeds become seeds, drawn from the root seed.
    Raises ValueError for arguments that mean nothing together.
    """
    if "base" in given:
        raise ValueError("give base, for the built-in training, or train, for a function; not both")
    if "steps" not in given:
        raise ValueError("steps is needed: the number of the step that the function reports last")
    resources = given.get("resources", {})
    if not isinstance(resources, Mapping) or set(resources) - _RESOURCES.keys():
        raise ValueError(
            f'resources = {resources!r}: write {{"CPU": 1, "GPU": 0}}, for each worker'
        )
    train = {_RESOURCES[name]: amount for name, amount in resources.items()}
    train |= {"steps": given["steps"], "workers": given.get("workers", 1)}
    base = {"function": given["train"], "params": given.get("params", {}), "train": train}
    fields = {name: value for name, value in given.items() if name not in ARGUMENTS}
    return {**fields, "base": function_config(base)}


def with_drawn_seeds(given: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a definition with seeds in place of their numbers: `seeds=3`, `confirm=5`.

    The settings of a confirmation that are about built-in evaluations are left out.
    """
    fields, root = dict(given), given.get("root_seed", 0)
    count, again = fields.get("seeds"), fields.get("confirm")
    if isinstance(count, int):
        fields["seeds"] = drawn_seeds(root, "search", count)
    if isinstance(again, int):
        searched = fields.get("seeds")
        taken = searched if isinstance(searched, Iterable) else ()
        again = {"seeds": drawn_seeds(root, "confirmation", again, taken)}
    if isinstance(again, BaseModel):
        unset = "overrides" not in again.model_fields_set
        again = again.model_dump(exclude={"overrides"} if unset else None)
    if isinstance(again, Mapping):
        fields["confirm"] = {"overrides": {}, **again}
    return fields


def drawn_seeds(root: Any, purpose: str, count: int, taken: Iterable[Any] = ()) -> tuple[int, ...]:
    """So many distinct seeds, none of `taken`; of a larger number the first ones are the same.
    Raises ValueError for none."""
    if not 0 < count <= _SEEDS // 10:
        raise ValueError(f"a number of seeds is from 1 to {_SEEDS // 10}, not {count}")
    drawn: dict[int, None] = {}
    excluded, index = set(taken), 0
    while len(drawn) < count:
        seed = derive_seed(int(root), purpose, index) % _SEEDS
        index += 1
        if seed not in excluded:
            drawn[seed] = None
    return tuple(drawn)


def function_config(data: Any) -> FunctionConfig:
    """The configuration of a training function. Raises Problems, in lines for people."""
    try:
        return FunctionConfig.model_validate(data)
    except ValidationError as error:
        lines = [line for _, line in described(error, FunctionConfig, data)]
        raise Problems(lines) from None


def unknown_names(
    params: Iterable[str], base: FunctionConfig, space: Iterable[str]
) -> Iterator[str]:
    """A line for each setting that is neither a parameter of the function nor searched."""
    known = sorted({*base.settings, *space})
    for name in params:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f" (did you mean {near[0]}?)" if near else ""
            yield (
                f"{name} is neither in params nor in the space{hint}: a parameter that only some "
                "trials set has its value for the others in params"
            )
