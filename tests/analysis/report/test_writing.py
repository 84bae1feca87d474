"""A report can be written at any stage of a study, and claims no more than its seeds support."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from analysis.findings.summary import no_margin_reference, summary_lines
from analysis.load.study import load_study
from analysis.report.writing import write_report, write_reports
from conspo_study.commands.command_line import main
from conspo_study.records import TrialEvent
from conspo_study.results.log import ResultsLog, read_log
from conspo_study.terminal.status import study_status

pytestmark = pytest.mark.usefixtures("few_figures")

Make = Callable[..., Path]


TRIALS = [f"tables/trials.{ending}" for ending in ("md", "csv", "tex")]
METHODS = [f"tables/methods.{ending}" for ending in ("md", "csv", "tex")]
FIGURES = [
    f"figures/{name}.{ending}"
    for name in ("accuracy_against_margin", "learning_curves")
    for ending in ("pdf", "svg", "png")
]


def test_the_report_of_a_full_study_has_tables_and_figures(full_study: Path) -> None:
    report = write_report(full_study)
    written = [str(path.relative_to(full_study)) for path in report.paths]
    assert written[:6] == [*TRIALS, *METHODS] and set(FIGURES) <= set(written)
    assert (
        "t0015 failed at step 20: diverged: gradient not finite at step 20 | loss = nan"
        in report.notes
    )
    for path in report.paths:
        magic = {
            ".pdf": b"%PDF",
            ".png": b"\x89PNG",
            ".svg": b"<?xml",
            ".tex": b"% Needs \\use",
        }.get(path.suffix, b"")
        assert path.read_bytes().startswith(magic) and path.stat().st_size > 100
    assert (full_study / "report.html").is_file() and (full_study / "manifest.json").is_file()


def test_a_report_in_the_studys_folder_leaves_its_verdict_there(
    make_study: Make, trial: Any, tmp_path: Path
) -> None:
    study = make_study([trial(1.0, 1.0), trial(1.0, 0.0, schedule="off")])
    write_report(study, tmp_path / "elsewhere")
    assert study_status(study).verdict == ""
    report = write_report(study)
    assert study_status(study).verdict == report.verdict != ""


@pytest.mark.usefixtures("unwritten")
def test_several_studies_share_a_folder_a_page_and_a_table(
    tmp_path: Path, make_study: Make, trial: Any
) -> None:
    first = make_study([trial(1.0, 1.0, label="margin")])
    second = shutil.copytree(first, tmp_path / "second")
    relabel(second, "margin", "other")
    written = write_reports([first, second], tmp_path / "out")
    assert [report.study.name for report in written.studies] == ["margin-sweep"] * 2
    page = (tmp_path / "out" / "report.html").read_text()
    assert 'id="study-margin-sweep"' in page and 'id="study-margin-sweep-2"' in page
    joint = (tmp_path / "out" / "tables" / "methods.md").read_text()
    assert "| margin |" in joint and "| other |" in joint
    assert (tmp_path / "out" / "margin-sweep-2" / "figures" / "learning_curves.pdf").is_file()
    assert not (second / "report.html").exists()


@pytest.mark.usefixtures("unwritten")
def test_methods_on_different_problems_are_not_put_in_one_table(
    tmp_path: Path, make_study: Make, trial: Any
) -> None:
    first = make_study([trial(1.0, 1.0, label="margin")])
    second = shutil.copytree(first, tmp_path / "second")
    relabel(second, "margin", "other")
    for folder, content in ((first, "aa"), (second, "bb")):
        write_field(folder, data={"chain/hard": content})
    written = write_reports([first, second], tmp_path / "out")
    assert written.notes == (
        "No table methods: margin-sweep and margin-sweep have different problems in chain/hard.",
    )
    assert not (tmp_path / "out" / "tables" / "methods.md").exists()


def relabel(folder: Path, old: str, new: str) -> None:
    """Rewrite the log with another label; checksums are made anew."""
    events = read_log(folder / "log.jsonl")
    (folder / "log.jsonl").unlink()
    with ResultsLog(folder / "log.jsonl") as log:
        for logged in events:
            data = dict(logged.event.data)
            if data.get("label") == old:
                data["label"] = new
            log.append(TrialEvent(logged.event.kind, logged.event.trial, data))


def write_field(folder: Path, **fields: Any) -> None:
    path = folder / "study.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def test_the_same_study_gives_the_same_files(make_study: Make, trial: Any) -> None:
    study = make_study([trial(1.0, 0.0, schedule="off"), trial(1.0, 1.0)])
    extra = [study / "report.html", study / "manifest.json"]
    first = [path.read_bytes() for path in [*write_report(study).paths, *extra]]
    assert [path.read_bytes() for path in [*write_report(study).paths, *extra]] == first


def test_two_seeds_support_no_claim(full_study: Path) -> None:
    lines = summary_lines(load_study(full_study))
    assert lines[0] == "16 trials: 13 finished, 2 pruned, 1 failed."
    assert lines[1].startswith("Best trial: t0012 (tau 1, M/tau 20, cosine, alpha 0.3): ")
    assert "± " in lines[1] and "n = 2 seeds" in lines[1]
    assert lines[2].startswith("Baseline without a margin: t0009 (tau 1, no margin)")
    assert "seed 0" in lines[3] and "seed 1" in lines[3]
    assert lines[4].startswith("2 seeds do not support a claim")


def test_three_seeds_give_an_interval_and_a_warning(make_study: Make, trial: Any) -> None:
    study = make_study([trial(0.3, 0.0, schedule="off"), trial(0.3, 20.0)], seeds=[0, 1, 2])
    lines = summary_lines(load_study(study))
    assert lines[-1].startswith("95 % CI of the difference over 3 seeds: [")
    assert "run both again on fresh seeds" in lines[-1]


def test_the_reference_shares_tau_before_anything_else(full_study: Path) -> None:
    study = load_study(full_study)
    rows = {row.id: row for row in study.table.rows}
    found = {trial: no_margin_reference(study, rows[trial]) for trial in ("t0007", "t0011")}
    assert {trial: row and row.id for trial, row in found.items()} == {
        "t0007": "t0005",
        "t0011": "t0009",
    }
    pruned_tau = no_margin_reference(study, rows["t0003"])
    assert pruned_tau is not None and pruned_tau.id == "t0005", "the nearest tau that finished"


def test_a_best_trial_without_a_margin_is_said_to_be_one(make_study: Make, trial: Any) -> None:
    study = make_study([trial(1.0, 0.0, schedule="off"), trial(0.1, 1.0)])
    assert summary_lines(load_study(study))[-1] == "The best trial uses no margin."


@pytest.mark.parametrize(
    ("ends", "seeds", "figures", "says"),
    [
        ([], [0, 1], 0, "0 trials: none yet."),
        (["waiting"], [0, 1], 0, "1 trial: 1 waiting."),
        (["running"], [0], 0, "There is no best trial"),
        (["failed", "failed"], [0, 1], 0, "2 trials: 2 failed."),
        (["pruned", "pruned"], [0, 1], 3, "There is no best trial"),
        (["finished"], [0], 3, "There is no finished trial without a margin"),
    ],
)
def test_a_report_survives_whatever_is_missing(
    make_study: Make, trial: Any, ends: list[str], seeds: list[int], figures: int, says: str
) -> None:
    study = make_study([trial(1.0, 5.0, end=end) for end in ends], seeds=seeds)
    report = write_report(study)
    assert says in " ".join(report.summary)
    drawn = {str(path.relative_to(study)) for path in report.paths}
    assert len(drawn & set(FIGURES)) == figures and set(TRIALS) <= drawn
    assert report.skipped if figures < 4 else True
    page = re.sub(r'base64,[^"]*', "", (study / "report.html").read_text())
    assert "nan" not in re.sub("= nan|[Pp]rovenance|isNaN|NaN", "", page) and "None" not in page
    assert "nan" not in (study / "tables" / "trials.md").read_text().replace("= nan", "")


def test_labels_and_causes_are_escaped_in_the_written_files(make_study: Make, trial: Any) -> None:
    study = make_study([trial(1.0, 5.0, label="=a|b $x$ <b>\x1b[31m")])
    write_report(study)
    markdown = (study / "tables" / "trials.md").read_text()
    assert "<b>" not in markdown and "\x1b" not in markdown and r"a\|b" in markdown
    assert "'=a|b" in (study / "tables" / "trials.csv").read_text()


def test_many_taus_fall_back_to_a_continuous_scale(make_study: Make, trial: Any) -> None:
    study = make_study(
        [trial(1.0, 1.0, params={"objective.tau": 0.1 * 1.3**index}) for index in range(9)],
        seeds=[0],
    )
    written = {str(path.relative_to(study)) for path in write_report(study).paths}
    assert set(FIGURES) <= written


def test_the_command_prints_the_table_and_the_paths(make_study: Make, trial: Any) -> None:
    study = make_study([trial(1.0, 5.0, end="failed")])
    command = [sys.executable, "-m", "conspo_study", "report", str(study)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "t0000" in done.stdout and "trials.md|csv|tex" in done.stdout and done.stderr == ""


def test_the_command_says_why_it_cannot_read_a_study(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ") and "not a results directory" in said


def test_several_studies_need_a_folder_for_their_report(
    make_study: Make, trial: Any, capsys: Any
) -> None:
    study = str(make_study([trial(1.0, 5.0)]))
    assert main(["report", study, study]) == 2
    assert "add --out FOLDER" in capsys.readouterr().err
    assert (
        main(["report", study, study, "--out", f"{study}/both"]) == 2
        and "named twice" in capsys.readouterr().err
    )
