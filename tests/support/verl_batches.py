"""Batches, configurations and micro-batches as verl has them, around a very small model."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

VOCABULARY, PAD, EOS = 13, 0, 1
GROUP = 6


class Bigram(torch.nn.Module):
    """p(next token | token) = softmax of a row: an exact model in float64."""

    def __init__(self, seed: int = 0):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        table = torch.randn(VOCABULARY, VOCABULARY, generator=generator, dtype=torch.float64)
        self.table = torch.nn.Parameter(table)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """log p of each token's successor in the flat sequence: [T] -> [T], the last one is 0."""
        steps = torch.log_softmax(self.table, dim=1)[tokens[:-1], tokens[1:]]
        return torch.cat([steps, steps.new_zeros(1)])


@dataclass
class Sampled:
    """A sampled batch, one list entry per rollout, in the order of verl's batch."""

    prompts: list[torch.Tensor]
    responses: list[torch.Tensor]
    groups: list[str]
    rewards: list[float]

    @classmethod
    def of(cls, groups: int = 4, size: int = GROUP, seed: int = 0) -> Sampled:
        """Groups in shuffled order; the last one has no contrast."""
        rng, generator = random.Random(seed), torch.Generator().manual_seed(seed)
        rows = []
        for group in range(groups):
            prompt = _tokens(rng.randint(2, 5), generator)
            for slot in range(size):
                right = group == groups - 1 or slot == 0 or (slot > 1 and rng.random() < 0.5)
                answer = _tokens(rng.randint(1, 9), generator)
                rows.append((prompt, answer, f"uid-{group}", float(right)))
        rng.shuffle(rows)
        return cls(*(list(column) for column in zip(*rows, strict=True)))

    def __len__(self) -> int:
        return len(self.responses)

    @property
    def lengths(self) -> list[int]:
        return [len(response) for response in self.responses]

    def logprobs(self, model: Bigram) -> list[torch.Tensor]:
        """Of the response tokens of each rollout."""
        out = []
        for prompt, response in zip(self.prompts, self.responses, strict=True):
            out.append(model(torch.cat([prompt, response]))[len(prompt) - 1 : -1])
        return out

    def data(self, model: Bigram) -> Any:
        """The `DataProto` that a trainer has when it computes advantages: padded on both sides."""
        from verl import DataProto

        with torch.no_grad():
            old = self.logprobs(model)
        left, right = max(map(len, self.prompts)), max(self.lengths)
        prompts = torch.stack([_padded(p, left, at_left=True) for p in self.prompts])
        responses = torch.stack([_padded(r, right) for r in self.responses])
        mask = torch.stack([_padded(torch.ones_like(r), right) for r in self.responses])
        before = torch.stack(
            [_padded(torch.ones_like(p), left, at_left=True) for p in self.prompts]
        )
        attention = torch.cat([before, mask], 1)
        rewards = torch.zeros(mask.shape, dtype=torch.float32)
        for row, (length, reward) in enumerate(zip(self.lengths, self.rewards, strict=True)):
            rewards[row, length - 1] = reward
        return DataProto.from_dict(
            tensors={
                "prompts": prompts,
                "responses": responses,
                "input_ids": torch.cat([prompts, responses], 1),
                "attention_mask": attention,
                "position_ids": (attention.cumsum(1) - 1).clamp(min=0),
                "response_mask": mask,
                "old_log_probs": torch.stack([_padded(values, right) for values in old]),
                "token_level_scores": rewards,
                "token_level_rewards": rewards,
            },
            non_tensors={"uid": np.array(self.groups, dtype=object)},
        )


