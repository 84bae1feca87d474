"""The verbs that look at studies, running or not, and write nothing."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from conspo_study.commands import exits
from conspo_study.commands.options import Count, Flag, Names, joined
from conspo_study.commands.typed_paths import Folder
from conspo_study.commands.verb import Verb
from conspo_study.records import StudyError

if TYPE_CHECKING:
    from conspo_study.terminal.console import Console


@dataclass(frozen=True)
class Status(Verb):
    """Show where a study stands, and what to do next.

    Its driver, its trials, failures, the best so far, and the command to type next.
    """

    folder: Folder
    """Results directory of the study."""
    json: Flag = False
    """Print one JSON object, for machines."""

    def run(self, console: Console) -> int:
        from conspo_study.terminal.status import study_status

        status = study_status(self.folder)
        if self.json:
            print(json.dumps(status.as_json(), indent=1))
        else:
            console.lines(status.lines())
        return exits.OK


@dataclass(frozen=True)
class Doctor(Verb):
    """Name what went wrong in the training of trials.

        conspo doctor results/margin_sweep
        conspo doctor results/margin_sweep --trials t0003

    Entropy collapse, dead groups, drifting lengths and others, each with the step at which it set
    in, the numbers that say so, and what usually helps. Works on a running study, too.
    """

    folder: Folder
    """Results directory of the study."""
    trials: Names = ()
    """Trials to examine; else all."""
    json: Flag = False
    """Print one JSON list, for machines."""

    def run(self, console: Console) -> int:
        from analysis.report import print_diagnoses

        print_diagnoses(self.folder, joined(self.trials), as_json=self.json)
        return exits.OK


@dataclass(frozen=True)
class List(Verb):
    """List the studies under a folder.

    The latest first: whether it runs, trials that finished of its budget, the best value of its
    metric, and when its log was last written to.
    """

    folder: Folder = Path("results")
    """Folder to look in, with all folders below it."""

    def run(self, console: Console) -> int:
        from conspo_study.commands.listing import listing

        console.lines(listing(self.folder))
        return exits.OK


@dataclass(frozen=True)
class Watch(Verb):
    """Serve a web page of a study or of several, live or ended.

    Curves, settings, comparisons and what the model wrote. Ctrl-C ends the page, not the study.
    Only whoever has the address that is printed, which contains a token, can read the study.
    """

    folder: Folder = Path("results")
    """Results directory of a study, or a folder with such directories below it."""
    port: Count = None
    """Port of the page, 8777 unless given; 0 takes any that is free."""
    host: Annotated[str, tyro.conf.arg(metavar="ADDRESS")] = "127.0.0.1"
    """Address to serve at."""

    def run(self, console: Console) -> int:
        from conspo_study.results.folder import read_definition
        from conspo_study.results.nearby import studies_under
        from conspo_study.watch import PORT, serve

        if not any(studies_under(self.folder)):
            read_definition(self.folder)  # says why there is none, and what is near
        port = PORT if self.port is None else self.port
        try:
            serve(self.folder, self.host, port, console.line)
        except (OSError, OverflowError) as error:
            why = error.strerror if isinstance(error, OSError) else "ports end at 65535"
            raise StudyError(
                f"the page cannot be served at {self.host}, port {port}: {why}; choose another "
                "with --port, or --port 0"
            ) from error
        return exits.OK
