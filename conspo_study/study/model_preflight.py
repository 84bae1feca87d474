"""Checks that a study can train its model, made once before anything starts.

The rules are those that a worker meets when it loads and samples the model; here the files' headers
and a model without weights answer most of them in a moment, however large the model is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from conspo_study.config import RunConfig
from conspo_study.policy.errors import PolicyError
from conspo_study.policy.files import file_problems

LOADED_BYTES = 2 << 30
"""A model whose weights take no more than this in float32 is loaded as a worker would do, so that
values which are not finite are found, too."""


def model_problems(
    config: RunConfig, folder: Path, note: Callable[[str], object] = lambda text: None
) -> list[str]:
    """Everything that is known to keep the model in `folder` from being trained and sampled, one
    whole message each; nothing is known to do so where there is none.

    `folder` is what `prepare_policy` returned. note: gets what is slower for this model than for
    others. PyTorch is imported only where the files are whole.
    """
    policy = config.policy
    if problems := file_problems(folder, policy.trust_remote_code):
        return problems
    from conspo_study.policy.architecture import cannot_load, empty_model
    from conspo_study.policy.lora import check_targets
    from conspo_study.policy.recompute import enable_recomputing
    from conspo_study.policy.tensors import header_problems

    try:
        found = read_config(config, folder)
        model = empty_model(policy, found, folder)
    except PolicyError as error:
        return [str(error)]
    problems = []
    try:
        problems += header_problems(model, folder)
    except Exception as error:  # whatever transformers makes of names and shapes that do not fit
        problems.append(str(cannot_load(folder, policy, error)))
    checks: list[Callable[[], Any]] = [lambda: _stops(config, folder, model)]
    if policy.lora_rank:
        checks.append(lambda: check_targets(model, policy.lora_targets))
    if policy.gradient_checkpointing:
        checks.append(lambda: enable_recomputing(model))
    size = 4 * sum(parameter.numel() for parameter in model.parameters())
    if size <= LOADED_BYTES:
        checks.append(lambda: problems or _tried(config, folder, note))
    for check in checks:
        try:
            check()
        except (PolicyError, ModuleNotFoundError) as error:
            problems.append(str(error))
    return problems


def _tried(config: RunConfig, folder: Path, note: Callable[[str], object]) -> Any:
    """A model loaded as a worker would, after telling which slower ways it needs. Raises
    PolicyError."""
    from conspo_study.policy.load import load_policy
    from conspo_study.policy.packed_attention import can_pack
    from conspo_study.rollout.decodable import Way, way_to_decode

    model, _ = load_policy(config.policy, folder)
    if not can_pack(model):
        note(f"{type(model).__name__}: scored row by row, since its rollouts cannot be packed")
    if config.rollout.engine == "transformers":
        way = way_to_decode(model)
        if way in (Way.EQUAL_LENGTHS, Way.REREAD):
            note(f"{type(model).__name__}: decoded {way.value}")
    return model


def read_config(config: RunConfig, folder: Path) -> Any:
    """The transformers configuration of the model in `folder`. Raises PolicyError where it is none,
    or not that of a causal language model."""
    from conspo_study.policy.architecture import read_model_config

    return read_model_config(config.policy, folder)


def prompts_problem(
    config: RunConfig, model_config: Any, prompts: Iterable[Sequence[int]]
) -> str | None:
    """Why the model cannot read these prompts, in tokens, and answer them; None if it can.

    model_config: what `read_config` returned.
    """
    longest, largest = 0, -1
    for prompt in prompts:
        longest, largest = max(longest, len(prompt)), max(largest, *prompt)
    size = model_config.get_text_config().vocab_size
    if largest >= size:
        return (
            f"policy.model: a prompt contains token {largest:,}, but the model has embeddings of "
            f"{size:,} tokens: set data.chat=off, or use the model's own tokenizer"
        )
    return positions_problem(config, model_config, longest)


def positions_problem(config: RunConfig, model_config: Any, longest_prompt: int) -> str | None:
    """Why the longest prompt, in tokens, with the longest response is more than the model reads
    rightly; None if it is not.

    model_config: what `read_config` returned.
    """
    from conspo_study.policy.lengths import longest_sequence

    limit = longest_sequence(model_config)
    responses = {
        "rollout.max_new_tokens": config.rollout.max_new_tokens,
        "evaluation.max_new_tokens": config.evaluation.max_new_tokens,
    }
    longest = longest_prompt + max(responses.values())
    if limit is None or longest <= limit.tokens:
        return None
    room = limit.tokens - longest_prompt
    over = [f"{name}={value:,}" for name, value in responses.items() if value > room]
    advice = (
        f"lower {' and '.join(over)} to {room:,} at most"
        if room > 0
        else "use shorter problems, or another model"
    )
    return (
        f"policy.model: prompt and response take up to {longest:,} tokens ({longest_prompt:,} of a "
        f"prompt, {max(responses.values()):,} of a response), but {limit.why}: {advice}"
    )


def _stops(config: RunConfig, folder: Path, model: Any) -> tuple[int, ...]:
    """The tokens that will end responses of a model without weights."""
    from transformers import GenerationConfig

    from conspo_study.policy.stop import stop_ids
    from conspo_study.policy.tokenizer import load_tokenizer

    if (folder / "generation_config.json").exists():
        model.generation_config = GenerationConfig.from_pretrained(folder, local_files_only=True)
    return stop_ids(model, load_tokenizer(config.policy, folder, model.config))
