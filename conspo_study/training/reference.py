"""The frozen initial policy, to which `update.reference_kl` refers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path

from torch import Tensor
from transformers import PreTrainedModel

from conspo_study.config import RunConfig
from conspo_study.policy.logprobs import response_logprobs
from conspo_study.policy.lora import without_adapters
from conspo_study.training.placed_policy import load_placed
from conspo_study.update.gradient import LogprobsOf
from conspo_study.update.micro_batches import Tokens
from conspo_study.update.world import World

ReferenceFactory = Callable[[Path, PreTrainedModel], LogprobsOf | None]
"""(folder that a policy begins with, that policy) -> log-probabilities of its reference; None where
no penalty needs one."""


def reference_policies(config: RunConfig, world: World) -> ReferenceFactory:
    """The references of the seeds of a trial. Calls of the result are collective.

    Of a policy with adapters the model without them; of others a copy that is loaded once for all
    seeds that begin with it.
    """
    frozen = cache(partial(_frozen, config, world))

    def reference_of(folder: Path, policy: PreTrainedModel) -> LogprobsOf | None:
        if not config.update.reference_kl:
            return None
        return partial(_logprobs, config, policy if config.policy.lora_rank else frozen(folder))

    return reference_of


def _frozen(config: RunConfig, world: World, folder: Path) -> PreTrainedModel:
    model, _ = load_placed(config, folder, world)
    model.requires_grad_(False)
    return model


def _logprobs(
    config: RunConfig,
    model: PreTrainedModel,
    prompts: Sequence[Tokens],
    responses: Sequence[Tokens],
) -> Tensor:
    temperature, precision = config.rollout.temperature, config.policy.precision
    with without_adapters(model):
        return response_logprobs(model, prompts, responses, temperature, precision)