def trainer_config(rows: int, size: int = GROUP, **settings: Any) -> Any:
    """verl's own configuration, all of it, for one update per batch of so many rollouts.

    settings: by their path, with `__` for a dot.
    """
    import verl
    from omegaconf import OmegaConf

    path = Path(verl.__file__).parent / "trainer" / "config" / "_generated_ppo_trainer.yaml"
    config = OmegaConf.load(path)
    given = {
        "algorithm.adv_estimator": "conspo",
        "algorithm.conspo.objective": "conspo",
        "actor_rollout_ref.rollout.n": size,
        "actor_rollout_ref.actor.ppo_mini_batch_size": rows // size,
        "actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu": 1,
        "actor_rollout_ref.actor.policy_loss.loss_mode": "conspo",
        "actor_rollout_ref.actor.loss_agg_mode": "seq-mean-token-mean",
        "trainer.total_training_steps": 100,
        "data.train_batch_size": rows // size,
    } | {key.replace("__", "."): value for key, value in settings.items()}
    for key, value in given.items():
        OmegaConf.update(config, key, value, force_add=True)
    return config


def actor_config(config: Any) -> Any:
    """What a worker makes of it."""
    from verl.utils.config import omega_conf_to_dataclass

    return omega_conf_to_dataclass(config.actor_rollout_ref.actor)


def compute_advantages(sampled: Sampled, model: Bigram, config: Any, generation: str) -> Any:
    """Through verl's own function of either generation of trainers; returns its `DataProto`."""
    from verl.trainer.ppo import ray_trainer
    from verl.trainer.ppo.v1 import utils

    algorithm = config.algorithm
    given = {
        "adv_estimator": algorithm.adv_estimator,
        "gamma": algorithm.gamma,
        "lam": algorithm.lam,
        "num_repeat": config.actor_rollout_ref.rollout.n,
        "norm_adv_by_std_in_grpo": algorithm.norm_adv_by_std_in_grpo,
        "config": algorithm,
    }
    data = sampled.data(model)
    if generation == "ray_trainer":
        return ray_trainer.compute_advantage(data, **given)
    keys = [f"{group}_{row}_0" for row, group in enumerate(sampled.groups)]
    return utils.compute_advantage_for_multi_trajectories(data, batch_keys=keys, **given)


def gradient(
    data: Any, model: Bigram, config: Any, micro_batches: list[list[int]], *, nested: bool
) -> torch.Tensor:
    """What verl's `ppo_loss` accumulates over the micro-batches of one update, on one worker."""
    from verl.utils import tensordict_utils as tu
    from verl.workers.utils.losses import ppo_loss
    from verl.workers.utils.padding import left_right_2_no_padding

    actor = actor_config(config)
    model.zero_grad()
    for rows in micro_batches:
        batch = left_right_2_no_padding(data.batch[torch.tensor(rows)].clone())
        if nested:
            batch = _nested(batch)
        tu.assign_non_tensor(
            batch,
            dp_size=1,
            batch_num_tokens=int(data.batch["response_mask"].sum()),
            global_batch_size=actor.ppo_mini_batch_size * config.actor_rollout_ref.rollout.n,
        )
        flat = [model(tokens) for tokens in batch["input_ids"].unbind()]
        output = {"log_probs": torch.nested.as_nested_tensor(flat, layout=torch.jagged)}
        loss, _ = ppo_loss(actor, output, batch)
        loss.backward()
    assert model.table.grad is not None
    return model.table.grad.clone()


def _nested(batch: Any) -> Any:
    """The batch as the newer generation has it: without padding."""
    lengths = batch["response_mask"].sum(1).tolist()
    ways = {"prompts": batch["attention_mask"][:, : batch["prompts"].shape[1]].sum(1).tolist()}
    for key in ("prompts", "responses", "response_mask", "old_log_probs", "advantages"):
        rows = batch[key].unbind()
        if key == "prompts":
            parts = [row[-length:] for row, length in zip(rows, ways[key], strict=True)]
        else:
            parts = [row[:length] for row, length in zip(rows, lengths, strict=True)]
        batch[key] = torch.nested.as_nested_tensor(parts, layout=torch.jagged)
    from verl.utils import tensordict_utils as tu

    tu.pop(batch, key="max_response_len", default=None)
    return batch


def _tokens(length: int, generator: torch.Generator) -> torch.Tensor:
    return torch.randint(2, VOCABULARY, (length,), generator=generator)


def _padded(values: torch.Tensor, length: int, *, at_left: bool = False) -> torch.Tensor:
    filler = values.new_zeros(length - len(values))
    return torch.cat([filler, values] if at_left else [values, filler])
