"""bfloat16 computes on float32 weights: close to float32, and no update is rounded away."""

import pytest
import torch
from tiny_models import FAMILIES, random_model
from tolerances import typical
from torch.utils._python_dispatch import TorchDispatchMode

from conspo_study.config import UpdateConfig
from conspo_study.policy.embedded import embedded_tokenizer
from conspo_study.policy.logprobs import response_logprobs
from conspo_study.rollout.engine import Sampling
from conspo_study.rollout.transformers_engine import TransformersEngine
from conspo_study.update.step import Updater
from conspo_study.update.world import World

PROMPTS = [[1, 5, 9], [1, 7], [1, 11, 12, 13, 14]]
RESPONSES = [[20, 21, 2], [30], [40, 41, 42, 43, 44, 45, 2]]
SHARPNESS = {"initializer_range": 0.1}
LOGIT = 0.6
"""Standard deviation of these models' logits."""
ROUNDINGS = 2 * 4 * 2 + 2
"""To bfloat16, one after another in a forward pass: of what goes into each layer's four products
and of what comes out of them, and of those of the head."""


def scores_and_gradient(model, precision):
    scores = response_logprobs(model, PROMPTS, RESPONSES, precision=precision)
    gradients = torch.autograd.grad(scores @ torch.linspace(-1, 1, 11), list(model.parameters()))
    return scores.detach(), gradients


@pytest.mark.parametrize("family", FAMILIES)
def test_bfloat16_gives_float32_scores_and_gradients_close_to_those_of_float32(family):
    model = random_model(family, **SHARPNESS)
    exact, exact_gradients = scores_and_gradient(model, "float32")
    scores, gradients = scores_and_gradient(model, "bfloat16")
    assert scores.dtype == torch.float32
    assert not torch.equal(scores, exact)  # or nothing was computed in bfloat16
    apart = (scores - exact).square().mean().sqrt()
    assert apart < typical(ROUNDINGS, LOGIT, torch.bfloat16)
    assert {gradient.dtype for gradient in gradients} == {torch.float32}
    error = sum(float((a - b).square().sum()) for a, b in zip(gradients, exact_gradients))  # noqa: B905
    size = sum(float(b.square().sum()) for b in exact_gradients)
    assert (error / size) ** 0.5 < typical(2 * ROUNDINGS, 1, torch.bfloat16)


class OverTheVocabulary(TorchDispatchMode):
    """Remembers in which type softmax and log-softmax over a vocabulary of 62 were computed."""

    def __init__(self):
        super().__init__()
        self.types = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if "softmax" in function.name() and result.shape[-1] == 62:
            self.types.append(result.dtype)
        return result


@pytest.mark.parametrize(("chunk", "times"), [(1 << 20, 1), (3 * 62, 8)])
def test_the_log_softmax_is_computed_in_float32(chunk, times, monkeypatch):
    monkeypatch.setattr("conspo_study.policy.logprobs.CHUNK_ELEMENTS", chunk)
    with OverTheVocabulary() as seen:
        model = random_model("Llama")
        response_logprobs(model, PROMPTS, RESPONSES, precision="bfloat16").sum().backward()
    assert seen.types == [torch.float32] * times


def trained(steps, rounded):
    """The distance that the weights of a model go in `steps` tiny updates along one gradient."""
    model = random_model("Llama", **SHARPNESS)
    config = UpdateConfig(learning_rate=1e-6, warmup_steps=0, grad_clip=1e9)
    updater = Updater(model, config, World())
    start = [parameter.detach().clone() for parameter in updater.parameters]
    for _ in range(steps):
        response_logprobs(model, PROMPTS, RESPONSES, precision="bfloat16").sum().backward()
        updater.step()
        if rounded:
            with torch.no_grad():
                for parameter in updater.parameters:
                    parameter.copy_(parameter.bfloat16())
    assert {parameter.dtype for parameter in updater.parameters} == {torch.float32}
    assert {state.dtype for state in updater.state_tensors().values()} == {torch.float32}
    layer = updater.names.index("model.layers.0.mlp.gate_proj.weight")
    return (updater.parameters[layer] - start[layer]).detach().abs().mean()


def test_updates_far_below_the_resolution_of_bfloat16_add_up():
    assert trained(20, rounded=False) == pytest.approx(20e-6, rel=0.2)


def test_weights_in_bfloat16_would_have_lost_them():
    once, often = trained(1, rounded=True), trained(20, rounded=True)
    # What there is comes from rounding the weights once; the updates add next to nothing.
    assert often - once < 5e-6


@pytest.mark.parametrize("family", FAMILIES)
def test_the_sampler_computes_as_the_trainer_does(family):
    model = random_model(family, **SHARPNESS)
    engine = TransformersEngine(model, embedded_tokenizer(), precision="bfloat16")
    groups = engine.generate(PROMPTS, 6, Sampling(1.0, 12), [3, 4, 5])  # of several lengths
    gaps = {}
    for precision in ("bfloat16", "float32"):
        gaps[precision] = torch.cat(
            [
                response_logprobs(model, [prompt], [rollout.tokens], precision=precision)
                - torch.tensor(rollout.logprobs)
                for prompt, group in zip(PROMPTS, groups, strict=True)
                for rollout in group
            ]
        ).detach()
    assert gaps["bfloat16"].isfinite().all()
    assert gaps["bfloat16"].abs().mean() < typical(ROUNDINGS, LOGIT, torch.bfloat16)
    # Both round at the same places, so they agree better than either does with float32.
    assert gaps["bfloat16"].abs().mean() < gaps["float32"].abs().mean()
