r"""Repairs LaTeX that an escape sequence has damaged, and removes other control characters.

A single backslash in JSON, or in a string of Python, turns the beginning of a command into a
control character: `\frac` into a form feed and `rac`. A form feed, backspace, bell or vertical tab
before the rest of a known command was one. Tabs and line ends may be meant: a command is read from
those only if its rest is no word of a text (`\theta`, `\nabla`), or stands in mathematics
(`\tan`, `\neq`), and never if its rest is a variable or the like (`\nu`, `\ni`, `\ne`, `\re`).
"""

from __future__ import annotations

import re
from typing import NamedTuple

_NEVER_MEANT = {
    "\a": "acute aleph alpha amalg angle approx approxeq arccos arcsin arctan arg ast asymp",
    "\b": "backslash bar because begin beta beth between bf bigcap bigcirc bigcup bigg biggl biggr "
    "bigl bigoplus bigotimes bigr bigsqcup bigstar bigtriangleup bigtriangledown bigvee bigwedge "
    "big binom blacksquare bm bmod boldsymbol bot bowtie boxed boxminus boxplus boxtimes box brace "
    "brack breve bullet bumpeq",
    "\v": "varepsilon varkappa varnothing varphi varpi varrho varsigma vartheta vartriangle vdash "
    "vdots vec veebar vee vert vspace",
    "\f": "fallingdotseq fbox flat footnotesize forall frac frown",
}
"""Commands by the control character that their first letter becomes."""
_NO_WORD_LEFT = {
    "\t": "tbinom textbf textit textrm textsf textstyle texttt text tfrac theta therefore "
    "thickapprox thicksim thinspace tilde times triangledown trianglelefteq "
    "trianglerighteq triangle",
    "\r": "rho rightarrow rightharpoonup rightleftharpoons right rvert",
    "\n": "nabla nleq ngeq nleqslant ngeqslant notin nsubseteq nsupseteq",
}
_A_WORD_LEFT = {
    "\t": "tanh tan tau top to",
    "\r": "rangle rbrace rbrack rceil rfloor rm",
    "\n": "neq neg nexists nmid nonumber notag not nparallel nless ngtr ncong",
}
"""Commands whose rest may begin a word of a text or of a program: read in mathematics only."""


def _rests(commands: dict[str, str]) -> str:
    """A pattern of damaged commands: control character, rest, and then no letter."""
    by_first = []
    for first, names in commands.items():
        rests = sorted((name[1:] for name in names.split()), key=len, reverse=True)
        by_first.append(f"{first}(?:{'|'.join(rests)})")
    return f"(?:{'|'.join(by_first)})(?![A-Za-z])"


_ALWAYS = re.compile(_rests(_NEVER_MEANT) + "|" + _rests(_NO_WORD_LEFT))
_IN_MATHEMATICS = re.compile(_rests(_A_WORD_LEFT))
_AFTER_LINE_END = re.compile(_rests({"\n": _NO_WORD_LEFT["\n"] + " " + _A_WORD_LEFT["\n"]}))
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_DELIMITER = re.compile(r"\\[()\[\]\\$]|\$\$?")
_FIRST_LETTERS = str.maketrans("\a\b\v\f\t\r\n", "abvftrn")


class Cleaned(NamedTuple):
    """A text without control characters, and what was done for that."""

    text: str
    repaired: bool
    """Whether commands were put together again."""
    removed: bool
    """Whether characters were removed."""


def is_clean(text: str) -> bool:
    """Whether `cleaned` would change nothing, at a glance: False where it has to look."""
    return text.replace("\n", " ").isprintable() and not _AFTER_LINE_END.search(text)


def cleaned(text: str, mathematics: bool = False) -> Cleaned:
    """`text` with its LaTeX repaired and without control characters other than tabs and line ends.

    mathematics: whether the whole text is mathematics, as an answer is.
    """
    repaired = _ALWAYS.sub(_command, text)
    if _IN_MATHEMATICS.search(repaired):
        repaired = _IN_MATHEMATICS.sub(_command, repaired) if mathematics else _inside(repaired)
    kept = _CONTROL.sub("", repaired)
    return Cleaned(kept, repaired != text, kept != repaired)


def _command(damaged: re.Match[str]) -> str:
    return "\\" + damaged[0][0].translate(_FIRST_LETTERS) + damaged[0][1:]


def _inside(text: str) -> str:
    """`text` with the commands repaired that stand between delimiters of mathematics."""
    parts, end, closing = [], 0, ""
    for mark in _DELIMITER.finditer(text):
        between = text[end : mark.start()]
        parts.append(_IN_MATHEMATICS.sub(_command, between) if closing else between)
        parts.append(mark[0])
        end = mark.end()
        if closing:
            closing = "" if mark[0] == closing else closing
        else:
            closing = {"$": "$", "$$": "$$", r"\(": r"\)", r"\[": r"\]"}.get(mark[0], "")
    return "".join([*parts, text[end:]])
