"""Angles between temperatures and margins, told before a study runs."""

import importlib.util
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from study_fixtures import MARGIN, SCHEDULE, TAU, definition

from conspo_study.config import with_overrides
from conspo_study.definition import Anchor
from conspo_study.definition.presets import QUICK
from conspo_study.definition.space import Choice, Range
from conspo_study.forecast.credit_direction import LINEAR, Setting, angle, credits, direction_lines
from conspo_study.objective import GroupBatch
from conspo_study.objective.conspo import score_credits

STUDIES = Path(__file__).parents[2] / "studies"
SIXTEEN = with_overrides(QUICK, {"rollout.group_size": 16, "objective.margin_unit": "score"})


def shipped(name, base=QUICK):
    spec = importlib.util.spec_from_file_location(name, STUDIES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, name)(base)


@pytest.mark.parametrize("setting", [Setting(0.03, 0.0), Setting(1.0, 0.4), Setting(10.0, 200.0)])
@pytest.mark.parametrize("size", [2, 5, 16])
def test_the_credits_are_the_objectives_own(setting, size):
    (values, factor), right = credits(setting, size), size - size // 2
    z = torch.distributions.Normal(0.0, 0.28)
    places = [(k + 0.5) / n for n in (right, size // 2) for k in range(n)]
    scores = z.icdf(torch.tensor(places, dtype=torch.float64))
    scores[:right] += 0.56
    correct = [True] * right + [False] * (size // 2)
    batch = GroupBatch.of(scores, scores, [1] * size, [size], correct)
    values = [value * math.exp(factor) for value in values]
    assert values == pytest.approx(score_credits(batch, scores, *setting).tolist(), rel=1e-6)


@pytest.mark.parametrize(("size", "tau"), [(2, 5e-4), (4, 1e-4), (6, 1e-5)])
def test_credits_that_are_too_small_for_numbers_have_a_direction(size, tau):
    """The hardest pair has all of the credit: one correct and one wrong rollout of n."""
    one_pair = math.degrees(math.acos(1 / math.sqrt(size / 2)))
    assert angle(Setting(tau, 0.0), LINEAR, size) == pytest.approx(one_pair, abs=1e-3)


def test_angles_grow_as_the_temperature_falls():
    angles = [angle(Setting(tau, 0.0), LINEAR, 16) for tau in (30, 10, 3, 1, 0.3, 0.1, 0.03)]
    assert angles == pytest.approx([0.35, 1.05, 3.5, 10.5, 32.5, 58.0, 64.3], rel=0.01)
    x, y = (np.array(credits(Setting(0.3, margin), 16)[0]) for margin in (0.0, 6.0))
    cosine = x @ y / np.linalg.norm(x) / np.linalg.norm(y)
    turned = angle(Setting(0.3, 0.0), Setting(0.3, 6.0), 16)
    assert turned == pytest.approx(math.degrees(math.acos(cosine))) == pytest.approx(10.1, abs=0.1)


def test_settings_that_are_all_alike_are_named_as_that():
    space = {TAU: Choice(values=(10.0, 30.0)), MARGIN: Choice(values=(0.0, 0.01, 1.0))}
    head, last = direction_lines(definition(base=SIXTEEN, space=space, anchors=()))
    assert "(8 right and 8 wrong rollouts whose scores have sd 0.28 and a gap of 0.56" in head
    assert "an assumption" in head
    assert head.endswith("tau 30: 0.35; tau 30, M 0.01: 0.35; tau 30, M 1: 0.35")
    assert last == (
        "all 6 settings lie within 0.7 degrees of each other: they will behave alike, and there is "
        "nothing to be found between them. Try smaller temperatures"
    )


def test_some_settings_that_are_alike():
    space = {
        TAU: Range(low=0.1, high=10.0, log=True),
        MARGIN: Choice(values=(0.0, 0.01)),
    }
    head, near, flat = direction_lines(definition(base=SIXTEEN, space=space, anchors=()))
    assert "tau 0.1: 58; tau 0.1, M 0.01: 58; tau 1: 11; " in head
    assert near == (
        "tau 10: within 2 degrees of conspo_linear, whatever the margin: it will behave like it"
    )
    assert flat == (
        "the margins of this study change the credits by less than 2 degrees at tau 0.1 (0.6 "
        "degrees), 1 (0.1 degrees): there they will behave alike, nothing to be found"
    )


def test_baselines_are_compared_with_their_margin_off_and_with_the_linear_objective():
    anchors = (
        Anchor(label="off", params={TAU: 0.1, SCHEDULE: "off"}),
        Anchor(label="linear", params={"objective.name": "conspo_linear"}),
        Anchor(label="GRPO", params={"objective.name": "grpo"}),
    )
    (line,) = direction_lines(definition(base=SIXTEEN, space={}, anchors=anchors, trials=3))
    assert line.endswith("logged as credit_angle): tau 0.1: 58")


def test_studies_of_one_setting_or_of_none_have_no_such_lines():
    rates = {"update.learning_rate": Range(low=1e-4, high=1e-3)}
    assert direction_lines(definition(space=rates, anchors=())) == []
    grpo = with_overrides(QUICK, {"objective.name": "grpo"})
    assert direction_lines(definition(base=grpo, space=rates, anchors=())) == []
    names = {"objective.name": Choice(values=("grpo", "conspo_linear"))}
    assert direction_lines(definition(base=grpo, space=names, anchors=(), trials=2)) == []


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("temperature_sweep", ["tau 10, 30: within 2 degrees of conspo_linear: these will behave"]),
        ("margin_sweep", []),
        ("ablation", ["the margins of this study change the credits by less than 2 degrees at t"]),
        ("joint_search", ["tau 10: within 2 degrees of conspo_linear, whatever the margin: it wi"]),
        ("contrast", []),
        ("group_size_sweep", None),
    ],
)
def test_shipped_studies(name, said):
    lines = direction_lines(shipped(name))
    assert [line[:60] for line in lines[1:]] == ([] if said is None else [s[:60] for s in said])
    assert bool(lines) == (said is not None)
