"""A GRPO trainer of TRL that follows an objective of this package, by what TRL's methods return.

No code of TRL is copied. Two forms:

- credits: when a batch has been sampled, whole groups are there. The objective's derivative by the
  log-probabilities of the batch, taken once, becomes TRL's advantages. TRL may then shuffle and cut
  as it likes. Exact as long as a batch gets one update.
- exact: for several updates on a batch. Groups stay whole in their micro-batches, and at every
  micro-batch the derivative is taken anew, at the log-probabilities that TRL's loss has just
  computed and before it reads the advantages.

In both, TRL's ratios are 1: it takes a log-probability for its own old one when there is none. What
an objective has to say about ratios is in its derivative. KL, entropy bonus, and all else that TRL
adds to its loss stay.
"""

from __future__ import annotations

import inspect
import logging
import math
from typing import Any

import torch
from torch import Tensor

from conspo_study.config import ObjectiveOptions
from conspo_study.integrations.score_based import is_score_based
from conspo_study.integrations.settings import ObjectiveLike, objective_options
from conspo_study.integrations.trl.checks import (
    check_settings,
    check_trainer,
    check_version,
    updates_are_aligned,
)
from conspo_study.integrations.trl.parts import Part, parts_of
from conspo_study.integrations.trl.rows import (
    cut,
    loss_mask,
    neutral_correction,
    row_means,
    rows_of_all,
)
from conspo_study.integrations.trl.scaling import divisors
from conspo_study.integrations.trl.verdicts import Judged, judge_column, judged
from conspo_study.integrations.trl.weighing import weigh
from conspo_study.objective import Progress

_LOGGER = logging.getLogger(__name__)
PREFIX = "objective/"
"""Of the metrics, among TRL's own."""


def with_objective(
    trainer: type,
    objective: ObjectiveLike = "conspo",
    *,
    exact: bool = False,
    judge: str | None = None,
    threshold: float | None = None,
    **settings: Any,
) -> Any:
    """A subclass of TRL's `GRPOTrainer`, or of a subclass of it, that minimises an objective.

    objective, settings: `with_objective(GRPOTrainer, "conspo", tau=0.5, margin=0.1)`; also options
    of `conspo_study.config`, or the import path of an objective of one's own. exact: live scores
    at every micro-batch, with whole groups in each; chosen by itself where a batch gets several
    updates. judge: name of the reward function that decides who is right, where there are several.
    threshold: smallest reward that counts as right, where rewards are not 0 and 1.

    Raises ConfigError or PluginError for the objective, ImportError for another version of TRL,
    TypeError for a class that is not its GRPO trainer; making a trainer raises ValueError for
    settings of TRL that would change the objective.
    """
    check_version()
    check_trainer(trainer)
    options = objective_options(objective, **settings)
    return type(
        f"{options.name.replace(':', '_')}_{trainer.__name__}",
        (_ObjectiveTrainer, trainer),
        {
            "__doc__": f"{trainer.__name__} that minimises {options!r}.",
            "_name": options.name,
            "objective_options": options,
            "verdict_judge": judge,
            "verdict_threshold": threshold,
            "force_exact": exact,
        },
    )


