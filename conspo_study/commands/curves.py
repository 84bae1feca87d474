"""The verb that reads studies as curves over compute."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from conspo_study.commands import exits
from conspo_study.commands.analyse import Folders
from conspo_study.commands.options import Amount, Name, OptionalPath
from conspo_study.commands.verb import Verb
from conspo_study.records import StudyError

if TYPE_CHECKING:
    from conspo_study.terminal.console import Console


@dataclass(frozen=True)
class Curves(Verb):
    """Fit curves over compute: asymptote or efficiency?

        conspo curves results/regime_map_E4
        conspo curves results/lab --over gpu_hours --reference GRPO --level 0.6

    A saturating curve for every setting, over all seeds and evaluations, with intervals, and a
    reason where the data carry none. Settings are compared in their asymptotes and in what half of
    their gain costs. Evaluations cost nothing.
    """

    folders: Folders = ()
    """Results directories, one or several."""
    over: Annotated[
        Literal["tokens", "flops", "seconds", "gpu_hours", "steps"], tyro.conf.arg(metavar="WHAT")
    ] = "tokens"
    """What a seed had spent: tokens (generated), flops, seconds, gpu_hours or steps."""
    reference: Name = None
    """Setting to compare all others with; else what the study declares, or every pair."""
    level: Amount = None
    """Value of the metric whose compute is asked for, too."""
    out: OptionalPath = None
    """Folder to write to; several studies need one. Else the results directory."""

    def run(self, console: Console) -> int:
        from analysis.findings.compute_axes import Over
        from analysis.report import print_curves

        if not self.folders:
            raise StudyError("name a results directory: conspo curves results/STUDY")
        if self.out is None and len(self.folders) > 1:
            raise StudyError("several studies need a folder for their curves: add --out FOLDER")
        if self.level is not None and not math.isfinite(self.level):
            raise StudyError("--level is a number, such as 0.6")
        made = print_curves(
            self.folders,
            self.out or self.folders[0],
            over=Over(self.over),
            reference=self.reference,
            level=self.level,
        )
        return exits.OK if made else exits.NO_RESULT
