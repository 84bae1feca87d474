"""Tinker's own client code with an objective of this package, on a model for its server."""

import importlib.util

import pytest
import torch

if importlib.util.find_spec("tinker") is None:
    pytest.skip("Tinker is not installed", allow_module_level=True)

from exact_models import exact_model
from tinker import types
from tinker_server import (
    CORRECT,
    GROUP,
    PROMPTS,
    RESPONSES,
    asked,
    datum,
    response_logprobs,
    server_gradient,
)

from conspo_study.integrations import objective_options
from conspo_study.integrations.tinker import custom_loss
from conspo_study.objective import GroupBatch, Progress, Totals, objective_of

pytestmark = pytest.mark.integrations

ORDER, SIZES = [0, 2, 4, 1, 3], [3, 2]
PLACE = Progress(3, 10)
CASES = [
    ("conspo", {"tau": 0.5, "margin": 0.3}),
    ("conspo_linear", {}),
    ("conspo", {"tau": 0.5, "clip_score": 0.1, "kl_limit": 0.0}),
    ("conspo_clipped_ratio", {"tau": 0.5}),
    ("disco", {}),
    ("grpo", {}),
    ("dapo", {}),
    ("dr_grpo", {}),
    ("gspo", {}),
    ("gmpo", {}),
    ("cispo", {}),
    ("sapo", {}),
    ("dppo", {}),
    ("dppo", {"divergence": "kl"}),
    ("vespo", {}),
    ("luspo", {}),
    ("rloo", {}),
    ("maxrl", {}),
    ("reinforce", {}),
    ("dro", {"beta": 0.05}),
]


def house_batch(logprobs, old):
    rows = [logprobs[i] for i in ORDER]
    return GroupBatch.of(
        torch.cat(rows),
        torch.cat([old[i] for i in ORDER]),
        [len(RESPONSES[i]) for i in ORDER],
        SIZES,
        [bool(CORRECT[i]) for i in ORDER],
        max_response_length=8,
    )


@pytest.mark.parametrize(("name", "settings"), CASES)
@pytest.mark.parametrize("mark", ["weights", "mask"])
def test_the_gradient_is_that_of_the_objective(name, settings, mark):
    model = exact_model("Llama")
    pairs = list(zip(PROMPTS, RESPONSES, strict=True))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        old = [response_logprobs(model, *pair) for pair in pairs]
    old = [of_row + 0.3 * torch.randn(of_row.shape, generator=generator) for of_row in old]
    data = [datum(*pair, of_old, mark) for pair, of_old in zip(pairs, old, strict=True)]
    loss_fn = custom_loss(name, CORRECT, GROUP, PLACE, max_response_length=8, **settings)
    result, answer = asked(model, data, loss_fn)

    options = objective_options(name, **settings)
    objective = objective_of(type(options))
    # On the numbers that the server sent there is no error at all.
    sent = [out["logprobs"].to_torch().requires_grad_() for out in answer.loss_fn_outputs]
    rows = [row[len(p) - 1 :].double() for row, p in zip(sent, PROMPTS, strict=True)]
    output = objective(house_batch(rows, [o.float().double() for o in old]), options, PLACE)
    gradients = torch.autograd.grad(output.loss, sent, allow_unused=True)
    for one, gradient in zip(result.data, gradients, strict=True):
        weights = one.loss_fn_inputs["weights"].to_torch()
        expected = torch.zeros_like(weights) if gradient is None else -gradient
        torch.testing.assert_close(weights, expected, rtol=0, atol=0)
    assert result.loss_sum == float(output.loss.detach())
    assert result.metrics["valid_groups"] == 2

    # And through the model there is that of float32 on the wire.
    found = server_gradient(model, result.data)
    model.zero_grad()
    exact_rows = [response_logprobs(model, *pair) for pair in pairs]
    objective(house_batch(exact_rows, old), options, PLACE).loss.backward()
    expected = torch.cat([p.grad.flatten() for p in model.parameters()])
    assert float((found - expected).norm() / expected.norm()) < 1e-6


def test_a_batch_without_contrast_has_gradient_0():
    model = exact_model("Llama")
    data = [datum(p, r, torch.zeros(len(r))) for p, r in zip(PROMPTS, RESPONSES, strict=True)]
    result, _ = asked(model, data, custom_loss("conspo", [1] * 7, GROUP))
    assert not any(one.loss_fn_inputs["weights"].to_torch().any() for one in result.data)
    assert result.loss_sum == 0
    assert result.metrics == {"valid_groups": 0.0}


def test_calls_of_one_optimiser_step_add_up_with_its_totals():
    model = exact_model("Llama")
    data = [datum(p, r, torch.zeros(len(r))) for p, r in zip(PROMPTS, RESPONSES, strict=True)]
    whole, _ = asked(model, data, custom_loss("conspo", CORRECT, GROUP, tau=0.5))
    totals = Totals(2, 5, sum(len(RESPONSES[i]) for i in ORDER))
    for name in ("a", "b"):
        rows = [i for i, group in enumerate(GROUP) if group == name]
        loss_fn = custom_loss(
            "conspo", [CORRECT[i] for i in rows], [name] * len(rows), totals=totals, tau=0.5
        )
        part, _ = asked(model, [data[i] for i in rows], loss_fn)
        for i, one in zip(rows, part.data, strict=True):
            torch.testing.assert_close(
                one.loss_fn_inputs["weights"].to_torch(),
                whole.data[i].loss_fn_inputs["weights"].to_torch(),
            )


def test_data_that_do_not_fit_are_refused():
    given = datum(PROMPTS[0], RESPONSES[0], torch.zeros(2))
    tokens = given.loss_fn_inputs["target_tokens"]
    loss_fn = custom_loss("grpo", [1, 0], [0, 0])
    logprobs = [torch.zeros(4)] * 2

    def with_inputs(**inputs):
        return types.Datum(model_input=given.model_input, loss_fn_inputs=inputs)

    unmarked = with_inputs(target_tokens=tokens)
    with pytest.raises(ValueError, match="datum 0 does not say which of its tokens are the resp"):
        loss_fn([unmarked] * 2, logprobs)
    short = with_inputs(target_tokens=tokens, weights=torch.ones(2))
    with pytest.raises(ValueError, match=r"datum 0 has weights of shape \(2,\) for 4 target tok"):
        loss_fn([short] * 2, logprobs)
    no_old = with_inputs(target_tokens=tokens, weights=torch.ones(4))
    with pytest.raises(ValueError, match="datum 0 has no `logprobs` in loss_fn_inputs"):
        loss_fn([no_old] * 2, logprobs)
    with pytest.raises(ValueError, match="2 log-probabilities for 1 data"):
        loss_fn([given], logprobs)
    with pytest.raises(ValueError, match="2 verdicts"):
        loss_fn([given], logprobs[:1])
