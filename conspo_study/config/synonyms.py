"""Names that other projects use for settings, to suggest ours."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence

_SYNONYMS = {
    "update.learning_rate": "lr lrate learningrate actor_lr peak_lr",
    "update.warmup_steps": "warmup num_warmup_steps lr_warmup_steps warmup_ratio",
    "update.weight_decay": "wd",
    "update.grad_clip": "clip_grad max_grad_norm grad_norm gradient_clipping",
    "update.beta1": "adam_beta1",
    "update.beta2": "adam_beta2",
    "update.micro_batch_tokens": (
        "micro_batch_size gradient_accumulation_steps grad_accum per_device_train_batch_size "
        "ppo_micro_batch_size"
    ),
    "update.mini_batches": "mini_batch_size num_mini_batches ppo_mini_batch_size minibatches",
    "update.epochs_per_batch": "epochs num_epochs ppo_epochs num_iterations num_train_epochs mu",
    "update.importance_cap": "importance_sampling_cap tis tis_cap truncated_importance_sampling",
    "update.importance_level": "rollout_is importance_sampling_level importance_sampling_mode",
    "update.entropy_bonus": "entropy_coef entropy_coeff ent_coef entropy_loss_coef",
    "update.reference_kl": "beta kl kl_coef kl_loss_coef kl_beta ref_kl",
    "rollout.prompts_per_step": (
        "batch_size train_batch_size rollout_batch_size prompts bs generation_batch_size"
    ),
    "rollout.group_size": "group g num_generations n n_rollouts rollouts num_samples rollout_n",
    "rollout.max_new_tokens": (
        "max_tokens max_completion_length max_response_length response_length max_length"
    ),
    "rollout.temperature": "temp",
    "rollout.engine": "backend inference_engine use_vllm vllm",
    "rollout.vllm_gpu_memory": "gpu_memory_utilization vllm_gpu_memory_utilization",
    "evaluation.max_new_tokens": "max_tokens max_completion_length max_response_length",
    "evaluation.samples": "n k num_samples",
    "evaluation.sets": "benchmarks eval_sets eval_dataset datasets val_files test_files dataset",
    "evaluation.every": "eval_steps eval_every test_freq frequency",
    "evaluation.top_p": "top_p nucleus",
    "evaluation.temperature": "eval_temperature temp",
    "data.train": "dataset train_dataset train_file train_files train_data data path",
    "data.template": "prompt prompt_template",
    "data.system": "system_prompt system_message",
    "data.chat_options": "chat_template_kwargs enable_thinking",
    "data.chat": "chat_template apply_chat_template use_chat_template",
    "data.max_prompt_tokens": "max_prompt_length prompt_length",
    "policy.model": "model model_name model_path model_name_or_path pretrained name path",
    "policy.precision": "dtype bf16 fp16 torch_dtype mixed_precision",
    "policy.attention": "attn attn_implementation flash_attention",
    "policy.lora_rank": "lora lora_r r rank",
    "policy.lora_targets": "target_modules lora_modules",
    "train.steps": "max_steps total_steps num_steps training_steps total_training_steps",
    "train.workers": "num_workers world_size dp data_parallel n_workers",
    "train.gpus_per_worker": "gpus gpu n_gpus num_gpus n_gpus_per_node",
    "train.cpus_per_worker": "cpus threads num_threads",
    "train.checkpoint_every": "save_steps save_every save_freq",
    "train.report_every": "logging_steps log_every",
    "train.sharding": "fsdp zero deepspeed",
    "reward.deadline_s": "timeout reward_timeout",
    "reward.workers": "num_reward_workers",
    "objective.name": "loss algorithm algo method loss_type adv_estimator objective trainer",
    "objective.tau": "temperature temp",
    "objective.kl_penalty": "init_kl_coef",
    "objective.clip_low": "eps epsilon clip cliprange clip_range clip_ratio clip_eps epsilon_low",
    "objective.clip_high": "epsilon_high clip_ratio_high eps_high",
    "objective.ratio_cap": "cap",
    "--seeds": "seed seeds",
    "--trials": "trials budget num_trials num_samples n_trials",
    "--sampler": "sampler search_alg",
    "--name": "run_name experiment_name",
}
"""Other projects' names of each setting or command-line option."""


def nearest(name: str, known: Iterable[str]) -> str:
    """` (did you mean ...?)` with the most similar known word; empty if none is similar."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" (did you mean {close[0]}?)" if close else ""


def setting_meant(name: str, known: Sequence[str]) -> str | None:
    """The known setting, or the option, that an unknown name probably means; None if none is
    similar."""
    stage, dot, field = name.rpartition(".")
    word = re.sub(r"[^a-z0-9]+", "_", field.lower()).strip("_")
    same_word = [path for path in known if path.rpartition(".")[2] == word]
    meant = [p for p, names in _SYNONYMS.items() if word in names.split() and _exists(p, known)]
    in_stage = [path for path in meant if path.startswith(f"{stage}.")]
    if candidates := in_stage or ([] if dot else same_word) or meant or same_word:
        return candidates[0]
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    if close:
        return close[0]
    by_field = {path.rpartition(".")[2]: path for path in known}
    return next((by_field[f] for f in difflib.get_close_matches(field, by_field, n=1)), None)


def _exists(path: str, known: Sequence[str]) -> bool:
    return path.startswith("--") or path in known
