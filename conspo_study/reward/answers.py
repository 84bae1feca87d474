r"""Finding the final answer of a response: the content of its last `\boxed{...}`."""

from __future__ import annotations

import re
from collections import deque

MAX_ANSWER_CHARS = 4096
r"""A final answer is at most this long; a `\boxed{` that does not close within it is no answer."""

SHOWN_ANSWER_CHARS = 200
"""Answers are shortened to this length in records."""

_OPENING = re.compile(r"\\boxed[ \t\n]{0,4}\{")
_BRACE_OR_ESCAPE = re.compile(r"\\.|[{}]", re.DOTALL)


def final_answer(response: str) -> str | None:
    r"""The content of the last `\boxed{...}` of `response`, or None when there is none.

    Braces may nest; escaped braces (`\{`, `\}`) do not count. The last opening decides: when it is
    never closed (a truncated response), empty, or longer than `MAX_ANSWER_CHARS`, the response has
    no final answer, even if an earlier box is complete, because an earlier box may hold an
    intermediate result. The time is linear in the length of the response, whatever it contains.
    """
    openings = deque(_OPENING.finditer(response), maxlen=1)
    if not openings:
        return None
    start = openings[0].end()
    # One character more than an answer may have, for the closing brace.
    content = response[start : start + MAX_ANSWER_CHARS + 1]
    depth = 1
    for token in _BRACE_OR_ESCAPE.finditer(content):
        depth += {"{": 1, "}": -1}.get(token.group(), 0)
        if depth == 0:
            return content[: token.start()].strip() or None
    return None


def shorten(answer: str) -> str:
    """`answer` as it is recorded: at most `SHOWN_ANSWER_CHARS` characters."""
    if len(answer) <= SHOWN_ANSWER_CHARS:
        return answer
    return answer[: SHOWN_ANSWER_CHARS - 1] + "…"
