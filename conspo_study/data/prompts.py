"""From problems to the tokens that the policy is asked to continue.

The text of a problem is untrusted: whatever it contains, it is read as text. It cannot end its turn
in a chat, begin another one, or write the marks of a model's thoughts, since the tokens that mean
these are never made from it.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Iterable, Sequence
from itertools import chain, pairwise
from typing import Any

from conspo_study.config import DataConfig
from conspo_study.records import Problem

_PLACEHOLDER = "Q7c1e0Z"
"""Stands for what the user says while a chat template is taken apart."""
_MARKUP = re.compile(r"<.+>|\[.+\]", re.DOTALL)
"""Added tokens of this form mean more than their letters although some tokenizers do not declare
them special, such as `</think>`."""
_TODAY = datetime.datetime(2024, 7, 26)
"""For chat templates that ask for today's date: a prompt must not change from day to day."""


def prompt_tokens(
    problems: Sequence[Problem], config: DataConfig, tokenizer: Any
) -> list[tuple[int, ...]]:
    """Token ids of each problem's prompt, inside the chat template where `config.chat` says so.

    Raises ValueError naming the first problem whose prompt is too long or cannot be read as text,
    or saying why the chat template cannot be used.
    """
    read = _chat(config, tokenizer) if _is_chat(config, tokenizer) else _Plain(_Text(tokenizer))
    prompts = []
    for problem in problems:
        try:
            tokens = read(prompt_text(problem, config))
        except ValueError as error:
            raise ValueError(f"the prompt of problem {problem.id!r}: {error}") from error
        if not 0 < len(tokens) <= config.max_prompt_tokens:
            raise ValueError(
                f"the prompt of problem {problem.id!r} has {len(tokens)} tokens, allowed are 1 to "
                f"{config.max_prompt_tokens}: raise data.max_prompt_tokens or drop the problem"
            )
        prompts.append(tuple(tokens))
    return prompts


def prompt_text(problem: Problem, config: DataConfig) -> str:
    """The prompt as text: all of it, or what the user says in a chat."""
    return config.template.replace("{problem}", problem.text)


def _is_chat(config: DataConfig, tokenizer: Any) -> bool:
    if config.chat == "off":
        return False
    has_template = bool(getattr(tokenizer, "chat_template", None))
    if not has_template and (config.chat == "on" or config.system):
        asked = "data.chat is on" if config.chat == "on" else "data.system is set"
        raise ValueError(
            f"{asked}, but the policy's tokenizer has no chat template: change that, or put all "
            "there is to say into data.template"
        )
    return has_template


