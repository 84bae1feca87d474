"""The floor consists of exactly the products of a pass over the model."""

import matmul_floor
import pytest
import torch
from tiny_models import random_model
from torch.utils.flop_counter import FlopCounterMode

from conspo_study.policy.packed_attention import enable_packing
from conspo_study.policy.packing import Packing


@pytest.fixture(scope="module")
def case():
    model = random_model("Llama")
    enable_packing(model)
    size = model.config.vocab_size
    generator = torch.Generator().manual_seed(0)
    first, second = torch.randint(size, (2, 6), generator=generator).tolist()
    lengths = [3, 9, 5, 7, 40, 41]
    responses = [torch.randint(size, (n,), generator=generator).tolist() for n in lengths]
    return matmul_floor.Case(model, [first] * 3 + [second] * 3, responses)


def gflop(work):
    with FlopCounterMode(display=False) as counter:
        work()
    counts = counter.get_flop_counts()["Global"]
    return {str(name): count / 1e9 for name, count in counts.items()}


def test_the_linear_products_are_those_of_scoring(case):
    packing = Packing.of(case.prompts, case.responses, "cpu")
    products, told = matmul_floor.linear_products(case.model, packing)
    done = gflop(lambda: matmul_floor.run_products(products, 0))
    scored = gflop(lambda: matmul_floor.run_scored(case, 0))
    assert done["aten.mm"] == pytest.approx(told)
    assert scored["aten.mm"] == pytest.approx(told)


def test_the_products_of_attention_are_those_of_the_padded_rollouts(case):
    packing = Packing.of(case.prompts, case.responses, "cpu")
    products, told = matmul_floor.attention_products(case.model, packing)
    assert gflop(lambda: matmul_floor.run_products(products, 0)) == {
        "aten.bmm": pytest.approx(told)
    }
    config = case.model.config
    squares = sum(len(index) * index.shape[1] ** 2 for index in packing.rollouts)
    six = 6 * 2 * squares * config.head_dim * config.num_attention_heads * config.num_hidden_layers
    assert told == pytest.approx(six / 1e9)
