"""Tinker's own client code for custom losses, with a model in place of its server."""

import torch
from tinker import types
from tinker.lib.public_interfaces.training_client import TrainingClient

PROMPTS = [(3, 4, 5), (6, 7), (3, 4, 5), (6, 7), (3, 4, 5), (8,), (8,)]
RESPONSES = [(9, 2), (10, 11, 12, 2), (13, 2), (14,), (15, 16, 17), (18, 2), (19, 2)]
GROUP = ["a", "b", "a", "b", "a", "c", "c"]
CORRECT = [1, 0, 0, 1, 0, 1, 1]
"""The third group has no contrast."""


def datum(prompt, response, old, mark="weights"):
    tokens = [*prompt, *response]
    before = len(prompt) - 1
    return types.Datum(
        model_input=types.ModelInput.from_ints(tokens[:-1]),
        loss_fn_inputs={
            "target_tokens": torch.tensor(tokens[1:]),
            "logprobs": torch.cat([torch.zeros(before), old.float()]),
            mark: torch.tensor([0.0] * before + [1.0] * len(response)),
        },
    )


def target_logprobs(model, one):
    """log pi of each target token of a datum, prompt and response."""
    ids = torch.tensor([one.model_input.to_ints()])
    targets = one.loss_fn_inputs["target_tokens"].to_torch()
    return model(ids).logits[0].log_softmax(-1).gather(-1, targets[:, None])[:, 0]


def response_logprobs(model, prompt, response):
    return target_logprobs(model, datum(prompt, response, torch.zeros(len(response))))[
        len(prompt) - 1 :
    ]


def asked(model, data, loss_fn):
    """Tinker's custom loss on what the model says: data for the backward pass, loss, metrics."""
    client = object.__new__(TrainingClient)
    sent = client._get_custom_loss_forward_data(data, "cross_entropy")
    with torch.no_grad():
        outputs = [
            {"logprobs": types.TensorData.from_torch(target_logprobs(model, one).float())}
            for one in sent
        ]
    answer = types.ForwardBackwardOutput(
        loss_fn_output_type="cross_entropy", loss_fn_outputs=outputs, metrics={}
    )
    return TrainingClient._compute_custom_loss(data, loss_fn, answer), answer


def server_gradient(model, data):
    """What the server does with the weights: cross-entropy, summed."""
    model.zero_grad()
    for one in data:
        weights = one.loss_fn_inputs["weights"].to_torch().double()
        (-(target_logprobs(model, one) * weights).sum()).backward()
    return torch.cat([p.grad.flatten() for p in model.parameters()])
