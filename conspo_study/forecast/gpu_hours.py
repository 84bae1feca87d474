"""GPU-hours of a study on a large model, estimated from its configuration alone.

    tokens     T = prompts x G x mean response length, over all steps
    rollouts     = T / v
    update       = c N T / f
    evaluation   = responses x mean response length / v

N is the number of parameters; c is 8, of which 6 are for the gradient and 2 for the
log-probabilities that ratios refer to, and 10 where activations are computed again. v (by rollout
engine), f (by precision) and the mean length are assumptions, not measurements: half as fast is as
plausible as twice as fast.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from conspo_study.config import RunConfig
from conspo_study.definition import StudyDefinition
from conspo_study.definition.batches import Batch, confirmation_batch, search_batch
from conspo_study.forecast.costs import evaluated_per_run
from conspo_study.forecast.known_models import KNOWN_MODELS

MEAN_LENGTH: Mapping[int, int] = MappingProxyType({8192: 4000, 4096: 1500})
"""Assumed mean response length, in tokens, by the response limit."""
TOKENS_PER_S: Mapping[str, float] = MappingProxyType(
    {"transformers": 3_000 * 1.78e9, "vllm": 12_000 * 1.78e9}
)
"""v x N on a GPU of 80 GB, by engine: a plausible rate with a 1.5B model."""
FLOPS: Mapping[str, float] = MappingProxyType({"float32": 2.5e13, "bfloat16": 2.5e14})
"""f: about 40 % of the float32 rate of an H100, and a quarter of its bfloat16 rate."""


@dataclass(frozen=True, slots=True)
class GpuHours:
    """Hours of one run: a trial with one seed."""

    parameters: float
    length: int
    """Assumed mean response length in tokens."""
    tokens: float
    """T: tokens sampled in training."""
    evaluated: float
    """Tokens sampled in all evaluations."""
    speed: float
    """v x N."""
    work: int
    """c."""
    flops: float
    """f."""

    @property
    def rollouts(self) -> float:
        """Hours of generation for training."""
        return self.tokens * self.parameters / self.speed / 3600

    @property
    def update(self) -> float:
        """Hours of gradients and log-probabilities."""
        return self.work * self.parameters * self.tokens / self.flops / 3600

    @property
    def evaluation(self) -> float:
        """Hours of generation for evaluation."""
        return self.evaluated * self.parameters / self.speed / 3600

    @property
    def total(self) -> float:
        """Hours of the whole run."""
        return self.rollouts + self.update + self.evaluation


def run_hours(run: RunConfig) -> GpuHours | None:
    """Estimate for one run; None for unknown models and response limits."""
    model = KNOWN_MODELS.get(run.policy.model)
    length = MEAN_LENGTH.get(run.rollout.max_new_tokens)
    if model is None or length is None:
        return None
    sampled = run.train.steps * run.rollout.prompts_per_step * run.rollout.group_size
    return GpuHours(
        model.parameters,
        length,
        tokens=sampled * length,
        evaluated=evaluated_per_run(run) * length,
        speed=TOKENS_PER_S[run.rollout.engine],
        work=10 if run.policy.gradient_checkpointing else 8,
        flops=FLOPS[run.policy.precision],
    )


def gpu_lines(study: StudyDefinition) -> list[str]:
    """The estimate with its arithmetic, for people; empty for unknown models."""
    searched = run_hours(study.base)
    if searched is None:
        return []
    batches: list[Batch] = [search_batch(study)]
    if (again := confirmation_batch(study)) is not None:
        batches.append(again)
    each = [run_hours(batch.run) for batch in batches]
    runs = [batch.trials * batch.seeds for batch in batches]
    total = sum(hours.total * count for hours, count in zip(each, runs, strict=True) if hours)
    base = study.base
    return [
        f"about {_hours(total)} on GPUs of 80 GB, for {sum(runs)} runs; an estimate, which may be "
        "half or twice that",
        f"a run: {_hours(searched.rollouts)} rollouts + {_hours(searched.update)} update + "
        f"{_hours(searched.evaluation)} evaluation = {_hours(searched.total)}",
        f"T = {base.train.steps} steps x {base.rollout.prompts_per_step} prompts x "
        f"{base.rollout.group_size} x {searched.length} tokens (assumed) = {searched.tokens:.2g}; "
        f"rollouts = T N / {searched.speed:.2g}/s, update = {searched.work} N T / "
        f"{searched.flops:.2g}/s with N = {searched.parameters:.3g} (both rates assumed); "
        f"evaluation = {evaluated_per_run(base):,} responses, generated at the same rate",
    ]


def _hours(hours: float) -> str:
    return f"{float(f'{hours:.2g}'):,.0f} h" if hours >= 10 else f"{hours:.1f} h"
