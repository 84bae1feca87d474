"""Objectives from outside of the package: as documented, as functions, registered, installed."""

import re
from pathlib import Path

import pytest
from objective_batches import random_batch

from conspo_study.config import (
    ConfigError,
    ObjectiveOptions,
    RunConfig,
    parse_config,
    register_options,
    with_overrides,
)
from conspo_study.config.objectives import OPTIONS, module_of_objective
from conspo_study.objective import Progress, objective_named, objective_of, register
from conspo_study.objective.trial_step import try_objective
from conspo_study.plugins import PluginError, load

PAGE = Path(__file__).resolve().parents[2] / "docs/objectives.md"
START = Progress(step=0, steps=1)
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
    return ObjectiveOutput(batch.logprobs_T.sum(), {})
'''
ODD = """
import torch
from conspo_study.config import ObjectiveOptions
from conspo_study.objective import ObjectiveOutput
from conspo_study.objective import mean_of

def plain(batch, options, progress): return ObjectiveOutput(2 * batch.logprobs_T.sum(), {})
def two(batch, options): ...
def no_output(batch, options, progress): return batch.logprobs_T.sum()
def vector(batch, options, progress): return ObjectiveOutput(batch.logprobs_T, {})
def constant(batch, options, progress): return ObjectiveOutput(torch.tensor(1.0), {})
def infinite(batch, options, progress): return ObjectiveOutput(batch.logprobs_T.sum() / 0, {})
def number(batch, options, progress): return ObjectiveOutput(batch.logprobs_T.sum(), {"x": 1.0})
def fails(batch, options, progress): return batch.lengths
class NoLoss(ObjectiveOptions): ...
class NoOptions: ...
text = "text"
"""


def documented(place):
    """The module that the documentation's python block makes."""
    block, *_ = re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    place("gap_hinge.py", block)
    return "gap_hinge:GapHinge"


def test_the_documented_objective_is_selected_by_its_import_path_and_computes(place):
    name = documented(place)
    config = parse_config({"objective": {"name": name, "target_gap": 0.7}})
    assert config.model_dump(mode="json")["objective"] == {"name": name, "target_gap": 0.7}
    assert parse_config(config.model_dump(mode="json")) == config
    batch = random_batch("single tokens")
    output = objective_named(name)(batch, config.objective, START)
    a, b, c, d = batch.logprobs_T.tolist()
    expected = (max(0, 0.7 - (a - b)) + max(0, 0.7 - (d - c))) / 2
    assert output.loss.item() == pytest.approx(expected)
    assert output.metrics["short_of_target"].value == ((a - b < 0.7) + (d - c < 0.7)) / 2
    assert module_of_objective(name) == "gap_hinge"
    try_objective(config.objective)


def test_its_settings_are_checked_like_any_other(place):
    name = documented(place)
    with pytest.raises(ConfigError, match=r"objective\.target_gap"):
        parse_config({"objective": {"name": name, "target_gap": -1}})
    with pytest.raises(ConfigError, match=r"objective\.target_gp: .*did you mean"):
        with_overrides(RunConfig(), {"objective.name": name, "objective.target_gp": 1})


def test_a_class_or_function_stands_for_its_path(place):
    name = documented(place)
    assert with_overrides(RunConfig(), {"objective.name": load(name)}).objective.name == name
    place("odd.py", ODD)
    config = with_overrides(RunConfig(), {"objective.name": load("odd:plain")})
    assert config.objective.name == "odd:plain"
    batch = random_batch("single tokens")
    output = objective_of(type(config.objective))(batch, config.objective, START)
    assert output.loss.item() == pytest.approx(2 * batch.logprobs_T.sum().item())


def test_a_registered_objective_has_its_name_and_a_path(place):
    place("registered.py", REGISTERED)
    module = __import__("registered")
    batch = random_batch("single tokens")
    for name in ("registered_hinge", "registered:registered_hinge", "registered:Options"):
        config = parse_config({"objective": {"name": name}})
        assert objective_named(name)(batch, config.objective, START).loss
        assert module_of_objective(name) == "registered"
    with pytest.raises(ValueError, match="'registered_hinge' is already registered"):
        register_options(module.Options)
    with pytest.raises(ValueError, match="'registered_hinge' is already registered"):
        register(module.Options)(module.registered_hinge)


def test_an_installed_package_gives_an_objective_its_name(place):
    name = documented(place)
    place("gaps-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: gaps\nVersion: 1\n")
    entry = f"[conspo_study.objectives]\ninstalled_hinge = {name}\n"
    place("gaps-1.0.dist-info/entry_points.txt", entry)
    config = parse_config({"objective": {"name": "installed_hinge", "target_gap": 0.7}})
    assert config.objective.name == "installed_hinge"
    assert module_of_objective("installed_hinge") == "gap_hinge"
    try_objective(config.objective)


def test_our_own_are_of_no_module_outside():
    names = [name for name, options in OPTIONS.items() if "conspo_study" in options.__module__]
    assert "conspo" in names and len(names) == 18
    assert {module_of_objective(name) for name in names} == {None}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("two", r"cannot be called like an objective, with \(batch, options, progress\)"),
        ("no_output", "returns a Tensor, where an ObjectiveOutput is needed"),
        ("vector", "loss that is no scalar"),
        ("constant", "does not depend on batch.logprobs_T"),
        ("infinite", "not finite"),
        ("number", "returns the metric x as a float, where parts are needed"),
        ("fails", r"AttributeError: .*'lengths'.* \(.*odd\.py, line 14\)"),
        ("NoLoss", r"give it a method loss\(self, batch, progress\), or register"),
        ("NoOptions", "is a class, but not of options"),
        ("text", "is a str: an objective is a function"),
    ],
)
def test_what_is_no_objective_is_refused_by_a_small_step(place, name, said):
    place("odd.py", ODD)
    with pytest.raises((ConfigError, PluginError), match=said):
        try_objective(parse_config({"objective": {"name": f"odd:{name}"}}).objective)


def test_a_subclass_may_change_the_loss_of_an_objective_or_only_its_defaults(place):
    place(
        "sub.py",
        "from conspo_study.config import GRPOOptions\n"
        "from conspo_study.objective import ObjectiveOutput\n"
        "class Wide(GRPOOptions):\n    clip_high: float = 0.5\n"
        "class Own(GRPOOptions):\n"
        "    def loss(self, batch, progress): return ObjectiveOutput(batch.logprobs_T.sum(), {})\n",
    )
    batch = random_batch("single tokens")
    wide = parse_config({"objective": {"name": "sub:Wide"}}).objective
    assert (wide.name, wide.clip_high, wide.contrast) == ("sub:Wide", 0.5, "rewards")
    grpo = OPTIONS["grpo"](clip_high=0.5)
    here, there = (objective_of(type(one))(batch, one, START).loss for one in (wide, grpo))
    assert here.item() == there.item()
    own = parse_config({"objective": {"name": "sub:Own"}}).objective
    loss = objective_of(type(own))(batch, own, START).loss
    assert loss.item() == batch.logprobs_T.sum().item()


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"cispo, conspo, .*did you mean conspo\?"):
        objective_named("conspoo")


def test_the_page_documents_every_objective_with_every_option_and_default():
    sections = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", PAGE.read_text(), re.DOTALL | re.M))
    for name, options in OPTIONS.items():
        if not options.__module__.startswith("conspo_study."):
            continue
        text = sections[f"`{name}`"] + sections["Advantages and ratios"]
        for field, info in options.model_fields.items():
            if field not in ObjectiveOptions.model_fields:
                shown = "required" if info.is_required() else _shown(info.default)
                assert f"| `{field}` | {shown} |" in text, f"{name}.{field}"


def _shown(default):
    if isinstance(default, str):
        return f"`{default}`"
    return "none" if default is None else f"{default:g}"
