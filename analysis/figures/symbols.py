"""Names of settings and trials as figures typeset them, and text of a study drawn letter by letter.

Labels, metrics and settings of a study are never formulas: whatever a figure draws of them goes
through `literal`, or through `shortened` and `wrapped` of `analysis.figures.style`, which call it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from analysis.findings.trial_settings import (
    NO_MARGIN,
    STEPS,
    objective_settings,
    optimiser_steps,
    other_params,
    setting,
)
from analysis.load.study import StudyResults
from analysis.load.text import visible
from conspo_study.records import is_number
from conspo_study.results.table import TrialRow
from conspo_study.text import setting_text

E = "$E$"
"""Optimiser steps per rollout batch."""
SYMBOLS: Mapping[str, str] = {
    "tau": r"$\tau$",
    "margin": "$M$",
    "ratio": r"$M/\tau$",
    "alpha": r"$\alpha$",
    "rollout.group_size": "$G$",
}
"""Of columns of `frames.trials_frame` and `data_search.search_frame`."""
TITLES: Mapping[str, str] = {
    "tau": rf"temperature {SYMBOLS['tau']}",
    "margin": f"target margin {SYMBOLS['margin']} (nats)",
    "ratio": rf"margin over temperature {SYMBOLS['ratio']}",
    "alpha": rf"warm-up fraction {SYMBOLS['alpha']}",
    "schedule": "schedule of the margin",
    "rollout.group_size": f"group size {SYMBOLS['rollout.group_size']}",
}
"""The same with their meaning, for axes and panels."""
_LONGEST = 56
"""Characters of a trial's name that fit half a page."""
_MARKUP = re.compile(r"\\[a-z]+|\$")


def literal(text: str) -> str:
    """Text that is drawn as it is, dollar signs too."""
    return text.replace("$", r"\$")


def setting_symbol(name: str) -> str:
    """The short name of a setting: its symbol, or the last part of a dotted path."""
    return SYMBOLS.get(name) or literal(visible(_last_part(name), 30))


def setting_title(name: str) -> str:
    """The name of a setting on an axis, with its meaning where it has a symbol."""
    return TITLES.get(name) or setting_symbol(name)


def setting_is(name: str, value: object) -> str:
    """A setting and its value without a space in the formula, so that lines break beside it:
    `$\\tau=0.3$`, or `learning rate 0.0001`."""
    shown = setting_text(value)
    symbol = SYMBOLS.get(name, "")
    if symbol and is_number(value):
        return f"{symbol[:-1]}={shown}$"
    return f"{symbol or setting_symbol(name)} {literal(visible(shown, 30))}"


def trial_name(study: StudyResults, row: TrialRow) -> str:
    """A trial in a legend: its label, or its settings as far as there is room, or its id."""
    if row.label:
        return literal(visible(row.label, _LONGEST))
    found = objective_settings(study.configs.get(row.id, {}), row.params)
    parts = []
    if found["tau"] is not None:
        parts.append(setting_is("tau", found["tau"]))
    elif found["objective"]:
        parts.append(literal(visible(str(found["objective"]), 30)))
    if found["ratio"] == 0:
        parts.append(NO_MARGIN)
    elif found["ratio"] is not None:
        parts += [setting_is("ratio", found["ratio"]), literal(visible(str(found["schedule"]), 30))]
        parts += [setting_is("alpha", found["alpha"])] if found["alpha"] is not None else []
    paths = other_params(study)
    if any(path in STEPS for path in paths):
        paths = [path for path in paths if path not in STEPS]
        parts.append(f"$E={optimiser_steps(study, row)}$")
    values = {path: setting(study, row, path) for path in paths}
    parts += [setting_is(path, value) for path, value in values.items() if value is not None]
    return _as_far_as_fits(parts) or row.id


def _as_far_as_fits(parts: list[str]) -> str:
    shown = parts[:1]
    for part in parts[1:]:
        if len(_MARKUP.sub("", ", ".join([*shown, part]))) > _LONGEST:
            return ", ".join([*shown, "…"])
        shown.append(part)
    return ", ".join(shown)


def _last_part(path: str) -> str:
    return path.rpartition(".")[2].replace("_", " ")
