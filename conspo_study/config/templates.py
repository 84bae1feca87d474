"""Resolves `data.template`: a text, the name of a prompt, or the path of a text file."""

from __future__ import annotations

import difflib
from pathlib import Path

TEMPLATES = {
    "boxed": "{problem}\n\nReason step by step, and put your final answer in \\boxed{}.",
}
"""Named prompts; `{problem}` is replaced by the question. `boxed` asks for the answer in the box
that the verifier reads."""
LONGEST = 100_000
"""Maximum length of a template, in characters."""


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