class _ObjectiveTrainer:
    """What `with_objective` puts in front of a GRPO trainer."""

    objective_options: ObjectiveOptions
    verdict_judge: str | None
    verdict_threshold: float | None
    force_exact: bool
    accelerator: Any
    args: Any
    state: Any
    model: Any
    _step: int
    _metrics: Any
    _logs: Any
    _buffered_inputs: Any

    def __init__(self, *args: Any, **kwargs: Any):
        self._judged: Judged | None = None
        self._parts: list[Part] = []
        self._waiting: dict[str, Any] | None = None
        super().__init__(*args, **kwargs)
        self._on_scores = is_score_based(self.objective_options, corrected=True)
        self._exact = self.force_exact or not updates_are_aligned(self.args)
        fused = bool(getattr(self, "use_liger_kernel", False))
        check_settings(self.args, self.objective_options, self._exact, self._on_scores, fused)
        names: list[str] = self.reward_func_names  # type: ignore[attr-defined]
        self._column = judge_column(names, self.verdict_judge, self.objective_options)
        if self.accelerator.is_main_process:
            form = "live scores of whole groups" if self._exact else "credits"
            _LOGGER.warning(
                "%s by %s: TRL's own ratios are 1, and its scale_rewards and epsilon do not act. "
                "KL (beta) and entropy bonus are added as TRL adds them.",
                self.objective_options.name,
                form,
            )

    def _calculate_rewards(self, *args: Any, **kwargs: Any) -> Tensor:
        rewards: Tensor = super()._calculate_rewards(*args, **kwargs)  # type: ignore[misc]
        if self.model.training:
            weights = self.reward_weights  # type: ignore[attr-defined]
            self._judged = judged(
                rewards, weights, self._column, self.verdict_threshold, self.objective_options
            )
        return rewards

    def _generate_and_score_completions(self, inputs: Any) -> dict[str, Any]:
        output: dict[str, Any] = super()._generate_and_score_completions(inputs)  # type: ignore[misc]
        if not self.model.training:
            return output
        mask = loss_mask(output)
        lengths = self.accelerator.gather(mask.sum(1)).cpu()
        self._arrange(lengths)
        if self._exact:
            if "pixel_values" in output:
                raise ValueError(
                    "several updates on a batch with images are not supported: set "
                    "num_iterations=1 and steps_per_generation=gradient_accumulation_steps"
                )
            self._log_advantages(torch.full((len(lengths),), math.nan))
            return output
        logprobs = output.pop("old_per_token_logps", None)
        if logprobs is None:
            logprobs = self._score(output)
        advantages = self._advantages(0, logprobs, None, output)
        of_rows = advantages if advantages.ndim == 1 else row_means(advantages, mask)
        self._log_advantages(self.accelerator.gather(of_rows).cpu())
        return {**output, "advantages": advantages}

    def _prepare_inputs(self, generation_batch: Any) -> dict[str, Any]:
        if not (self._exact and self.model.training):
            return super()._prepare_inputs(generation_batch)  # type: ignore[misc,no-any-return]
        parts = self.args.steps_per_generation
        every = parts * self.args.num_iterations
        if self._step % every == 0 or self._buffered_inputs is None:
            batch = self._generate_and_score_completions(generation_batch)
            self._buffered_inputs = cut(batch, parts)
        part: dict[str, Any] = self._buffered_inputs[self._step % parts]
        return part

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> Tensor:
        if not (self._exact and self.model.training):
            return super()._compute_loss(model, inputs)  # type: ignore[misc,no-any-return]
        # Without advantages until the log-probabilities are there; see the next method.
        inputs = {name: value for name, value in inputs.items() if name != "advantages"}
        self._waiting = inputs
        try:
            return super()._compute_loss(model, inputs)  # type: ignore[misc,no-any-return]
        finally:
            self._waiting = None

    def _get_per_token_logps_and_entropies(self, model: Any, *args: Any, **kwargs: Any) -> Any:
        result = super()._get_per_token_logps_and_entropies(model, *args, **kwargs)  # type: ignore[misc]
        inputs, self._waiting = self._waiting, None
        if inputs is not None:
            old = inputs.pop("old_per_token_logps", None)
            part = self._step % self.args.steps_per_generation
            inputs["advantages"] = self._advantages(part, result[0], old, inputs)
        return result

    def _arrange(self, lengths: Tensor) -> None:
        """Find the groups of a generation batch. lengths: tokens of its rows: (R,)."""
        found = self._judged
        assert found is not None, "TRL has not called _calculate_rewards"
        args = self.args
        self._parts = parts_of(
            found,
            lengths,
            self.objective_options,
            generations=args.num_generations,
            processes=self.accelerator.num_processes,
            parts=args.steps_per_generation if self._exact else 1,
            window=args.gradient_accumulation_steps if self._exact else 1,
        )
        groups = sum(part.plan.groups for part in self._parts)
        correct = found.correct[found.counted]
        self._log(
            {
                "valid_groups": groups * args.num_generations / len(lengths),
                "correct": float(correct.mean()) if len(correct) else math.nan,
                "unjudged": 1 - float(found.counted.double().mean()),
            }
        )

    def _score(self, output: dict[str, Any]) -> Tensor:
        """Log-probabilities of the sampled tokens, by TRL's own method: (rows, T)."""
        method = self._get_per_token_logps_and_entropies
        base = super()._get_per_token_logps_and_entropies  # type: ignore[misc]
        extras = {k: v for k, v in output.items() if k in inspect.signature(base).parameters}
        masks = [output["prompt_mask"], output["completion_mask"]]
        with torch.no_grad():
            logprobs: Tensor = method(
                self.model,
                torch.cat([output["prompt_ids"], output["completion_ids"]], dim=1),
                torch.cat(masks, dim=1),
                output["completion_ids"].size(1),
                batch_size=self.args.per_device_train_batch_size,
                **extras,
            )[0]
        return logprobs

    def _advantages(
        self, part: int, logprobs: Tensor, old: Tensor | None, inputs: dict[str, Any]
    ) -> Tensor:
        """Advantages of this process's rows, under which TRL's loss has the objective's gradient.

        part: which of the generation batch. logprobs, old: of its rows on this process: (rows, T).
        Returns (rows,) for an objective on scores, (rows, T) for another.
        """
        args, accelerator, mask = self.args, self.accelerator, loss_mask(inputs)
        correction = neutral_correction(inputs)
        found = weigh(
            rows_of_all(accelerator, logprobs, mask, old, correction, on_scores=self._on_scores),
            self._parts[part].plan,
            self._parts[part].totals,
            self.objective_options,
            Progress(self.state.global_step, self.state.max_steps),
            on_scores=self._on_scores,
            max_response_length=args.max_completion_length,
        )
        self._log(found.metrics)
        first = accelerator.process_index * len(mask)
        weights = found.weights[first : first + len(mask), : mask.size(1)]
        lengths = mask.sum(1).to(weights)
        # A generation batch is `cuts` micro-batches on each process, of which an update takes some.
        cuts = args.steps_per_generation
        micro_batches = cuts * accelerator.num_processes
        divisor = divisors(
            args.loss_type,
            lengths,
            rollouts=len(mask) * (micro_batches if self._exact else accelerator.num_processes),
            tokens=float(inputs["num_items_in_batch"]),
            limit=args.max_completion_length,
            cap=args.epsilon if args.epsilon_high is None else args.epsilon_high,
            micro_batch_tokens=float(lengths.sum()) * micro_batches if self._exact else None,
        )
        share = args.gradient_accumulation_steps / cuts if self._exact else 1.0
        if self._on_scores:
            weights = weights / lengths.clamp(min=1)[:, None]
        dtype = torch.promote_types(logprobs.dtype, torch.float32)
        advantages = (-weights * divisor[:, None] * share).to(logprobs.device, dtype)
        return advantages[:, 0] if self._on_scores else advantages

    def _log(self, metrics: dict[str, float]) -> None:
        for name, value in metrics.items():
            self._metrics["train"][PREFIX + name].append(value)

    def _log_advantages(self, advantages: Tensor) -> None:
        """Put the advantages of this batch in place of TRL's in its table of completions."""
        column = self._logs["advantages"]
        for _ in range(len(advantages)):
            column.pop()
        column.extend(advantages.tolist())
