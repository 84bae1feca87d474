"""Text as LaTeX, escaped, so that none can run a command, and the symbols of column heads."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection

from analysis.load.text import LIMIT, visible

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    # Behind a line break these would be its arguments.
    "[": "{[}",
    "]": "{]}",
    "*": "{*}",
    "`": r"\textasciigrave{}",
    "–": r"\textendash{}",
    "—": r"\textemdash{}",
    "…": r"\ldots{}",
    "±": r"$\pm$",
    "×": r"$\times$",
    "−": "$-$",
    "†": r"\dag{}",
    "α": r"$\alpha$",
    "τ": r"$\tau$",
}
_SYMBOLS = {
    "tau": r"$\tau$",
    "M/tau": r"$M/\tau$",
    "alpha": r"$\alpha$",
    "E": "$E$",
    "n": "$n$",
    "p": "$p$",
    "A": "$A$",
    "B": "$B$",
    "C_mid": r"$C_{\mathrm{mid}}$",
}
_SEEDS = re.compile("n = ([0-9]+)(?:–([0-9]+))?")

# Two in a row would become a dash or a quotation mark.
_LIGATURE = re.compile(r"([-',])(?=\1)")


def latex_text(text: str, limit: int = LIMIT) -> str:
    """Escaped text; characters that LaTeX may not print are spelled out."""
    shown = visible(text, limit)
    escaped = "".join(_SPECIAL.get(character) or _plain(character) for character in shown)
    return _LIGATURE.sub(r"\1{}", escaped)


def latex_head(title: str, own: Collection[str]) -> str:
    """The head of a column: escaped, and typeset where it is one of the program's `own` titles, as
    `$p$ (Holm)`. Settings that a user named alike are text."""
    if title not in own:
        return latex_text(title)
    return " ".join(_SYMBOLS.get(word) or latex_text(word) for word in title.split(" "))


def latex_seeds(text: str) -> str:
    """Escaped text; `n = 3` and `n = 2–3` are typeset."""
    if (counts := _SEEDS.fullmatch(text)) is None:
        return latex_text(text)
    return f"$n = {counts[1]}$" + (rf"\textendash{{}}{counts[2]}" if counts[2] else "")


def _plain(character: str) -> str:
    """ASCII and accented Latin letters unchanged, anything else by its code point."""
    latin = ord(character) < 0x180 and unicodedata.category(character)[0] == "L"
    return character if character.isascii() or latin else f"U+{ord(character):04X}"
