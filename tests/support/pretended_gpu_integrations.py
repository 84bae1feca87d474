"""The parts of TRL's integration and the credits on a pretended GPU, for a process of its own.

Prints what a mistake about devices would have ended.
"""

import pretended_gpu
import torch
from needed_settings import needed
from pretended_gpu import PretendedGpu

from conspo_study.config import OPTIONS, ConSPOOptions
from conspo_study.integrations import credits, rollout_mean_advantages, token_mean_advantages
from conspo_study.integrations.trl.parts import parts_of
from conspo_study.integrations.trl.rows import rows_of_all
from conspo_study.integrations.trl.scaling import divisors
from conspo_study.integrations.trl.verdicts import judged
from conspo_study.integrations.trl.weighing import weigh
from conspo_study.objective import Progress


class Alone:
    """An accelerator of one process."""

    def gather(self, values):
        return values

    def pad_across_processes(self, values, dim):
        return values


def advantages(device, name):
    generator = torch.Generator().manual_seed(0)
    logprobs = (-torch.rand(6, 4, generator=generator)).to(device)
    old = (-torch.rand(6, 4, generator=generator)).to(device)
    mask = (torch.arange(4) < torch.tensor([3, 1, 4, 2, 4, 0])[:, None]).to(device)
    rewards = torch.tensor([[1.0], [0.0], [0.0], [1.0], [0.0], [1.0]]).to(device)
    options = OPTIONS[name](**needed(name))
    found = judged(rewards, torch.ones(1).to(device), None, None, options)
    lengths = mask.sum(1)
    (part,) = parts_of(found, lengths.cpu(), options, generations=3, processes=1)
    on_scores = name in ("conspo", "conspo_linear")
    correction = torch.full((6, 1), 0.5).to(device)
    rows = rows_of_all(Alone(), logprobs, mask, old, correction, on_scores=on_scores)
    weighed = weigh(
        rows,
        part.plan,
        part.totals,
        options,
        Progress(1, 3),
        on_scores=on_scores,
        max_response_length=4,
    )
    divisor = divisors(
        "dapo", lengths.to(weighed.weights), rollouts=6, tokens=14.0, limit=4, cap=1.0
    )
    return (-weighed.weights * divisor[:, None]).cpu()


def credits_on(device):
    scores = torch.tensor([-1.0, -2.0, -0.5, -3.0]).to(device)
    correct = torch.tensor([1, 0, 0, 1]).to(device)
    group = torch.tensor([0, 0, 1, 1]).to(device)
    found = credits(scores, correct, group, ConSPOOptions(tau=0.5))
    lengths = torch.tensor([1, 2, 3, 4]).to(device)
    both = rollout_mean_advantages(found, 2), token_mean_advantages(found, lengths, 2)
    assert {one.device.type for one in (found, *both)} == {torch.device(device).type}
    return torch.stack([one.cpu() for one in both])


with PretendedGpu():
    for name in OPTIONS:
        torch.testing.assert_close(advantages(pretended_gpu.DEVICE, name), advantages("cpu", name))
    torch.testing.assert_close(credits_on(pretended_gpu.DEVICE), credits_on("cpu"))
    print("the same on both", pretended_gpu.operations)
