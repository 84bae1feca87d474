"""A study before it runs, as text: what differs from the preset, then what running it means."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from conspo_study.config import FunctionConfig, RunConfig, flatten
from conspo_study.definition import Anchor, Choice, Comparisons, Confirmation, StudyDefinition
from conspo_study.definition.lab_runs import LAB_RUNS, LARGEST
from conspo_study.definition.paper_runs import PAPER_RUNS
from conspo_study.definition.presets import PRESETS, preset_for
from conspo_study.definition.space import Dimension
from conspo_study.forecast.placement import gpu_gib
from conspo_study.forecast.plan import WIDTH, titled
from conspo_study.records import StudyError
from conspo_study.statistics.paired_spread import PairedSpread
from conspo_study.study import Study
from conspo_study.study.probe import probe
from conspo_study.terminal.console import Console
from conspo_study.text import setting_text

_RULES = ("direction", "also", "sampler", "lag", "early_stopping", "root_seed")
"""Fields of a definition that are named where they are not at their defaults."""


def print_plan(
    study: Study,
    console: Console,
    *,
    preset: str | None = None,
    every_setting: bool = False,
    spread: PairedSpread | None = None,
    folder: Path | None = None,
    gpu_memory: float | None = None,
    probe_steps: int | None = None,
) -> None:
    """Print what differs from the preset and what a run would do.

    preset: by default the one that differs least. every_setting: print all settings. spread,
    folder, gpu_memory: as for `Study.plan`. probe_steps: number of steps to run before, beside
    `folder`, unless something forbids it. Raises StudyError, at the end, with what forbids a run
    here.
    """
    width = min(WIDTH, shutil.get_terminal_size().columns)
    gib = gpu_gib(gpu_memory)
    if study.function is not None:
        settings = _function(study.function)
    else:
        settings = _settings(study, preset or nearest_preset(study.built_in), every_setting, gib)
    for title, text in [*declared(study, settings, every_setting)]:
        console.lines(titled(title, text, width))
    console.line("")
    plan = study.plan(spread=spread, folder=folder, gpu_memory=gpu_memory)
    checked = study.preflight(plan)
    if probe_steps is not None and study.function is not None:
        raise StudyError("--probe measures steps of the built-in training: leave it out")
    if probe_steps is not None and not checked.problems:
        root = (folder or Path()).parent
        measured = probe(study, probe_steps, root, gpu_memory, console)
        plan = study.plan(spread=spread, folder=folder, gpu_memory=gpu_memory, measured=measured)
    console.lines(plan.lines(width))
    for text in checked.lines():
        console.lines(titled("data", text, width))
    if checked.problems:
        raise StudyError("\n".join(f"cannot run: {problem}" for problem in checked.problems))


def declared(
    study: StudyDefinition, settings: Iterator[tuple[str, str]], every_setting: bool = False
) -> Iterator[tuple[str, str]]:
    """Titles and texts of what the study's declaration says. settings: those of its base."""
    yield "study", f"{study.name}, by {study.metric}"
    if study.question:
        yield "question", study.question
    yield from settings
    yield from _named("searched", (f"{p}: {in_words(d)}" for p, d in study.space.items()))
    yield from _named("anchors", map(_anchor, study.anchors))
    yield "seeds", ", ".join(map(str, study.seeds))
    if study.confirm is not None:
        winner, against = _confirmed(study.confirm)
        changes = _assigned(study.confirm.overrides)
        seeds = ", ".join(map(str, study.confirm.seeds))
        yield (
            "confirmed",
            f"{winner}{against}, on seeds {seeds} with {changes or 'no change'}",
        )
    if study.compare is not None:
        yield "compared", _compared(study.compare)
    fields = StudyDefinition.model_fields
    for name in _RULES:
        value = getattr(study, name)
        if every_setting or value != fields[name].get_default(call_default_factory=True):
            yield name.replace("_", " "), _rule(value)


def _confirmed(confirm: Confirmation) -> tuple[str, str]:
    """What is confirmed: the winners, and the baselines beside them."""
    named = ", ".join(confirm.anchors or ())
    if confirm.best_over:
        over = ", ".join(confirm.best_over)
        return f"the best {over} of each of the other settings", f" and {named}" if named else ""
    return "winner", f" and {'all anchors' if confirm.anchors is None else named or 'no anchor'}"


