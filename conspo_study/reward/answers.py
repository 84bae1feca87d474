r"""Extracts the final answer of a response: the content of its last `\boxed{...}`."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Sequence
from itertools import groupby

MAX_ANSWER_CHARS = 4096
r"""Maximum length of a final answer; a `\boxed{` that does not close within it has no answer."""

SHOWN_ANSWER_CHARS = 200
"""Maximum length of answers in records; longer ones are shortened."""

MAX_BOXES = 16
"""Number of boxes, from the last, among which the answer is looked for."""

THOUGHT_END = "</think>"
"""End of a model's thoughts, of which the beginning may be in the prompt."""

_OPENING = re.compile(r"\\(?:boxed|fbox|framebox)[ \t\n]{0,4}\{")
_BRACE_OR_ESCAPE = re.compile(r"\\.|[{}]", re.DOTALL)
_BETWEEN = re.compile(
    r"(?:[\s,;:.$*&]|\\[()\[\],; ]|\\quad|\\text\{|\}|"
    r"\b(?:and|or|also|maybe|possibly|perhaps|alternatively)\b){0,40}",
    re.IGNORECASE,
)
_GOLD_GAP = 20
"""Characters between boxes of a gold answer that belong together."""
_Box = tuple[int, int, str | None]
"""Start, end and content; an open box has none, and ends where its content would begin."""


def final_answer(
    response: str, after: str = THOUGHT_END, *, in_thought: bool = False
) -> str | None:
    r"""The content of the last non-empty `\boxed{...}` or `\fbox{...}` of `response`; None
    without one.

    after: mark at the end of the model's thoughts, which are not read: only boxes behind the last
    mark count, and a thought that is never closed has no answer. Empty: the whole response counts.
    in_thought: whether the prompt opens a thought.

    Braces may nest; escaped braces (`\{`, `\}`) do not count. Boxes with nothing but a comma,
    `and`, `or` or a blank between them make one answer, a list. If the last box is not closed (a
    truncated response) or is longer than `MAX_ANSWER_CHARS`, there is no final answer even if an
    earlier box is complete, since that may be an intermediate result. Linear in the length of the
    response.
    """
    start = _end_of_thoughts(response, after, in_thought)
    if start is None:
        return None
    openings = deque(_OPENING.finditer(response, start), maxlen=MAX_BOXES)
    if len(openings) == 1:
        return _content(response, openings[0].end())[1] or None
    boxes = _outermost(response, openings)
    if not boxes or boxes[-1][2] is None:
        return None
    filled = [box for box in boxes if box[2]]
    return _joined(response, filled) if filled else None


def gold_answer(text: str) -> str:
    """The content of a gold answer's box, if it has one; several boxes close together are a
    list."""
    if "\\" not in text:
        return text.strip()
    if (answer := final_answer(text, after="")) is None:
        return text.strip()
    boxes = _outermost(text, deque(_OPENING.finditer(text), maxlen=MAX_BOXES))
    first = len(boxes) - 1
    while first and boxes[first][0] - boxes[first - 1][1] <= _GOLD_GAP:
        first -= 1
    contents = _differing([box for box in boxes[first:] if box[2]])
    return ", ".join(contents) if len(contents) > 1 else answer


def shorten(answer: str) -> str:
    """`answer` shortened for records, to at most `SHOWN_ANSWER_CHARS` characters."""
    if len(answer) <= SHOWN_ANSWER_CHARS:
        return answer
    return answer[: SHOWN_ANSWER_CHARS - 1] + "…"


def _end_of_thoughts(response: str, after: str, in_thought: bool) -> int | None:
    """Where the answer may begin; None inside a thought that is not closed."""
    if not after:
        return 0
    closing = response.rfind(after)
    if closing < 0 and not in_thought and after[0] not in response:
        return 0
    opening = response.rfind(after.replace("/", "", 1)) if "/" in after else -1
    if opening > closing or (closing < 0 and in_thought):
        return None
    return closing + len(after) if closing >= 0 else 0


def _outermost(text: str, openings: Iterable[re.Match[str]]) -> list[_Box]:
    """The boxes that are not inside another."""
    boxes: list[_Box] = []
    for opening in openings:
        if not boxes or opening.start() >= boxes[-1][1]:
            boxes.append((opening.start(), *_content(text, opening.end())))
    return boxes


def _content(text: str, start: int) -> tuple[int, str | None]:
    """The end of a box whose content starts at `start`, and its content; None if it is open."""
    # One more character, for the closing brace.
    content = text[start : start + MAX_ANSWER_CHARS + 1]
    depth = 1
    for token in _BRACE_OR_ESCAPE.finditer(content):
        depth += {"{": 1, "}": -1}.get(token.group(), 0)
        if depth == 0:
            return start + token.end(), _innermost(content[: token.start()].strip())
    return start, None


def _innermost(content: str) -> str:
    """The content of a box that is all of `content`, or `content`."""
    if content.startswith("\\") and (opening := _OPENING.match(content)):
        end, inside = _content(content, opening.end())
        if inside is not None and end == len(content):
            return inside
    return content


def _joined(response: str, boxes: Sequence[_Box]) -> str:
    """The last box, with those that stand directly before it."""
    first = len(boxes) - 1
    while first and _BETWEEN.fullmatch(response, boxes[first - 1][1], boxes[first][0]):
        first -= 1
    return ", ".join(_differing(boxes[first:]))


def _differing(boxes: Sequence[_Box]) -> list[str]:
    """The contents of boxes, once where equal ones follow each other."""
    return [content or "" for content, _ in groupby(box[2] for box in boxes)]
