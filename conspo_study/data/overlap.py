r"""Finds problems that two sets share, regardless of typesetting.

Two texts are the same problem if they differ only in layout: case, white space, `$` and `\[`,
braces, `\left`, `\dfrac` for `\frac`, punctuation. Signs and numbers count: `z^4 + z^2` is not
`z^4 - z^2`. A problem that is reworded or has an added sentence is not found.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

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
_POINTS = re.compile(r"[.,](?:(?!\d)|(?<!\d[.,]))")
"""Points and commas other than those inside a number: 1.5 is not 15."""
_MARKS = str.maketrans("", "", """${}*~?;:'"“”‘’`&""")
_SYNONYM = re.compile("|".join(f"{re.escape(name)}(?![a-z])" for name in _SYNONYMS))


@lru_cache(maxsize=1 << 16)
def normalised(text: str) -> str:
    """`text` without typesetting; equal for two copies of one problem."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    plain = _LAYOUT.sub("", _SYNONYM.sub(lambda match: _SYNONYMS[match[0]], plain))
    return "".join(_POINTS.sub("", plain).translate(_MARKS).split())


def overlapping_ids(
    train: Iterable[Problem], evaluation: Iterable[Problem]
) -> list[tuple[str, str]]:
    """Pairs `(training id, evaluation id)` of the same problem, in the order of `evaluation`; a
    problem that occurs several times in training has several pairs."""
    trained: dict[str, list[str]] = {}
    for problem in train:
        trained.setdefault(normalised(problem.text), []).append(problem.id)
    return [
        (training_id, problem.id)
        for problem in evaluation
        for training_id in trained.get(normalised(problem.text), ())
    ]
