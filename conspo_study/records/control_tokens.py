"""Control tokens that a tokenizer does not declare as special."""

from __future__ import annotations

import re

_MARKUP = re.compile(r"<.+>|\[.+\]", re.DOTALL)


def is_markup(token: str) -> bool:
    """True for an added token of a form like `</think>` or `[INST]`, which is a control token even
    if its tokenizer does not declare it as special."""
    return _MARKUP.fullmatch(token) is not None