class _Text:
    """A tokenizer that can be kept from seeing more than text in a text."""

    def __init__(self, tokenizer: Any):
        self._tokenizer = tokenizer
        added = tokenizer.added_tokens_decoder
        names = {str(token): index for index, token in added.items()}
        self.added = _any_of(names)
        """Matches the tokens that divide a text before anything else happens to it."""
        controls = {
            str(token) for token in added.values() if token.special or _MARKUP.fullmatch(str(token))
        } | set(tokenizer.all_special_tokens)
        self._controls = re.compile(f"(?={_any_of(controls).pattern})")
        self._control_ids = set(tokenizer.convert_tokens_to_ids(sorted(controls)))

    def with_controls(self, text: str) -> list[int]:
        """Tokens of trusted text: the names of special tokens stand for them."""
        return self._encode(text, add_special_tokens=False)

    def without_controls(self, text: str) -> list[int]:
        """Tokens of any text, none of which is a control token.

        Names of control tokens are read as the letters that they are. Raises ValueError where the
        tokenizer insists.
        """
        tokens = self._as_letters(text)
        if not self._controlled(tokens, text):
            return tokens
        # No name survives being cut after its first letter, also where names overlap.
        starts = [match.start() + 1 for match in self._controls.finditer(text)]
        edges = [0, *starts, len(text)]
        pieces = (text[a:b] for a, b in pairwise(edges))
        tokens = list(chain.from_iterable(map(self._as_letters, pieces)))
        if found := self._controlled(tokens, text):
            names = self._tokenizer.convert_ids_to_tokens(found)
            raise ValueError(f"its text becomes control tokens ({', '.join(names)}): change it")
        return tokens

    def frame(self, text: str) -> tuple[list[int], list[int]]:
        """What the tokenizer puts before and after every text; `text` is an example."""
        bare = self._as_letters(text)
        framed = self._encode(text, split_special_tokens=True)
        for start in range(len(framed) - len(bare) + 1):
            if framed[start : start + len(bare)] == bare:
                return framed[:start], framed[start + len(bare) :]
        raise ValueError("the tokenizer changes a text when it frames it by special tokens")

    def _as_letters(self, text: str) -> list[int]:
        return self._encode(text, add_special_tokens=False, split_special_tokens=True)

    def _encode(self, text: str, **settings: bool) -> list[int]:
        try:
            tokens: list[int] = self._tokenizer(text, **settings)["input_ids"]
        except Exception as error:  # such as one without a token for what it does not know
            raise ValueError(
                f"the policy's tokenizer cannot read {text[:40]!r} ({error}), as the embedded "
                "model's reads its own task alone: choose other problems, or another policy.model"
            ) from error
        return tokens

    def _controlled(self, tokens: Sequence[int], text: str) -> list[int]:
        """The control tokens among `tokens`, but for an unknown token that `text` does not name."""
        unknown = getattr(self._tokenizer, "unk_token", None)
        harmless = unknown is not None and unknown not in text
        spared = {self._tokenizer.unk_token_id} if harmless else set()
        return sorted(self._control_ids.intersection(tokens) - spared)


class _Plain:
    """Reads a prompt that is no chat."""

    def __init__(self, text: _Text):
        self._text = text
        self._frame: tuple[list[int], list[int]] | None = None

    def __call__(self, prompt: str) -> list[int]:
        self._frame = self._frame or self._text.frame(prompt)
        before, after = self._frame
        return [*before, *self._text.without_controls(prompt), *after]


def _chat(config: DataConfig, tokenizer: Any) -> Callable[[str], list[int]]:
    """Reads what the user says inside the tokenizer's chat template.

    The template is trusted and what the user says is not, so they are tokenised apart. They are cut
    where tokenizers cut themselves, at the special tokens around what the user says: the result is
    that of tokenising the whole chat, unless the user writes control tokens.
    """
    text = _Text(tokenizer)
    opening = [{"role": "system", "content": config.system}] if config.system else []

    def render(said: str) -> str:
        try:
            chat: str = tokenizer.apply_chat_template(
                [*opening, {"role": "user", "content": said}],
                tokenize=False,
                add_generation_prompt=True,
                strftime_now=_TODAY.strftime,
            )
        except Exception as error:  # whatever the template's own code does
            reason = " ".join(str(error).split()) or type(error).__name__
            raise ValueError(f"the chat template of the tokenizer failed: {reason}") from error
        return chat

    example = render(_PLACEHOLDER)
    before, found, after = example.partition(_PLACEHOLDER)
    if not found or _PLACEHOLDER in after:
        raise ValueError(
            "the chat template does not show what the user says exactly once: set data.chat to off"
        )
    start = max((match.end() for match in text.added.finditer(before)), default=0)
    end = min((match.start() for match in text.added.finditer(after)), default=len(after))
    head, foot = text.with_controls(before[:start]), text.with_controls(after[end:])

    def read(said: str) -> list[int]:
        whole = render(said)
        kept = whole.startswith(before) and whole.endswith(after)
        if not kept or len(whole) < len(before) + len(after):
            raise ValueError("the chat template takes its text for an instruction: change it")
        inner = whole[start : len(whole) - len(after) + end]
        return [*head, *text.without_controls(inner), *foot]

    if read(_PLACEHOLDER) != text.with_controls(example):
        raise ValueError(
            "the chat template's tokens depend on what stands beside them, so that problems cannot "
            "be kept from them: set data.chat to off"
        )
    return read


def _any_of(names: Iterable[str]) -> re.Pattern[str]:
    """Matches any of the names, the longest first; nothing where there are none."""
    longest_first = sorted((name for name in names if name), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")
