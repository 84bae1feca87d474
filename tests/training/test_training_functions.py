"""Calls of a training function: what it gets, how reports are joined, and how it resumes."""

import math
import os

import pytest
from thread_world import run_threads

from conspo_study.config import FunctionConfig
from conspo_study.plugins import PluginError
from conspo_study.results.problems import read_problem_table
from conspo_study.results.rows import append_step_row, read_eval_rows, read_steps
from conspo_study.training.bars import Bars
from conspo_study.training.function import FunctionError, Trial, TrialStopped
from conspo_study.training.function.check import check_function
from conspo_study.training.function.errors import CallDied
from conspo_study.training.function.reports import Reports
from conspo_study.training.function.run import TrialOfFunction, run_function
from conspo_study.training.function.saves import newest, saving
from conspo_study.training.function.trial import Call

SEEDS = (3, 7)
CLIMB = """
import json, os, signal
from pathlib import Path

def climb(params, seed, trial):
    print("hello from", seed)
    height = 0
    if trial.resume_from:
        height = json.loads((trial.resume_from / "height.json").read_text())
    for step in range(trial.resume_step + 1, trial.steps + 1):
        height += params["pace"] * seed
        if step == params.get("dies_at") and not (trial.folder / "died").exists():
            (trial.folder / "died").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if step % 2 == 0:
            if not trial.report(step, {"height": height, "pid": os.getpid()}):
                return
            with trial.save(step) as folder:
                (folder / "height.json").write_text(json.dumps(height))
"""


class Outlet:
    """Keeps rows in a file, as a trial's folder does, and reports in a list."""

    def __init__(self, folder):
        self.rows = folder / "steps.jsonl"
        self.reports = []

    def step_rows(self, rows):
        for row in rows:
            append_step_row(self.rows, row)

    def recorded(self):
        return read_steps(self.rows)

    def report(self, step, latest):
        self.reports.append((step, {seed: dict(metrics) for seed, metrics in latest.items()}))


@pytest.fixture
def run(tmp_path, place):
    """A function that runs a trial of a training function, given as source; returns its reports."""
    folder = tmp_path / "trials" / "t0000"
    folder.mkdir(parents=True)

    def run(source, name="climb", params=None, steps=6, bars=None, together=True, world=None):
        code = place("stranger.py", source).parent
        outlet = Outlet(folder)
        config = {"function": f"stranger:{name}", "params": params or {"pace": 1}}
        trial = TrialOfFunction(
            config=FunctionConfig.model_validate({**config, "train": {"steps": steps}}),
            seeds=SEEDS,
            trial="t0000",
            label="",
            confirmation=False,
            results=folder,
            checkpoints=tmp_path / "ray" / "study-t0000",
            plugins=code,
            required=("height",),
            bars=Bars("height", "max", bars or {}),
            together=together,
        )
        run_function(trial, outlet, world, world.rank if world else 0)
        return outlet.reports

    run.folder, run.calls = folder, tmp_path / "ray" / "study-t0000"
    return run


def heights(reports):
    return [(step, {s: m["height"] for s, m in seeds.items()}) for step, seeds in reports]


WHOLE = [(2, {3: 6, 7: 14}), (4, {3: 12, 7: 28}), (6, {3: 18, 7: 42})]


@pytest.mark.parametrize("together", [True, False])
def test_every_report_holds_all_seeds_and_each_call_has_a_process_of_its_own(run, together):
    reports = run(CLIMB, together=together)
    assert heights(reports) == WHOLE
    processes = {metrics["pid"] for _, seeds in reports for metrics in seeds.values()}
    assert len(processes) == 2 and os.getpid() not in processes
    rows = read_steps(run.folder / "steps.jsonl")
    assert [(row["seed"], row["step"]) for row in rows] == [
        (seed, step) for seed in SEEDS for step in (2, 4, 6)
    ]
    assert "hello from 7" in (run.calls / "seed-7" / "output-0.txt").read_text()


