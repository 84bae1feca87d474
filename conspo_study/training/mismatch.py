"""Refusing to train a policy whose sampler and trainer compute different things."""

from __future__ import annotations

from collections.abc import Mapping

from conspo_study.config import RunConfig
from conspo_study.update.errors import MismatchError

ABSURD_NATS = {False: (0.01, 0.1), True: (0.3, 20.0)}
"""Mean and largest difference of a token's log-probabilities, in nats, beyond which sampler and
trainer do not compute the same thing, by whether either computes in half precision. In float32 they
differ by some 1e-6 and 1e-4 at most; in bfloat16, with 2^16 times its rounding, by some 0.02 in the
mean, and by a few nats for single tokens of models with experts. `update.mismatch_limit` replaces
the largest one."""


def refuse_absurd_mismatch(config: RunConfig, metrics: Mapping[str, float]) -> None:
    """Check the metrics of a policy's first update, which sampled and trained the same weights.

    Raises MismatchError when the responses were drawn from something else than the policy that is
    trained. An update without groups has nothing to compare.
    """
    if "mismatch_max" not in metrics:
        return
    rollout, computed_in = config.rollout, {config.policy.precision, config.sampling_dtype}
    mean_limit, max_limit = ABSURD_NATS[computed_in != {"float32"}]
    max_limit = config.update.mismatch_limit or max_limit
    mean, largest = metrics["mismatch_abs"], metrics["mismatch_max"]
    if mean > mean_limit or largest > max_limit:
        raise MismatchError(
            f"sampler ({rollout.engine}) and trainer give the same tokens log-probabilities "
            f"that differ by {mean:.3g} nats on average and {largest:.3g} at most (expected: below "
            f"{mean_limit:g} and {max_limit:g}), although their weights are the same: one of them "
            "computes this model wrongly, such as its attention windows or rotary embedding; use "
            "another rollout.engine, policy.attention=eager or another model. "
            "update.mismatch_limit sets how much of a difference is accepted"
        )
