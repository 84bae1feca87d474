"""The configuration of the rollout stage."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from conspo_study.config.stage import Stage


class RolloutConfig(Stage):
    """Sampling of responses during training."""

    engine: Literal["transformers", "vllm"] = "transformers"
    """Generation engine: `transformers` samples from the trained model object itself; `vllm` runs
    engines in separate processes, to which the weights are sent."""
    prompts_per_step: int = Field(8, ge=1)
    """Prompts per rollout batch, summed over all workers; a multiple of `train.workers`."""
    group_size: int = Field(16, ge=2)
    """Group size G: rollouts per prompt. A contrast needs at least two."""
    temperature: float = Field(1.0, gt=0)
    """Sampling temperature; all log-probabilities in training are taken at it. There is no top-p or
    top-k in training: truncated sampling would make the policy's log-probabilities wrong."""
    max_new_tokens: int = Field(44, ge=1)
    """Maximum response length, in tokens."""
    refill_rounds: int = Field(0, ge=0)
    """Dynamic sampling: maximum number of extra rounds per step that replace discarded groups by
    new prompts; 0, as in the paper, discards without replacement."""
    ahead: bool = False
    """Sample the responses of a step before the update of the previous step, so that vLLM engines
    work while the trainer computes. Responses are then off-policy by one rollout batch; see the
    metric `staleness` and the setting `update.old_logprobs`."""
    batch_rows: int = Field(512, ge=1)
    """Decoding batch: maximum number of sequences that an engine decodes at once; at least
    `group_size`."""
    vllm_engines: int = Field(1, ge=1)
    """vLLM engines per training worker; prompts are distributed over them."""
    vllm_cpus: int = Field(1, ge=1)
    """CPU cores reserved for each vLLM engine; without a GPU also its number of threads."""
    vllm_gpus: int = Field(0, ge=0)
    """GPUs reserved for each vLLM engine, which uses them by tensor parallelism."""
    vllm_colocated: bool = False
    """Let the vLLM engine share the GPU of its training worker; it sleeps while the trainer
    computes."""
    vllm_gpu_memory: float = Field(0.85, gt=0, le=1)
    """Fraction of GPU memory that a vLLM engine may use, weights included."""
    vllm_cache_mib: int = Field(256, ge=16)
    """Key-value cache of a vLLM engine on a CPU, in MiB."""
    vllm_dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Data type in which vLLM computes. `auto`: the trainer's, `policy.precision`, on a GPU;
    float32 on a CPU."""
    vllm_deadline_s: float = Field(600.0, gt=0)
    """Timeout of a vLLM engine, in seconds: one without progress (a line of its log while it
    starts, a decoding step, loading weights) for that long is replaced."""

    @model_validator(mode="after")
    def _a_group_fits_the_engine(self) -> Self:
        if self.group_size > self.batch_rows:
            raise ValueError(
                f"group_size {self.group_size} exceeds batch_rows {self.batch_rows}: "
                "a group is decoded together; raise batch_rows"
            )
        return self

    @model_validator(mode="after")
    def _nothing_is_refilled_ahead(self) -> Self:
        if self.ahead and self.refill_rounds:
            raise ValueError(
                "ahead samples responses before it is known which groups are discarded, but "
                f"refill_rounds is {self.refill_rounds}: set refill_rounds=0 or ahead=false"
            )
        return self

    @model_validator(mode="after")
    def _a_colocated_engine_has_no_gpu_of_its_own(self) -> Self:
        if self.vllm_colocated and (self.vllm_gpus or self.vllm_engines > 1):
            raise ValueError(
                f"with vllm_colocated each worker has one engine without its own GPU, but "
                f"vllm_gpus is {self.vllm_gpus} and vllm_engines {self.vllm_engines}: set "
                "vllm_gpus=0 and vllm_engines=1, or vllm_colocated=false"
            )
        return self
