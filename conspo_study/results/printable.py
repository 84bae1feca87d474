"""Untrusted text, such as the cause of a failure, made safe to show in a terminal; and values of
settings as text."""

from __future__ import annotations

import json
import math
from typing import Any


def printable(text: str) -> str:
    """The text without what could move a terminal's cursor: such characters are spelled out."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def first_line(text: str) -> str:
    """The first line that says anything, of a cause that may have several, made printable; a line
    that ends with a colon goes on with the next."""
    said: list[str] = []
    for line in map(str.strip, text.splitlines()):
        if line:
            said.append(line.removeprefix("- ") if said else line)
            if not line.endswith(":"):
                break
    return printable(" ".join(said))


def setting_text(value: Any, digits: int = 6) -> str:
    """The value of a setting as one would type it: `null`, `true`, `["a", "b"]`, `0.3`, and text as
    it is. Text that would be read as something else is quoted, so that no two values look alike."""
    if isinstance(value, float) and math.isfinite(value):
        return f"{value:.{digits}g}"
    if isinstance(value, str) and not _is_json(value):
        return value
    return json.dumps(value, ensure_ascii=False)


def _is_json(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return text[:1] in ("[", "{", '"') or text in ("null", "true", "false")
    return True
