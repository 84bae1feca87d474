"""`conspo plan` and `--dry-run`: what differs from the preset first, all settings when asked."""

import shutil
from pathlib import Path

import pytest
from study_fixtures import definition

from conspo_study.commands.command_line import main
from conspo_study.commands.plan_text import changes, in_words, nearest_preset
from conspo_study.config import with_overrides
from conspo_study.definition import Anchor
from conspo_study.definition.presets import PRESETS
from conspo_study.definition.space import Choice, Range, When

FROZEN = Path(__file__).resolve().parents[1] / "assets" / "results_v2"
SWEEP = ["margin_sweep", "--preset", "quick"]


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("CONSPO_STUDY_CHECKPOINTS_GIB", "1")


def plan(capsys, *words):
    status = main(["plan", *words])
    return status, capsys.readouterr()


def test_what_differs_comes_first_then_the_summary(capsys):
    status, shown = plan(capsys, *SWEEP, "--set", "rollout.group_size=8")
    assert status == 0
    lines = shown.out.splitlines()
    assert lines[:5] == [
        "study               margin_sweep, by eval/chain/hard/avg@2",
        "question            Does a margin act, and at which temperature?",
        "preset              quick, with",
        "                    rollout.group_size = 8  (preset: 4)",
        "searched            objective.tau: 0.1, 0.3 or 1",
    ]
    assert "32 = prompts_per_step x group_size" in shown.out.split("\n\n")[1]
    assert "update.learning_rate" not in shown.out
    assert [line for line in lines if len(line) > 80] == []


def test_nothing_differs_from_a_preset_that_is_used_as_it_is(capsys):
    assert "preset              quick as it is\n" in plan(capsys, *SWEEP)[1].out


def test_every_setting_is_shown_when_asked(capsys):
    shown = plan(capsys, *SWEEP, "--set", "rollout.group_size=8", "--all")[1].out
    for line in ("update.learning_rate = 0.0003\n", "rollout.group_size = 8  (preset: 4)\n"):
        assert f"                    {line}" in shown
    assert "sampler             name=tpe, startup_trials=4\n" in shown


def test_a_dry_run_is_the_same(capsys):
    shown = plan(capsys, *SWEEP)[1].out
    assert main(["run", *SWEEP, "--dry-run"]) == 0
    assert capsys.readouterr().out == shown


def test_a_study_that_has_begun_is_planned_as_it_is(tmp_path, capsys):
    folder = Path(shutil.copytree(FROZEN, tmp_path / "results" / "margin_sweep"))
    shown = plan(capsys, "results/margin_sweep")[1].out
    assert "study               two-aims" in shown and "preset" in shown
    status, shown = plan(capsys, str(folder), "--trials", "9", "--no-confirm")
    assert status == 2 and "leave out --trials" in shown.err
    assert plan(capsys, str(folder), "--no-confirm")[1].err.rstrip().endswith("--no-confirm")


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("margin_swep", "(did you mean margin_sweep?)"),
        ("results/two", "there is no such folder; studies near it: results/two-aims"),
        ("mine.py", "there is no study file mine.py"),
        ("empty", "it has no study.json"),
    ],
)
def test_what_is_neither_study_nor_file_nor_folder_names_the_near_ones(
    word, message, tmp_path, capsys
):
    shutil.copytree(FROZEN, tmp_path / "results" / "two-aims")
    (tmp_path / "empty").mkdir()
    status, shown = plan(capsys, word)
    assert status == 2 and message in shown.err


def test_a_default_of_the_study_that_another_objective_lacks_is_not_blamed(capsys):
    status, shown = plan(capsys, "margin_sweep", "--set", "objective.name=grpo")
    assert status == 2
    assert "margin_unit" not in shown.err
    assert "objective.tau, objective.margin" in shown.err
    assert "leave objective.name as it is, or choose another study" in shown.err
    assert plan(capsys, "baselines", "--set", "objective.name=grpo", "--preset", "quick")[0] == 0
    assert plan(capsys, "parameter_study", "--set", "objective.name=grpo")[0] == 2


def test_a_definition_names_the_preset_that_it_is_nearest_to():
    for name, preset in PRESETS.items():
        near = nearest_preset(with_overrides(preset, {"train.steps": 7}))
        assert PRESETS[near] == preset or near == name


def test_dimensions_in_words():
    when = When(path="objective.schedule", values=("cosine",))
    assert in_words(Choice(values=(True, None), when=when)) == (
        "true or null; where objective.schedule is cosine"
    )
    text = in_words(Range(low=0.1, high=3, log=True, integer=True))
    assert text == "0.1 to 3, whole numbers, on a logarithmic scale"


def test_changes_of_an_objective_that_the_preset_does_not_have():
    base = with_overrides(PRESETS["quick"], {"objective.name": "grpo"})
    study = definition(base=base, space={}, anchors=(Anchor(label="a", params={}),), trials=1)
    assert changes(study, "quick")["objective.clip_low"] == (0.2, "has no such setting")
