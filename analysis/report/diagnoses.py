"""Prints what went wrong in the trials of a study: `conspo doctor results/STUDY`."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path

from analysis.findings.diagnoses import (
    advice_lines,
    diagnoses,
    diagnoses_frame,
    diagnoses_table,
)
from analysis.load.study import StudyUnreadable, load_study
from analysis.load.text import visible
from analysis.report.terminal import plain_console
from analysis.tables.text_table import to_rich
from conspo_study.text import counted, speak_plainly


def print_diagnoses(folder: Path, trials: Collection[str] = (), *, as_json: bool = False) -> None:
    """Print the findings of a study's trials, and what usually helps.

    trials: ids of those to examine; all by default. as_json: print the rows of `diagnoses_frame`
    as one JSON list instead. Raises StudyUnreadable for a study that cannot be read, ValueError for
    a trial that it does not have.
    """
    speak_plainly()
    study = load_study(folder, log_alone=True)
    rows = study.table.all_rows
    if unknown := [trial for trial in trials if trial not in {row.id for row in rows}]:
        raise ValueError(f"{folder} has no trial {', '.join(unknown)}: conspo status names them")
    if study.digest is not None:
        raise StudyUnreadable(f"{folder} is a digest, without the training steps of its trials")
    chosen = [row for row in rows if not trials or row.id in trials]
    found = diagnoses(study, chosen)
    if as_json:
        print(json.dumps(diagnoses_frame(found).to_dict("records"), indent=1))
        return
    console = plain_console()
    unwrapped = not console.is_terminal
    if found:
        console.print(to_rich(diagnoses_table(found), "findings", console.width))
    for line in advice_lines(found):
        console.print(visible(line, 1000), soft_wrap=unwrapped)
    well = len(chosen) - len(found)
    console.print(f"{counted(len(chosen), 'trial')} examined: {well} without findings.")
