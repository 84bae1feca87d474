"""Turns problems into prompts: the tokens that the policy continues.

The text of a problem is untrusted and never becomes control tokens: it cannot end its turn in a
chat, begin another turn, or open and close a model's thoughts.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Iterable, Sequence
from itertools import chain, pairwise
from typing import TYPE_CHECKING

from conspo_study.config import DataConfig
from conspo_study.records import Problem
from conspo_study.records.control_tokens import is_markup
from conspo_study.untrusted import within

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_PLACEHOLDER = "Q7c1e0Z"
"""Placeholder for the user's message while a chat template is taken apart."""
_TODAY = datetime.datetime(2024, 7, 26)
"""Date given to chat templates that write today's: a prompt must not change from day to day."""
_PATIENCE_S = 10.0
"""Longest time for a chat template to write a prompt, which takes a fraction of a millisecond."""


def prompt_tokens(
    problems: Sequence[Problem], config: DataConfig, tokenizer: PreTrainedTokenizerBase
) -> list[tuple[int, ...]]:
    """Token ids of each problem's prompt, inside the chat template if `config.chat` says so.

    Raises ValueError for a prompt that is too long or cannot be encoded as text, naming its
    problem, and for an unusable chat template.
    """
    encode = _chat(config, tokenizer) if _is_chat(config, tokenizer) else _Plain(_Text(tokenizer))
    prompts = []
    for problem in problems:
        try:
            tokens = encode(prompt_text(problem, config))
        except ValueError as error:
            raise ValueError(f"the prompt of problem {problem.id!r}: {error}") from error
        if not 0 < len(tokens) <= config.max_prompt_tokens:
            raise ValueError(
                f"the prompt of problem {problem.id!r} has {len(tokens)} tokens, must have 1 to "
                f"{config.max_prompt_tokens}: raise data.max_prompt_tokens or remove the problem"
            )
        prompts.append(tuple(tokens))
    return prompts


def prompt_text(problem: Problem, config: DataConfig) -> str:
    """The prompt as text; in a chat, the user's message."""
    return config.template.replace("{problem}", problem.text)


def _is_chat(config: DataConfig, tokenizer: PreTrainedTokenizerBase) -> bool:
    if config.chat == "off":
        return False
    has_template = bool(getattr(tokenizer, "chat_template", None))
    if not has_template and (config.chat == "on" or config.system or config.chat_options):
        given = {"data.system": config.system, "data.chat_options": config.chat_options}
        settings = [name for name, value in given.items() if value]
        asked = "data.chat is on" if config.chat == "on" else f"{settings[0]} is set"
        advice = ", ".join(["set data.chat=off", *(f"clear {name}" for name in settings)])
        raise ValueError(
            f"{asked}, but the policy's tokenizer has no chat template: {advice} and put the whole "
            "prompt into data.template"
        )
    return has_template


