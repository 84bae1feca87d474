"""The verb `data`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from conspo_study.commands import exits
from conspo_study.commands.options import Names, OptionalPath, joined
from conspo_study.commands.verb import Verb

if TYPE_CHECKING:
    from conspo_study.terminal.console import Console


@dataclass(frozen=True, kw_only=True)
class Data(Verb):
    """Check problem sets before a study: conspo data check.

        conspo data check --data-dir problems
        conspo data check --sets aime24,math500 --train deepscaler

    For every set: its rows, those that a study would leave out, what is repaired in reading them,
    repeated problems, and gold answers that the verifier cannot read, which a study drops as
    `gold_bad`. Then the training problems that are also evaluated. Nothing is fetched.
    """

    action: Annotated[Literal["check"], tyro.conf.Positional]
    """The one thing there is to do."""
    data_dir: OptionalPath = None
    """Folder with the files of named sets; the cache of fetched sets unless given."""
    sets: Names = ()
    """Evaluation sets, by name or path; all named ones that are here unless given."""
    train: Names = ()
    """Training sets, likewise."""

    def run(self, console: Console) -> int:
        from conspo_study.commands.problem_sets import check

        for line in check(self.data_dir, joined(self.sets), joined(self.train)):
            print(line, flush=True)
        return exits.OK
