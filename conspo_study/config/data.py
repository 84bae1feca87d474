"""The configuration of problems and prompts."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field, JsonValue, field_validator, model_validator

from conspo_study.config.stage import Stage
from conspo_study.config.templates import check_chat_options, template_text
from conspo_study.records import CHAIN


class DataConfig(Stage):
    """Problems and prompts that the policy is trained on."""

    LATER: ClassVar[tuple[str, ...]] = ("answers", "chat_options")

    train: str = CHAIN
    """Training set: `chain` or `word_problems` (generated tasks), a named set such as `deepscaler`,
    or the path of a JSON-lines file with the fields `id`, `problem` and `answer`, optionally with a
    name: `algebra=problems/algebra.jsonl`. Paths are relative to the folder the study was started
    in."""
    answers: Literal["required", "optional"] = "required"
    """Treatment of rows without an `answer`: `required` counts them as unusable; `optional` accepts
    them, for rewards that read no answer."""
    folder: str | None = None
    """Folder with files of named sets, searched before the Hugging Face hub; None: the hub
    alone."""
    max_bad_rows: float = Field(0.01, ge=0, le=1)
    """Largest fraction of a set's rows that may be skipped as unusable."""
    on_overlap: Literal["refuse", "drop"] = "refuse"
    """Treatment of training problems that are also in an evaluation set: `refuse` lists them and
    stops, `drop` removes them from training."""
    template: str = "{problem}"
    """Prompt, or the user's message in a chat; `{problem}` is replaced by the question. `boxed` is
    a prompt that asks to reason step by step and to box the final answer. The path of a text file
    is replaced by its content."""
    chat: Literal["auto", "on", "off"] = "auto"
    """Use of the tokenizer's chat template for prompts: `auto` uses it if there is one, `on`
    requires one, `off` ignores it."""
    system: str = ""
    """System message of the chat; empty: the chat template's default."""
    chat_options: dict[str, JsonValue] = Field(default_factory=dict)
    """Options of the chat template, as a mapping: `{"enable_thinking": false}` makes Qwen3 answer
    without thinking first."""
    max_prompt_tokens: int = Field(512, ge=1)
    """Maximum prompt length, in tokens; a longer prompt stops the study before training."""

    @field_validator("template")
    @classmethod
    def _template_has_a_place_for_the_problem(cls, template: str) -> str:
        return template_text(template)

    @field_validator("chat_options")
    @classmethod
    def _options_are_the_template_s_own(cls, options: dict[str, JsonValue]) -> dict[str, JsonValue]:
        check_chat_options(options)
        return options

    @model_validator(mode="after")
    def _a_system_message_needs_a_chat(self) -> Self:
        for name in ("system", "chat_options"):
            if getattr(self, name) and self.chat == "off":
                raise ValueError(f"{name} is part of a chat: clear it, or set chat to on")
        return self
