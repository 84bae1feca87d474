"""The verb `init`: a study file to begin with."""

from __future__ import annotations

import keyword
import re
import shlex
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from conspo_study.commands import exits
from conspo_study.commands.options import Flag
from conspo_study.commands.study_files import packaged_studies
from conspo_study.commands.typed_paths import typed_path
from conspo_study.commands.verb import Verb
from conspo_study.records import StudyError

if TYPE_CHECKING:
    from conspo_study.terminal.console import Console

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")

TEMPLATE = '''\
"""Which temperature and margin? A first study, to be changed.

    conspo run {file} --dry-run       what it would do
    conspo run {file}                 run it; --resume continues it
"""

from conspo_study import Anchor, Choice, Range, RunConfig, Study, main


def {name}(base: RunConfig) -> Study:
    """Eight settings, one of them the preset's own; `conspo settings` lists what can vary."""
    return Study(
        name="{name}",
        question="Which temperature, and with which margin?",
        base=base,
        space={{
            "objective.tau": Range(low=0.1, high=3.0, log=True),
            "objective.margin": Choice(values=(0.0, 0.1, 1.0)),
        }},
        anchors=(Anchor(label="preset", params={{}}),),
        trials=8,
        seeds=(0, 1),
        metric=base.evaluation.main_metric,
    )


if __name__ == "__main__":
    raise SystemExit(main({name}, __doc__))
'''


@dataclass(frozen=True)
class Init(Verb):
    """Write a study file to begin with.

        conspo init my_study && conspo run my_study.py --preset quick

    It runs as it is, and declares a space, an anchor, a budget, seeds and a metric to change.
    """

    name: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="NAME")]
    """Name of the study, and of the file without its .py; a folder may stand before it."""
    config: Flag = False
    """Also write NAME.toml, all settings of a run, for --config."""

    def run(self, console: Console) -> int:
        path = typed_path(self.name)
        name = path.name.removesuffix(".py")
        if not _NAME.fullmatch(name) or keyword.iskeyword(name):
            raise StudyError(
                f"{name!r} cannot name a study file: a letter, then at most 63 letters, digits and "
                f"_; for example {_valid(name)}"
            )
        if name in packaged_studies():
            raise StudyError(f"{name} is a packaged study (conspo run {name}): choose another name")
        path = path.with_name(f"{name}.py")
        if not path.exists() and (name in sys.stdlib_module_names or find_spec(name)):
            raise StudyError(
                f"{path.name} would be imported in place of the module {name}: choose another name"
            )
        settings = path.with_suffix(".toml")
        if self.config:
            from conspo_study.commands.settings_file import settings_file
            from conspo_study.definition.presets import EMBEDDED

            if path.exists():
                raise _there_already(path)
            _write_new(settings, settings_file(EMBEDDED))
            console.line(f"wrote {settings}")
        _write_new(path, TEMPLATE.format(name=name, file=path.name))
        more = f" --config {shlex.quote(str(settings))}" if self.config else ""
        run = f"conspo run {shlex.quote(str(path))} --preset quick{more}"
        console.line(f"wrote {path}; next: {run}")
        return exits.OK


def _write_new(path: Path, text: str) -> None:
    """Write a file that is not there yet. Raises StudyError for one that is."""
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise _there_already(path) from None
    except OSError as error:
        raise StudyError(f"{path} cannot be written: {error.strerror}") from error


def _there_already(path: Path) -> StudyError:
    return StudyError(f"{path} is there already: choose another name, or remove it")


def _valid(name: str) -> str:
    """The nearest text that is a name."""
    plain = re.sub(r"[^A-Za-z0-9_]+", "_", name).strip("_")
    if not plain or plain[0].isdigit() or keyword.iskeyword(plain):
        plain = f"study_{plain}".rstrip("_")
    return plain[:64]
