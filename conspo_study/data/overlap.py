r"""Finding the same problem in two sets, however it is typeset.

Two texts are the same problem when nothing differs but what LaTeX and Markdown leave to taste:
case, spaces and line ends, `$` and `\[`, braces, `\left`, `\dfrac` for `\frac`, sentence marks.
Signs and numbers count, so that `z^4 + z^2` is not `z^4 - z^2`. A problem with an added sentence,
or in other words, is another text and is not found.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from conspo_study.records import Problem

_SYNONYMS = {
    r"\dfrac": r"\frac",
    r"\tfrac": r"\frac",
    r"\leqslant": r"\leq",
    r"\geqslant": r"\geq",
    r"\ldots": r"\dots",
    r"\cdots": r"\dots",
}
_LAYOUT = re.compile(
    r"\\(?:left|right|displaystyle|textstyle|quad|qquad|limits|text|mathrm|operatorname)(?![a-z])"
    r"|\\(?:begin|end)\{[a-z]+\*?\}"
    r"|\\[^a-z]"  # \, \! \[ \( \\ and the like
)
_MARKS = re.compile(
    r"""[\s${}*~?;:'"“”‘’`&]"""
    r"|(?<!\d)[.,]|[.,](?!\d)"  # 1.5 is not 15
)
_COMMAND = re.compile(r"\\[a-z]+")


def normalised(text: str) -> str:
    """`text` without what typesetting leaves to taste; equal for two copies of one problem."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    plain = _COMMAND.sub(lambda found: _SYNONYMS.get(found[0], found[0]), plain)
    return _MARKS.sub("", _LAYOUT.sub("", plain))


def overlapping_ids(
    train: Iterable[Problem], evaluation: Iterable[Problem]
) -> list[tuple[str, str]]:
    """Pairs `(training id, evaluation id)` of the same problem, in the order of `evaluation`; a
    problem that is trained on several times has several."""
    trained: dict[str, list[str]] = {}
    for problem in train:
        trained.setdefault(normalised(problem.text), []).append(problem.id)
    return [
        (own, problem.id)
        for problem in evaluation
        for own in trained.get(normalised(problem.text), ())
    ]