def test_a_trial_below_its_bar_stops_at_that_step(run):
    reports = run(CLIMB, bars={4: 21.0})  # the mean at step 4 is 20
    assert heights(reports) == WHOLE[:2]
    assert newest(run.calls / "seed-3")[0] == 2  # nothing was trained, or saved, after the stop


def test_a_trial_at_its_bar_goes_on(run):
    assert heights(run(CLIMB, bars={4: 20.0})) == WHOLE


@pytest.mark.parametrize("together", [True, False])
def test_a_killed_call_resumes_from_its_checkpoint_and_reports_the_same(run, together):
    params = {"pace": 1, "dies_at": 5}
    for seed in SEEDS:
        died = f"seed {seed}: the process of the function was ended by SIGKILL, as the kernel does"
        with pytest.raises(CallDied, match=died):
            run(CLIMB, params=params, together=together)
    before = (run.calls / "seed-3" / "output-0.txt").read_text().count("hello")
    assert heights(run(CLIMB, params=params, together=together)) == WHOLE
    # A call that has returned is not made again.
    after = (run.calls / "seed-3" / "output-0.txt").read_text().count("hello")
    assert after - before == (1 if together else 0)


def test_seeds_with_different_checkpoints_are_joined_again(run):
    run(CLIMB, steps=4)
    for path in (run.calls / "seed-7").glob("checkpoint_*"):
        path.rename(path.with_name("set aside"))
    assert heights(run(CLIMB, steps=6)) == WHOLE


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("pass", "seed 3: the function returned without a report: call trial.report"),
        (
            "trial.report(2, {'height': 1})",
            "returned after step 2, but the study declares steps=6: .* or declare steps=2",
        ),
        (
            "trial.report(6, {'hight': 1})",
            "the report of the last step, 6, lacks height, .* it has hight",
        ),
        ("trial.report(4, {}); trial.report(4, {})", "step 4 is reported after step 4: steps must"),
        ("trial.report(8, {})", "step 8 is reported, but the study declares steps=6"),
        ("trial.report(1.5, {})", "step 1.5 is not a whole number"),
        ("trial.report(1, {'height': 'tall'})", "metric 'height' is 'tall', not a number"),
        ("trial.report(1, {'seed': 1})", "a metric cannot be called 'seed'"),
        ("trial.report(seed, {}); trial.report(6, {'height': 1})", "seed 3 step 3, seed 7 step 6"),
        (
            "with trial.save(4): pass\n    trial.report(4, {})",
            "step 4 is reported after a checkpoint of step 4: report first, then save",
        ),
        ("trial.report(4, {})\n    trial.save(2)", "a checkpoint of step 2, after the report of"),
        ("raise KeyError('no such thing')", "seed 3: KeyError: 'no such thing'"),
        ("raise SystemExit(3)", "seed 3: SystemExit: 3"),
    ],
)
def test_misuse_is_one_clear_error(run, body, message):
    source = f"def climb(params, seed, trial):\n    {body}\n"
    if "seed 7 step 6" in message:
        source = source.replace("(seed,", "(3 if seed == 3 else 6,").replace(
            "; trial.report(6", "; seed == 7 or trial.report(6"
        )
    with pytest.raises(FunctionError, match=message):
        run(source)


def test_a_failure_comes_with_its_traceback(run):
    source = "def climb(params, seed, trial):\n    return helper(seed)\n\n"
    source += "def helper(seed):\n    raise ValueError('wrong\\nin two lines')\n"
    with pytest.raises(FunctionError) as raised:
        run(source)
    assert str(raised.value) == "seed 3: ValueError: wrong\nin two lines"
    assert "in helper" in raised.value.__notes__[0] and "stranger.py" in raised.value.__notes__[0]


def test_a_full_disk_is_no_fault_of_the_function(run):
    source = "def climb(params, seed, trial):\n    raise OSError(28, 'No space left on device')\n"
    with pytest.raises(OSError, match="No space left") as raised:
        run(source)
    assert raised.value.errno == 28


