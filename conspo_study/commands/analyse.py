"""The verbs that read results and write tables and figures."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from conspo_study.commands import exits
from conspo_study.commands.options import Amount, Count, Flag, Name, Names, OptionalPath, joined
from conspo_study.commands.study_files import holds_study
from conspo_study.commands.typed_paths import Folder, TypedPath
from conspo_study.commands.verb import Verb
from conspo_study.records import StudyError

if TYPE_CHECKING:
    from conspo_study.terminal.console import Console

Folders = Annotated[
    tuple[TypedPath, ...],
    tyro.conf.Positional,
    tyro.conf.arg(metavar="PATH ...", help_behavior_hint=""),
]
_RUNS = (".csv", ".tsv", ".json", ".jsonl")
"""Endings of files of runs."""


@dataclass(frozen=True)
class Report(Verb):
    """Write tables, figures and one HTML page of studies.

        conspo report results/margin_sweep
        conspo report results/baselines results/ablation --out both

    The exit status is 1 when some figure or table could not be made.
    """

    folders: Folders = ()
    """Results directories, one or several."""
    out: OptionalPath = None
    """Folder to write to; several studies need one. Else the results directory."""

    def run(self, console: Console) -> int:
        from analysis.report import print_reports

        if not self.folders:
            raise StudyError("name a results directory: conspo report results/STUDY")
        if self.out is None and len(self.folders) > 1:
            raise StudyError(
                "several studies need a folder of their own for the report: add --out FOLDER"
            )
        made = print_reports(self.folders, self.out or self.folders[0])
        return exits.OK if made else exits.NO_RESULT


@dataclass(frozen=True)
class Compare(Verb):
    """Compare two studies, or runs of any trainer.

        conspo compare results/a results/b
        conspo compare runs.csv --reference grpo
        conspo compare runs/ --metric eval_reward --step 400

    Two results directories are compared trial by trial. Files are CSV with columns setting, seed
    and a metric (problem and step if there are any), charts that W&B or TensorBoard exported,
    trainer_state.json of TRL, or lines of JSON as verl logs them; a folder stands for its files. In
    a file of one run, the name tells: tau1-s0.json is setting tau1, seed 0.
    """

    paths: Folders = ()
    """Two results directories, or files of runs, or folders of them."""
    markdown: Flag = False
    """Print a Markdown table."""
    reference: Name = None
    """Setting that the others are compared with; else the first."""
    metric: Name = None
    """Metric, where the files have several."""
    step: Count = None
    """Step to compare at; else the last that all runs have."""
    lower_is_better: Flag = False
    """Smaller values of the metric are better."""
    selected: Name = None
    """Setting that was chosen as the best of these: estimates its selection bias."""
    margin: Amount = None
    """Differences below it count as none, in units of the metric; else 0.02 where it is a share."""
    unpaired: Flag = False
    """Do not pair seeds: Welch's test."""
    setting: Names = ()
    """Columns that name the setting together; else setting."""
    seed: Name = None
    """Column of the seed; else seed."""
    output: OptionalPath = None
    """Folder for differences.csv, .pdf, .svg and .png of runs; else comparison."""

    def run(self, console: Console) -> int:
        if not self.paths:
            raise StudyError(
                "name two results directories, or files of runs: conspo compare runs.csv"
            )
        if any(path.suffix.lower() in _RUNS for path in self.paths) or all(
            path.is_dir() and not holds_study(path) for path in self.paths
        ):
            self._compare_runs()
            return exits.OK
        from analysis.report import print_comparison

        if len(self.paths) != 2:
            raise StudyError("two results directories are compared, no more and no fewer")
        for field in fields(self):
            given = getattr(self, field.name) != field.default
            if given and field.name not in ("paths", "markdown", "margin"):
                option = field.name.replace("_", "-")
                raise StudyError(f"--{option} is about files of runs, and {self.paths[0]} is none")
        print_comparison(*self.paths, markdown=self.markdown, margin=self.margin)
        return exits.OK

    def _compare_runs(self) -> None:
        from analysis.load.runs import Reading
        from analysis.report import print_run_comparison

        for path in self.paths:
            if path.is_dir() and holds_study(path):
                raise StudyError(
                    f"{path} is a results directory, which compares with another one alone; its "
                    "values by seed are in the table of conspo report"
                )
        given: dict[str, Any] = {"setting": joined(self.setting)} if self.setting else {}
        if self.seed is not None:
            given["seed"] = self.seed
        print_run_comparison(
            self.paths,
            self.output or Path("comparison"),
            Reading(metric=self.metric, **given),
            step=self.step,
            reference=self.reference,
            lower_is_better=self.lower_is_better,
            unpaired=self.unpaired,
            selected=self.selected,
            margin=self.margin,
            markdown=self.markdown,
        )


@dataclass(frozen=True)
class Paper(Verb):
    """Write the paper's tables beside what studies measured."""

    out: Folder
    """Folder to write to."""
    studies: Folders = ()
    """Results directories, none or several."""
    table: Annotated[Literal[1, 2, 3, 4, 5, 6, 9], tyro.conf.arg(metavar="N")] = 1
    """The published table to stand beside: 1 to 6, or 9."""
    model: Name = None
    """The model of that table, where it has several."""
    metric: Annotated[str, tyro.conf.arg(metavar="NAME")] = "avg"
    """avg, pass@K, maj@K or greedy."""
    reference: Name = None
    """Compare methods with this one instead of every pair."""
    confirmed: Flag = False
    """Use confirmations instead of the search's trials."""

    def run(self, console: Console) -> int:
        from analysis.report import write_paper

        for path in write_paper(
            self.out,
            self.studies,
            number=self.table,
            model=self.model,
            metric=self.metric,
            reference=self.reference,
            confirmed=self.confirmed,
        ):
            print(f"wrote {path}")
        return exits.OK
