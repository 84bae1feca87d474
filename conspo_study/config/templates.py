"""The text that `data.template` stands for: itself, a named prompt, or the content of a file."""

from __future__ import annotations

import difflib
from pathlib import Path

TEMPLATES = {
    "boxed": "{problem}\n\nReason step by step, and put your final answer in \\boxed{}.",
}
"""`{problem}` stands for the question. `boxed` asks for the answer where the verifier looks."""
LONGEST = 100_000
"""Characters of a template; a longer file is none."""


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a text that is no path
        return False


def template_text(template: str) -> str:
    """The text with its `{problem}`. Of a file, line ends and blanks at the end are left out.

    What is stored is the text, so that a study does not change with the file. Raises ValueError.
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
            raise ValueError(f"{where} has more than {LONGEST} characters: it is no prompt")
    if "{problem}" not in text:
        close = difflib.get_close_matches(template, TEMPLATES, n=1)
        hint = f" (did you mean {close[0]}?)" if close else ""
        raise ValueError(
            f"{where} must contain {{problem}}, the place of the question, or be the path of a "
            f"text file that does, or the name of a prompt: {', '.join(TEMPLATES)}{hint}"
        )
    return text
