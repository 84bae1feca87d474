"""ConSPO's trust region: which rollouts lose their gradient, and that it is off unless set."""

import math

import numpy as np
import pytest
import torch
from objective_batches import SHAPES, gradient, random_batch
from study_fixtures import definition

from conspo_study.config import ConfigError, config_hash, with_overrides
from conspo_study.config.objectives import OPTIONS
from conspo_study.definition.presets import QUICK
from conspo_study.definition.space import Choice, Range
from conspo_study.objective import GroupBatch, Progress, objective_named
from conspo_study.objective.direction import direction_metrics
from conspo_study.objective.token_weights import token_weights

END = Progress(9, 10)
SETTINGS = {"conspo": {"tau": 0.3, "margin": 0.2}, "conspo_linear": {}}
objectives = pytest.mark.parametrize("name", SETTINGS)


def run(name, batch, **settings):
    return objective_named(name)(batch, OPTIONS[name](**SETTINGS[name], **settings), END)


def moved(changes, old=(-0.2, -0.5, -0.3, -0.9)):
    """Two right and two wrong rollouts of two tokens, whose scores have moved by `changes`."""
    old_T = torch.tensor(old, dtype=torch.float64).repeat_interleave(2)
    # Half of a token's move more on the first of the two, the other half less: the mean is it.
    change_T = torch.tensor(changes, dtype=torch.float64).repeat_interleave(2)
    change_T = change_T * torch.tensor([1.5, 0.5] * 4, dtype=torch.float64)
    new_T = (old_T + change_T).requires_grad_()
    return GroupBatch.of(new_T, old_T, [2] * 4, [4], [True, True, False, False])


@objectives
def test_a_score_that_has_moved_too_far_the_way_it_is_pushed_has_no_gradient(name):
    batch = moved([0.11, -0.4, -0.11, 0.4])
    output = run(name, batch, clip_score=0.1)
    weights = gradient(output.loss, batch).tolist()
    assert weights[:2] == weights[4:6] == [0, 0]
    assert weights[2] < 0 < weights[6]
    assert output.metrics["score_clip_fraction"].value == 0.5
    within = run(name, moved([0.09, -0.4, -0.09, 0.4]), clip_score=0.1)
    assert within.metrics["score_clip_fraction"].value == 0


def test_the_loss_and_the_credits_are_those_of_the_clipped_scores():
    batch = moved([0.5, 0.05, -0.3, 0.4])
    s = np.array([-0.2 + 0.1, -0.5 + 0.05, -0.3 - 0.1, -0.9 + 0.4])  # 1st and 3rd at their bounds
    tau, margin = 0.3, 0.2
    z = np.logaddexp(s[2] / tau, s[3] / tau) - (s[:2] - margin) / tau
    push = 1 / (1 + np.exp(-z)) / 2
    share = np.exp(s[3] / tau) / np.exp(s[2:] / tau).sum()
    output = run("conspo", batch, clip_score=0.1)
    assert float(output.loss) == pytest.approx(tau * np.log1p(np.exp(z)).mean(), rel=1e-12)
    slopes = batch.rollout_sum(gradient(output.loss, batch)).tolist()
    assert slopes == pytest.approx([0, -push[1], 0, share * push.sum()], rel=1e-12)


@objectives
def test_the_clipped_objective_is_a_lower_bound_that_touches_within_the_region(name):
    for seed in range(20):
        batch = random_batch(seed=seed)
        plain, clipped = run(name, batch), run(name, batch, clip_score=0.1)
        assert float(clipped.loss) >= float(plain.loss) - 1e-12
        wide = run(name, batch, clip_score=100.0)
        assert torch.equal(wide.loss, plain.loss)
        assert torch.equal(gradient(wide.loss, batch), gradient(plain.loss, batch))


@objectives
@pytest.mark.parametrize("shape", sorted(set(SHAPES) - {"extreme"}))
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_on_policy_nothing_differs_in_any_bit(name, shape, dtype):
    exact = random_batch(shape, on_policy=True)
    values_T = exact.logprobs_T.detach().to(dtype)
    lengths, sizes = exact.lengths_B.tolist(), exact.sizes_Q.tolist()

    def fresh():
        leaf_T = values_T.clone().requires_grad_()
        return GroupBatch.of(leaf_T, values_T, lengths, sizes, exact.correct_B.tolist())

    plain_batch, batch = fresh(), fresh()
    plain = run(name, plain_batch)
    output = run(name, batch, clip_score=1e-6, kl_limit=0.0)
    assert torch.equal(output.loss, plain.loss)
    assert torch.equal(gradient(output.loss, batch), gradient(plain.loss, plain_batch))
    assert output.metrics["score_clip_fraction"].value == output.metrics["hinge_active"].value == 0


