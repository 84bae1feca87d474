"""A file of settings to begin with: every setting of a preset, as a comment to be taken away."""

from __future__ import annotations

import json
import textwrap
from typing import Any

from conspo_study.commands.settings_reference import groups, stage_of
from conspo_study.config import RunConfig, flatten

_WIDTH = 96
_HEAD = """\
# Settings for --config: take the # away from those that should differ. What is not set is as the
# preset and the study have it; --set goes before this file. The values are those of the preset
# embedded; `conspo settings STAGE.NAME` says all there is to say of one.
"""


def settings_file(config: RunConfig) -> str:
    """The file in TOML. A setting that is null stands without a value, which TOML does not have."""
    values = flatten(config)
    named = f"objective.name={config.objective.name}"
    chosen = [group for group in groups() if stage_of(group) != "objective" or group.title == named]
    parts = [_HEAD]
    for group in chosen:
        stage = stage_of(group)
        lines = [f"[{stage}]"]
        for setting in group.settings:
            lines += textwrap.wrap(
                setting.sentence, _WIDTH, initial_indent="## ", subsequent_indent="## "
            )
            lines.append(f"# {setting.name} = {_value(values[setting.path])}")
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def _value(value: Any) -> str:
    """A value as TOML has it; empty for null."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)} = {_value(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    return "" if value is None else json.dumps(value)
