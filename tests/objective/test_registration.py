"""An objective from outside the package, as the documentation shows it."""

import importlib.util
import re
from pathlib import Path

import pytest
from objective.batches import random_batch

from conspo_study.config import ObjectiveOptions, parse_config, register_options
from conspo_study.config.objectives import OPTIONS
from conspo_study.objective import Progress, objective_named, register, registry

PAGE = Path(__file__).resolve().parents[2] / "docs/objectives.md"
START = Progress(step=0, steps=1)


@pytest.fixture
def documented(tmp_path):
    """The module that the documentation's python block makes; forgotten again afterwards."""
    (block,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    path = tmp_path / "gap_hinge.py"
    path.write_text(block)
    spec = importlib.util.spec_from_file_location("gap_hinge", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    OPTIONS.pop("gap_hinge")
    registry._OBJECTIVES.pop(module.GapHingeOptions)


def test_the_documented_objective_is_selected_by_a_configuration_and_computes(documented):
    config = parse_config({"objective": {"name": "gap_hinge", "target_gap": 0.7}})
    batch = random_batch("single tokens")
    output = objective_named("gap_hinge")(batch, config.objective, START)
    a, b, c, d = batch.logprobs_T.tolist()
    expected = (max(0, 0.7 - (a - b)) + max(0, 0.7 - (d - c))) / 2
    assert output.loss.item() == pytest.approx(expected)
    assert output.metrics["short_of_target"].value == ((a - b < 0.7) + (d - c < 0.7)) / 2


def test_a_name_is_given_once(documented):
    with pytest.raises(ValueError, match="'gap_hinge' is already registered"):
        register_options(documented.GapHingeOptions)
    with pytest.raises(ValueError, match="'gap_hinge' is already registered"):
        register(documented.GapHingeOptions)(documented.gap_hinge)


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError, match="cispo, conspo, conspo_clipped_ratio"):
        objective_named("conspoo")


def test_the_page_documents_every_objective_with_every_option_and_default():
    sections = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", PAGE.read_text(), re.DOTALL | re.M))
    for name, options in OPTIONS.items():
        text = sections[f"`{name}`"] + sections["Advantages and ratios"]
        for field, info in options.model_fields.items():
            if field not in ObjectiveOptions.model_fields:
                assert f"| `{field}` | {_shown(info.default)} |" in text, f"{name}.{field}"


def _shown(default):
    if isinstance(default, str):
        return f"`{default}`"
    return "none" if default is None else f"{default:g}"
