"""From problems to the tokens that the policy is asked to continue."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from conspo_study.config import DataConfig
from conspo_study.records import Problem


def prompt_tokens(
    problems: Sequence[Problem], config: DataConfig, tokenizer: Any
) -> list[tuple[int, ...]]:
    """Token ids of each problem's prompt. Special tokens in the text stay text.

    Raises ValueError naming the first problem whose prompt is too long.
    """
    texts = [config.template.replace("{problem}", problem.text) for problem in problems]
    encoded = tokenizer(texts, split_special_tokens=True)["input_ids"]
    for problem, tokens in zip(problems, encoded, strict=True):
        if not 0 < len(tokens) <= config.max_prompt_tokens:
            raise ValueError(
                f"the prompt of problem {problem.id!r} has {len(tokens)} tokens, allowed are 1 to "
                f"{config.max_prompt_tokens}: raise data.max_prompt_tokens or drop the problem"
            )
    return [tuple(tokens) for tokens in encoded]
