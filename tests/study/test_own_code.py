"""A stranger's hour: own objectives, rewards, data, prompt and model in real studies, as the
documentation shows them, from a folder that is not this repository."""

import json
import os
import re
from pathlib import Path

import pytest
from studies_under_fire import ROOT, python

from conspo_study.data.arithmetic import CHAIN
from conspo_study.results.log import read_log
from conspo_study.results.rows import read_steps
from conspo_study.results.table import build_table

pytestmark = [pytest.mark.slow, pytest.mark.ray]

STUDY = '''
"""A study with objectives from everywhere."""
from conspo_study.commands.script import main
from conspo_study.config import ObjectiveOptions
from conspo_study.definition import Anchor
from conspo_study.objective import ObjectiveOutput
from conspo_study.records import Mean
from conspo_study.study import Study

class Contrast(ObjectiveOptions):
    """The difference of mean scores."""
    scale: float = 1.0
    """Of the loss."""
    def loss(self, batch, progress):
        right_Q, wrong_Q = batch.group_means(batch.rollout_mean(batch.logprobs_T))
        loss = -self.scale * (right_Q - wrong_Q).sum() / batch.totals.groups
        return ObjectiveOutput(loss, {"from_copy": Mean("/out/own/plugins/" in __file__, 1)})

def build(base):
    tested = {"reward.name": "my_rewards:passes_tests", "reward.deadline_s": 30.0}
    anchors = {
        "documented": {"objective.name": "gap_hinge:GapHinge", "objective.target_gap": 0.7},
        "of the script": {"objective.name": "my_study:Contrast", "objective.scale": 0.5},
        "registered": {"objective.name": "registered_hinge"},
        "installed": {"objective.name": "installed_hinge"},
        "rewarded by tests": {"objective.name": "grpo", **tested},
    }
    return Study(
        name="own", base=base, plugins=("registered",), trials=len(anchors), seeds=(0,),
        anchors=tuple(Anchor(label=label, params=params) for label, params in anchors.items()),
        metric="eval/held/avg@2", early_stopping=None,
    )

if __name__ == "__main__":
    raise SystemExit(main(build, __doc__))
'''
REGISTERED = '''
from typing import Literal
from conspo_study.config import ObjectiveOptions, register_options
from conspo_study.objective import ObjectiveOutput, register

@register_options
class Options(ObjectiveOptions):
    """Options."""
    name: Literal["registered_hinge"] = "registered_hinge"
    """Name."""

@register(Options)
def registered_hinge(batch, options, progress):
    right_Q, wrong_Q = batch.group_means(batch.rollout_mean(batch.logprobs_T))
    return ObjectiveOutput((wrong_Q - right_Q).exp().sum() / batch.totals.groups, {})
'''
FAILING = """
from conspo_study.commands.script import main
from conspo_study.definition import Anchor
from conspo_study.objective import ObjectiveOutput
from conspo_study.study import Study

def late(batch, options, progress):
    if progress.step == 2:
        raise KeyError("a bug of the third step\\nwith a second line")
    return ObjectiveOutput(batch.logprobs_T.sum() / batch.totals.tokens, {})

def build(base):
    anchor = Anchor(label="late", params={"objective.name": "failing:late"})
    return Study(name="failing", base=base, anchors=(anchor,), trials=1, seeds=(0,),
                 metric=base.evaluation.main_metric, early_stopping=None)

if __name__ == "__main__":
    raise SystemExit(main(build, __doc__))
"""


def documented(page, number=0):
    """A python block of a page of the documentation."""
    text = (ROOT / "docs" / page).read_text()
    return re.findall(r"```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)[number]


def rows(problems):
    return "".join(
        json.dumps({"id": p.id, "problem": p.text, "answer": p.answer, "tests": tests}) + "\n"
        for p in problems
        for tests in [["assert True", f"assert {p.answer} > 20"]]
    )


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A stranger's folder: code, data, a prompt, a model, and a folder of installed packages."""
    from conspo_study.config import PolicyConfig
    from conspo_study.training.prepare import prepare_policy

    place = tmp_path_factory.mktemp("stranger")
    site = place.parent / "site"
    files = {
        "my_study.py": STUDY,
        "gap_hinge.py": documented("objectives.md"),
        "my_rewards.py": documented("rewards.md"),
        "registered.py": REGISTERED,
        "failing.py": FAILING,
        "prompt.txt": "{problem}\n",
        "problems/train.jsonl": rows(CHAIN.training_problem(3, i) for i in range(40)),
        "problems/held-dev.jsonl": rows(CHAIN.evaluation_problems("hard", "dev", 8)),
        "problems/held-test.jsonl": rows(CHAIN.evaluation_problems("hard", "test", 8)),
        "../site/installed_gap/__init__.py": documented("objectives.md"),
        "../site/installed_gap-1.0.dist-info/METADATA": "Name: installed-gap\nVersion: 1.0\n",
        "../site/installed_gap-1.0.dist-info/entry_points.txt": (
            "[conspo_study.objectives]\ninstalled_hinge = installed_gap:GapHinge\n"
        ),
    }
    for name, text in files.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(text)
    (place / "models").mkdir()
    (place / "models" / "mine").symlink_to(prepare_policy(PolicyConfig()))
    return place, {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(site)])}


