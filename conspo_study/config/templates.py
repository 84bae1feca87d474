"""Resolves `data.template`: a text, the name of a prompt, or the path of a text file; checks the
options of chat templates."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

TEMPLATES = {
    "boxed": "{problem}\n\nReason step by step, and put your final answer in \\boxed{}.",
}
"""Named prompts; `{problem}` is replaced by the question. `boxed` asks for the answer in the box
that the verifier reads."""
LONGEST = 100_000
"""Maximum length of a template, in characters."""
_DOUBLED = re.compile(r"\{\{[^{}]*\}\}")
_OWN = frozenset(
    {
        *(
            "conversation",
            "messages",
            "tokenize",
            "add_generation_prompt",
            "continue_final_message",
        ),
        *("chat_template", "padding", "truncation", "max_length", "return_tensors", "return_dict"),
        *("return_assistant_tokens_mask", "tokenizer_kwargs", "strftime_now", "raise_exception"),
    }
)
"""Arguments of a chat template that prompts set themselves, or that change more than the text."""


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # not a valid path
        return False


def template_text(template: str) -> str:
    """The template's text, which contains `{problem}`; trailing white space of a file is removed.

    The configuration stores the text, so that a study does not change with the file. Raises
    ValueError for a template without `{problem}` or an unreadable file.
    """
    template = TEMPLATES.get(template, template)
    if "{problem}" in template:
        return template
    text, where = template, "template"
    path = Path(template).expanduser()
    if _is_file(path):
        where = f"template file {path}"
        try:
            with path.open(encoding="utf-8-sig") as file:
                text = file.read(LONGEST + 1).rstrip()
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"{where} cannot be read as UTF-8 text ({error})") from error
        if len(text) > LONGEST:
            raise ValueError(
                f"{where} has more than {LONGEST} characters: name the file of a prompt"
            )
    if "{problem}" not in text:
        close = difflib.get_close_matches(template, TEMPLATES, n=1)
        hint = f" (did you mean {close[0]}?)" if close else ""
        raise ValueError(
            f"{where} must contain {{problem}}, which stands for the question, or be the path of a "
            f"text file that does, or the name of a prompt: {', '.join(TEMPLATES)}{hint}"
        )
    return text


def check_chat_options(options: Mapping[str, Any]) -> None:
    """Raise ValueError for options that are not the chat template's own, or not finite numbers."""
    own = [name for name in options if name in _OWN or name.endswith("_token")]
    if own:
        raise ValueError(
            f"chat_options must not contain {', '.join(own)}, which prompts are made with: give "
            'options that the chat template reads, such as {"enable_thinking": false}'
        )
    try:
        json.dumps(options, allow_nan=False)
    except ValueError as error:
        raise ValueError("chat_options must not contain NaN or infinity") from error


def template_notes(template: str) -> list[str]:
    """Remarks on a template that can be used, but hardly as it is written."""
    doubled = next((match[0] for match in _DOUBLED.finditer(template)), None)
    if doubled is None:
        return []
    return [
        f"data.template has doubled braces, {doubled}, which stay doubled in the prompt: only "
        "{problem} is replaced, so write single braces"
    ]
