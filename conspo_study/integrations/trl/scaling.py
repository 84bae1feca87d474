"""The divisors of TRL's losses, which an advantage undoes.

With ratio 1 the derivative of every GRPO loss of TRL by a token's log-probability is -A/N, with the
advantage A of the token and a divisor N that only the `loss_type` decides. Advantages of -N w give
the token the weight w = d loss / d log pi of an objective. Processes average their gradients, which
N includes. T_i are the tokens of rollout i, B the rollouts of a generation batch over all
processes, L `max_completion_length`.
"""

from __future__ import annotations

from torch import Tensor

ROLLOUT_MEAN = ("grpo", "sapo")
TOKEN_MEAN = ("dapo", "cispo", "vespo")
MICRO_BATCH_MEAN = "bnpo"
KNOWN = (*ROLLOUT_MEAN, *TOKEN_MEAN, MICRO_BATCH_MEAN, "dr_grpo", "luspo")
"""Loss types whose divisor is known."""


def divisors(
    loss_type: str,
    lengths_R: Tensor,
    *,
    rollouts: int,
    tokens: float,
    limit: int,
    cap: float,
    micro_batch_tokens: float | None = None,
) -> Tensor:
    """N of each row over a whole generation batch: (R,).

    lengths_R: T_i: (R,). rollouts: B. tokens: of the generation batch over all processes. limit: L.
    cap: `epsilon_high`, which `cispo` reads as the cap of the ratio, 1 here. micro_batch_tokens:
    tokens of the rows' micro-batch times the number of micro-batches of all processes in a
    generation batch, which `bnpo` divides by.
    """
    ones_R = lengths_R.new_ones(lengths_R.shape)
    if loss_type in ROLLOUT_MEAN:
        return rollouts * lengths_R
    if loss_type == "dr_grpo":
        return ones_R * rollouts * limit
    if loss_type == "luspo":
        return ones_R * rollouts
    if loss_type == MICRO_BATCH_MEAN and micro_batch_tokens is not None:
        return ones_R * max(micro_batch_tokens, 1.0)
    if loss_type in TOKEN_MEAN:
        weight = min(1.0, cap) if loss_type == "cispo" else 1.0
        return ones_R * max(tokens, 1.0) / weight
    raise ValueError(f"loss_type={loss_type!r} has no divisor that is known here")