@pytest.fixture(scope="module")
def ran(place):
    done = python(
        place,
        *("my_study.py", "--preset", "quick", "--results", "out"),
        *("--set", "policy.model=models/mine", "--set", "data.template=prompt.txt"),
        *("--set", "evaluation.reward=math"),
        *("--set", "data.train=mine=problems/train.jsonl"),
        *("--set", 'evaluation.sets=["held=problems/held-{split}.jsonl"]'),
        *("--set", 'reward.extra={"my_rewards:is_formatted": 0.2, "my_rewards:is_short": 0.05}'),
    )
    return place[0] / "out" / "own", done


def test_everything_a_stranger_brought_works_in_a_real_study_to_its_report(ran):
    folder, done = ran
    assert done.returncode == 0, done.stdout + done.stderr
    table = build_table(read_log(folder / "log.jsonl"))
    assert [row.state.value for row in table.rows] == ["finished"] * 5, [
        r.cause for r in table.rows
    ]
    report = (folder / "report.html").read_text()
    for word in ("documented", "of the script", "rewarded by tests", "gap_hinge:GapHinge", "held"):
        assert word in report
    assert "problems/held" not in (folder / "tables" / "trials.md").read_text()


def test_own_metrics_and_graded_rewards_are_logged(ran):
    folder, _ = ran
    steps = {i: read_steps(folder / f"trials/t{i:04d}/steps.jsonl") for i in range(5)}
    assert any("short_of_target" in row for row in steps[0])
    assert all("correct_fraction" in row for row in steps[0])
    assert {row["from_copy"] for row in steps[1] if "from_copy" in row} == {1.0}
    assert any(row["reward"] not in (0.0, 1.0) for row in steps[4])
    # Rewards that differ give GRPO groups that verdicts would not.
    assert any(row["valid_fraction"] > 0 for row in steps[4])


def test_the_code_is_copied_hashed_and_recorded(ran):
    folder, _ = ran
    copied = {p.name for p in (folder / "plugins").rglob("*.py")}
    assert {"my_study.py", "gap_hinge.py", "my_rewards.py", "registered.py"} <= copied
    stored = json.loads((folder / "study.json").read_text())
    files = stored["code"]["files"]
    assert {"plugin gap_hinge.py", "plugin installed_gap/__init__.py"} <= files.keys()
    assert stored["definition"]["plugins"] == ["registered"]
    assert stored["definition"]["base"]["data"]["train"] == "mine=problems/train.jsonl"
    assert stored["started_in"] == "../.."


def test_results_are_read_without_the_code_and_what_needs_it_says_so(ran, place, tmp_path):
    folder, _ = ran
    bare = {"PYTHONPATH": str(ROOT)}
    for command in (["-m", "conspo_study", "status"], ["-m", "conspo_study", "report"]):
        done = python(place, *command, str(folder), cwd=tmp_path, **bare)
        assert done.returncode == 0, done.stderr
        assert "not found here: to resume it, bring the code back" in done.stdout
    resumed = ["-m", "conspo_study", "resume", str(folder)]
    done = python(place, *resumed, cwd=tmp_path, **bare)
    assert done.returncode == 2
    assert "not found here" in done.stderr and str(folder.parents[1]) in done.stderr
    where = os.pathsep.join([place[1]["PYTHONPATH"], str(folder.parents[1])])
    done = python(place, *resumed, cwd=tmp_path, PYTHONPATH=where)
    assert done.returncode == 2 and "would run code that its study.json names" in done.stderr
    done = python(place, *resumed, "--trust-code", cwd=tmp_path, PYTHONPATH=where)
    assert done.returncode == 0 and "Nothing to do" in done.stdout, done.stderr


def test_other_code_is_a_change_that_is_named(ran, place):
    folder, _ = ran
    path = place[0] / "gap_hinge.py"
    before = path.read_text()
    extend = ["-m", "conspo_study", "extend", str(folder), "--trials", "6", "--trust-code"]
    path.write_text(before.replace("0.5", "0.25"))
    try:
        done = python(place, *extend)
    finally:
        path.write_text(before)
    assert done.returncode == 2
    assert "plugin gap_hinge.py" in done.stderr or "space is empty" in done.stderr, done.stderr


def test_a_bug_in_the_third_step_is_told_whole_and_the_study_says_that_nothing_finished(
    place, shared_ray
):
    done = python(place, "failing.py", "--preset", "quick", "--results", "out", **shared_ray)
    folder = place[0] / "out" / "failing"
    assert done.returncode == 1, done.stdout + done.stderr
    (row,) = build_table(read_log(folder / "log.jsonl")).rows
    assert row.cause.startswith("the same error twice: KeyError") and "second line" in row.cause
    told = (folder / "trials/t0000/failure.txt").read_text()
    assert told.startswith(row.cause) and "failing.py" in told and "in late" in told
    said = " ".join(done.stdout.split())
    assert "No trial finished: 1 failed" in said and "failure.txt" in said
    status = python(place, "-m", "conspo_study", "status", str(folder)).stdout
    assert "KeyError" in status
    assert Path(folder / "report.html").exists()
