"""The optimiser step: guarded against non-finite gradients, clipped, resumable bit for bit."""

import math

import pytest
import torch
from torch import nn

from conspo_study.config import UpdateConfig
from conspo_study.records import Mean, Peak
from conspo_study.update.errors import DivergedError
from conspo_study.update.step import Updater
from conspo_study.update.world import World


def make(seed=0, **settings):
    torch.manual_seed(seed)
    model = nn.Linear(3, 2)
    return model, Updater(model, UpdateConfig(**settings), World())


def put_gradient(model, value):
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, value)


def test_the_learning_rate_warms_up_linearly_and_stays():
    model, updater = make(learning_rate=1.0, warmup_steps=4)
    rates = []
    for _ in range(6):
        put_gradient(model, 0.1)
        rates.append(updater.step().learning_rate)
    assert rates == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]


def test_large_gradients_are_clipped_and_the_norm_before_is_told():
    model, updater = make(grad_clip=1.0)
    put_gradient(model, 10.0)
    outcome = updater.step()
    assert outcome.clipped
    assert outcome.grad_norm == pytest.approx(10 * math.sqrt(8))


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_a_non_finite_gradient_leaves_weights_and_moments_alone(bad):
    model, updater = make()
    put_gradient(model, 0.1)
    updater.step()
    before = [p.detach().clone() for p in model.parameters()]
    moments = {k: v.clone() for k, v in updater.state_tensors().items()}
    put_gradient(model, 0.1)
    model.bias.grad[0] = bad
    assert updater.step().skipped
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    assert all(torch.equal(moments[k], v) for k, v in updater.state_tensors().items())
    assert updater.applied == 1


def test_non_finite_gradients_in_a_row_are_a_divergence_but_single_ones_are_not():
    model, updater = make(max_skipped_steps=2)
    for value in (float("nan"), 0.1, float("nan")):
        put_gradient(model, value)
        updater.step()
    put_gradient(model, float("nan"))
    with pytest.raises(DivergedError, match="2 consecutive"):
        updater.step()


def test_restored_state_continues_bit_for_bit():
    model, updater = make()
    for value in (0.1, -0.2, 0.3):
        put_gradient(model, value)
        updater.step()
    saved = {k: v.clone() for k, v in updater.state_tensors().items()}
    weights = {k: v.clone() for k, v in model.state_dict().items()}
    other, again = make(seed=1)
    other.load_state_dict(weights)
    again.load_state(saved, updater.applied, updater.skipped_in_a_row)
    for m, u in ((model, updater), (other, again)):
        put_gradient(m, 0.7)
        u.step()
    assert all(
        torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True)
    )


def test_state_of_another_shape_is_refused():
    model, updater = make()
    put_gradient(model, 0.1)
    updater.step()
    state = updater.state_tensors()
    state["exp_avg/weight"] = torch.zeros(5, 5)
    with pytest.raises(ValueError, match="'exp_avg' does not fit parameter 'weight'"):
        updater.load_state(state, 1, 0)


def test_metrics_are_made_of_parts_and_empty_ones_are_left_out():
    world = World()
    parts = {"a": Mean(3.0, 2.0), "b": Mean(0.0, 0.0), "c": Peak(4.0)}
    assert world.metrics(parts) == {"a": 1.5, "c": 4.0}