@objectives
@pytest.mark.parametrize("settings", [{"clip_score": 0.1}, {"kl_limit": 0.01, "kl_penalty": 2.0}])
def test_gradcheck(name, settings):
    batch = random_batch(drift=0.1)
    # The code's penalty holds the excess constant, so its value is not what it is the gradient of.
    hinge = "kl_limit" in settings

    def loss(logprobs_T):
        moved_batch = GroupBatch.of(
            logprobs_T,
            batch.old_logprobs_T,
            batch.lengths_B.tolist(),
            batch.sizes_Q.tolist(),
            batch.correct_B.tolist(),
            kl_old=0.1 if hinge else None,
        )
        return run(name, moved_batch, **settings).loss

    assert torch.autograd.gradcheck(loss, batch.logprobs_T.detach().requires_grad_())


def test_the_hinge_is_discos():
    batch = random_batch(drift=0.1)
    hinge = {"kl_limit": 0.02, "kl_penalty": 3.0}
    conspo = run("conspo", batch, **hinge)
    disco = objective_named("disco")(batch, OPTIONS["disco"](**hinge), END)
    free = objective_named("disco")(batch, OPTIONS["disco"](kl_penalty=0.0), END)
    ours = gradient(conspo.loss, batch) - gradient(run("conspo", batch).loss, batch)
    theirs = gradient(disco.loss, batch) - gradient(free.loss, batch)
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-15)
    for name in ("constraint_kl", "hinge_active"):
        assert conspo.metrics[name] == disco.metrics[name]
    penalty, contrast = ours.abs().sum(), gradient(run("conspo", batch).loss, batch).abs().sum()
    share = float(penalty / (penalty + contrast))
    assert conspo.metrics["penalty_share"].value == pytest.approx(share, rel=1e-9)


def test_a_part_of_a_step_must_say_its_kl():
    batch = random_batch()
    part = GroupBatch.of(
        batch.logprobs_T,
        batch.old_logprobs_T,
        batch.lengths_B.tolist(),
        batch.sizes_Q.tolist(),
        batch.correct_B.tolist(),
        batch.totals._replace(groups=5),
    )
    with pytest.raises(ValueError, match="conspo limits the KL divergence of the whole step"):
        run("conspo", part, kl_limit=0.1)
    assert math.isfinite(run("conspo", part, clip_score=0.1).loss)
    assert math.isfinite(run("conspo", part, kl_limit=0.1, kl_penalty=0.0).loss), "nothing acts"


def test_the_angle_counts_dropped_credits_as_zero():
    batch = moved([0.5, 0.05, -0.05, 0.4])
    options = OPTIONS["conspo_linear"](clip_score=0.1)
    objective = objective_named("conspo_linear")
    weights = token_weights(batch, objective, options, END)
    found = direction_metrics(batch, weights.weights_T, objective, options, END)
    x, y = np.array([0, 0.5, -0.5, -0.5]), np.array([0.5, 0.5, -0.5, -0.5])
    expected = math.degrees(math.acos(x @ y / np.linalg.norm(x) / np.linalg.norm(y)))
    assert found["credit_angle"].value == pytest.approx(expected)


def test_the_options_are_off_and_leave_hashes_and_written_settings_alone():
    for name in SETTINGS:
        written = OPTIONS[name](name=name).model_dump()
        assert not {"clip_score", "kl_limit", "kl_penalty"} & written.keys()
        on = OPTIONS[name](clip_score=0.1, kl_limit=0.01)
        assert OPTIONS[name].model_validate(on.model_dump()) == on
    plain = with_overrides(QUICK, {"objective.name": "conspo_linear"})
    changed = with_overrides(plain, {"objective.clip_score": 0.1})
    assert config_hash(QUICK) == "fae348e58f48"
    assert config_hash(plain) == "c482d8f80a3c"
    assert config_hash(changed) != config_hash(plain)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"objective.clip_score": 0}, "objective.clip_score = 0: should be greater than 0"),
        ({"objective.kl_limit": -1}, "objective.kl_limit = -1: should be"),
        ({"objective.kl_penalty": 5.0}, "acts on KL above kl_limit, which is not set"),
        ({"objective.name": "grpo", "objective.clip_score": 0.1}, "objective.clip_score: "),
        ({"objective.name": "disco", "objective.clip_score": 0.1}, "objective.clip_score: "),
    ],
)
def test_refused_settings(settings, message):
    with pytest.raises(ConfigError, match=message):
        with_overrides(QUICK, settings)


def test_the_options_can_be_searched_where_the_objective_has_them():
    clips = Choice(values=(None, 0.03, 0.1))
    limits = Range(low=1e-5, high=1e-2, log=True)
    space = {"objective.clip_score": clips, "objective.kl_limit": limits}
    assert definition(base=QUICK, space=space, anchors=()).space == space
    grpo = with_overrides(QUICK, {"objective.name": "grpo"})
    with pytest.raises(ValueError, match=r"clip_score.* of the objective grpo; it belongs"):
        definition(base=grpo, space={"objective.clip_score": clips}, anchors=())
