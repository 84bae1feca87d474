"""A loss for Tinker's `TrainingClient.forward_backward_custom`: the objective itself, unchanged.

Tinker hands a loss the log-probabilities of all data at once and sends its derivative by them to
the server, so whole groups are there and nothing is approximated. What speaks Tinker's protocol
(SkyRL and verl do) can be trained the same way.

    loss_fn = custom_loss("conspo", correct, group, Progress(step, steps), tau=0.5)
    training_client.forward_backward_custom(data, loss_fn).result()
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from conspo_study.integrations.credits import progress_of
from conspo_study.integrations.groups import Rows, arrange
from conspo_study.integrations.score_based import is_score_based
from conspo_study.integrations.settings import ObjectiveLike, objective_options
from conspo_study.objective import GroupBatch, Progress, Totals, objective_of
from conspo_study.objective.diagnostics import ratio_metrics, score_metrics

LossFn = Callable[[Sequence[Any], Sequence[Tensor]], tuple[Tensor, dict[str, float]]]
"""`(data, logprobs_list) -> (loss, metrics)`, as Tinker calls it."""


def custom_loss(
    objective: ObjectiveLike,
    correct: Rows,
    group: Rows,
    progress: float | Progress = 1.0,
    *,
    rewards: Rows | None = None,
    totals: Totals | None = None,
    max_response_length: int | None = None,
    **settings: Any,
) -> LossFn:
    """The loss of an objective over the data of one `forward_backward_custom`.

    correct, group, rewards: verdict, group id and reward of each datum, as `credits` takes them:
    (B,). progress: place in training, for a margin that rises. totals: sizes of the optimiser step,
    where it adds up several calls; a call holds whole groups. max_response_length: response limit,
    for `dr_grpo`. settings: of the objective.

    A datum needs `weights` or `mask` in its `loss_fn_inputs`, above 0 on the tokens of the response
    and 0 on the prompt, and, for an objective on ratios, the `logprobs` of the policy that sampled.
    A datum without response tokens, or in a group without contrast, has gradient 0.

    Raises ConfigError or PluginError for the objective; the loss raises ValueError for data that do
    not fit.
    """
    options = objective_options(objective, **settings)
    function, on_scores = objective_of(type(options)), is_score_based(options)
    place = progress_of(progress)

    def loss_fn(data: Sequence[Any], logprobs_list: Sequence[Tensor]) -> tuple[Tensor, Any]:
        if len(data) != len(logprobs_list):
            raise ValueError(f"{len(logprobs_list)} log-probabilities for {len(data)} data")
        masks = [
            _response_mask(datum, len(row), index)
            for index, (datum, row) in enumerate(zip(data, logprobs_list, strict=True))
        ]
        lengths = [int(mask.sum()) for mask in masks]
        counted = [length > 0 for length in lengths]
        plan = arrange(correct, group, options, rewards=rewards, counted=counted)
        # One tensor of all, so that every datum has a gradient, if only 0, as Tinker demands.
        ends = torch.tensor([0, *(len(row) for row in logprobs_list)]).cumsum(0).tolist()
        logprobs = torch.cat([*logprobs_list]).double()
        places = torch.cat(
            [torch.zeros(0, dtype=torch.int64)]
            + [ends[row] + masks[row].nonzero().flatten() for row in plan.rows]
        )
        logprobs_T = logprobs[places]
        if not plan.rows:
            return logprobs_T.sum(), {"valid_groups": 0.0}
        batch = GroupBatch.of(
            logprobs_T,
            logprobs_T.detach() if on_scores else _old_logprobs(data, masks, plan.rows),
            [lengths[row] for row in plan.rows],
            plan.sizes,
            plan.correct,
            totals,
            rewards=plan.rewards,
            kl_old=0.0 if on_scores else None,  # which then has no part in the loss
            max_response_length=max_response_length,
        )
        output = function(batch, options, place)
        parts = output.metrics | score_metrics(batch) | ({} if on_scores else ratio_metrics(batch))
        metrics = {name: part.value for name, part in parts.items() if part.value is not None}
        return output.loss, {"valid_groups": float(plan.groups), **metrics}

    return loss_fn


def _response_mask(datum: Any, tokens: int, index: int) -> Tensor:
    """True for the target tokens of the response: (tokens,)."""
    inputs = datum.loss_fn_inputs
    for name in ("mask", "weights"):
        if name in inputs:
            mask: Tensor = inputs[name].to_torch() > 0
            if mask.shape != (tokens,):
                raise ValueError(
                    f"datum {index} has {name} of shape {tuple(mask.shape)} for {tokens} "
                    "target tokens: give one for each"
                )
            return mask
    raise ValueError(
        f"datum {index} does not say which of its tokens are the response: give it `weights` in "
        "loss_fn_inputs, 1 for each token of the response and 0 for the prompt"
    )


def _old_logprobs(data: Sequence[Any], masks: Sequence[Tensor], rows: Sequence[int]) -> Tensor:
    missing = next((row for row in rows if "logprobs" not in data[row].loss_fn_inputs), None)
    if missing is not None:
        raise ValueError(
            f"datum {missing} has no `logprobs` in loss_fn_inputs, which an objective on ratios "
            "compares with: the log-probabilities that sampling returned, 0 on the prompt"
        )
    old = [data[row].loss_fn_inputs["logprobs"].to_torch().double()[masks[row]] for row in rows]
    return torch.cat(old)
