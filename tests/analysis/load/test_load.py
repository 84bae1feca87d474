"""A results directory loads whole, or is refused with the reason; old ones keep loading."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from analysis.load.study import StudyUnreadable, load_studies, load_study
from analysis.report.loaded import load
from analysis.report.writing import write_report
from conspo_study.records import EventKind, ProblemRow, TrialEvent, TrialState
from conspo_study.results import whole_lines
from conspo_study.results.log import ResultsLog
from conspo_study.results.problems import problems_path, write_problems
from conspo_study.results.rows import (
    eval_path,
    read_eval_rows,
    read_eval_table,
    write_eval_rows,
)

pytestmark = pytest.mark.usefixtures("few_figures", "unwritten")

FROZEN = Path(__file__).parents[2] / "assets" / "results_v1"


@pytest.fixture
def frozen(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FROZEN, tmp_path / "results_v1"))


def test_the_frozen_results_directory_keeps_loading() -> None:
    study = load_study(FROZEN)
    assert (study.name, study.metric, study.seeds) == (
        "margin-sweep",
        "eval/chain/hard/avg@8",
        (0, 1),
    )
    assert [row.state for row in study.table.rows] == [
        TrialState.FINISHED,
        TrialState.FINISHED,
        TrialState.PRUNED,
        TrialState.FAILED,
        TrialState.WAITING,
    ]
    paper = study.table.rows[0]
    assert (paper.label, paper.step, paper.steps, paper.wall_s) == ("paper", 4, 4, 42.5)
    assert study.best is study.table.rows[1]
    assert study.best.value == pytest.approx(0.75535, abs=1e-5)
    assert study.steps.shape == (22, 6)
    assert study.evaluations.shape == (54, 10)
    assert study.evaluated_steps("t0000") == {0, 2, 4}
    assert study.configs["t0000"]["objective"]["tau"] == 10.0
    assert study.snapshot["python"] == "3.11.7"


def test_the_frozen_results_directory_can_still_be_reported(frozen: Path) -> None:
    written = [path.name for path in write_report(frozen).paths]
    assert {"trials.md", "trials.csv", "trials.tex", "learning_curves.png"} <= set(written)


def test_a_repeated_step_counts_once(frozen: Path) -> None:
    before = load_study(frozen).steps
    path = frozen / "trials" / "t0000" / "steps.jsonl"
    path.write_text(path.read_text() * 2)
    assert load_study(frozen).steps.equals(before)


def test_a_log_that_is_being_written_loads_up_to_its_last_whole_line(frozen: Path) -> None:
    whole = len(load_study(frozen).events)
    with (frozen / "log.jsonl").open("ab") as file:
        file.write(b'{"seq":')
    assert len(load_study(frozen).events) == whole


@pytest.mark.parametrize(
    ("folder", "why"), [("nowhere", "there is no such folder"), (".", r"it has no study\.json")]
)
def test_a_folder_without_a_study_is_refused(tmp_path: Path, folder: str, why: str) -> None:
    with pytest.raises(StudyUnreadable, match=f"not a results directory: {why}"):
        load_study(tmp_path / folder)


@pytest.mark.parametrize("damage", ["missing", "empty"])
def test_a_study_without_events_is_refused(frozen: Path, damage: str) -> None:
    (frozen / "log.jsonl").unlink() if damage == "missing" else (frozen / "log.jsonl").write_text(
        ""
    )
    with pytest.raises(StudyUnreadable, match="no events yet"):
        load_study(frozen)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": None}, "schema None, this version reads 1"),
        ({"schema": 2}, "schema 2, this version reads 1.* or a newer one"),
        ({"definition": {}}, "its definition has no metric"),
        ({"definition": []}, "it holds no definition"),
        ({"hash": "other"}, "restore the study.json"),
    ],
)
def test_an_unfitting_definition_is_refused(
    frozen: Path, change: dict[str, object], message: str
) -> None:
    path = frozen / "study.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(StudyUnreadable, match=message):
        load_study(frozen)


@pytest.mark.parametrize("content", ["", "[1]", "{", "\udc80", "[" * 100_000])
@pytest.mark.parametrize("name", ["study.json", "snapshot.json", "trials/t0000/config.json"])
def test_a_damaged_json_file_is_named(frozen: Path, name: str, content: str) -> None:
    (frozen / name).write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(
        StudyUnreadable,
        match=rf"{Path(name).name} (is not|cannot be read).* restore it from a copy",
    ):
        load_study(frozen)


def test_a_damaged_log_is_refused_by_line(frozen: Path) -> None:
    path = frozen / "log.jsonl"
    path.write_text(path.read_text().replace("0.18", "0.81", 1))
    with pytest.raises(StudyUnreadable, match=r"log\.jsonl: line \d+ is damaged"):
        load_study(frozen)


def test_a_damaged_row_file_is_named_when_it_is_needed(frozen: Path) -> None:
    (frozen / "trials" / "t0000" / "steps.jsonl").write_text("{}\n")
    (frozen / "trials" / "t0001" / "eval-0-00000.parquet").write_bytes(b"PAR1")
    study = load_study(frozen)
    with pytest.raises(StudyUnreadable, match=r"steps\.jsonl: line 1"):
        _ = study.steps
    with pytest.raises(StudyUnreadable, match=r"eval-0-00000\.parquet"):
        _ = study.evaluations


def test_analysis_needs_neither_torch_nor_ray() -> None:
    code = (
        "import sys, analysis.report;"
        "heavy = {'torch', 'ray', 'transformers', 'optuna', 'pydantic'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_reading_a_study_needs_no_drawing_library() -> None:
    code = (
        "import sys, analysis.load.study, analysis.tables.text_table;"
        "assert 'matplotlib' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seeds": [0, 7]}, r"seeds \[0, 7\], not \[0, 1\]"),
        ({"tau": 3.0}, r"objective\.tau 3\.0, not 10\.0"),
    ],
)
def test_files_of_another_trial_are_refused(
    frozen: Path, change: dict[str, object], message: str
) -> None:
    path = frozen / "trials" / "t0000" / "config.json"
    written = json.loads(path.read_text())
    if "tau" in change:
        written["config"]["objective"]["tau"] = change["tau"]
    else:
        written |= change
    path.write_text(json.dumps(written))
    with pytest.raises(StudyUnreadable, match=f"not of the trial .* t0000: it has {message}"):
        load_study(frozen)


@pytest.mark.parametrize("changes", [[], ["trials: 4 there, 8 here"]])
def test_a_second_definition_is_refused_unless_it_was_accepted(
    frozen: Path, changes: list[str]
) -> None:
    study = json.loads((frozen / "study.json").read_text())
    with ResultsLog(frozen / "log.jsonl") as log:
        data = {"hash": "other", "resumed": True, "changes": changes}
        log.append(TrialEvent(EventKind.STUDY_STARTED, data=data))
    (frozen / "study.json").write_text(json.dumps({**study, "hash": "other"}))
    if changes:
        assert load_study(frozen).table.changes == tuple(changes)
    else:
        with pytest.raises(StudyUnreadable, match="logs of two studies were joined"):
            load_study(frozen)


def test_a_study_is_not_loaded_twice(frozen: Path) -> None:
    with pytest.raises(StudyUnreadable, match="named twice"):
        load_studies([frozen, frozen / "trials" / ".."])


def test_columns_and_steps_of_evaluations_are_read_alone(frozen: Path) -> None:
    study = load_study(frozen)
    whole = study.evaluations
    part = study.evaluations_of(["t0000"], ["seed", "verdict"], {4})
    assert list(part) == ["seed", "verdict", "trial"]
    expected = whole.query("trial == 't0000' and step == 4")[["seed", "verdict", "trial"]]
    pd.testing.assert_frame_equal(part, expected.reset_index(drop=True))
    assert study.evaluations_of([]).empty and study.evaluations_of(["t0000"], steps={3}).empty
    with pytest.raises(StudyUnreadable, match="no column colour"):
        study.evaluations_of(["t0000"], ["colour"])


def test_evaluations_are_those_that_were_written(frozen: Path) -> None:
    study = load_study(frozen)
    written = read_eval_table(study.trial_folder("t0001")).to_pandas().assign(trial="t0001")
    written = written.drop(columns=["reward", "vote", "response"])  # no row of this study has them
    pd.testing.assert_frame_equal(study.evaluations_of(["t0001"]), written)


def test_a_field_that_some_files_lack_is_null_there(frozen: Path) -> None:
    study = load_study(frozen)
    folder = study.trial_folder("t0000")
    rows = [row for row in read_eval_rows(folder) if (row.seed, row.step) == (0, 4)]
    write_eval_rows(eval_path(folder, 0, 4), [replace(row, vote=row.sample) for row in rows])
    whole = study.evaluations_of(["t0000", "t0001"])
    assert list(whole)[-2:] == ["vote", "trial"]
    has = (whole["trial"] == "t0000") & (whole["seed"] == 0) & (whole["step"] == 4)
    assert whole.loc[has, "vote"].tolist() == [row.sample for row in rows]
    assert whole.loc[~has, "vote"].isna().all() and (~has).any()
    part = study.evaluations_of(["t0001"], ["vote", "reward", "seed"])
    assert list(part) == ["vote", "reward", "seed", "trial"] and part["vote"].isna().all()


def test_responses_come_with_text_prompt_and_gold_where_they_are_stored(frozen: Path) -> None:
    study = load(frozen)
    assert study.responses[["response", "prompt", "gold"]].isna().all(axis=None)
    assert len(study.responses) == len(study.evaluations)
    folder = study.trial_folder("t0000")
    rows = [row for row in read_eval_rows(folder) if (row.seed, row.step) == (0, 4)]
    write_eval_rows(eval_path(folder, 0, 4), [replace(row, response="<b>") for row in rows])
    asked = ProblemRow(rows[0].problem_set, rows[0].problem_id, "1 + 1?", "2")
    write_problems(problems_path(folder), [asked])
    study = load(frozen)
    found = study.responses
    pd.testing.assert_frame_equal(
        found.drop(columns=["response", "prompt", "gold"]).dropna(axis=1), study.evaluations
    )
    has = (found["trial"] == "t0000") & (found["seed"] == 0) & (found["step"] == 4)
    assert (found.loc[has, "response"] == "<b>").all() and found.loc[~has, "response"].isna().all()
    of = (found["trial"] == "t0000") & (found["problem_set"] == asked.problem_set)
    of &= found["problem_id"] == asked.problem_id
    assert (found.loc[of, ["prompt", "gold"]] == ["1 + 1?", "2"]).all(axis=None)
    assert of.any() and found.loc[~of, ["prompt", "gold"]].isna().all(axis=None)
    (folder / "problems.parquet").write_bytes(b"PAR1 nonsense")
    with pytest.raises(StudyUnreadable, match=r"problems\.parquet is not readable"):
        _ = load(frozen).responses


def test_rows_of_another_version_are_refused(frozen: Path) -> None:
    path = frozen / "trials" / "t0000" / "eval-0-00004.parquet"
    table = pq.read_table(path)
    pq.write_table(table.replace_schema_metadata({"conspo_eval": "2"}), path)
    with pytest.raises(StudyUnreadable, match="columns of evaluation rows, version 1"):
        _ = load_study(frozen).evaluations


def test_one_metric_of_the_reports_is_what_all_of_them_hold(frozen: Path) -> None:
    study = load_study(frozen)
    expected = study.reports.query("metric == @study.metric").drop(columns="metric")
    pd.testing.assert_frame_equal(study.reported(study.metric), expected.reset_index(drop=True))
    assert study.reported("no such metric").empty


def test_a_report_is_parsed_again_once_for_all_of_its_metrics(
    frozen: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed, parse = [], whole_lines.parse_strict
    monkeypatch.setattr(
        whole_lines, "parse_strict", lambda line: parsed.append(line) or parse(line)
    )
    study = load_study(frozen)
    assert parsed == [], "loading has parsed each line already, to check it"
    searched = {row.id for row in study.table.rows}
    reports = [
        one.event
        for one in study.events
        if one.event.kind is EventKind.REPORTED and one.event.trial in searched
    ]
    assert len(study.reports) > 2 * len(reports) == 2 * len(parsed) > 0
