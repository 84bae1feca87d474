"""The verb `settings`."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import tyro

from conspo_study.commands import exits
from conspo_study.commands.options import Flag
from conspo_study.commands.verb import Verb
from conspo_study.records import StudyError

if TYPE_CHECKING:
    from conspo_study.terminal.console import Console

WIDTH = 100
"""Of lines on wider terminals."""


@dataclass(frozen=True)
class Settings(Verb):
    """List the settings of a run, or explain one.

        conspo settings
        conspo settings rollout
        conspo settings rollout.engine

    All are changed alike: conspo run margin_sweep --set rollout.engine=vllm
    """

    path: Annotated[
        str | None,
        tyro.conf.Positional,
        tyro.conf.arg(metavar="[STAGE|SETTING]", help_behavior_hint=""),
    ] = None
    """A stage, such as rollout, or a setting, such as rollout.engine; all settings without it."""
    markdown: Flag = False
    """Print all of them as a page in Markdown."""

    def run(self, console: Console) -> int:
        from conspo_study.commands import settings_text as text
        from conspo_study.commands.settings_reference import groups, stage_of

        width = min(WIDTH, shutil.get_terminal_size().columns)
        if self.markdown:
            print(text.page(), end="")
            return exits.OK
        if self.path is None:
            console.lines(text.overview(width))
            return exits.OK
        members = [g for g in groups() if self.path in (stage_of(g), g.title)]
        found = [(g, s) for g in groups() for s in g.settings if s.path == self.path]
        if found:
            console.lines(text.of_setting(found, width))
        elif members:
            for number, group in enumerate(members):
                console.lines([""] if number else [])
                console.lines(text.of_group(group, width))
        else:
            raise StudyError(_unknown(self.path))
        return exits.OK


def _unknown(path: str) -> str:
    """That there is no such setting, and the one that is probably meant."""
    import difflib

    from conspo_study.commands.settings_reference import groups, stage_of
    from conspo_study.config.synonyms import setting_meant

    known = list(dict.fromkeys(s.path for g in groups() for s in g.settings))
    stages = list(dict.fromkeys(map(stage_of, groups())))
    near = [] if "." in path else difflib.get_close_matches(path, stages, 1, cutoff=0.7)
    meant = near[0] if near else setting_meant(path, known)
    hint = f" (did you mean {meant}?)" if meant else ""
    return f"unknown setting {path!r}{hint}; stages: {', '.join(stages)}"
