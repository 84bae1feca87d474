"""Tables and figures of a results directory, written into it.

python -m analysis.report results/margin-sweep
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from analysis.figures import Curve, accuracy_against_margin, learning_curves
from analysis.frames import (
    evaluation_curves,
    initial_value,
    margin_points,
    objective_settings,
    training_curves,
    trials_frame,
)
from analysis.load import StudyResults, StudyUnreadable, load_study
from analysis.style import save, style
from analysis.summary import describe, no_margin_reference, summary_lines
from analysis.tables import TextTable, to_csv, to_markdown, to_rich, trials_table
from analysis.text import markdown_text, metric_label, visible
from conspo_study.records import TrialState
from conspo_study.results.atomic import write_atomic
from conspo_study.results.table import TrialRow

REWARD = "reward"
"""The training metric of the second panel of the learning curves."""

_MOST_CURVES = 6


@dataclass(frozen=True, slots=True)
class Report:
    """What was written, and what there is to say."""

    name: str
    table: TextTable
    summary: tuple[str, ...]
    notes: tuple[str, ...]
    """Which trials failed and what could not be shown, and why."""
    paths: tuple[Path, ...]


def write_report(folder: Path) -> Report:
    """Write `tables/` and `figures/` of the study in `folder`; older ones are replaced.

    Works at any stage of a study: what has no data yet is named in the notes. Raises
    StudyUnreadable when the directory cannot be read.
    """
    study = load_study(folder)
    table = trials_table(study)
    summary = summary_lines(study)
    tables, figures = folder / "tables", folder / "figures"
    tables.mkdir(exist_ok=True)
    figures.mkdir(exist_ok=True)
    markdown = (
        "".join(f"- {markdown_text(line, 1000)}\n" for line in summary) + "\n" + to_markdown(table)
    )
    paths = [tables / "trials.md", tables / "trials.csv"]
    write_atomic(paths[0], markdown.encode())
    write_atomic(paths[1], to_csv(trials_frame(study)).encode())
    failed = [row for row in study.table.rows if row.state is TrialState.FAILED]
    notes = [f"{row.id} failed at step {row.step}: {visible(row.cause)}" for row in failed]
    with style():
        paths += _margin_figure(study, figures / "accuracy_against_margin", notes)
        paths += _curves_figure(study, figures / "learning_curves", notes)
    return Report(study.name, table, tuple(summary), tuple(notes), tuple(paths))


def curves_to_show(study: StudyResults) -> list[Curve]:
    """The best trial, the labelled anchors, its reference without a margin, other such trials."""
    best = study.best
    chosen: dict[str, str] = {}
    if best is not None:
        chosen[best.id] = "best: "
    for row in study.table.rows:
        if row.label and row.state is not TrialState.WAITING:
            chosen.setdefault(row.id, "")
    reference = no_margin_reference(study, best) if best else None
    if reference is not None:
        chosen.setdefault(reference.id, "")
    without_margin = [
        row
        for row in study.table.rows
        if row.state in (TrialState.FINISHED, TrialState.PRUNED)
        and objective_settings(study.configs.get(row.id, {}), row.params)["ratio"] == 0
    ]
    for row in sorted(without_margin, key=lambda row: row.id):
        chosen.setdefault(row.id, "")
    rows = {row.id: row for row in study.table.rows}
    return [
        Curve(trial, role + describe(study, rows[trial]) + _stopped(rows[trial]))
        for trial, role in list(chosen.items())[:_MOST_CURVES]
    ]


def _stopped(row: TrialRow) -> str:
    early = row.state in (TrialState.PRUNED, TrialState.FAILED)
    return f", {row.state} at step {row.step}" if early else ""


def _margin_figure(study: StudyResults, stem: Path, notes: list[str]) -> list[Path]:
    points = margin_points(study)
    if points.empty:
        notes.append("No figure against M/tau: no trial with a margin setting has ended.")
        return []
    ended = (TrialState.FINISHED, TrialState.PRUNED)
    left_out = {row.id for row in study.table.rows if row.state in ended} - set(points["trial"])
    if left_out:
        notes.append(f"Not in the figure against M/tau: {', '.join(sorted(left_out))}.")
    figure = accuracy_against_margin(
        points,
        metric=metric_label(study.metric),
        seeds=len(study.seeds),
        initial=initial_value(study),
    )
    return save(figure, stem)


def _curves_figure(study: StudyResults, stem: Path, notes: list[str]) -> list[Path]:
    evaluation = evaluation_curves(study, study.metric)
    training = training_curves(study, REWARD)
    recorded = set(pd.concat([evaluation["trial"], training["trial"]]))
    curves = [curve for curve in curves_to_show(study) if curve.trial in recorded]
    if not curves:
        notes.append("No learning curves: no trial to show has reported a value.")
        return []
    label = metric_label(study.metric)
    figure = learning_curves(
        evaluation,
        training,
        curves,
        metric=label,
        reward="training reward",
        seeds=len(study.seeds),
    )
    return save(figure, stem)


def print_report(folder: Path) -> None:
    """Write the report of `folder`, then print its table, its summary and what was written.

    Raises StudyUnreadable when the directory cannot be read.
    """
    from rich.console import Console

    report = write_report(folder)
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        # A file or a pipe has no width that the table would have to fit.
        console.width = 1000
    console.print(to_rich(report.table, report.name, console.width))
    for line in [*report.summary, *report.notes]:
        console.print(visible(line, 1000), soft_wrap=True)
    for path in report.paths:
        console.print(f"wrote {path}", soft_wrap=True)


def main() -> int:
    """The command line: status 1 when the study cannot be read."""
    parser = argparse.ArgumentParser(prog="python -m analysis.report", description=__doc__)
    parser.add_argument("folder", type=Path, help="a results directory, results/<study>")
    arguments = parser.parse_args()
    try:
        print_report(arguments.folder)
    except (StudyUnreadable, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
