r"""Takes off what stands around an answer: punctuation, braces, words that announce it."""

from __future__ import annotations

import re

from conspo_study.reward.reading.brackets import unwrapped
from conspo_study.reward.reading.rules import rule

_MARKUP = re.compile(r"^(\*\*|__|`{1,3}|\"|'')(.+)\1$", re.DOTALL)
_LEADING = re.compile(
    r"^(?:(?:=|:|\\approx|\\equiv|\\cong|\\therefore|\\implies|\\Rightarrow|\\rightarrow|\\to|"
    r"\\Longrightarrow|\\sim|~|\\\\)\s*)++"
)
_TRAILING_BACKWARDS = re.compile(r"\\?(?:[\s.,;:!]|\\\\)*+")
_FACTORIAL = re.compile(r"[\w})]\s*!\s*$")
_ANNOUNCEMENT = (
    "the a an final answer answers is are be result value values total sum so hence therefore thus "
    "it equals equal to solution solutions we get have which namely approximately approx about "
    "roughly exactly number of probability area volume length distance ans option choice"
)
_ANNOUNCING = frozenset(_ANNOUNCEMENT.split())
_TEXT_BEFORE = re.compile(r"^\\text ?\{([a-zA-Z ,:.=']*)\}\s*(?=[^\s^_])")
_WORDS_BEFORE = re.compile(r"^([a-zA-Z]{2,}(?:[ ,:=]+[a-zA-Z]{1,})*[ :=]+)(?=[-\d\\($+.\[])")
_SENTENCE_END = re.compile(r"(?:\b(?:is|are|equals)|:) *$")
MAX_WORDS = 8
"""Maximum number of words of a sentence that announces an answer."""
MAX_ROUNDS = 32
"""Maximum number of things that stand around an answer in one another."""
_QUALIFIER = re.compile(
    r"(?<![\s,(])[\s,(]*+(?:\\text ?\{[\s,(]*(?:for|where|with|over|modulo units)\b"
    r"|\\forall\b|\\quad\s*\\forall)"
)
_HEDGES = re.compile(
    r"\b(?:or|no|none|neither|never|wrong|think|guess|maybe|perhaps|not|except|unless|otherwise|else|but|instead)\b",
    re.I,
)


@rule(
    accepted=[
        ("42", "42."),
        ("42", "{42}"),
        ("42", "**42**"),
        ("5", "= 5"),
        ("5", r"\approx 5"),
        ("12", r"\text{The answer is }12"),
        ("5", r"\text{Answer: }5"),
        ("x^2+1", r"x^2+1 \text{ for all real } x"),
        ("42", "42\\"),
    ],
    refused=[
        ("42", r"\text{The answer is not }42"),
        ("42", r"42 \text{ for sure, or } 43"),
        ("42", r"\text{I think that it could be }42"),
    ],
)
def without_surroundings(text: str) -> str:
    """Full stops, braces, a leading sign of equality, words that announce an answer, and a
    qualification behind it say nothing more."""
    for _ in range(MAX_ROUNDS):
        before = text
        text = text.strip()
        if not _FACTORIAL.search(text):
            found = _TRAILING_BACKWARDS.match(text[::-1])
            text = text[: len(text) - found.end()] if found else text
        text = _LEADING.sub("", text)
        if (inside := unwrapped(text, "{", "}")) is not None:
            text = inside
        if markup := _MARKUP.match(text):
            text = markup[2]
        text = _without_announcement(text)
        if text == before:
            break
    return _without_qualifier(text)


def _without_announcement(text: str) -> str:
    for pattern in (_TEXT_BEFORE, _WORDS_BEFORE):
        found = pattern.match(text)
        if found:
            words = re.findall("[a-z]+", found[1].lower())
            announcing = all(word in _ANNOUNCING for word in words) or (
                len(words) <= MAX_WORDS
                and _SENTENCE_END.search(found[1])
                and not _HEDGES.search(found[1])
            )
            if announcing and text[found.end() :].strip():
                return text[found.end() :]
    return text


def _without_qualifier(text: str) -> str:
    found = _QUALIFIER.search(text)
    if not found or not text[: found.start()].strip() or _HEDGES.search(text[found.start() :]):
        return text
    return text[: found.start()].strip()
