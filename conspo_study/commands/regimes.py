"""The verb that reads studies as one map."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from conspo_study.commands import exits
from conspo_study.commands.analyse import Folders
from conspo_study.commands.options import Amount, Names, OptionalPath, joined
from conspo_study.commands.verb import Verb
from conspo_study.records import StudyError

if TYPE_CHECKING:
    from conspo_study.terminal.console import Console


@dataclass(frozen=True)
class Map(Verb):
    """Map objectives over off-policyness, from one study or several.

        conspo map results/regime_map
        conspo map results/regime_map_E1 results/regime_map_E16 --out map

    Every objective at its own best learning rate, minus a reference at the same number of optimiser
    steps per rollout batch, with intervals that hold for all cells together. For studies that
    confirm the best of each stratum (regime_map).
    """

    folders: Folders = ()
    """Results directories, one or several."""
    out: OptionalPath = None
    """Folder to write to; several studies need one. Else the results directory."""
    minus: Names = ()
    """Objectives to compare the others with; else linear and GRPO."""
    margin: Amount = None
    """Differences below it do not matter; else the study's own, or 0.02 of an accuracy."""
    again: OptionalPath = None
    """Also write a study file that runs the boundary cells on further seeds."""

    def run(self, console: Console) -> int:
        from analysis.report import print_map

        if not self.folders:
            raise StudyError("name a results directory: conspo map results/regime_map")
        if self.out is None and len(self.folders) > 1:
            raise StudyError("several studies need a folder for their map: add --out FOLDER")
        if self.margin is not None and not 0 < self.margin < math.inf:
            raise StudyError("--margin is a positive number, such as 0.02")
        made = print_map(
            self.folders,
            self.out or self.folders[0],
            references=joined(self.minus),
            margin=self.margin,
            again=self.again,
        )
        return exits.OK if made else exits.NO_RESULT
