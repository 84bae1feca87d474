"""Findings of the doctor in the trials of a study, as a table and in sentences."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis.load.study import StudyResults, StudyUnreadable
from analysis.load.text import visible
from analysis.tables.text_table import TextTable
from conspo_study.doctor import COLLAPSED, MARGIN, Finding, examine, metrics_of
from conspo_study.results.table import TrialRow
from conspo_study.text import counted


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The findings of one trial."""

    trial: TrialRow
    findings: tuple[Finding, ...]
    """The earliest first; at least one."""


def diagnoses(study: StudyResults, rows: Sequence[TrialRow] | None = None) -> list[Diagnosis]:
    """The trials in which something went wrong, in their order.

    rows: those that are examined; by default the search's, then confirmations. Raises
    StudyUnreadable naming a damaged line of `steps.jsonl`.
    """
    chosen = study.table.all_rows if rows is None else rows
    found = [Diagnosis(row, _findings(study, row)) for row in chosen]
    return [one for one in found if one.findings]


def diagnoses_of_readable(
    study: StudyResults, rows: Sequence[TrialRow]
) -> tuple[list[Diagnosis], list[str]]:
    """As `diagnoses`, of the trials whose rows can be read, and why others cannot."""
    found, unread = [], []
    for row in rows:
        try:
            found += diagnoses(study, [row])
        except StudyUnreadable as error:
            unread.append(str(error))
    return found, unread


def _findings(study: StudyResults, row: TrialRow) -> tuple[Finding, ...]:
    rows: defaultdict[int, list[dict[str, Any]]] = defaultdict(list)
    for step in study.step_rows(row.id):
        rows[int(step["seed"])].append(step)
    seeds = {seed: metrics_of(steps) for seed, steps in rows.items()}
    return examine(row, seeds, study.configs.get(row.id, {}), study.metric, study.direction)


def diagnoses_frame(found: Sequence[Diagnosis]) -> pd.DataFrame:
    """One row per trial, finding and seed: trial, label, finding, seed, step, evidence."""
    records = [
        {
            "trial": one.trial.id,
            "label": one.trial.label,
            "finding": finding.name,
            "seed": seed,
            "step": symptom.step,
            "evidence": symptom.evidence,
        }
        for one in found
        for finding in one.findings
        for seed, symptom in finding.symptoms.items()
    ]
    columns = ["trial", "label", "finding", "seed", "step", "evidence"]
    return pd.DataFrame(records, columns=columns)


def diagnoses_table(found: Sequence[Diagnosis]) -> TextTable:
    """One row per trial and finding, with the evidence of the seed in which it set in first."""
    rows = []
    for one in found:
        for finding in one.findings:
            seed, symptom = finding.first
            evidence = visible(f"seed {seed}: {symptom.evidence}", 200)
            head = (one.trial.id, visible(one.trial.label), finding.name, finding.seeds)
            rows.append((*head, str(symptom.step), evidence))
    return TextTable(("trial", "label", "finding", "seeds", "from step", "evidence"), tuple(rows))


def advice_lines(found: Sequence[Diagnosis]) -> list[str]:
    """For each kind of finding, in how many trials it is and what usually helps."""
    by_name: dict[str, list[Finding]] = {}
    for one in found:
        for finding in one.findings:
            by_name.setdefault(finding.name, []).append(finding)
    return [
        f"{name[0].upper()}{name[1:]}, in {counted(len(having), 'trial')}: what usually helps is "
        f"{having[0].advice}."
        for name, having in by_name.items()
    ]


def before_collapse(study: StudyResults, row: TrialRow) -> str:
    """What set in first in the seeds of a trial that collapsed, before they did, as `reward fall
    from step 14`; empty where nothing is known of it."""
    try:
        findings = _findings(study, row)
    except StudyUnreadable:
        return ""  # the table of findings tells it
    ends = next((one.symptoms for one in findings if one.name == COLLAPSED), {})
    signs = [
        (symptom.step, one.name)
        for one in findings
        if one.name not in (COLLAPSED, MARGIN)
        for seed, symptom in one.symptoms.items()
        if seed in ends and symptom.step <= ends[seed].step
    ]
    return f"{min(signs)[1]} from step {min(signs)[0]}" if signs else ""
