"""What is missing of a study is named by trial, and the log and the definition stand in for it."""

import json
import re
import shutil

import pytest
from study_shapes import shapes, write_shape
from unwritten_figures import drawn

from analysis.load.study import load_study
from analysis.report import write_report
from conspo_study.commands.command_line import main
from conspo_study.results.folder import read_table
from conspo_study.results.outcome import missing_lines
from conspo_study.results.rows import eval_path
from conspo_study.terminal.status import study_status

SHAPES = shapes()
DEFINITION = {"base": {"evaluation": {"every": 2}}}


@pytest.fixture
def folder(tmp_path):
    return write_shape(tmp_path / "study", SHAPES["confirmed"])


@pytest.fixture(autouse=True)
def undrawn(monkeypatch):
    monkeypatch.setattr("analysis.figures.gallery.BUILDERS", ())


def missing(folder, **options):
    return missing_lines(folder, read_table(folder), DEFINITION, **options)


@pytest.mark.parametrize("name", SHAPES)
def test_a_whole_study_lacks_nothing(tmp_path, name):
    folder = write_shape(tmp_path / "study", SHAPES[name])
    assert missing(folder, count_rows=True) == []


def test_files_that_are_gone_are_named_by_trial(folder):
    trials = folder / "trials"
    shutil.rmtree(trials / "t0000")
    (trials / "t0001" / "config.json").unlink()
    (trials / "t0001" / "steps.jsonl").unlink()
    eval_path(trials / "c0000", 5, 2).unlink()
    eval_path(trials / "c0000", 5, 4).unlink()
    rest = f" in {trials}: what the log holds is used; restore the files from a copy"
    wanted = [
        f"t0000 lacks its whole folder t0000{rest}",
        f"t0001 lacks t0001/config.json and t0001/steps.jsonl{rest}",
        f"c0000 lacks the evaluations of seed 5 at step 2, 4{rest}",
    ]
    assert missing(folder) == wanted
    assert list(study_status(folder).missing) == wanted
    said = "\n".join(study_status(folder).lines())
    assert all(f"missing    {line}" in said for line in wanted)
    assert [note for note in write_report(folder).notes if "lacks" in note] == [
        f"{line}." for line in wanted
    ]


def test_rows_that_were_deleted_are_counted_in_the_report(folder):
    steps = folder / "trials" / "t0001" / "steps.jsonl"
    steps.write_text("".join(steps.read_text("utf-8").splitlines(True)[:-3]), "utf-8")
    assert missing(folder) == []
    assert "lacks 3 of 8 rows of t0001/steps.jsonl" in missing(folder, count_rows=True)[0]
    assert any("lacks 3 of 8 rows" in note for note in write_report(folder).notes)


def test_many_gaps_are_counted(tmp_path):
    shape = SHAPES["equal values"]
    folder = write_shape(tmp_path / "study", shape)
    for own in (folder / "trials").iterdir():
        (own / "config.json").unlink()
    assert len(missing(folder)) == len(shape.runs)
    shutil.rmtree(folder / "trials")
    (line,) = missing(folder)
    assert line.startswith(f"The folders of all {len(shape.runs)} trials are gone from ")


@pytest.mark.parametrize("name", ["confirmed", "mixed space", "one varying setting, anchors"])
def test_settings_outlive_the_folders_of_trials(tmp_path, monkeypatch, name):
    monkeypatch.setattr("analysis.figures.style.save", drawn)
    folder = write_shape(tmp_path / "study", SHAPES[name])
    whole = load_study(folder)
    before = write_report(folder)
    tables = {path: path.read_bytes() for path in folder.glob("tables/*trials*.csv")}
    shutil.rmtree(folder / "trials")
    assert load_study(folder).configs == whole.configs
    after = write_report(folder)
    assert after.text_table("trials") == before.text_table("trials")
    # Intervals and what could have been detected are over seeds alone without responses.
    kept = [
        [re.split(", 95 % CI|, paired| what ", x)[0] for x in r.summary] for r in (before, after)
    ]
    assert kept[0] == kept[1]
    assert not any("over seeds and problems" in line for line in after.summary)
    assert tables == {path: path.read_bytes() for path in folder.glob("tables/*trials*.csv")}
    for command in ("status", "plan", "export"):
        assert main([command, str(folder)]) == 0


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "is gone"),
        (b"", "Expecting value"),
        (b'{"schema": 1, "name": "x"', "delimiter"),
        (b"\xff\xfe", "cannot be read"),
        (b"[]", "cannot be read"),
        (b'{"schema": 1, "name": "x", "hash": "y", "data": {}, "definition": []}', "no definition"),
        (b'{"schema": 1, "name": "x", "hash": "y", "data": {}, "definition": {}}', "no metric"),
    ],
)
def test_without_a_definition_the_status_is_told_from_the_log(tmp_path, capsys, content, why):
    folder = write_shape(tmp_path / "study", SHAPES["a failed anchor"])
    path = folder / "study.json"
    path.unlink() if content is None else path.write_bytes(content)
    assert main(["status", str(folder)]) == 0
    said = capsys.readouterr().out
    assert "trials     1 finished, 1 failed; budget 2" in said
    assert "failed     1 of 2 trials failed" in said
    (line,) = [line for line in said.splitlines() if line.startswith("missing")]
    assert why in line and "study.json" in line and "restore it from a copy" in line
    assert "\nbest" not in said, "nobody knows whether more of the metric is better"
    status = json.loads(json.dumps(study_status(folder).as_json()))
    assert status["counts"]["finished"] == 1 and status["best"] is None


DAMAGED = b'{"schema": 1, "definition": {"metric": "m", "space": [], "confirm": 1, "trials": 2}}'


@pytest.mark.parametrize("content", [None, b"{", b'{"schema": 1, "definition": {}}', DAMAGED])
def test_without_a_definition_the_report_is_of_the_log(tmp_path, monkeypatch, capsys, content):
    folder = write_shape(tmp_path / "study", SHAPES["winner confirmed, anchor failed"])
    path = folder / "study.json"
    path.unlink() if content is None else path.write_bytes(content)
    assert main(["report", str(folder)]) == 1
    printed = capsys.readouterr()
    assert str(path) in printed.err and "restore it from a copy" in printed.err
    assert "The best trial is unknown" in printed.out
    rows = (folder / "tables" / "trials.csv").read_text("utf-8").splitlines()
    assert len(rows) == 3 and "0.505" in rows[1] and "0.405" in rows[2]
    page = (folder / "report.html").read_text("utf-8")
    assert "Selection: unknown" in page and "uses the log alone" in page


def test_a_folder_without_definition_and_log_is_no_study(tmp_path, capsys):
    (tmp_path / "trials").mkdir()
    assert main(["status", str(tmp_path)]) == 2
    assert "is not a results directory" in capsys.readouterr().err
