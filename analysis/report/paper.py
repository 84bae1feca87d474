"""The paper's tables as published, and beside our studies, as Markdown, CSV and LaTeX files.

conspo paper tables                                # Tables 1 to 6 and 9
conspo paper tables results/baselines              # ours, and beside Table 1
conspo paper tables results/ablation --table 6 --confirmed
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from analysis.findings.measured import Trial, labelled, measured
from analysis.findings.method_differences import (
    differences_table,
    method_differences,
    paired_text,
)
from analysis.findings.method_family import methods_family, of_accuracy
from analysis.findings.paper_tables import TABLES, measured_table, published_table, side_by_side
from analysis.load.published import BASE
from analysis.load.study import load_study
from analysis.load.text import markdown_text
from analysis.tables.paper_formats import write_paper_table
from analysis.tables.text_table import to_markdown
from conspo_study.files import write_atomic
from conspo_study.statistics.family import study_family


def write_published_tables(folder: Path) -> list[Path]:
    """Write all tables as published."""
    return [
        path
        for number in TABLES
        for path in write_paper_table(published_table(number), folder / f"table_{number}")
    ]


def write_method_tables(
    trials: Sequence[Trial],
    stem: Path,
    *,
    number: int = 1,
    metric: str = "avg",
    reference: str | None = None,
) -> list[Path]:
    """Write a table of our methods with intervals, and one of their paired differences.

    stem: their path without an ending; `-differences` is added for the second, which needs two
    methods. number: of the paper's table whose order of methods is used. reference: the method that
    the others are compared with, instead of what `methods_family` gives. Raises as `measured`, and
    ValueError for a reference that has no scores.
    """
    ours = measured(trials, metric)
    paths = write_paper_table(measured_table(ours, number, intervals=True), stem)
    methods = [name for name in ours.scores if name != BASE]
    if reference is not None and reference not in methods:
        raise ValueError(f"no scores of {reference!r}; known methods: {', '.join(methods)}")
    family = of_accuracy(
        methods_family(trials)
        if reference is None
        else study_family(methods, {"reference": reference})
    )
    table = differences_table(method_differences(ours.scores, family), family.correction.author)
    if table.rows:
        paths.append(stem.with_name(f"{stem.name}-differences.md"))
        text = f"{markdown_text(paired_text(family), 2000)}\n\n{to_markdown(table)}"
        write_atomic(paths[-1], text.encode())
    return paths


def write_paper(
    out: Path,
    folders: Sequence[Path],
    *,
    number: int = 1,
    model: str | None = None,
    metric: str = "avg",
    reference: str | None = None,
    confirmed: bool = False,
) -> list[Path]:
    """Write the tables as published or, given studies, the published table `number` beside what
    they measured; returns what was written.

    Raises StudyUnreadable or ValueError for studies that cannot be read or share no table.
    """
    studies = [load_study(folder) for folder in folders]
    trials = [
        trial
        for study in studies
        for trial in labelled(study, study.table.confirmations if confirmed else None)
    ]
    out.mkdir(parents=True, exist_ok=True)
    if not studies:
        return write_published_tables(out)
    if not trials:
        kind = "confirmations" if confirmed else "labelled trials"
        raise ValueError(f"{', '.join(study.name for study in studies)}: there are no {kind}")
    beside = side_by_side(measured(trials, metric, best=True), number, model)
    paths = write_method_tables(
        trials, out / "ours", number=number, metric=metric, reference=reference
    )
    return paths + write_paper_table(beside, out / f"table_{number}_and_ours")
