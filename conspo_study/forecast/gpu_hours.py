"""Time and GPU-hours of a study on a model of known size, estimated from its configuration alone.

Of one run, a trial with one seed, on W workers that share the work:

    rollouts     steps x (sync + longest of  R l / v,  R l s / C,  L s)
    update       steps x R (c N + c/2 x A) l / f
    evaluation   as rollouts, for every set; one sync for all sets of an evaluation

R is the number of responses of a worker in a step, l their assumed mean length and L their limit;
C of them are decoded at once. v is the rate of a full engine, s the time of a decoding step: a
batch takes as long as its longest response, however few are left. N is the number of parameters,
and A = 4 x layers x heads x head size x (prompt + l/2) the attention of a forward pass over a
token. c is 2 for each forward pass over a token and 4 for the backward pass (2 with adapters): 6,
with 2 more where scores are computed without a graph first, 2 where activations are computed again,
2 for a reference policy, and 2 (1 - 1/m) for the groups of later mini-batches that m of them score
before the first step.

Rates and lengths are assumptions (`gpu_rates`, `responses`): half as fast is as plausible as twice
as fast.
"""

from __future__ import annotations

from dataclasses import dataclass

from conspo_study.config import RunConfig
from conspo_study.definition import StudyDefinition
from conspo_study.definition.batches import Batch, confirmation_batch, search_batch
from conspo_study.forecast.gpu_rates import (
    BYTES_PER_S,
    FLOPS,
    START_S,
    STEP_S,
    SYNC_S,
    TOKENS_PER_S,
    Speed,
    speed_of,
)
from conspo_study.forecast.known_models import Shape, known_model
from conspo_study.forecast.memory.engine import engine_of
from conspo_study.forecast.responses import (
    MEAN_LENGTH,
    PROMPT_TOKENS,
    Draw,
    draws,
    evaluated_per_run,
    evaluation_steps,
)

_USUAL_BYTES = 80 * 2**30


@dataclass(frozen=True, slots=True)
class RunCost:
    """Seconds of one run, and their arithmetic."""

    gpus: float
    """Of the trial; less than one for a share of a GPU, which is as much slower."""
    rollouts_s: float
    update_s: float
    evaluation_s: float
    start_s: float
    """Of the trial, whatever the number of its seeds."""
    tokens: int
    """T: tokens sampled in training, by all workers."""
    length: int
    """l."""
    rate: float
    """v, tokens a second of one worker."""
    step_s: float
    """s."""
    at_once: int
    """C in training."""
    work: float
    """c."""
    attention: float
    """A."""
    flops: float
    """f."""
    speed: Speed

    @property
    def seconds(self) -> float:
        """Of the whole run."""
        return self.rollouts_s + self.update_s + self.evaluation_s

    def hours(self, seconds: float) -> float:
        """GPU-hours of the trial's GPUs in so many seconds."""
        return self.gpus * seconds / 3600

    def trial_seconds(self, seeds: int) -> float:
        """Of a trial, whose seeds take turns."""
        return self.start_s + seeds * self.seconds


