"""Settings that come from strangers' configurations, and batches as their filters leave them."""

import math

import pytest
import torch

from conspo_study.config import ConfigError
from conspo_study.integrations.foreign_batch import (
    PERMISSIONS,
    DropIn,
    Refusal,
    Responses,
    credit,
    refuse,
    verdicts,
)
from conspo_study.objective import Progress

START = Progress(0, 10)


def responses(groups, correct, lengths=None):
    rows = len(groups)
    lengths = lengths or [2] * rows
    generator = torch.Generator().manual_seed(0)
    logprobs_BL = -torch.rand(rows, 3, generator=generator, dtype=torch.float64)
    mask_BL = torch.arange(3) < torch.tensor(lengths)[:, None]
    rewards_B = torch.tensor([float(right) for right in correct])
    return Responses.of(logprobs_BL, mask_BL, rewards_B, groups)


def test_settings_beside_those_of_the_objective():
    given = {"objective": "conspo", "tau": 0.5, "correct_above": 0, "allow": ["other_terms"]}
    drop_in = DropIn.of(given, "here")
    assert (drop_in.objective.tau, drop_in.correct_above) == (0.5, 0)
    assert drop_in.allow == {"other_terms"}
    assert DropIn.of({}, "here").objective.tau == 10
    assert DropIn.of({"allow": "partial_groups"}, "here").allow == {"partial_groups"}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"allow": True}, r"here\.allow has True"),
        ({"allow": [["other_terms"]]}, "here.allow has"),
        ({"allow": {"other_terms": True}}, "here.allow has"),
        ({"correct_above": True}, "here.correct_above is True"),
        ({"objective": ["conspo"]}, "here.objective is"),
    ],
)
def test_settings_of_another_form_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        DropIn.of(given, "here")


def test_every_wrong_setting_of_the_objective_is_listed():
    with pytest.raises(ConfigError, match=r"(?s)tau.*margin"):
        DropIn.of({"tau": 0, "margin": "x"}, "here")


@pytest.mark.parametrize(
    ("settings", "follows"),
    [
        ({}, True),
        ({"schedule": "linear"}, True),
        ({"schedule": "constant"}, False),
        ({"schedule": "off"}, False),
        ({"margin": 0}, False),
        ({"objective": "conspo_linear"}, False),
        ({"objective": "disco", "kl_penalty": 0}, False),
    ],
)
def test_a_rising_margin_follows_progress(settings, follows):
    assert DropIn.of(settings, "here").follows_progress == follows


def test_a_permission_accepts_its_refusals_alone():
    found = [Refusal(f"reason {name}", name) for name in PERMISSIONS] + [Refusal("never")]
    drop_in = DropIn.of({"allow": list(PERMISSIONS)[1:]}, "here")
    with pytest.raises(ValueError) as refused:
        refuse(found, drop_in, "here")
    said = str(refused.value)
    first = next(iter(PERMISSIONS))
    assert "never" in said and f"here.allow=[{first}]" in said
    assert not any(f"reason {name}" in said for name in list(PERMISSIONS)[1:])
    refuse([], drop_in, "here")


def test_padding_is_no_group_and_an_empty_response_is_no_padding():
    drop_in = DropIn.of({}, "here")
    padded = responses(["a", "a", "pad", "b", "b", "pad"], [1, 0, 0, 0, 1, 0], [2, 1, 0, 3, 2, 0])
    found = credit(padded, 2, drop_in, START, "here")
    assert found.groups == 2
    assert [bool(c) for c in found.credits_B] == [True, True, False, True, True, False]
    broken = responses(["a", "a", "b", "b"], [1, 0, 0, 1], [2, 0, 3, 2])
    with pytest.raises(ValueError, match="row 1 of group a"):
        credit(broken, 2, drop_in, START, "here")
    lenient = DropIn.of({"allow": "partial_groups"}, "here")
    found = credit(broken, 2, lenient, START, "here")
    assert found.groups == 1
    assert [bool(c) for c in found.credits_B] == [False, False, True, True]


def test_what_the_mask_leaves_out_is_not_read():
    logprobs_BL = torch.tensor([[-1.0, -3.0, math.nan], [-2.0, math.inf, -math.inf]])
    mask_BL = torch.tensor([[1, 1, 0], [1, 0, 0]])
    found = Responses.of(logprobs_BL, mask_BL, torch.zeros(2), ["a", "a"])
    assert found.scores_B.tolist() == [-2.0, -2.0] and found.lengths_B.tolist() == [2, 1]


def test_rewards_of_padding_are_no_verdicts():
    drop_in = DropIn.of({}, "here")
    rewards_B, sampled_B = torch.tensor([1.0, 0.0, 0.3]), torch.tensor([True, True, False])
    assert verdicts(rewards_B, sampled_B, drop_in, "here").tolist() == [True, False, False]
    with pytest.raises(ValueError, match=r"row 2 has the reward 0\.3"):
        verdicts(rewards_B, torch.ones(3, dtype=torch.bool), drop_in, "here")


def test_a_reward_that_is_no_number_is_refused():
    batch = responses(["a", "a"], [1, math.nan])
    for settings in ({}, {"correct_above": 0.5}):
        with pytest.raises(ValueError, match="row 1 has the reward nan"):
            credit(batch, 2, DropIn.of(settings, "here"), START, "here")


def test_scores_that_are_not_finite_are_refused():
    batch = responses(["a", "a"], [1, 0])
    batch.scores_B[0] = math.nan
    with pytest.raises(ValueError, match="row 0 has the score nan"):
        credit(batch, 2, DropIn.of({}, "here"), START, "here")
