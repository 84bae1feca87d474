"""Check for a study's own objectives, rewards and training function: only resuming needs them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from conspo_study.plugins import is_import_path, missing_modules, module_of

_PROSE = ("template", "system")
_NAMES = ("objective.name", "reward.name", "evaluation.reward")


def missing_code_lines(definition: Mapping[str, Any]) -> list[str]:
    """A line where modules that the definition names are not found; nothing is imported."""
    missing = missing_modules(own_modules(definition))
    if not missing:
        return []
    what, is_ = ("modules", "are") if missing[1:] else ("module", "is")
    return [
        f"The {what} {', '.join(missing)}, whose code the study runs, {is_} not found here: "
        "to resume it, bring the code back; to look at it, nothing is needed"
    ]


def own_modules(definition: Mapping[str, Any]) -> list[str]:
    """Modules outside of this package that a stored definition names, whatever else it holds."""
    function = _object(definition.get("base")).get("function")
    # The parameters of a training function name no code.
    names = _names(definition) if function is None else [str(function)]
    paths = [text for text in names if is_import_path(text)]
    plugins = [one for one in _list(definition.get("plugins")) if isinstance(one, str)]
    return list(dict.fromkeys([*plugins, *map(module_of, paths)]))


def _names(definition: Mapping[str, Any]) -> Iterator[str]:
    base, space = _object(definition.get("base")), _object(definition.get("space"))
    anchors = [_object(_object(one).get("params")) for one in _list(definition.get("anchors"))]
    for path in _NAMES:
        stage, _, field = path.partition(".")
        found = [_object(base.get(stage)).get(field), *(params.get(path) for params in anchors)]
        found += _list(_object(space.get(path)).get("values"))
        yield from (text for text in found if isinstance(text, str))
    extra = _object(_object(base.get("reward")).get("extra"))
    yield from [
        *extra,
        *(name for params in anchors for name in _object(params.get("reward.extra"))),
    ]
    # Settings can be given in other forms, and those of a confirmation change some.
    for part in (base, space, anchors, _object(definition.get("confirm")).get("overrides")):
        yield from _texts(part)


def _texts(data: Any) -> Iterator[str]:
    """All texts at any depth, keys included, but those that a prompt is made of."""
    if isinstance(data, str):
        yield data
    elif isinstance(data, Mapping):
        for name, value in data.items():
            yield str(name)
            if str(name).rpartition(".")[2] not in _PROSE:
                yield from _texts(value)
    elif isinstance(data, list):
        for one in data:
            yield from _texts(one)


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