def run_cost(run: RunConfig, gpu_bytes: int | None = None) -> RunCost | None:
    """Estimate for one run; None without GPUs, and for unknown models and response limits.

    gpu_bytes: the size of a GPU, which stands for its speed; None: one of 80 GB.
    """
    shape, length = known_model(run.policy.model), MEAN_LENGTH.get(run.rollout.max_new_tokens)
    tested = MEAN_LENGTH.get(run.evaluation.max_new_tokens)
    if shape is None or length is None or tested is None or not run.train.gpus_per_worker:
        return None
    speed, kind, rollout = speed_of(gpu_bytes), run.rollout.engine, run.rollout
    relative = speed.relative * run.train.gpus_per_worker
    parallel = max(1, rollout.vllm_gpus) if kind == "vllm" else 1
    engines = rollout.vllm_engines if kind == "vllm" else 1
    rate = relative * parallel * TOKENS_PER_S[kind] / shape.parameters
    reading = _width(run) * shape.parameters / (BYTES_PER_S * relative * parallel)
    step_s, sync_s = STEP_S[kind] + reading, SYNC_S * (kind == "vllm")
    most, cache = rollout.batch_rows, engine_of(run, shape, gpu_bytes or _USUAL_BYTES)
    if cache is not None and cache.at_once:  # without room for one there is no run to estimate
        most = min(most, cache.at_once)

    def seconds(draw: Draw, mean: int) -> float:
        responses = -(-draw.responses // engines)
        at_once = min(responses, most)
        tokens = responses * mean
        longest = max(tokens / rate, tokens * step_s / at_once, draw.limit * step_s)
        return draw.times * longest

    training, *evaluations = draws(run)
    tokens = run.train.steps * rollout.prompts_per_step * rollout.group_size * length
    attention = 4 * shape.layers * shape.heads * shape.head_dim * (PROMPT_TOKENS + length / 2)
    flops, work = relative * FLOPS[run.policy.precision], update_work(run, length)
    each = work * shape.parameters + work / 2 * attention
    return RunCost(
        gpus=run.train.workers * run.gpus_per_worker,
        rollouts_s=seconds(training, length) + run.train.steps * sync_s,
        update_s=each * tokens / run.train.workers / flops,
        evaluation_s=sum(seconds(draw, tested) for draw in evaluations)
        + sum(evaluation_steps(run)) * sync_s,
        start_s=START_S[kind],
        tokens=tokens,
        length=length,
        rate=rate,
        step_s=step_s,
        at_once=min(-(-training.responses // engines), most),
        work=work,
        attention=attention,
        flops=flops,
        speed=speed,
    )


def update_work(run: RunConfig, length: int) -> float:
    """c of `run`: multiplications and additions of its update per token, in parameters.

    length: mean response length in tokens.
    """
    update, policy = run.update, run.policy
    responses = run.rollout.prompts_per_step // run.train.workers * run.rollout.group_size
    together = responses * length / update.mini_batches <= update.micro_batch_tokens
    each = 2 + (2 if policy.lora_rank else 4)
    each += 0 if together else 2
    each += 2 if policy.gradient_checkpointing else 0
    scored = 0.0 if update.old_logprobs == "sampler" else 2 * (1 - 1 / update.mini_batches)
    return update.epochs_per_batch * each + scored + (2 if update.reference_kl else 0)


def gpu_lines(study: StudyDefinition, gpu_bytes: int | None = None) -> list[str]:
    """The estimate with its arithmetic, for people; empty for unknown models."""
    base = study.built_in
    searched = run_cost(base, gpu_bytes)
    if searched is None:
        return []
    batches: list[Batch] = [search_batch(study)]
    if (again := confirmation_batch(study)) is not None:
        batches.append(again)
    total, runs = 0.0, 0
    for batch in batches:
        cost = run_cost(batch.built_in, gpu_bytes)
        if cost is not None:
            total += batch.trials * cost.hours(cost.trial_seconds(batch.seeds))
            runs += batch.trials * batch.seeds
    shape = known_model(base.policy.model)
    assert shape is not None
    hours = searched.hours
    seeds = len(study.seeds)
    return [
        f"about {_hours(total)} on GPUs as fast as {searched.speed.like} (assumed), for {runs} "
        "runs; an estimate, which may be half or twice that",
        f"a run: {_hours(hours(searched.rollouts_s))} rollouts + "
        f"{_hours(hours(searched.update_s))} update + "
        f"{_hours(hours(searched.evaluation_s))} evaluation = {_hours(hours(searched.seconds))}; "
        f"a trial of {seeds} with its start {_hours(hours(searched.trial_seconds(seeds)))}",
        _arithmetic(base, searched, shape),
    ]


def _arithmetic(base: RunConfig, cost: RunCost, shape: Shape) -> str:
    rollout = base.rollout
    return (
        f"T = {base.train.steps} steps x {rollout.prompts_per_step} prompts x "
        f"{rollout.group_size} x {cost.length} tokens (assumed) = {cost.tokens:.2g}; rollouts at "
        f"{cost.rate:,.0f} tokens/s, no faster than {cost.step_s * 1e3:.2g} ms a decoding step "
        f"of {cost.at_once:,} responses, until the longest ends, after "
        f"{SYNC_S if rollout.engine == 'vllm' else 0:g} s for the weights; update = "
        f"{cost.work:g} (N + A/2) T / {cost.flops:.2g}/s with N = {shape.parameters:.3g} and "
        f"attention A = {cost.attention:.2g} (all rates assumed); evaluation = "
        f"{evaluated_per_run(base):,} responses at the same rates"
    )


def _width(run: RunConfig) -> int:
    """Bytes of a weight that a decoding step reads."""
    return 4 if run.sampling_dtype == "float32" else 2


def _hours(hours: float) -> str:
    return f"{float(f'{hours:.2g}'):,.0f} h" if hours >= 10 else f"{hours:.2g} h"