def _compared(compare: Comparisons) -> str:
    whom = "all other anchors" if compare.against is None else ", ".join(compare.against)
    margin = compare.equivalence
    within = "" if margin is None else f"; equivalent within {margin:g}"
    return f"{whom} with {compare.reference}, corrected as by {compare.correction.author}{within}"


def _function(function: FunctionConfig) -> Iterator[tuple[str, str]]:
    """Titles and texts of a training function."""
    yield "function", function.function
    yield from _named("params", (f"{n} = {setting_text(v)}" for n, v in function.params.items()))


def _settings(
    study: StudyDefinition, preset: str, every_setting: bool, gib: float | None
) -> Iterator[tuple[str, str]]:
    """Titles and texts of the base of the built-in training.

    gib: GiB of the GPU that the preset is meant for, if it depends on one.
    """
    changed = changes(study, preset, gib)
    size = f" for a GPU of {gib or LARGEST:.3g} GiB" if preset in LAB_RUNS else ""
    yield "preset", preset + size + (", with" if changed or every_setting else " as it is")
    if preset in LAB_RUNS:
        yield "", "not yet run on a GPU: what follows is arithmetic"
    if every_setting:
        yield from (("", text) for text in every(study, preset, gib))
    else:
        yield from (
            ("", f"{path} = {setting_text(value)}  (preset: {before})")
            for path, (value, before) in changed.items()
        )


def changes(
    study: StudyDefinition, preset: str, gib: float | None = None
) -> dict[str, tuple[Any, str]]:
    """Setting -> its value in the study and the preset's, as text, where these differ; without
    what is searched. gib: as for `_settings`."""
    before = flatten(preset_for(preset, gib))
    return {
        path: (value, setting_text(before[path]) if path in before else "has no such setting")
        for path, value in flatten(study.built_in).items()
        if path not in study.space and (path not in before or before[path] != value)
    }


def every(study: StudyDefinition, preset: str, gib: float | None = None) -> Iterator[str]:
    """All settings that are not searched, marked where they differ from the preset, and with their
    origin where that is a run of the paper."""
    paper, changed = PAPER_RUNS.get(preset), changes(study, preset, gib)
    origins = paper.origins(study.built_in) if paper else {}
    for path, value in flatten(study.built_in).items():
        if path in study.space:
            continue
        marks = [origins[path]] if path in origins else []
        marks += [f"preset: {changed[path][1]}"] if path in changed else []
        mark = f"  ({'; '.join(marks)})" if marks else ""
        yield f"{path} = {setting_text(value)}{mark}"


def nearest_preset(base: RunConfig) -> str:
    """The preset from which the fewest settings of `base` differ; the first of several."""
    settings = flatten(base)

    def distance(name: str) -> int:
        preset = flatten(PRESETS[name])
        return sum(path not in preset or preset[path] != settings[path] for path in settings)

    return min(PRESETS, key=distance)


def in_words(dimension: Dimension) -> str:
    """A dimension of the space as a person reads it."""
    if isinstance(dimension, Choice):
        text = _listed(dimension.values)
    else:
        kind = ", whole numbers" if dimension.integer else ""
        scale = ", on a logarithmic scale" if dimension.log else ""
        text = f"{dimension.low:g} to {dimension.high:g}{kind}{scale}"
    where = " and ".join(f"{when.path} is {_listed(when.values)}" for when in dimension.conditions)
    return f"{text}; where {where}" if where else text


def _named(title: str, texts: Iterator[str]) -> Iterator[tuple[str, str]]:
    for number, text in enumerate(texts):
        yield ("" if number else title), text


def _anchor(anchor: Anchor) -> str:
    return f"{anchor.label}: {_assigned(anchor.params) or 'nothing changed'}"


def _assigned(params: Mapping[str, Any]) -> str:
    return ", ".join(f"{path}={setting_text(value)}" for path, value in params.items())


def _listed(values: Any) -> str:
    *others, last = map(setting_text, values)
    return f"{', '.join(others)} or {last}" if others else last


def _rule(value: Any) -> str:
    if hasattr(value, "model_dump"):
        value = value.model_dump(mode="json")
    if isinstance(value, Mapping):
        return _assigned(value)
    if isinstance(value, tuple):
        return "; ".join(map(_rule, value)) or "none"
    return "none" if value is None else setting_text(value)
