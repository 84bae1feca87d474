"""The settings reference: complete, at 80 columns, and the page of the documentation fresh."""

import re
from pathlib import Path

import pytest
from needed_settings import needed_overrides

from conspo_study.commands.command_line import main
from conspo_study.commands.settings_reference import groups
from conspo_study.config import OPTIONS, RunConfig, flatten, with_overrides

PAGE = Path(__file__).resolve().parents[2] / "docs" / "settings.md"


@pytest.fixture(autouse=True)
def narrow(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")


def shown(capsys, *words):
    assert main(["settings", *words]) == 0
    return capsys.readouterr().out


def ours():
    return [name for name, kind in OPTIONS.items() if kind.__module__.startswith("conspo_study.")]


def test_every_setting_is_in_it_with_a_text():
    paths = {setting.path for group in groups() for setting in group.settings}
    for name in ours():
        changed = {"objective.name": name, **needed_overrides(name)}
        settings = flatten(with_overrides(RunConfig(), changed))
        assert paths | {"objective.name"} >= settings.keys()
    assert all(setting.text for group in groups() for setting in group.settings)


def test_the_overview_has_a_line_for_each(capsys):
    text = shown(capsys)
    assert all(len(line) <= 80 for line in text.splitlines())
    assert re.search(r"^  group_size +int +16 +\w+", text, re.MULTILINE)
    for path in flatten(RunConfig()):
        if path != "objective.name":
            assert f"  {path.partition('.')[2]} " in text


@pytest.mark.parametrize("stage", [*RunConfig.model_fields, "objective.name=grpo"])
def test_a_stage_is_shown_in_full(stage, capsys):
    text = shown(capsys, stage)
    assert all(len(line) <= 80 for line in text.splitlines())
    flat = " ".join(text.split())
    for group in groups():
        if group.title == stage:
            assert all(setting.text in flat for setting in group.settings)


def test_a_setting_is_shown_with_what_it_takes(capsys):
    text = shown(capsys, "rollout.engine")
    assert "takes     transformers or vllm\n" in text and "default   transformers\n" in text
    (engine,) = (s for g in groups() for s in g.settings if s.path == "rollout.engine")
    assert engine.text and engine.text in " ".join(text.split())
    text = shown(capsys, "rollout.group_size")
    assert "takes     a whole number greater than or equal to 2\n" in text
    text = shown(capsys, "update.importance_cap")
    assert "takes     a number greater than 0 or null\n" in text


def test_what_objectives_have_in_common_is_told_once(capsys):
    text = shown(capsys, "objective.clip_low")
    assert "of        dapo, dr_grpo, grpo, maxrl, rloo\n" in text and "default   0.0003\n" in text


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        ("rolout", "rollout"),
        ("rollout.engin", "rollout.engine"),
        ("lr", "update.learning_rate"),
        ("objective.tua", "objective.tau"),
    ],
)
def test_an_unknown_setting_names_the_near_one(path, meant, capsys):
    assert main(["settings", path]) == 2
    assert f"unknown setting {path!r} (did you mean {meant}?)" in capsys.readouterr().err


def test_the_page_of_the_documentation_is_fresh(capsys):
    fresh = shown(capsys, "--markdown")
    assert PAGE.read_text("utf-8") == fresh, (
        "a setting has changed: run `conspo settings --markdown > docs/settings.md`"
    )
    assert all(len(line) <= 100 for line in fresh.splitlines())
