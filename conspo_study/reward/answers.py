r"""Extracts the final answer of a response: the content of its last `\boxed{...}`."""

from __future__ import annotations

import re
from collections import deque

MAX_ANSWER_CHARS = 4096
r"""Maximum length of a final answer; a `\boxed{` that does not close within it has no answer."""

SHOWN_ANSWER_CHARS = 200
"""Maximum length of answers in records; longer ones are shortened."""

_OPENING = re.compile(r"\\boxed[ \t\n]{0,4}\{")
_BRACE_OR_ESCAPE = re.compile(r"\\.|[{}]", re.DOTALL)


def final_answer(response: str) -> str | None:
    r"""The content of the last `\boxed{...}` of `response`; None without one.

    Braces may nest; escaped braces (`\{`, `\}`) do not count. Only the last box counts: if it is
    not closed (a truncated response), empty, or longer than `MAX_ANSWER_CHARS`, there is no final
    answer even if an earlier box is complete, since that may be an intermediate result. Linear in
    the length of the response.
    """
    openings = deque(_OPENING.finditer(response), maxlen=1)
    if not openings:
        return None
    start = openings[0].end()
    # One more character, for the closing brace.
    content = response[start : start + MAX_ANSWER_CHARS + 1]
    depth = 1
    for token in _BRACE_OR_ESCAPE.finditer(content):
        depth += {"{": 1, "}": -1}.get(token.group(), 0)
        if depth == 0:
            return content[: token.start()].strip() or None
    return None


def shorten(answer: str) -> str:
    """`answer` shortened for records, to at most `SHOWN_ANSWER_CHARS` characters."""
    if len(answer) <= SHOWN_ANSWER_CHARS:
        return answer
    return answer[: SHOWN_ANSWER_CHARS - 1] + "…"
