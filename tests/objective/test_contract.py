"""Rules that every registered objective keeps to, whatever its formula."""

import math
from dataclasses import replace

import pytest
import torch
from field_docs import field_docs
from needed_settings import needed
from objective_agreement import CASES, IDS, PROGRESS, SETTINGS, TOKEN_SUMS, check
from objective_batches import LIMIT, SHAPES, gradient, random_batch, select

from conspo_study.config.objectives import OPTIONS
from conspo_study.objective import GroupBatch, Totals, objective_named
from conspo_study.records import Least, Mean, Peak

cases = pytest.mark.parametrize(("name", "settings"), CASES, ids=IDS)
names = pytest.mark.parametrize("name", SETTINGS)


def run(name, batch, **settings):
    options = OPTIONS[name](**(needed(name) | settings))
    return objective_named(name)(batch, options, PROGRESS)


def test_the_settings_of_these_tests_cover_every_registered_objective():
    assert set(SETTINGS) == set(OPTIONS)
    for name in OPTIONS:
        assert callable(objective_named(name))


@cases
def test_loss_and_gradient_are_those_of_the_slow_loop_on_one_worker_and_on_two(name, settings):
    check(objective_named(name), name, settings)


@names
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_loss_gradient_and_metrics_are_finite(name, shape, dtype):
    exact = random_batch(shape)
    logprobs_T = exact.logprobs_T.detach().to(dtype).requires_grad_()
    batch = replace(exact, logprobs_T=logprobs_T, old_logprobs_T=exact.old_logprobs_T.to(dtype))
    output = run(name, batch)
    assert output.loss.dtype == dtype
    assert output.loss.shape == ()
    assert torch.isfinite(output.loss)
    assert torch.isfinite(gradient(output.loss, batch)).all()
    for part in output.metrics.values():
        assert isinstance(part, (Mean, Peak, Least))
        assert type(part.value) is float
        assert math.isfinite(part.value)


@names
@pytest.mark.parametrize("shape", sorted(set(SHAPES) - {"extreme"}))
def test_on_policy_every_correct_token_is_pushed_up_and_every_wrong_one_down(name, shape):
    batch = random_batch(shape, on_policy=True)
    weights_T = gradient(run(name, batch).loss, batch)
    sign_T = torch.where(batch.correct_B, 1.0, -1.0)[batch.rollout_T]
    assert (-weights_T * sign_T > 1e-6).all()


@cases
def test_the_order_of_the_groups_changes_nothing(name, settings):
    batch = random_batch(drift=0.1)
    swapped, tokens_T = select(batch, [1, 0])
    output, other = run(name, batch, **settings), run(name, swapped, **settings)
    torch.testing.assert_close(other.loss, output.loss, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(
        gradient(other.loss, swapped),
        gradient(output.loss, batch)[tokens_T],
        rtol=1e-12,
        atol=1e-15,
    )


@cases
def test_metrics_of_two_workers_add_up_to_those_of_one(name, settings):
    batch = random_batch(drift=0.1)
    whole = run(name, batch, **settings).metrics
    parts = [run(name, select(batch, [group])[0], **settings).metrics for group in (0, 1)]
    for metric, part in whole.items():
        together = parts[0][metric] + parts[1][metric]
        assert together.value == pytest.approx(part.value, rel=1e-9, abs=1e-12), metric


@pytest.mark.parametrize("name", sorted(set(SETTINGS) - {"vespo"}))
def test_a_correction_weighs_tokens_where_the_loss_is_a_sum_over_tokens(name):
    batch = random_batch(on_policy=True, kl_old=0.01)
    weights_T = torch.linspace(0.5, 1.5, len(batch.logprobs_T), dtype=torch.float64)
    plain_T = gradient(run(name, batch).loss, batch)
    corrected = replace(batch, correction_T=weights_T)
    expected_T = plain_T * weights_T if name in TOKEN_SUMS else plain_T
    torch.testing.assert_close(gradient(run(name, corrected).loss, corrected), expected_T)


@names
def test_every_option_is_documented(name):
    assert OPTIONS[name].model_fields.keys() <= field_docs(OPTIONS[name]).keys()


@pytest.mark.parametrize(
    ("name", "settings", "missing"),
    [("disco", {}, "kl_old"), ("dr_grpo", {}, "max_response_length")],
)
def test_a_part_of_a_step_is_refused_where_it_cannot_know_the_whole(name, settings, missing):
    part = replace(select(random_batch(), [0])[0], **{missing: None})
    with pytest.raises(ValueError, match=f"give the batch its {missing}"):
        run(name, part, **settings)


def test_a_batch_takes_what_is_left_out_from_itself_only_when_it_is_the_whole_step():
    new, old = torch.tensor([-2.0, -1.0, -4.0]), torch.tensor([-1.0, -1.0, -1.0])
    whole = GroupBatch.of(new, old, [1, 2], [2], [True, False])
    assert whole.kl_old == pytest.approx(4 / 3)
    assert whole.max_response_length == 2
    assert whole.rewards_B.tolist() == [1, 0]
    part = GroupBatch.of(new, old, [1, 2], [2], [True, False], Totals(2, 4, 6))
    assert part.kl_old is None
    assert part.max_response_length is None


@pytest.mark.parametrize(
    ("extras", "message"),
    [
        ({"rewards": [1.0]}, "1 rewards for 8 rollouts"),
        ({"correction_T": torch.ones(3)}, "3 corrections for 35 tokens"),
        ({"max_response_length": 8}, "a response of 9 tokens exceeds max_response_length 8"),
    ],
)
def test_extras_that_do_not_fit_the_batch_are_refused(extras, message):
    with pytest.raises(ValueError, match=message):
        random_batch(**extras)


def test_the_configured_response_limit_is_the_constant_of_dr_grpo_unless_its_options_give_one():
    batch = random_batch()
    loss = run("dr_grpo", batch).loss
    half = run("dr_grpo", batch, max_response_length=2 * LIMIT).loss
    torch.testing.assert_close(half, loss / 2, rtol=1e-14, atol=0)


def test_a_weight_floor_above_the_cap_is_refused():
    with pytest.raises(ValueError, match="exceeds ratio_cap"):
        OPTIONS["cispo"](ratio_cap=1.2, ratio_floor=1.5)