def test_a_function_that_reports_on_after_the_stop_is_ended(run):
    source = "def climb(params, seed, trial):\n    for step in range(1, 7):\n"
    source += "        trial.report(step, {'height': step})\n"
    assert [step for step, _ in run(source, bars={2: 100.0})] == [1, 2]


def test_numbers_that_are_not_finite_are_an_honest_state(run):
    source = "def climb(params, seed, trial):\n"
    source += "    trial.report(3, {'height': float('nan'), 'x': 1})\n"
    source += "    trial.report(6, {'height': float('inf')})\n"
    (_, middle), (_, last) = run(source, bars={3: 1.0})
    assert math.isnan(middle[3]["height"]) and last[7]["height"] == math.inf
    rows = read_steps(run.folder / "steps.jsonl")
    assert [row["height"] for row in rows] == [None] * 4 and rows[0]["x"] == 1


def test_evaluation_rows_are_stored_and_give_metrics(run):
    source = """
def climb(params, seed, trial):
    rows = [{"problem": f"p{i}", "correct": (i + k) % 2 == 0, "set": "sums"}
            for i in range(4) for k in range(2)]
    metrics = trial.evaluation_rows(rows, step=6)
    trial.report(6, {"height": 1, **metrics})
"""
    ((_, metrics),) = run(source)
    assert metrics[3]["eval/sums/avg@2"] == 0.5 and metrics[3]["eval/sums/pass@2"] == 1.0
    rows = read_eval_rows(run.folder)
    assert len(rows) == 16 and {row.seed for row in rows} == set(SEEDS)
    assert {(row.problem_id, row.sample) for row in rows if row.verdict == "correct"} == {
        ("p0", 0), ("p1", 1), ("p2", 0), ("p3", 1),
    }  # fmt: skip


def test_texts_of_evaluation_rows_are_kept_for_reading(run):
    source = """
def climb(params, seed, trial):
    rows = [{"problem": p, "correct": True, "response": p * 5000, "prompt": f"{p}?", "gold": 7}
            for p in "ab"]
    rows.append({"problem": "c", "correct": None})
    for step in (3, 6):
        trial.report(step, {"height": 1, **trial.evaluation_rows(rows, step)})
"""
    run(source)
    rows = read_eval_rows(run.folder)
    assert {row.response and row.response[:4001] for row in rows} == {
        "a" * 4000 + "\n", "b" * 4000 + "\n", None,
    }  # fmt: skip
    assert read_problem_table(run.folder).to_pylist() == [
        {"problem_set": "eval", "problem_id": p, "prompt": f"{p}?", "gold": "7"} for p in "ab"
    ]
    assert len([*run.folder.glob("problems-*.parquet")]) == len(SEEDS), "one for each call"


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "no rows"),
        ([{"problem": "a"}], "correct"),
        ([{"problem": "a", "correct": True, "colour": 1}], "unknown field 'colour'"),
        ([{"problem": "a", "correct": True, "sample": 0}] * 2, "appears twice"),
    ],
)
def test_evaluation_rows_that_say_nothing_are_refused(tmp_path, rows, message):
    with pytest.raises(FunctionError, match=message):
        trial_in(tmp_path).evaluation_rows(rows, step=1)


def trial_in(folder, answers=(), rank=0):
    replies = iter(answers)
    call = Call(
        function="a:b",
        params={},
        seed=5,
        trial="t0001",
        label="small",
        confirmation=False,
        steps=10,
        results=str(folder / "trials" / "t0001"),
        folder=str(folder / "ray" / "x-t0001" / "seed-5"),
        rank=rank,
    )
    return Trial(call, lambda report: next(replies, True))


