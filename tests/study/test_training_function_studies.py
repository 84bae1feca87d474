"""Real studies of training functions: searched, raced, confirmed, killed, resumed and reported."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from studies_under_fire import (
    LIMIT_S,
    ROOT,
    assert_no_process_outlives,
    python,
    table_of,
    wait_for,
)

from conspo_study.commands.command_line import main
from conspo_study.records import EventKind, TrialState
from conspo_study.results.log import read_log
from conspo_study.tracking.feed import Feed

pytestmark = [pytest.mark.slow, pytest.mark.ray]

CLIMB = '''
"""A function that climbs faster with a larger pace, and can be killed anywhere."""
import json, random, time
from conspo_study import Anchor, Choice, Study, main

def climb(params, seed, trial):
    height = 0.0
    if trial.resume_from:
        height = json.loads((trial.resume_from / "height.json").read_text())
    with (trial.folder / "starts.txt").open("a") as file:
        print(trial.resume_step, file=file)
    if params["pace"] == 0:
        raise RuntimeError("cannot climb\\nat pace 0")
    for step in range(trial.resume_step + 1, trial.steps + 1):
        time.sleep(0.1)
        height += params["pace"] * (1 + 0.01 * random.Random(f"{seed} {step}").random())
        rows = [{"problem": str(i), "correct": i < height} for i in range(10)]
        scores = trial.evaluation_rows(rows, step) if step == trial.steps else {}
        if not trial.report(step, {"height": height, **scores}):
            return
        with trial.save(step) as folder:
            (folder / "height.json").write_text(json.dumps(height))

def build():
    return Study(
        name="climb", train=climb, steps=6, metric="height", params={"unit": "m"},
        space={"pace": Choice(values=(0.5, 0.25, 0))},
        anchors=(Anchor(label="fast", params={"pace": 1}), Anchor(label="slow", params={"pace": 0.75})),
        trials=5, seeds=2, lag=0, confirm=2,
    )

if __name__ == "__main__":
    raise SystemExit(main(build, __doc__))
'''  # noqa: E501
WITHOUT = re.compile(r"\b(tau|margin|rollout|policy|prompt|GRPO|ConSPO)", re.IGNORECASE)
"""Words that say nothing of a study of a function."""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with the studies, and an environment by which their processes are found."""
    place = tmp_path_factory.mktemp("functions")
    (place / "climb.py").write_text(CLIMB)
    page = (ROOT / "docs" / "training_functions.md").read_text()
    (source,) = re.findall(r"```python\n(\"\"\"Which.*?)^```$", page, re.DOTALL | re.MULTILINE)
    (place / "classifier.py").write_text(source)
    environment = {**os.environ, "CONSPO_STUDY_CACHE": str(place / "cache")}
    return place, environment | {"PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""}


@pytest.fixture(scope="module")
def climbed(place):
    """The results of the study, undisturbed."""
    process = python(place, "climb.py", "--name", "whole")
    assert process.returncode == 0, process.stdout + process.stderr
    assert process.stderr == ""
    return place[0] / "results" / "whole", process


def what_happened(folder):
    return {
        row.id: (
            row.label,
            row.of,
            row.params,
            row.seeds,
            row.bars,
            row.state,
            row.step,
            row.values,
        )
        for row in table_of(folder).all_rows
    }


def test_a_function_is_searched_raced_and_confirmed(climbed):
    rows = {row.id: row for row in table_of(climbed[0]).all_rows}
    by_pace = {row.params["pace"]: row for row in rows.values() if not row.of}
    assert by_pace.keys() == {1, 0.75, 0.5, 0.25, 0}
    for pace in (1, 0.75):
        assert by_pace[pace].state is TrialState.FINISHED and by_pace[pace].step == 6
        assert by_pace[pace].value == pytest.approx(6 * pace, rel=0.02)
    for pace in (0.5, 0.25):
        row = by_pace[pace]
        assert row.state is TrialState.PRUNED and row.step == 3 and 3 in row.bars
        assert row.value == pytest.approx(3 * pace, rel=0.02)
    seeds = {row.seeds for row in rows.values() if not row.of}
    again = [row for row in rows.values() if row.of]
    assert len(seeds) == 1 and len(again) == 2
    assert all(row.state is TrialState.FINISHED for row in again)
    assert not {seed for row in again for seed in row.seeds} & set(*seeds)


def test_an_error_of_one_seed_fails_its_trial_with_its_traceback(climbed):
    (row,) = [row for row in table_of(climbed[0]).rows if row.params["pace"] == 0]
    assert row.state is TrialState.FAILED and not row.machine
    assert row.cause == f"seed {row.seeds[0]}: RuntimeError: cannot climb\nat pace 0"
    text = (climbed[0] / "trials" / row.id / "failure.txt").read_text()
    assert text.startswith(row.cause) and "in climb" in text and "plugins/climb.py" in text


def test_the_report_speaks_of_the_function_alone(climbed):
    folder, process = climbed
    assert "Confirmed on fresh seeds: t0000 (fast): height" in process.stdout
    for name in ("trials", "confirmation", "methods", "methods-confirmed"):
        text = (folder / "tables" / f"{name}.md").read_text()
        assert not WITHOUT.search(text), WITHOUT.search(text)
    assert "eval" in (folder / "tables" / "methods-confirmed.md").read_text()
    page = (folder / "report.html").read_text()
    assert "they are about the built-in training, and this study ran a training function" in page
    assert "lacks" not in process.stdout
    assert {path.stem for path in (folder / "figures").glob("*.png")} >= {
        "learning_curves",
        "history",
        "methods",
    }


@pytest.mark.parametrize(
    ("verb", "options", "expected"),
    [
        ("status", (), "2 finished, 2 pruned, 1 failed; budget 5"),
        ("report", (), "report.html"),
        ("export", (), "optuna.sqlite3: 5 trials"),
        ("plan", ("--trust-code",), "unknown for a training function"),
        ("track", ("--to", "tensorboard"), ""),
        ("compare", ("OTHER",), "whether they are the same is not known"),
        ("resume", ("--trust-code",), "Nothing to do"),
    ],
)
def test_the_commands_work_on_its_results(
    climbed, tmp_path, monkeypatch, capsys, verb, options, expected
):
    folder = climbed[0]
    monkeypatch.chdir(folder.parents[1])
    monkeypatch.syspath_prepend(str(folder.parents[1]))
    if options == ("OTHER",):
        options = (str(shutil.copytree(folder, tmp_path / "other")),)
    assert main([verb, str(folder), *options]) == 0
    shown = capsys.readouterr()
    assert expected in shown.out and shown.err == ""
    sys.modules.pop("climb", None)


def test_a_tracker_has_the_points_of_each_seed(climbed):
    feed = Feed(climbed[0])
    runs = {(one.run.trial, one.run.seed): one for one in feed.news()}
    row = table_of(climbed[0]).row("t0000")
    one = runs["t0000", row.seeds[0]]
    assert [point.step for point in one.points] == [1, 2, 3, 4, 5, 6]
    assert one.run.metric == "train/height" and one.run.searched == ("pace",)
    assert one.points[-1].metrics["train/height"] == row.values[row.seeds[0]]
    assert one.ending.value == row.values[row.seeds[0]]


def test_the_page_shows_it(climbed):
    from conspo_study.watch.study_view import StudyView

    view = StudyView(climbed[0])
    assert view.study(0, 0)["best"] == "t0000"
    assert view.trial("t0000")["config"]["function"] == "climb:climb"
    assert view.curves("height", 50, 0, 0)["curves"]["t0000"]["steps"] == [1, 2, 3, 4, 5, 6]
    curves = view.trial_curves("t0001", 50, -1)["curves"]
    assert curves["height"]["steps"] == [1, 2, 3, 4, 5, 6]


def test_a_killed_driver_is_followed_by_the_next_to_the_same_result(climbed, place):
    folder, environment = place[0] / "results" / "killed", place[1]
    driver = subprocess.Popen(
        [sys.executable, "climb.py", "--name", "killed"],
        cwd=place[0],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def reported():
        if not (folder / "log.jsonl").exists():
            return False
        events = [logged.event for logged in read_log(folder / "log.jsonl")]
        steps = [e.data["step"] for e in events if e.kind is EventKind.REPORTED]
        return max(steps, default=0) >= 3

    wait_for(reported, LIMIT_S, "a report of step 3")
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    time.sleep(1)
    assert not table_of(folder).finished
    refused = python(place, "-m", "conspo_study", "resume", str(folder))
    assert refused.returncode == 2
    assert "would run code that its study.json names: the module climb" in refused.stderr
    resumed = python(place, "-m", "conspo_study", "resume", str(folder), "--trust-code")
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    assert what_happened(folder) == what_happened(climbed[0])
    starts = [
        [int(line) for line in path.read_text().split()]
        for path in folder.glob("ray/killed-t000[01]/seed-*/starts.txt")
    ]
    assert any(len(steps) > 1 and steps[-1] >= 1 for steps in starts), starts
    assert_no_process_outlives(environment)


def test_the_documented_function_runs_and_is_reported(place):
    result = python(place, "classifier.py", "--trials", "3", "--seeds", "1,2", "--no-confirm")
    assert result.returncode == 0, result.stdout + result.stderr
    rows = table_of(place[0] / "results" / "classifier").rows
    assert [row.label for row in rows] == ["usual", "", ""]
    assert all(row.state is TrialState.FINISHED and 0.6 < row.value <= 1 for row in rows)
    assert json.loads((Path(place[0]) / "results/classifier/study.json").read_text())["modules"]
