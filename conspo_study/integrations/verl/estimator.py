"""The advantage estimator `conspo` of verl: credits of whole groups, as advantages of tokens.

`compute_advantage` of verl 0.9 passes an estimator rewards, mask and group ids, but not the
log-probabilities that lie in the same batch. `offering` makes that batch known while verl calls the
estimator; a verl that passes `batch` itself is believed first.
"""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from typing import Any

from torch import Tensor

from conspo_study.integrations.credits import rollout_mean_advantages, token_mean_advantages
from conspo_study.integrations.foreign_batch import Responses, credit, refuse
from conspo_study.integrations.verl.trainer_settings import (
    NAME,
    WHERE,
    TrainerSettings,
    has_the_rest,
)

_OFFERED: ContextVar[Any] = ContextVar("the batch that verl computes advantages of", default=None)


def estimator(
    token_level_rewards: Tensor,
    response_mask: Tensor,
    config: Any = None,
    index: Sequence[Any] | None = None,
    batch: Any = None,
    non_tensor_batch: Any = None,
    **_: Any,
) -> tuple[Tensor, Tensor]:
    """Advantages with which the policy loss `conspo` has the objective's gradient, and returns.

    token_level_rewards, response_mask: (B, L). config: the node `algorithm`. index: id of each
    row's group: (B,). batch: the tensors of the batch, with `old_log_probs` (B, L).

    Returns the same tensor twice: (B, L), 0 beyond the mask, in the type of `old_log_probs`.

    Raises ValueError, before the update, for a run or a batch that would not follow the objective.
    """
    if batch is None and _OFFERED.get() is not None:
        batch = _OFFERED.get().batch
    if batch is None or "old_log_probs" not in batch:
        raise ValueError(
            f"the estimator {NAME} needs the log-probabilities of the trainer (old_log_probs), and "
            "this verl passes none: is conspo_study.integrations.verl.plugin loaded in the driver?"
        )
    if index is None and non_tensor_batch is not None:
        index = non_tensor_batch.get("uid")
    if index is None:
        raise ValueError(
            "this batch has no `uid`, the id of each response's group: without it nobody can tell "
            "which responses are to be compared"
        )
    advantages_BL = group_advantages(
        batch["old_log_probs"], response_mask, token_level_rewards.sum(-1), index, config
    )
    return advantages_BL, advantages_BL


def group_advantages(
    logprobs_BL: Tensor, mask_BL: Tensor, rewards_B: Tensor, groups_B: Sequence[Any], config: Any
) -> Tensor:
    """Credits as advantages under the run's `loss_agg_mode`: (B, L).

    A_i = c_i B / Q under a mean over rollouts of token means, c_i N / (T_i Q) under a token mean,
    and so on: each undoes verl's own divisor. Several mini-batches have those of all together.
    """
    settings = TrainerSettings(config)
    drop_in = settings.drop_in
    refuse(settings.refusals(len(mask_BL)), drop_in, WHERE)
    responses = Responses.of(logprobs_BL, mask_BL, rewards_B, groups_B)
    size, progress = settings.rollouts_per_prompt, settings.progress(drop_in)
    credits_B, groups = credit(responses, size, drop_in, progress, WHERE)
    per_update = settings.rollouts_per_update
    rollouts = max(1, len(mask_BL) // per_update) * per_update
    if settings.aggregation == "seq-mean-token-mean":
        advantages_B = rollout_mean_advantages(credits_B, groups, rollouts)
    else:
        divisor = {
            "token-mean": float(responses.lengths_B.sum()),
            "token-sum": 1.0,
            "seq-mean-token-sum": rollouts,
            "seq-mean-token-sum-norm": rollouts * (settings.loss_scale_factor or 0.0),
        }[settings.aggregation]
        advantages_B = token_mean_advantages(credits_B, responses.lengths_B, groups, divisor)
    advantages_BL: Tensor = advantages_B[:, None] * mask_BL.bool()
    return advantages_BL.to(logprobs_BL.dtype)


@contextlib.contextmanager
def offering(data: Any) -> Iterator[None]:
    """Make a batch (`DataProto`) known to the estimator that verl calls meanwhile."""
    token = _OFFERED.set(data)
    try:
        yield
    finally:
        _OFFERED.reset(token)


def wrap_compute_advantage(ray_trainer: Any) -> None:
    """Let `compute_advantage` offer its batch to the estimator `conspo`, and to no other.

    Replaces it in `verl.trainer.ppo.ray_trainer` and wherever a module of verl has imported it by
    name already. Once is enough; twice changes nothing.
    """
    original = ray_trainer.compute_advantage
    if hasattr(original, "without_conspo"):
        return
    wrapped = _offering_its_batch(original)
    for name, module in list(sys.modules.items()):
        if name.startswith("verl.") and getattr(module, "compute_advantage", None) is original:
            module.compute_advantage = wrapped  # type: ignore[attr-defined]


def _offering_its_batch(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def compute_advantage(data: Any, adv_estimator: Any, *args: Any, **kwargs: Any) -> Any:
        if adv_estimator != NAME:
            _refuse_a_lone_loss(adv_estimator, kwargs.get("config"))
            return original(data, adv_estimator, *args, **kwargs)
        with offering(data):
            return original(data, adv_estimator, *args, **kwargs)

    compute_advantage.without_conspo = original  # type: ignore[attr-defined]
    return compute_advantage


def _refuse_a_lone_loss(adv_estimator: Any, config: Any) -> None:
    """Raise ValueError where the policy loss `conspo` would get the advantages of another."""
    if has_the_rest(config) and TrainerSettings(config).loss_mode == NAME:
        raise ValueError(
            f"the policy loss {NAME} follows the estimator of that name, but "
            f"algorithm.adv_estimator is {getattr(adv_estimator, 'value', adv_estimator)}: set "
            f"algorithm.adv_estimator={NAME}"
        )