class _Text:
    """A tokenizer that can encode a text without ever producing control tokens."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase):
        self._tokenizer = tokenizer
        added = tokenizer.added_tokens_decoder
        names = {str(token): index for index, token in added.items()}
        self.added = _any_of(names)
        """Matches the added tokens, at which a tokenizer divides a text first."""
        controls = {
            str(token) for token in added.values() if token.special or is_markup(str(token))
        } | set(tokenizer.all_special_tokens)
        self._controls = re.compile(f"(?={_any_of(controls).pattern})")
        self._control_ids = set(tokenizer.convert_tokens_to_ids(sorted(controls)))

    def with_controls(self, text: str) -> list[int]:
        """Tokens of trusted text; names of special tokens become those tokens."""
        return self._encode(text, add_special_tokens=False)

    def without_controls(self, text: str) -> list[int]:
        """Tokens of untrusted text, none of which is a control token.

        Names of control tokens are encoded letter by letter. Raises ValueError if the tokenizer
        produces control tokens anyway.
        """
        tokens = self._as_letters(text)
        if not self._controlled(tokens, text):
            return tokens
        # Cutting after its first letter destroys a name, even where names overlap.
        starts = [match.start() + 1 for match in self._controls.finditer(text)]
        edges = [0, *starts, len(text)]
        pieces = (text[a:b] for a, b in pairwise(edges))
        tokens = list(chain.from_iterable(map(self._as_letters, pieces)))
        if controls := self._controlled(tokens, text):
            names = self._tokenizer.convert_ids_to_tokens(controls)
            raise ValueError(f"its text becomes control tokens ({', '.join(names)}): change it")
        return tokens

    def frame(self, text: str) -> tuple[list[int], list[int]]:
        """The tokens that the tokenizer adds before and after every text; `text` is an example."""
        bare = self._as_letters(text)
        framed = self._encode(text, split_special_tokens=True)
        for start in range(len(framed) - len(bare) + 1):
            if framed[start : start + len(bare)] == bare:
                return framed[:start], framed[start + len(bare) :]
        raise ValueError("the tokenizer changes a text when it adds special tokens around it")

    def _as_letters(self, text: str) -> list[int]:
        return self._encode(text, add_special_tokens=False, split_special_tokens=True)

    def _encode(self, text: str, **settings: bool) -> list[int]:
        try:
            tokens: list[int] = self._tokenizer(text, **settings)["input_ids"]
        except Exception as error:  # such as a tokenizer without an unknown token
            raise ValueError(
                f"the policy's tokenizer cannot encode {text[:40]!r} ({error}); that of the "
                "embedded model knows only the generated task: choose other problems or another "
                "policy.model"
            ) from error
        return tokens

    def _controlled(self, tokens: Sequence[int], text: str) -> list[int]:
        """The control tokens among `tokens`, except an unknown token that `text` does not name."""
        unknown = getattr(self._tokenizer, "unk_token", None)
        harmless = unknown is not None and unknown not in text
        spared = {self._tokenizer.unk_token_id} if harmless else set()
        return sorted(self._control_ids.intersection(tokens) - spared)


class _Plain:
    """Encodes prompts without a chat template."""

    def __init__(self, text: _Text):
        self._text = text
        self._frame: tuple[list[int], list[int]] | None = None

    def __call__(self, prompt: str) -> list[int]:
        self._frame = self._frame or self._text.frame(prompt)
        before, after = self._frame
        return [*before, *self._text.without_controls(prompt), *after]


def _chat(config: DataConfig, tokenizer: PreTrainedTokenizerBase) -> Callable[[str], list[int]]:
    """A function that encodes a user's message inside the tokenizer's chat template.

    The template is trusted and the message is not, so they are tokenised separately. They are cut
    at the special tokens around the message, where tokenizers divide a text anyway: the result is
    that of tokenising the whole chat, unless the message contains control tokens.
    """
    text = _Text(tokenizer)
    _refuse_unread_options(config, tokenizer)
    opening = [{"role": "system", "content": config.system}] if config.system else []

    def render(message: str) -> str:
        try:
            with within(_PATIENCE_S):
                chat: str = tokenizer.apply_chat_template(
                    [*opening, {"role": "user", "content": message}],
                    tokenize=False,
                    add_generation_prompt=True,
                    strftime_now=_TODAY.strftime,
                    **config.chat_options,
                )
        except Exception as error:  # anything that the template's code raises
            reason = " ".join(str(error).split()) or type(error).__name__
            raise ValueError(f"the chat template of the tokenizer failed: {reason}") from error
        return chat

    example = render(_PLACEHOLDER)
    before, placeholder, after = example.partition(_PLACEHOLDER)
    if not placeholder or _PLACEHOLDER in after:
        raise ValueError(
            "the chat template does not contain the user's message exactly once: set data.chat=off"
        )
    start = max((match.end() for match in text.added.finditer(before)), default=0)
    end = min((match.start() for match in text.added.finditer(after)), default=len(after))
    head, foot = text.with_controls(before[:start]), text.with_controls(after[end:])

    def encode(message: str) -> list[int]:
        whole = render(message)
        kept = whole.startswith(before) and whole.endswith(after)
        if not kept or len(whole) < len(before) + len(after):
            raise ValueError("the chat template reads its text as an instruction: change it")
        inner = whole[start : len(whole) - len(after) + end]
        return [*head, *text.without_controls(inner), *foot]

    if encode(_PLACEHOLDER) != text.with_controls(example):
        raise ValueError(
            "the chat template's tokens depend on the text beside them and cannot be separated "
            "from problems: set data.chat=off"
        )
    return encode


def _refuse_unread_options(config: DataConfig, tokenizer: PreTrainedTokenizerBase) -> None:
    """Raise ValueError for an option that the chat template does not mention, and would ignore."""
    template = str(tokenizer.chat_template)
    unread = [
        name for name in config.chat_options if not re.search(rf"\b{re.escape(name)}\b", template)
    ]
    if unread:
        raise ValueError(
            f"the chat template of the policy's tokenizer does not read {', '.join(unread)} of "
            "data.chat_options: correct the name or leave it out"
        )


def _any_of(names: Iterable[str]) -> re.Pattern[str]:
    """A pattern that matches any of the names, longest first; without names, nothing."""
    longest_first = sorted((name for name in names if name), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")
