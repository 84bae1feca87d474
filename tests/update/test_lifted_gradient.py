"""The documented lines, in a plain PyTorch loop, are backpropagation through the whole loss."""

import re
from pathlib import Path

import pytest
import torch
from exact_models import exact_model
from tolerances import assert_same, terms_of
from torch.nn import functional

PAGE = Path(__file__).resolve().parents[2] / "docs" / "objectives.md"
PROMPTS = [(3, 4, 5)] * 4 + [(6, 7)] * 3
RESPONSES = [(1, 2), (3,), (4, 5, 6, 7, 8), (9, 1), (2, 2, 2), (5,), (6, 7, 8, 9)]
GROUP_SIZES, CORRECT = [4, 3], [True, False, False, True, False, True, False]
STEPS, TAU, MARGIN, RISE = 3, 0.5, 0.2, 0.3


def documented():
    """The example of the section on the exact gradient."""
    section = PAGE.read_text().partition("## The exact gradient in a trainer of your own")[2]
    return re.search(r"```python\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)[1]


def trained(run):
    """The parameters of a small model before and after `run(model, optimizer)`."""
    model = exact_model("Llama")
    before = torch.cat([p.detach().reshape(-1) for p in model.parameters()])
    run(model, torch.optim.SGD(model.parameters(), lr=0.01))
    return before, torch.cat([p.detach().reshape(-1) for p in model.parameters()])


def as_documented(micro_batch_tokens):
    def run(model, optimizer):
        given = {
            "model": model,
            "optimizer": optimizer,
            "prompts": PROMPTS,
            "responses": RESPONSES,
            "group_sizes": GROUP_SIZES,
            "correct": CORRECT,
            "steps": STEPS,
            "micro_batch_tokens": micro_batch_tokens,
        }
        exec(documented(), given)

    return trained(run)[1]


def through_the_whole_loss(model, optimizer):
    """ConSPO (arXiv 2605.12969, eq. 13) by nothing but PyTorch and the model's own logits."""
    for step in range(STEPS):
        rise = min(step / (STEPS - 1) / RISE, 1)
        margin = MARGIN / 2 * (1 - torch.cos(torch.tensor(torch.pi * rise, dtype=torch.float64)))
        scores = []
        for prompt, response in zip(PROMPTS, RESPONSES, strict=True):
            logits = model(torch.tensor([[*prompt, *response]])).logits[0, len(prompt) - 1 : -1]
            scores.append(-functional.cross_entropy(logits, torch.tensor(response)))
        gains, start = [], 0
        for size in GROUP_SIZES:
            members = range(start, start + size)
            start += size
            wrong = [scores[j] / TAU for j in members if not CORRECT[j]]
            right = [(scores[i] - margin) / TAU for i in members if CORRECT[i]]
            shares = [s - torch.logsumexp(torch.stack([s, *wrong]), 0) for s in right]
            gains.append(TAU * sum(shares) / len(shares))
        optimizer.zero_grad()
        (-sum(gains) / len(gains)).backward()
        optimizer.step()


@pytest.mark.parametrize("micro_batch_tokens", [1, 12, 10_000])
def test_the_documented_lines_train_as_backpropagation_through_the_whole_loss(micro_batch_tokens):
    before, expected = trained(through_the_whole_loss)
    moved = expected - before
    assert moved.abs().max() > 1e-4
    terms = STEPS * terms_of(exact_model("Llama"), sum(map(len, RESPONSES)))
    assert_same(as_documented(micro_batch_tokens), expected, terms)
    difference = as_documented(micro_batch_tokens) - expected
    assert difference.norm() < 1e-10 * moved.norm()
