"""Recognises prompts that end inside a model's thought."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_TAIL = 16
"""Number of tokens at the end of a prompt that are read."""


def opens_thought(prompt: Sequence[int], tokenizer: PreTrainedTokenizerBase, closing: str) -> bool:
    """Whether a prompt ends with the opening mark of `closing`, such as `<think>` for `</think>`,
    so that a response begins inside a thought. Chat templates of reasoning models do that.
    """
    if "/" not in closing:
        return False
    opening = closing.replace("/", "", 1)
    end: str = tokenizer.decode(list(prompt[-_TAIL:]), skip_special_tokens=False)
    return end.rstrip().endswith(opening)
