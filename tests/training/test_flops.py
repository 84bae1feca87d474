import pytest
import torch
from tiny_models import random_model
from torch.utils.flop_counter import FlopCounterMode

from conspo_study.policy.logprobs import response_logprobs
from conspo_study.policy.packed_attention import enable_packing
from conspo_study.training.flops import ModelFlops, matmul_rate

PROMPTS = [[1, 5, 9, 8, 7]] * 3 + [[1, 7]] * 2
RESPONSES = [[20, 21, 2], [30, 2], [31, 32, 33, 2], [40, 41, 2], [42, 43, 44, 45, 2]]


@pytest.mark.parametrize("family", ["Llama", "Qwen2"])
def test_linear_layers_are_counted_as_pytorch_counts_them(family):
    model = random_model(family)
    enable_packing(model)
    counter = FlopCounterMode(display=False)
    with counter:
        response_logprobs(model, PROMPTS, RESPONSES).sum().backward()
    counted = counter.get_flop_counts()["Global"]
    products = sum(n for op, n in counted.items() if op.__name__.split(".")[0] in ("mm", "addmm"))
    flops = ModelFlops.of(model)
    assert flops.passes * 2 * (flops.layers * (7 + 12) + flops.head * 17) == products


def test_every_token_attends_to_what_its_rollout_has_before_it():
    flops = ModelFlops(layers=0, head=0, attention=10, passes=3.0)
    # A prompt of two: 1 + 2. Each response of three reads two tokens: 3 + 4.
    assert flops.training([[1, 2], [1, 2]], [[3, 4, 5], [6, 7, 8]]) == 3 * 4 * 10 * (3 + 7 + 7)


def test_weights_that_stay_need_no_gradient_of_their_own():
    model = random_model("Llama")
    assert ModelFlops.of(model).passes == 3
    model.model.layers[0].mlp.up_proj.weight.requires_grad_(False)
    assert ModelFlops.of(model).passes == 2


def test_the_rate_of_a_device_is_measured_once():
    device = torch.device("cpu")
    rate = matmul_rate(device, torch.float32, torch.get_num_threads())
    assert rate > 1e8
    assert matmul_rate(device, torch.float32, torch.get_num_threads()) == rate
