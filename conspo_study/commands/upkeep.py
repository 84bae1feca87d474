"""The verbs that write beside a study, or hand it to other programs."""

from __future__ import annotations

import shlex
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from conspo_study.commands import exits
from conspo_study.commands.options import Names, OptionalPath, joined
from conspo_study.commands.typed_paths import Folder
from conspo_study.commands.verb import Verb
from conspo_study.records import StudyError

if TYPE_CHECKING:
    from pathlib import Path

    from conspo_study.terminal.console import Console


@dataclass(frozen=True)
class Export(Verb):
    """Write a file for optuna-dashboard, or a digest of a study.

        conspo export results/joint_search
        conspo export results/regime_map_E16 --digest supplement/E16

    The file for optuna-dashboard is never read back. A digest is a results directory without
    responses, curves and checkpoints: a map and comparisons come out of it as out of the study.
    """

    folder: Folder
    """Results directory of the study."""
    sqlite: OptionalPath = None
    """File to write; optuna.sqlite3 in the results directory unless given."""
    digest: OptionalPath = None
    """New folder to write a digest to, instead of that file."""

    def run(self, console: Console) -> int:
        if self.digest is not None:
            return self._write_digest(console, self.digest)
        from conspo_study.results.export import export_sqlite
        from conspo_study.results.folder import read_definition, refuse_links
        from conspo_study.results.log import read_log
        from conspo_study.results.names import LOG

        refuse_links(self.folder)
        definition = read_definition(self.folder)["definition"]
        path = self.sqlite or self.folder / "optuna.sqlite3"
        count = export_sqlite(path, definition, read_log(self.folder / LOG))
        console.line(
            f"wrote {path}: {count} trials; look at them with: optuna-dashboard "
            f"{shlex.quote(f'sqlite:///{path}')}"
        )
        return exits.OK

    def _write_digest(self, console: Console, out: Path) -> int:
        from analysis.report import write_digest

        if self.sqlite is not None:
            raise StudyError("--sqlite and --digest write different things: name one")
        console.line(f"wrote {out}: {write_digest(self.folder, out)}")
        return exits.OK


@dataclass(frozen=True, kw_only=True)
class Track(Verb):
    """Send a study to TensorBoard, W&B or trackio.

    What they do not have yet is sent, and what follows while the study runs.
    """

    folder: Folder
    """Results directory of the study."""
    to: Names = ()
    """tensorboard, wandb, trackio, or several of them."""

    def run(self, console: Console) -> int:
        from conspo_study.commands.script import trackers_named
        from conspo_study.results.folder import read_definition, refuse_links
        from conspo_study.terminal.status import driver_of
        from conspo_study.tracking.known import how_to_look
        from conspo_study.tracking.processes import LOOK_S, tracking

        names = trackers_named(joined(self.to))
        if not names:
            raise StudyError("name a tracker: --to tensorboard, --to wandb or --to trackio")
        refuse_links(self.folder)
        study = str(read_definition(self.folder)["name"])
        following = tracking(self.folder.resolve(), names, console.notice, end_s=None)
        with following as trackers, suppress(KeyboardInterrupt):
            while driver_of(self.folder).state == "running" and not trackers.all_ended:
                time.sleep(LOOK_S)
        for name in names:
            if name not in trackers.failed:
                look = how_to_look(name, self.folder, study)
                console.line(f"sent to {name}; look at it with: {look}")
        return exits.NO_RESULT if trackers.failed else exits.OK


@dataclass(frozen=True)
class Repair(Verb):
    """Save what can be trusted of a damaged log into a copy.

    The log itself is not touched; the command that puts the copy in its place is printed.
    """

    folder: Folder
    """Results directory of the study."""

    def run(self, console: Console) -> int:
        from conspo_study.results.folder import refuse_links
        from conspo_study.results.names import LOG
        from conspo_study.results.repair import repair_log

        refuse_links(self.folder)
        console.lines(repair_log(self.folder / LOG).lines())
        return exits.OK
