"""The command `conspo`: the list of its verbs, and how one is read and run.

Exit status: 0 done, or nothing to do; 1 no trial finished, the study had to stop, or a part of what
was asked for could not be made; 2 bad input, nothing was done; 128 + signal when interrupted.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Union

import tyro

from conspo_study import __version__
from conspo_study.commands import exits
from conspo_study.commands.analyse import Compare, Paper, Report
from conspo_study.commands.bench import Bench
from conspo_study.commands.curves import Curves
from conspo_study.commands.data import Data
from conspo_study.commands.look import Doctor, List, Status, Watch
from conspo_study.commands.new_study import Init
from conspo_study.commands.parsing import COMPLETION, fail, parse
from conspo_study.commands.plan import Plan
from conspo_study.commands.regimes import Map
from conspo_study.commands.run import Extend, Resume, Run
from conspo_study.commands.settings import Settings
from conspo_study.commands.upkeep import Export, Repair, Track
from conspo_study.commands.verb import Verb
from conspo_study.extras import MissingPackage
from conspo_study.processes.output import lasting_output

VERBS: Mapping[str, type[Verb]] = {
    "run": Run,
    "plan": Plan,
    "status": Status,
    "ls": List,
    "watch": Watch,
    "doctor": Doctor,
    "report": Report,
    "compare": Compare,
    "map": Map,
    "curves": Curves,
    "paper": Paper,
    "resume": Resume,
    "extend": Extend,
    "export": Export,
    "track": Track,
    "repair": Repair,
    "data": Data,
    "settings": Settings,
    "init": Init,
    "bench": Bench,
}
"""All verbs, in the order of `conspo --help`."""
DESCRIPTION = """Hyperparameter studies of ConSPO: declare, run, watch, report.

    conspo run margin_sweep            a study, into results/margin_sweep
    conspo status results/margin_sweep
    conspo VERB --help                 the options of a verb
    source <(conspo --tyro-print-completion bash)      or zsh, tcsh
"""


def main(words: Sequence[str] | None = None) -> int:
    """Run the command that the words are, by default the process's; returns the exit status."""
    with lasting_output():
        command = parse_command(sys.argv[1:] if words is None else words)
        if command is None:
            print(f"conspo {__version__}")
            return exits.OK
        # Its libraries take longer than the whole of `conspo --help`.
        from conspo_study.terminal.console import Console

        console = Console(quiet=command.silent)
        mistakes: tuple[type[Exception], ...] = (*command.BAD_INPUT, MissingPackage)
        try:
            return command.run(console)
        except KeyboardInterrupt:
            console.line("Interrupted.")
            return exits.INTERRUPTED
        except mistakes as error:
            print(f"error: {_message(error)}", file=sys.stderr)
            return exits.BAD_INPUT


def parse_command(words: Sequence[str]) -> Verb | None:
    """The verb with its options; None for `--version`. Ends the process after `--help`, and with a
    message for words that are no command."""
    first, rest = (words[0], words[1:]) if words else ("--help", [])
    if first == "--version":
        return None
    if first in VERBS:
        kind = VERBS[first]
        return parse(kind, rest, f"conspo {first}", kind.description())
    known = ["-h", "--help", "--version", *COMPLETION] if first.startswith("-") else [*VERBS]
    if first.replace("_", "-") not in known:
        what = "option" if first.startswith("-") else "verb"
        near = difflib.get_close_matches(first, known, 1, cutoff=0.5)
        hint = f" (did you mean {near[0]}?)" if near else ""
        fail(f"unknown {what} {first!r}{hint}; conspo --help lists them")
    verb: Verb = parse(_any_verb(), words or [first], "conspo", DESCRIPTION)
    return verb


def _any_verb() -> Any:
    """A type that stands for all verbs, for the list of them and for completion."""
    verbs = (
        Annotated[kind, tyro.conf.subcommand(name, description=kind.description().split("\n")[0])]
        for name, kind in VERBS.items()
    )
    return Union[tuple(verbs)]  # noqa: UP007 (their number is known at run time only)


def _message(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error)
