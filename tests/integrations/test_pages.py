"""The pages on verl, SkyRL and wrong ways say what their subjects know."""

import ast
import re
import shlex
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = ROOT / "docs" / "integrations"
ROW = re.compile(r"^\| (.+?) \| ([\d.]+) % \| ([\d.]+) \| ([\d.]+) % \| ([\d.]+) \|$", re.MULTILINE)


def blocks(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```", (PAGES / page).read_text(), re.M | re.S)


@pytest.mark.integrations
def test_what_is_typed_for_verl_is_a_configuration_that_is_followed():
    """Parsed by hydra onto verl's own configuration, and every check of a batch passed."""
    pytest.importorskip("verl")
    from hydra import compose, initialize_config_dir

    from conspo_study.integrations.foreign_batch import refuse
    from conspo_study.integrations.verl.trainer_settings import WHERE, TrainerSettings

    (command,) = [text for text in blocks("verl.md", "bash") if "main_ppo" in text]
    overrides = [word for word in shlex.split(command) if "=" in word]
    assert len(overrides) == 11
    import verl

    folder = Path(verl.__file__).parent / "trainer" / "config"
    with initialize_config_dir(str(folder), version_base=None):
        config = compose("ppo_trainer", overrides)
    settings = TrainerSettings(config.algorithm)
    assert settings.drop_in.objective.tau == 10
    refuse(settings.refusals(rows=128 * 8), settings.drop_in, WHERE)
    assert settings.updates(rows=128 * 8) == 1
    (permission,) = re.findall(
        r"'(\+algorithm\.conspo\.allow=.*?)'", (PAGES / "verl.md").read_text()
    )
    with initialize_config_dir(str(folder), version_base=None):
        config = compose("ppo_trainer", [*overrides, permission])
    assert TrainerSettings(config.algorithm).drop_in.allow == {"several_updates", "other_terms"}


def test_the_permissions_are_those_that_exist():
    from conspo_study.integrations.foreign_batch import PERMISSIONS

    page = (PAGES / "verl.md").read_text()
    assert {name for name in re.findall(r"`(\w+)`", page) if name in PERMISSIONS} == set(
        PERMISSIONS
    )


def test_slimes_settings_are_read():
    import yaml

    from conspo_study.integrations.foreign_batch import DropIn

    (text,) = blocks("slime.md", "yaml")
    assert DropIn.of(yaml.safe_load(text)["conspo"], "conspo").objective.margin == 0.01


def test_skyrls_file_is_python_and_passes_what_the_function_takes():
    import inspect

    from conspo_study.integrations.foreign_batch import DropIn
    from conspo_study.integrations.skyrl import skyrl_advantages

    (text,) = blocks("skyrl.md", "python")
    tree = ast.parse(text)
    (call,) = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "skyrl_advantages"
    ]
    assert [keyword.arg for keyword in call.keywords] == ["objective"]
    inspect.signature(skyrl_advantages).bind("data", "cfg", 1, 2, objective={})
    (objective,) = [
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and node.targets[0].id == "OBJECTIVE"
    ]
    assert DropIn.of(objective, "objective").objective.name == "conspo"


def test_every_wrong_way_is_on_the_page(monkeypatch):
    pytest.importorskip("transformers")
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import wrong_conspo

    rows = {row[0] for row in ROW.findall((PAGES / "five_ways_to_get_conspo_wrong.md").read_text())}
    later = {
        f"update {update} with the first one's credits, Adam {rate:g}"
        for update in range(2, wrong_conspo.UPDATES + 1)
        for rate in wrong_conspo.LEARNING_RATES
    }
    assert rows == wrong_conspo.WAYS.keys() | later
    for module in ("wrong_conspo", "harness", "step_job"):
        sys.modules.pop(module, None)