def test_a_trial_says_whether_to_go_on(tmp_path):
    trial = trial_in(tmp_path, [True, False])
    assert trial.go_on and trial.resume_from is None and trial.resume_step == 0
    assert trial.report(0, {}) is True
    assert trial.report(2, {"a": 1}) is False and trial.go_on is False
    with pytest.raises(TrialStopped, match="return from the function"):
        trial.report(3, {})
    last = trial_in(tmp_path)
    assert last.report(10, {}) is False  # nothing is left to train


def test_checkpoints_are_whole_or_not_there(tmp_path):
    trial = trial_in(tmp_path)
    trial.report(2, {})
    with trial.save(2) as folder:
        (folder / "inner").mkdir()
        (folder / "inner" / "weights").write_text("two")
    trial.report(4, {})
    with pytest.raises(RuntimeError, match="halfway"), trial.save(4) as folder:
        (folder / "weights").write_text("four")
        raise RuntimeError("halfway")
    again = trial_in(tmp_path)
    assert again.resume_step == 2 and (again.resume_from / "inner" / "weights").exists()
    with pytest.raises(FunctionError, match="step 2 is reported after step 2"):
        again.report(2, {})
    again.report(6, {})
    with again.save(6):
        pass
    assert [path.name for path in again.folder.glob("checkpoint_*")] == ["checkpoint_00006"]


def test_the_rest_of_a_killed_save_is_no_checkpoint(tmp_path):
    context = saving(tmp_path, 4)
    context.__enter__()
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint_00004.partial"]
    assert newest(tmp_path) is None


def test_only_the_first_of_several_processes_saves(tmp_path):
    with pytest.raises(FunctionError, match="save on rank 0 alone: this is rank 1"):
        trial_in(tmp_path, rank=1).save(1)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("train = 3", "is a int, not a function"),
        ("def train(params, seed): pass", r"\(params, seed\) cannot be called as a training"),
        ("def train(params, seed, trial, more): pass", "missing a required argument: 'more'"),
        ("def trian(params, seed, trial): pass", "has no 'train'; did you mean trian"),
        ("import nothing_like_this", "nothing_like_this"),
    ],
)
def test_a_function_is_checked_before_anything_starts(place, source, message):
    place("checked.py", source + "\n")
    with pytest.raises(PluginError, match=message):
        check_function("checked:train")


def test_a_function_with_further_defaults_is_fine(place):
    place("fine.py", "def train(params, seed, trial, verbose=False): pass\n")
    check_function("fine:train")


def test_reports_are_joined_when_all_seeds_have_them():
    reports = Reports((1, 2), 4, ["a"])
    reports.add(1, 2, {"a": 0.1})
    reports.add(1, 4, {"a": 0.2})
    assert reports.joined() is None and reports.waits_for(2) and not reports.waits_for(1)
    reports.add(2, 2, {"a": 0.3})
    assert reports.joined() == (2, {1: {"a": 0.1}, 2: {"a": 0.3}})
    assert reports.joined() is None


MEETING = """
import torch
import torch.distributed as dist

def climb(params, seed, trial):
    assert trial.workers == 2
    dist.init_process_group("gloo")
    total = torch.tensor([float(seed + trial.rank)])
    dist.all_reduce(total)
    if trial.report(3, {"height": seed - 100 * trial.rank}):
        trial.report(6, {"height": total.item()} if trial.rank == 0 else {})
    dist.destroy_process_group()
"""


def test_the_processes_of_a_call_meet_as_under_torchrun(run):
    outlets = run_threads(2, lambda world: run(MEETING, world=world, bars={3: 5.0}))
    for reports in outlets:
        assert [step for step, _ in reports] == [3, 6]
    rows = read_steps(run.folder / "steps.jsonl")  # those of rank 0
    assert [row["height"] for row in rows] == [3.0, 7.0, 7.0, 15.0]


def test_the_first_process_of_a_call_decides_whether_it_goes_on(run):
    for reports in run_threads(2, lambda world: run(MEETING, world=world, bars={3: 5.5})):
        assert [step for step, _ in reports] == [3]
